"""Passwords (argon2id) and tokens (JWT). Hashing takes a core some 20 ms: not for the event loop."""

from __future__ import annotations

import os
import secrets
import threading
from datetime import UTC, datetime, timedelta

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.settings import Settings

# OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# More hashes at once than cores take no less time, only 19 MiB each: a login storm would eat the memory.
_cores = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))


def hash_password(password: str) -> str:
    with _cores:
        return _hasher.hash(password)


_NOBODYS_HASH = hash_password(secrets.token_hex())


def verify_password(password: str, password_hash: str | None) -> bool:
    """Without a hash (no such user) it takes as long and says no: timing must not tell who exists."""
    with _cores:
        try:
            return _hasher.verify(password_hash or _NOBODYS_HASH, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def make_token(user_id: int, settings: Settings) -> str:
    now = datetime.now(UTC)
    expires = now + timedelta(minutes=settings.jwt_expiration_minutes)
    claims = {"sub": str(user_id), "iat": now, "exp": expires}
    return jwt.encode(claims, settings.jwt_secret_key.get_secret_value(), settings.jwt_algorithm)


def read_token(token: str, settings: Settings) -> int | None:
    """The user's id; None when the token is forged, expired or malformed."""
    try:
        claims = jwt.decode(
            token,
            settings.jwt_secret_key.get_secret_value(),
            algorithms=[settings.jwt_algorithm],
            options={"require": ["sub", "exp"]},
        )
        return int(claims["sub"])
    except (jwt.InvalidTokenError, ValueError):
        return None
