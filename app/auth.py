"""Register, log in, and who is asking."""

from __future__ import annotations

import logging
import re
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, EmailStr, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.database import Sessions
from app.models import ActivityLog, User
from app.security import hash_password, make_token, read_token, verify_password

logger = logging.getLogger(__name__)

LOGIN_FAILURES = ("unknown_user", "bad_password", "inactive")
"""The closed list of reasons that `auth_login_failures_total` knows."""

_PASSWORD_RULES = (
    ("at least 10 characters", lambda password: len(password) >= 10),
    ("at most 128 characters", lambda password: len(password) <= 128),
    ("a letter", lambda password: re.search(r"[^\W\d_]", password)),
    ("a digit", lambda password: re.search(r"\d", password)),
)

router = APIRouter(prefix="/auth", tags=["auth"])
_bearer = HTTPBearer(auto_error=False, description="The access_token of POST /auth/login")


def _keeps_the_rules(password: str) -> str:
    if missing := [rule for rule, holds in _PASSWORD_RULES if not holds(password)]:
        raise ValueError(f"a password needs {', '.join(missing)}")
    return password


class Registration(BaseModel):
    email: EmailStr
    password: Annotated[str, AfterValidator(_keeps_the_rules)]


class Credentials(BaseModel):
    """Loose on purpose: an address that nobody can have is an attempt too, and gets counted."""

    email: str = Field(max_length=320, pattern=r"^[^\x00]*$")
    password: str = Field(max_length=1024)


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds")


class Account(BaseModel):
    id: int
    email: str


@router.post("/register", status_code=201, responses={409: {"description": "The address is taken"}})
def register(registration: Registration, sessions: Sessions) -> Account:
    email = registration.email.lower()
    user = User(email=email, password_hash=hash_password(registration.password))
    try:
        with sessions.begin() as session:
            session.add(user)
            session.flush()
            session.add(ActivityLog(user_id=user.id, action="registered"))
    except IntegrityError:
        raise HTTPException(409, "This e-mail address is already registered") from None
    logger.info("registered user=%d", user.id)
    return Account(id=user.id, email=email)


@router.post("/login", responses={401: {"description": "Wrong address or password"}})
def log_in(credentials: Credentials, sessions: Sessions, request: Request) -> Token:
    """Only reads: a database that is locked for writing does not slow it down, nor do failures lock it."""
    with sessions() as session:
        user = session.scalar(select(User).where(User.email == credentials.email.lower()))
    correct = verify_password(credentials.password, user.password_hash if user else None)
    if user is None or not correct or not user.is_active:
        reason = "unknown_user" if user is None else "bad_password" if not correct else "inactive"
        request.app.state.login_failures.record(reason)
        raise HTTPException(401, "Incorrect e-mail address or password", {"WWW-Authenticate": "Bearer"})
    logger.info("logged in user=%d", user.id)
    settings = request.app.state.settings
    return Token(access_token=make_token(user.id, settings), expires_in=settings.jwt_expiration_minutes * 60)


def _current_user(
    request: Request,
    sessions: Sessions,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> User:
    user_id = read_token(bearer.credentials, request.app.state.settings) if bearer else None
    if user_id is not None:
        with sessions() as session:
            user = session.get(User, user_id)
        if user is not None and user.is_active:
            return user
    raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})


CurrentUser = Annotated[User, Depends(_current_user)]
"""Read in a session of its own, closed since: load nothing lazily from it."""


@router.get("/me", responses={401: {"description": "No valid token"}})
def me(user: CurrentUser) -> Account:
    return Account(id=user.id, email=user.email)
