"""Passwords (argon2id) and tokens (JWT). Hashing takes a core some 30 ms: not for the event loop."""

from __future__ import annotations

import ctypes
import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.settings import Settings

CLOCKS_DIFFER = timedelta(seconds=30)
"""How far ahead the clock of another instance may be that made the token."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

# OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def _give_memory_back() -> None:
    """A hash's 19 MiB go back to the system, for a third more of its time.

    Else glibc keeps them per thread, and in pieces that later do not fit: 60 MB and more after a storm. The
    other threshold is what glibc sets it to by itself as soon as something large has been freed.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # musl and macOS have none
        mallopt(_M_MMAP_THRESHOLD, 16 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 32 * 2**20)


_give_memory_back()


def hash_password(password: str) -> str:
    return _hasher.hash(password)


_NOBODYS_HASH = hash_password(secrets.token_hex())


def verify_password(password: str, password_hash: str | None) -> bool:
    """Without a hash (no such user) it takes as long and says no: timing must not tell who exists."""
    try:
        return _hasher.verify(password_hash or _NOBODYS_HASH, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


class Claims(NamedTuple):
    """What a valid token says; `token_id` names it in the list of revoked ones."""

    user_id: int
    token_id: str
    issued: datetime
    expires: datetime


def make_token(user_id: int, settings: Settings) -> str:
    now = datetime.now(UTC)
    claims = {
        "sub": str(user_id),
        "iat": now,
        "exp": now + _lifetime(settings),
        "jti": secrets.token_urlsafe(16),
    }
    key = settings.jwt_secret_key.get_secret_value()
    return jwt.encode(claims, key, settings.jwt_algorithm, headers={"kid": fingerprint(key)})


def read_token(token: str, settings: Settings) -> Claims | None:
    """None when the token is forged, expired, malformed, or of a key that is no longer good.

    Signed with the previous key it is good for the rest of its lifetime, so that a rotation logs nobody out.
    """
    try:
        name = jwt.get_unverified_header(token).get("kid")
        for key, issued_before in _keys(settings):
            if name == fingerprint(key):
                return _checked(_decoded(token, key, settings), settings, issued_before)
    except (jwt.InvalidTokenError, ValueError, OverflowError):
        pass
    return None


def _decoded(token: str, key: str, settings: Settings) -> Claims:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[settings.jwt_algorithm],
        # `iat` is checked by us, with some tolerance.
        options={"require": ["sub", "iat", "exp", "jti"], "verify_iat": False},
    )
    moments = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
    return Claims(int(claims["sub"]), claims["jti"], *moments)


def _checked(claims: Claims, settings: Settings, issued_before: datetime) -> Claims | None:
    """Whoever has a lost key could sign tokens of any length: none is longer good than we would make it."""
    now = datetime.now(UTC)
    young = now - _lifetime(settings) < claims.issued <= now + CLOCKS_DIFFER
    return claims if young and claims.issued < issued_before else None


def _keys(settings: Settings) -> Iterator[tuple[str, datetime]]:
    """Each key, and the moment from which on it signs nothing any more."""
    never = datetime.max.replace(tzinfo=UTC)
    yield settings.jwt_secret_key.get_secret_value(), never
    if settings.jwt_secret_key_previous is not None:
        rotated = settings.jwt_secret_rotated_at
        # A date in an unknown time zone: the day after is the latest that it can end anywhere.
        end = datetime.combine(rotated + timedelta(days=2), time(), UTC) if rotated else never
        yield settings.jwt_secret_key_previous.get_secret_value(), end


def fingerprint(key: str) -> str:
    """Tells keys apart, tells nothing of them that a signature would not."""
    return hashlib.sha256(b"kid:" + key.encode()).hexdigest()[:16]


def _lifetime(settings: Settings) -> timedelta:
    return timedelta(minutes=settings.jwt_expiration_minutes)
