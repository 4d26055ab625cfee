"""What a client reads when something goes wrong.

A database that cannot answer now is a 503 with Retry-After; a defect of ours (a missing table, a bug) stays a
500, and is raised on to the server's log and Sentry.
"""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.problems import FieldError, describe_problems, problem

logger = logging.getLogger(__name__)

RETRY_AFTER = 5
"""Seconds."""
MOST_ERRORS = 50
LONGEST_NAME = 100

_NOTHING_THERE = (204, 304)  # may have no body
_GONE = "23503"  # PostgreSQL's foreign_key_violation


class ProblemError(HTTPException):
    """An error that programs may want to tell apart, by `kind`: see `problem`."""

    def __init__(self, status_code: int, kind: str, detail: str) -> None:
        super().__init__(status_code, detail)
        self.kind = kind


def add_error_handlers(app: FastAPI) -> None:
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, _database_unavailable)
    app.add_exception_handler(IntegrityError, _conflict)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _internal_error)
    describe_problems(app)


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    if refusal.status_code in _NOTHING_THERE:
        return Response(status_code=refusal.status_code, headers=refusal.headers)
    kind = refusal.kind if isinstance(refusal, ProblemError) else ""
    headers = refusal.headers
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(request.app.state.routes.allowed(request.scope))}
    return problem(request, refusal.status_code, str(refusal.detail), kind=kind, headers=headers)


async def _database_unavailable(request: Request, error: Exception) -> Response:
    # SQLite calls a missing table an operational error too; PostgreSQL calls it a programming error.
    cause = getattr(error, "orig", None)
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        raise error
    said, *_ = str(cause or error).splitlines() or [""]
    logger.error("database unavailable: %s %s: %s", request.method, request.url.path, said)
    return problem(
        request,
        503,
        "The database is not available at the moment. Try again shortly.",
        kind="database-unavailable",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


async def _conflict(request: Request, error: Exception) -> Response:
    """What a request refers to was deleted after the request had looked; other violations are ours."""
    cause = getattr(error, "orig", None)
    codes = (getattr(cause, "pgcode", None), getattr(cause, "sqlite_errorcode", None))
    if _GONE not in codes and sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY not in codes:
        raise error
    return problem(request, 409, "Something that this refers to has been deleted meanwhile.")


async def _invalid_request(request: Request, error: Exception) -> Response:
    mistakes = cast("RequestValidationError", error).errors()[:MOST_ERRORS]
    errors = [
        FieldError(loc=_way(each["loc"]), msg=each["msg"].removeprefix("Value error, "), type=each["type"])
        for each in mistakes
    ]
    detail = "; ".join(f"{'.'.join(map(str, each.loc))}: {each.msg}" for each in errors[:3])
    return problem(request, 422, detail, kind="invalid-request", errors=errors)


def _way(loc: tuple[str | int, ...]) -> list[str | int]:
    """Names of unknown fields are the client's own, of any length."""
    return [place if isinstance(place, int) else _printable(place[:LONGEST_NAME]) for place in loc]


def _printable(text: str) -> str:
    """JSON can escape half a surrogate pair, and no answer can be encoded with it."""
    return text.encode(errors="replace").decode()


async def _internal_error(request: Request, _error: Exception) -> Response:
    # The error is raised on after this answer, and uvicorn then drops the connection. A client that was not
    # told would lose its next request on it.
    return problem(request, 500, "Internal server error", headers={"Connection": "close"})
