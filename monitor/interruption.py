"""Ctrl-C, SIGTERM and a closed terminal, from the first import to the last line: always the same quiet end.

Not the event loop's own signal handling, which begins after the imports and ends before the process does.
"""

from __future__ import annotations

import asyncio
import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """The first signal counts. Before there is a task to cancel, nothing has started that needs an end."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def status(self) -> int:
        """The exit status that shells give to the signal; 0 without one."""
        return 128 + self.number if self.number else 0

    def arm(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._arrived)

    def cancels(self, task: asyncio.Task[object] | None) -> None:
        """To be called by the task itself, in its loop."""
        self._loop, self._task = asyncio.get_running_loop(), task

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            return
        self.number = number
        if self._loop is None:
            os.write(2, b"\nStopped before anything was started.\n")
            os._exit(self.status)
        if self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
