"""`Idempotency-Key`: a request that is sent again after its answer got lost makes nothing twice.

The key is claimed in the same transaction that makes the thing, so there is no moment in between: a retry
that overtakes its original waits for it in the database. Kept are the id of what was made and a hash of what
was sent, to refuse a key that comes with another request. Keys are a user's own; LIFETIME and MOST_KEYS bound
them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import Header
from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from app.errors import ProblemError
from app.models import IdempotencyKey

LIFETIME = timedelta(hours=24)
MOST_KEYS = 1_000
"""Of a user; the oldest are forgotten first."""
REPLAYED = "Idempotency-Replayed"

_REUSED = "This Idempotency-Key came with another request before"

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any name for this request, such as a UUID: the same request again makes nothing again",
        examples=["7c0c9a58-6a3e-4b0e-9f0e-2f6a6d1f7a11"],
    ),
]


class Made(NamedTuple):
    id: int
    replayed: bool


class Call(NamedTuple):
    """Who asks for what; `content` is all that makes it another call."""

    user_id: int
    key: str | None
    content: tuple[Any, ...]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.content, default=str).encode()).hexdigest()


def once(sessions: sessionmaker[Session], call: Call, make: Callable[[Session], int]) -> Made:
    """The id that `make` returned, now or when the key came first. Raises ProblemError 422 for a used key."""
    if call.key is None:
        with sessions.begin() as session:
            return Made(make(session), replayed=False)
    with sessions() as session:
        earlier = _earlier(session, call)
    if earlier is not None:
        return earlier
    try:
        return _claim(sessions, call, make)
    except _ClaimedError:
        with sessions() as session:
            earlier = _earlier(session, call)
        if earlier is None:
            raise ProblemError(409, "idempotency-key-in-use", "The same request failed just now") from None
        return earlier


class _ClaimedError(Exception):
    """By the same request, which was here at the same time."""


def _earlier(session: Session, call: Call) -> Made | None:
    row = session.scalar(
        select(IdempotencyKey).where(
            IdempotencyKey.user_id == call.user_id,
            IdempotencyKey.key == call.key,
            IdempotencyKey.created_at > _oldest(),
        )
    )
    if row is None:
        return None
    if row.fingerprint != call.fingerprint:
        raise ProblemError(422, "idempotency-key-reused", _REUSED)
    return Made(row.subject_id, replayed=True)


def _claim(sessions: sessionmaker[Session], call: Call, make: Callable[[Session], int]) -> Made:
    claim = IdempotencyKey(user_id=call.user_id, key=call.key, fingerprint=call.fingerprint, subject_id=0)
    with sessions.begin() as session:
        _forget(session, call.user_id)
        session.add(claim)
        try:
            session.flush()
        except IntegrityError:
            raise _ClaimedError from None
        claim.subject_id = make(session)
        return Made(claim.subject_id, replayed=False)


def _oldest() -> datetime:
    return datetime.now(UTC) - LIFETIME


def _forget(session: Session, user_id: int) -> None:
    """What is too old, and what is too much."""
    mine = select(IdempotencyKey.id).where(IdempotencyKey.user_id == user_id)
    surplus = session.scalar(mine.order_by(IdempotencyKey.id.desc()).offset(MOST_KEYS - 1).limit(1)) or 0
    session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.user_id == user_id,
            or_(IdempotencyKey.created_at <= _oldest(), IdempotencyKey.id <= surplus),
        )
    )
