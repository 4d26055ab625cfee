"""The API with two routes that only tests have: one raises, one never ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.responses import StreamingResponse

from app.main import create_app


def create() -> FastAPI:
    app = create_app()

    @app.get("/raise")
    def raises() -> None:
        raise RuntimeError("on purpose")

    @app.get("/hang")
    async def hangs() -> StreamingResponse:
        return StreamingResponse(_pid_and_then_nothing())

    return app


async def _pid_and_then_nothing() -> AsyncIterator[str]:
    yield str(os.getpid())
    await asyncio.sleep(600)
