"""The shipped API behind a gate, as a proxy might be: it closes /metrics while the file $GATE exists."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.main import create_app


def create() -> ASGIApp:
    api, gate = create_app(), Path(os.environ["GATE"])

    def closed(scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] == "/metrics" and gate.exists()

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        answer = PlainTextResponse("closed", status_code=503) if closed(scope) else api
        await answer(scope, receive, send)

    return gated
