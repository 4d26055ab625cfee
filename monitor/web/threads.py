"""Threads of the page's own, few and with a deadline: whatever hangs in them holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class CrowdedError(Exception):
    """More calls are waiting than would ever be answered in time."""


class Threads:
    def __init__(self, name: str, number: int, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._most = number + most_waiting
        self._asked = 0

    async def run(self, call: Callable[[], T], within: float) -> T:
        """Raises what `call` raises, TimeoutError after `within` seconds, and CrowdedError at once.

        A call that is late goes on, and takes up its thread until it ends.
        """
        if self._asked >= self._most:
            raise CrowdedError
        self._asked += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        running.add_done_callback(self._ended)
        async with asyncio.timeout(within):
            return await asyncio.shield(running)

    def _ended(self, running: asyncio.Future[T]) -> None:
        self._asked -= 1
        if not running.cancelled():
            running.exception()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
