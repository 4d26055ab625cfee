"""A page on a real port, on an event loop of its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

from monitor.web import Page, serve
from tests.servers import answers, free_port, wait_until


@contextlib.contextmanager
def served(page: Page, host: str = "127.0.0.1") -> Iterator[str]:
    port = free_port()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(128)
    loop = asyncio.new_event_loop()
    task = loop.create_task(serve(page, listening))
    thread = threading.Thread(target=_run, args=(loop, task), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/static/icon.svg"), 10, url)
        yield url
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        listening.close()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
