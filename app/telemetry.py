"""Logs, request ids and Sentry. None is told passwords, tokens, e-mail addresses, accounts or amounts.

DEBUG     queries, in development only
INFO      log-ins, uploads, requests
WARNING   slow queries, a database that is not ready
ERROR     uncaught exceptions, failed requests
CRITICAL  the database is offline, zero storage is violated
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from app.masking import Mask, mask_all, mask_error, mask_traceback, masker, network
from app.settings import Settings
from app.version import VERSION

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

TRACED = 0.1
"""The share of requests that Sentry gets a trace of."""
LONGEST_STATEMENT = 2_000
"""Characters of SQL in a log line."""

_QUIET_PATHS = ("/health", "/metrics")
_IN_MESSAGE = ("method", "path", "status")
_SERVERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "gunicorn.access", "gunicorn.error")
_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "taskName"})

logger = logging.getLogger(__name__)

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Of the request that is being handled, threads and tasks that it started included; else ""."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    """Until the end of the task, so that the server's own last words about a request carry it too."""
    _request_id.set(value)


class Masked(logging.Formatter):
    """One line of text: time, level, logger, request, message, then a traceback if there is one."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        said = self.fields(record)
        exception = said.pop("exception", None)
        words = [str(said.pop(name)) for name in ("time", "level", "logger", "message")]
        words[-1] = words[-1].replace("\n", "\\n")  # nobody forges a line of ours
        rest = [f"{name}={value}" for name, value in said.items() if name not in _IN_MESSAGE]
        return "\n".join([" ".join(words + rest), *([exception] if exception else [])])

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        said = (
            _access(record) if record.name == "uvicorn.access" else {"message": record.getMessage().rstrip()}
        )
        extra = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            extra["exception"] = mask_traceback(self.formatException(record.exc_info))
        masked = mask_all({**said, **extra}, self._mask)
        return {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked.pop("message"),
            "pid": record.process,
            **({"request_id": request_id()} if request_id() else {}),
            **masked,
        }


class Json(Masked):
    """The same as an object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), ensure_ascii=False, default=self._plain)

    def _plain(self, value: object) -> str:
        return self._mask(str(value))


def _access(record: logging.LogRecord) -> dict[str, Any]:
    """uvicorn's line about a request as fields, without the query and the last part of the address."""
    if not isinstance(record.args, tuple) or len(record.args) != 5:
        return {"message": record.getMessage()}
    client, method, target, _, status = record.args
    path = str(target).partition("?")[0]
    said = {"method": method, "path": path, "status": status, "client": network(str(client))}
    return {"message": f"{method} {path} {status}", **said}


def formatter(settings: Settings) -> logging.Formatter:
    return (Json if settings.logs_are_json else Masked)(masker(settings.secrets))


def configure_logging(settings: Settings) -> None:
    """To stderr, unless whoever runs the app has configured logging before; the servers' lines look alike."""
    lines = formatter(settings)
    if not logging.root.handlers:
        logging.root.addHandler(logging.StreamHandler())
        logging.root.handlers[0].setFormatter(lines)
    for handler in (handler for name in _SERVERS for handler in logging.getLogger(name).handlers):
        handler.setFormatter(lines)
    logging.getLogger("app").setLevel(settings.log_level)


def log_queries(engine: Engine, slow: float) -> None:
    """Every statement at DEBUG, those of more than `slow` seconds at WARNING; never with their parameters."""

    def before(_connection: Any, _cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:
        context.paciolus_started = perf_counter()

    def after(_connection: Any, _cursor: Any, sql: str, _values: Any, context: Any, _many: bool) -> None:
        seconds = perf_counter() - context.paciolus_started
        level, kind = (logging.WARNING, "slow query") if seconds > slow else (logging.DEBUG, "query")
        if logger.isEnabledFor(level):
            logger.log(level, "%s %.3f s: %s", kind, seconds, " ".join(sql[:LONGEST_STATEMENT].split()))

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)


def init_sentry(settings: Settings) -> None:
    if settings.sentry_dsn is None:
        return
    import sentry_sdk

    mask = masker(settings.secrets)

    def masked(event: Event, _hint: Hint) -> Event:
        return _impersonal(event, mask)

    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.env_mode,
        release=VERSION,
        traces_sampler=_share,
        before_send=masked,
        before_send_transaction=masked,
        before_breadcrumb=lambda crumb, _hint: mask_all(crumb, mask),
        send_default_pii=False,
        # Both would carry lines of trial balances out of the process.
        max_request_body_size="never",
        include_local_variables=False,
    )


def flush_sentry(settings: Settings, patience: float) -> None:
    """Waits at most so many seconds until all is sent."""
    if settings.sentry_dsn is not None:
        import sentry_sdk

        sentry_sdk.flush(patience)


def _share(context: dict[str, Any]) -> float:
    """Decided here alone: a caller's own trace header must not switch ours on."""
    path = str(context.get("asgi_scope", {}).get("path", ""))
    return 0.0 if path.startswith(_QUIET_PATHS) else TRACED


def _impersonal(event: Event, mask: Mask) -> Event:
    request: dict[str, Any] = event.get("request") or {}
    for personal in ("query_string", "cookies", "data", "env", "headers"):
        request.pop(personal, None)
    event.pop("user", None)
    if request_id():
        event.setdefault("tags", {})["request_id"] = request_id()
    for exception in (event.get("exception") or {}).get("values", []):
        exception["value"] = mask_error(exception.get("value") or "", str(exception.get("type")))
    masked: Event = mask_all(event, mask)
    return masked
