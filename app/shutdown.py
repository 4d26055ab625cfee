"""The end of a process that nobody notices: first "not ready", a pause, then the server's own ending.

The pause gives load balancers the time to look elsewhere while everything is still answered. Then the server
closes its door, and requests in flight finish.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


class Draining:
    """`started` as soon as the process was asked to end; `pause` in seconds."""

    def __init__(self, pause: float) -> None:
        self.started = False
        self._pause = pause

    @contextmanager
    def before_the_end(self) -> Iterator[None]:
        """Within an event loop: SIGTERM is handed to whom it was meant for after the pause.

        SIGINT and SIGQUIT are not, so whoever is in a hurry has them. A server in another thread than the
        first has no signals, and nothing to wait for.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, meant_for = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def end(number: int, _frame: FrameType | None) -> None:
            # A process manager may tell the whole group, and then its parent tells each worker again.
            if not self.started:
                self.started = True
                loop.call_soon_threadsafe(wait, number)

        def wait(number: int) -> None:
            logger.info("asked to end: not ready from now on, closing in %g s", self._pause)
            loop.call_later(self._pause, hand_on, number)

        def hand_on(number: int) -> None:
            if callable(meant_for):
                meant_for(number, None)
            else:
                signal.signal(signal.SIGTERM, meant_for)
                signal.raise_signal(number)

        signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, meant_for)
