"""Serves the page on the agent's event loop, and lets go of it without delaying the agent's end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from monitor.web.app import create_web
from monitor.web.events import watch
from monitor.web.page import Page
from monitor.web.patience import sweep

MOST_CONNECTIONS = 200
GRACE = 1.0


class _Server(uvicorn.Server):
    """Signals are the agent's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(page: Page, listening: socket.socket) -> None:
    """Until cancelled. Nobody's word for an address is taken (`proxy_headers`): access depends on it."""
    config = uvicorn.Config(
        create_web(page),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="uvicorn")
    beside = [
        asyncio.create_task(watch(page), name="changes"),
        asyncio.create_task(sweep(lambda: server.server_state.connections), name="patience"),
    ]
    try:
        await asyncio.shield(serving)
    finally:
        for task in beside:
            task.cancel()
        page.changes.close()
        server.should_exit = True
        await asyncio.wait([serving], timeout=GRACE)
        serving.cancel()
