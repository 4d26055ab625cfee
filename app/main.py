"""The watched API: `uvicorn app.main:app`, or `gunicorn -c python:app.gunicorn_conf app.main:app`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy.orm import sessionmaker
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import activity, auth, clients, exports, health, trial_balance
from app.body_limit import BodyLimit
from app.database import Schema, make_engine
from app.deadlines import Deadlines
from app.errors import add_error_handlers
from app.headers import Headers
from app.settings import Settings, SettingsError
from app.shutdown import Draining
from app.telemetry import configure_logging, flush_sentry, init_sentry, log_queries
from app.version import VERSION
from exporters.asgi import instrument
from exporters.exposition import build_info, metrics_route
from exporters.logins import LoginFailures
from exporters.pool import watch_pool
from exporters.process import watch_process
from exporters.routes import RouteTable
from exporters.secret_age import watch_secret_age
from exporters.zero_storage import forbid_storage

LARGEST_BODY = 1_000_000
"""Bytes, except for uploads."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What browsers on other origins may send; a test compares it with the routes."""
LAST_WORDS = 2.0
"""Seconds that Sentry has for them."""
CONFIDENTIAL = ("/audit", "/export")
"""Below these paths trial balances are handled, and nothing may be written."""
START_PATIENCE = 2.0
"""Seconds that the start waits for the tables; after that they are made in the background."""


def create_app(settings: Settings | None = None, registry: CollectorRegistry = REGISTRY) -> FastAPI:
    """Raises SettingsError with one line per mistake. Each app of one process needs a registry of its own."""
    settings = settings or Settings.load()
    configure_logging(settings)
    init_sentry(settings)

    app = Api(settings)
    _connect(app, settings)
    _add_routes(app)
    _add_middleware(app, settings)
    add_error_handlers(app)
    _instrument(app, registry)
    return app


TRACE_HEADERS = frozenset({b"sentry-trace", b"baggage", b"traceparent"})


class Api(FastAPI):
    """What every answer needs is added outside the error handler: answers of its own have it too."""

    def __init__(self, settings: Settings) -> None:
        hidden = settings.production
        super().__init__(
            title="Paciolus API",
            version=VERSION,
            debug=settings.debug,
            lifespan=_lifespan,
            openapi_url=None if hidden else "/openapi.json",
            docs_url=None if hidden else "/docs",
            redoc_url=None if hidden else "/redoc",
        )
        self.state.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sentry takes its draw from a caller's trace id where there is one: callers must not choose it."""
        if scope["type"] == "http":
            scope["headers"] = [header for header in scope["headers"] if header[0] not in TRACE_HEADERS]
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        settings: Settings = self.state.settings
        with_cors = CORSMiddleware(
            super().build_middleware_stack(),
            allow_origins=settings.cors_origins,
            allow_methods=METHODS,
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=[
                "Content-Disposition",
                "Idempotency-Replayed",
                "Link",
                "Location",
                "Retry-After",
                "X-Request-ID",
            ],
        )
        pages = (self.docs_url or "", self.redoc_url or "", self.swagger_ui_oauth2_redirect_url or "")
        return Headers(with_cors, hsts=settings.production, pages=pages)


def _connect(app: FastAPI, settings: Settings) -> None:
    app.state.draining = Draining(settings.drain)
    app.state.engine = make_engine(settings)
    log_queries(app.state.engine, slow=settings.db_slow_query)
    app.state.sessions = sessionmaker(app.state.engine, expire_on_commit=False)
    app.state.schema = Schema(app.state.engine)
    app.state.readiness = health.Readiness(app.state.engine, app.state.schema)
    auth.prepare(app, settings)
    trial_balance.prepare(app)


def _add_routes(app: FastAPI) -> None:
    for feature in (health, auth, clients, trial_balance, exports, activity):
        app.include_router(feature.router)


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    uploads = {trial_balance.PATH: trial_balance.LARGEST_UPLOAD}
    app.add_middleware(BodyLimit, default=LARGEST_BODY, paths=uploads)
    app.add_middleware(Deadlines, seconds=settings.request_deadline)


def _own_database(app: FastAPI) -> list[str]:
    """SQLite's file: pools open it whenever they need another connection."""
    url = app.state.engine.url
    return [url.database] if url.get_backend_name() == "sqlite" else []


def _instrument(app: FastAPI, registry: CollectorRegistry) -> None:
    forbid_storage(app, CONFIDENTIAL, allowed=_own_database(app), registry=registry)
    instrument(app, registry=registry)
    watch_pool(app.state.engine, registry=registry)
    watch_process(registry=registry)
    app.state.login_failures = LoginFailures(auth.LOGIN_FAILURES, registry=registry)
    watch_secret_age(app.state.settings.jwt_secret_rotated_at, registry=registry)
    build_info(VERSION, registry=registry)
    app.router.routes.append(metrics_route(registry))
    app.state.routes = RouteTable(lambda: app.routes)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    tables = app.state.schema.start()
    await asyncio.wait([asyncio.wrap_future(tables)], timeout=START_PATIENCE)
    with app.state.draining.before_the_end():
        yield
    app.state.schema.stop()
    app.state.engine.dispose()
    # uvicorn ends by the signal itself, and so without the exit hooks that would do this.
    await asyncio.to_thread(flush_sentry, app.state.settings, LAST_WORDS)


def __getattr__(name: str) -> FastAPI:
    """`app` is made when a server asks for it, not on import; mistakes in the settings end the server."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = globals()["app"] = create_app()
    except SettingsError as mistakes:
        sys.exit(str(mistakes))
    return app
