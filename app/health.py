"""Liveness, which asks nobody, and readiness, which asks the database without ever waiting long for it."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import Schema, in_own_thread
from app.deadlines import NoAnswerError, due_in

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/health", tags=["health"])


_IN_TIME = 0.8  # of the deadline: a check that ends by itself can say why
_KNOWN = ("Connection refused", "too many clients", "is starting up", "is shutting down")
"""Words of libpq and PostgreSQL that tell an operator what to do and a stranger nothing."""


class Readiness:
    """One check at a time, in a thread of its own; whoever asks meanwhile waits for the same one.

    `deadline` (seconds) counts from the check's start: behind a frozen database or an exhausted pool the
    first caller waits that long, later ones not at all. A finished check is good for `keep` seconds.
    """

    def __init__(self, engine: Engine, schema: Schema, deadline: float = 1.0, keep: float = 1.0) -> None:
        self._engine = engine
        self._schema = schema
        self._deadline = deadline
        self.keep = keep
        self._check: Future[str | None] | None = None
        self._started = 0.0

    async def reason(self) -> str | None:
        """Why not ready, None when ready."""
        now = time.monotonic()
        if self._check is None or (self._check.done() and now > self._started + self.keep):
            self._check, self._started = in_own_thread(self._ask_database), now
        left = self._started + self._deadline - now
        if not self._check.done() and left > 0:
            await asyncio.wait([asyncio.wrap_future(self._check)], timeout=left)
        if not self._check.done():
            return f"database: no answer within {self._deadline:g} s"
        return self._check.result()

    def _ask_database(self) -> str | None:
        try:
            with due_in(self._deadline * _IN_TIME), self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            reason = f"database: {self._why(error)}"
            offline = not isinstance(error, PoolTimeoutError)
            logger.log(logging.CRITICAL if offline else logging.WARNING, "not ready: %s", reason)
            return reason
        return None if self._schema.exists.is_set() else "database: its tables are not made yet"

    def _why(self, error: SQLAlchemyError) -> str:
        """In a few words without addresses: anybody may ask for readiness."""
        if isinstance(error, PoolTimeoutError):
            return f"no free connection within {self._deadline:g} s"
        if isinstance(getattr(error, "orig", None), NoAnswerError):
            return f"no answer within {self._deadline:g} s"
        said = str(getattr(error, "orig", ""))
        return next((words for words in _KNOWN if words in said), type(error).__name__)


@router.get("")
async def health(request: Request) -> dict[str, str]:
    """Is the process alive? No I/O: restarting this process would not cure its database."""
    return {"status": "healthy", "version": request.app.version}


@router.get("/ready", response_model=None, responses={503: {"description": "Not ready, with the reason"}})
async def ready(request: Request) -> JSONResponse:
    state = request.app.state
    reason = "shutting down" if state.draining.started else await state.readiness.reason()
    if reason is None:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503)
