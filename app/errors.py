"""What a client reads when something goes wrong.

A database that cannot answer now is a 503 with Retry-After; a defect of ours (a missing table, a bug) stays a
500, and is raised on to the server's log and Sentry.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

logger = logging.getLogger(__name__)

RETRY_AFTER = 5
"""Seconds."""


def add_error_handlers(app: FastAPI) -> None:
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, _database_unavailable)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Exception, _internal_error)


async def _database_unavailable(request: Request, error: Exception) -> JSONResponse:
    # SQLite calls a missing table an operational error too; PostgreSQL calls it a programming error.
    cause = getattr(error, "orig", None)
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        raise error
    said, *_ = str(cause or error).splitlines() or [""]
    logger.error("database unavailable: %s %s: %s", request.method, request.url.path, said)
    return JSONResponse(
        {"detail": "The database is not available at the moment. Try again shortly."},
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER)},
    )


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own answer without the input, which may be a password."""
    errors = cast("RequestValidationError", error).errors()
    mistakes = [{key: mistake[key] for key in ("type", "loc", "msg")} for mistake in errors]
    return JSONResponse({"detail": mistakes}, status_code=422)


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    # The error is raised on after this answer, and uvicorn then drops the connection. A client that was not
    # told would lose its next request on it.
    return JSONResponse({"detail": "Internal server error"}, status_code=500, headers={"Connection": "close"})
