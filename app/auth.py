"""Register, log in, log out, delete the account, and who is asking."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, NamedTuple, Self

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, EmailStr, Field, model_validator
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app import passwords
from app.database import Sessions
from app.models import ActivityLog, RevokedToken, User
from app.problems import problems
from app.security import Claims, hash_password, make_token, read_token, verify_password
from app.settings import Settings
from app.throttle import Attempt, Hashing, LoginLimits, ThrottledError

logger = logging.getLogger(__name__)

LOGIN_FAILURES = ("unknown_user", "bad_password", "inactive", "locked", "throttled")
"""The closed list of reasons that `auth_login_failures_total` knows."""

LONGEST_TRIED = 1024
"""Characters that are looked at; a longer password is wrong in any case."""

router = APIRouter(prefix="/auth", tags=["auth"])
_bearer = HTTPBearer(auto_error=False, description="The access_token of POST /auth/login")


class Registration(BaseModel):
    email: EmailStr = Field(examples=["ada@example.com"])
    password: Annotated[str, AfterValidator(passwords.keeping_the_rules)] = Field(
        max_length=LONGEST_TRIED,
        description=f"With {', '.join(rule for rule, _ in passwords.RULES)}; none that others try first",
        examples=["correct horse 1 battery"],
        json_schema_extra={"minLength": passwords.SHORTEST, "maxLength": passwords.LONGEST},
    )

    @model_validator(mode="after")
    def _is_not_obvious(self) -> Self:
        passwords.refuse_the_obvious(self.password, self.email)
        return self


class Credentials(BaseModel):
    """Loose on purpose: an address that nobody can have is an attempt too, and gets counted."""

    email: str = Field(max_length=320, pattern=r"^[^\x00]*$", examples=["ada@example.com"])
    password: str = Field(max_length=LONGEST_TRIED, examples=["correct horse 1 battery"])


class Confirmation(BaseModel):
    password: str = Field(max_length=LONGEST_TRIED, examples=["correct horse 1 battery"])


class Token(BaseModel):
    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs..."])
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds", examples=[28800])


class Account(BaseModel):
    id: int = Field(examples=[7])
    email: str = Field(examples=["ada@example.com"])


def prepare(app: FastAPI, settings: Settings) -> None:
    """What the endpoints below remember between requests; each process for itself."""
    app.state.login_limits = LoginLimits(settings)
    app.state.hashing = Hashing(at_once=max(2, os.cpu_count() or 1))


def _too_many(limit: ThrottledError) -> HTTPException:
    headers = {"Retry-After": str(math.ceil(limit.retry_after))}
    return HTTPException(429, "Too many attempts. Try again later.", headers)


def _address(request: Request) -> str:
    """As the server says, which reads X-Forwarded-For from FORWARDED_ALLOW_IPS only."""
    return request.client.host if request.client else ""


@router.post(
    "/register",
    status_code=201,
    responses=problems(400, 413, 422, 429, 503, _409="The e-mail address is taken"),
)
async def register(registration: Registration, sessions: Sessions, request: Request) -> Account:
    state = request.app.state
    try:
        state.login_limits.admit_registration(_address(request), time.monotonic())
        password_hash = await state.hashing.run(partial(hash_password, registration.password))
    except ThrottledError as limit:
        raise _too_many(limit) from None
    user = User(email=registration.email.lower(), password_hash=password_hash)
    await run_in_threadpool(_store, sessions, user)
    logger.info("registered user=%d", user.id)
    return Account(id=user.id, email=user.email)


def _store(sessions: sessionmaker[Session], user: User) -> None:
    try:
        with sessions.begin() as session:
            session.add(user)
            session.flush()
            session.add(ActivityLog(user_id=user.id, action="registered"))
    except IntegrityError:
        raise HTTPException(409, "This e-mail address is already registered") from None


@router.post(
    "/login",
    responses=problems(400, 413, 422, 429, 503, _401="Wrong e-mail address or password, or a locked account"),
)
async def log_in(credentials: Credentials, sessions: Sessions, request: Request) -> Token:
    """Only reads: a database that is locked for writing does not slow it down, nor do failures lock it.

    An account that is locked after too many failures answers 401 as well.
    """
    user = await _known(credentials, sessions, request)
    logger.info("logged in user=%d", user.id)
    settings: Settings = request.app.state.settings
    lifetime = settings.jwt_expiration_minutes * 60
    return Token(access_token=make_token(user.id, settings), expires_in=lifetime)


async def _known(credentials: Credentials, sessions: sessionmaker[Session], request: Request) -> User:
    """Whose password it is. Raises HTTPException 401, counted as a failed login, and 429."""
    state = request.app.state
    limits: LoginLimits = state.login_limits
    try:
        attempt = limits.admit(_address(request), credentials.email.lower(), time.monotonic())
        with _withdrawn_unless_answered(limits, attempt):
            user, correct = await _verify(credentials, sessions, state.hashing)
    except ThrottledError as limit:
        state.login_failures.record("throttled")
        raise _too_many(limit) from None
    if attempt.locked or user is None or not correct or not user.is_active:
        state.login_failures.record(_reason(attempt, user, correct))
        raise HTTPException(401, "Incorrect e-mail address or password", {"WWW-Authenticate": "Bearer"})
    limits.succeeded(attempt)
    return user


@contextmanager
def _withdrawn_unless_answered(limits: LoginLimits, attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except BaseException:
        limits.unanswered(attempt)
        raise


async def _verify(
    credentials: Credentials, sessions: sessionmaker[Session], hashing: Hashing
) -> tuple[User | None, bool]:
    """The same work whoever asks for whatever, so that its time tells nothing."""
    user = await run_in_threadpool(_find, sessions, credentials.email.lower())
    password_hash = user.password_hash if user else None
    return user, await hashing.run(partial(verify_password, credentials.password, password_hash))


def _find(sessions: sessionmaker[Session], email: str) -> User | None:
    with sessions() as session:
        return session.scalar(select(User).where(User.email == email))


def _reason(attempt: Attempt, user: User | None, correct: bool) -> str:
    if attempt.locked:
        return "locked"
    if user is None:
        return "unknown_user"
    return "inactive" if correct else "bad_password"


class _SignedIn(NamedTuple):
    user: User
    token: Claims


def _signed_in(
    request: Request,
    sessions: Sessions,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> _SignedIn:
    token = read_token(bearer.credentials, request.app.state.settings) if bearer else None
    if token is not None:
        revoked = select(RevokedToken).where(RevokedToken.id == token.token_id).exists()
        with sessions() as session:
            user = session.scalar(select(User).where(User.id == token.user_id, User.is_active, ~revoked))
        if user is not None:
            return _SignedIn(user, token)
    raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})


async def _current_user(signed_in: Annotated[_SignedIn, Depends(_signed_in)]) -> User:
    return signed_in.user


CurrentUser = Annotated[User, Depends(_current_user)]
"""Read in a session of its own, closed since: load nothing lazily from it."""


@router.post("/logout", status_code=204, responses=problems(401, 503))
def log_out(signed_in: Annotated[_SignedIn, Depends(_signed_in)], sessions: Sessions) -> None:
    """Ends this token, in all processes; the user's other tokens stay good."""
    user, token = signed_in
    now = datetime.now(UTC)
    try:
        with sessions.begin() as session:
            session.execute(delete(RevokedToken).where(RevokedToken.expires_at < now))
            session.add(RevokedToken(id=token.token_id, expires_at=token.expires))
            session.add(ActivityLog(user_id=user.id, action="logged_out"))
    except IntegrityError:
        logger.debug("logged out twice at the same time user=%d", user.id)
    logger.info("logged out user=%d", user.id)


@router.post(
    "/delete",
    status_code=204,
    responses=problems(400, 413, 422, 429, 503, _401="No valid token, or the wrong password"),
)
async def delete_account(
    confirmation: Confirmation, user: CurrentUser, sessions: Sessions, request: Request
) -> None:
    """The account with its clients, summaries and history, for ever: so the password is asked for again."""
    await _known(Credentials(email=user.email, password=confirmation.password), sessions, request)
    await run_in_threadpool(_delete, sessions, user.id)
    logger.info("deleted user=%d", user.id)


def _delete(sessions: sessionmaker[Session], user_id: int) -> None:
    with sessions.begin() as session:
        session.execute(delete(User).where(User.id == user_id))


@router.get("/me", responses=problems(401, 503))
def me(user: CurrentUser) -> Account:
    return Account(id=user.id, email=user.email)
