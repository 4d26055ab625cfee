"""The watched API: `uvicorn app.main:app`, or `gunicorn -c python:app.gunicorn_conf app.main:app`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporters.process import watch_process
from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy.orm import sessionmaker
from starlette.middleware.cors import CORSMiddleware

from app import auth, clients, health, trial_balance
from app.body_limit import BodyLimit
from app.database import Schema, make_engine
from app.errors import add_error_handlers
from app.settings import Settings, SettingsError
from app.telemetry import configure_logging, init_sentry
from app.version import VERSION
from exporters.asgi import instrument
from exporters.exposition import build_info, metrics_route
from exporters.logins import LoginFailures
from exporters.pool import watch_pool

LARGEST_BODY = 1_000_000
"""Bytes, except for uploads."""
START_PATIENCE = 2.0
"""Seconds that the start waits for the tables; after that they are made in the background."""


def create_app(settings: Settings | None = None, registry: CollectorRegistry = REGISTRY) -> FastAPI:
    """Raises SettingsError with one line per mistake. Each app of one process needs a registry of its own."""
    settings = settings or Settings.load()
    configure_logging(settings.log_level)
    init_sentry(settings)

    app = FastAPI(title="Paciolus API", version=VERSION, debug=settings.debug, lifespan=_lifespan)
    _connect(app, settings)
    _add_routes(app)
    _add_middleware(app, settings)
    add_error_handlers(app)
    _instrument(app, registry)
    return app


def _connect(app: FastAPI, settings: Settings) -> None:
    app.state.settings = settings
    app.state.engine = make_engine(settings)
    app.state.sessions = sessionmaker(app.state.engine, expire_on_commit=False)
    app.state.schema = Schema(app.state.engine)
    app.state.readiness = health.Readiness(app.state.engine, app.state.schema)


def _add_routes(app: FastAPI) -> None:
    for feature in (health, auth, clients, trial_balance):
        app.include_router(feature.router)


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    uploads = {trial_balance.PATH: trial_balance.LARGEST_UPLOAD}
    app.add_middleware(BodyLimit, default=LARGEST_BODY, paths=uploads)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )


def _instrument(app: FastAPI, registry: CollectorRegistry) -> None:
    instrument(app, registry=registry)
    watch_pool(app.state.engine, registry=registry)
    watch_process(registry=registry)
    app.state.login_failures = LoginFailures(auth.LOGIN_FAILURES, registry=registry)
    build_info(VERSION, registry=registry)
    app.router.routes.append(metrics_route(registry))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    tables = app.state.schema.start()
    await asyncio.wait([asyncio.wrap_future(tables)], timeout=START_PATIENCE)
    yield
    app.state.schema.stop()
    app.state.engine.dispose()


def __getattr__(name: str) -> FastAPI:
    """`app` is made when a server asks for it, not on import; mistakes in the settings end the server."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = globals()["app"] = create_app()
    except SettingsError as mistakes:
        sys.exit(str(mistakes))
    return app
