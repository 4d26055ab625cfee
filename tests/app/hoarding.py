"""An API whose pool can be emptied from outside."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.main import create_app


def app() -> FastAPI:
    """POST /hoard takes all connections of the pool, POST /release gives them back."""
    app = create_app(registry=CollectorRegistry())
    settings, hoard, one_at_a_time = app.state.settings, ExitStack(), threading.Lock()

    @app.post("/hoard")
    def hoard_all() -> None:
        with one_at_a_time:
            for _ in range(settings.db_pool_size + settings.db_max_overflow):
                hoard.enter_context(app.state.engine.connect())

    @app.post("/release")
    def release_all() -> None:
        with one_at_a_time:
            hoard.close()

    return app
