"""Tells those who look at the page that it changed, without keeping anything for those who are slow."""

from __future__ import annotations

import asyncio


class Changes:
    """A number that rises with each change; whoever is late sees the last number and none in between."""

    def __init__(self) -> None:
        self.number = 0
        self.closed = False
        self.listeners = 0
        self._risen = asyncio.Event()

    def rise(self) -> None:
        self.number += 1
        self._wake()

    def close(self) -> None:
        """Whoever waits is let go, now and later."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._risen.set()
        self._risen = asyncio.Event()

    async def after(self, number: int, at_most: float) -> int:
        """The number once it is past `number`, or as it is after `at_most` seconds."""
        risen = self._risen
        if self.number == number and not self.closed:
            try:
                async with asyncio.timeout(at_most):
                    await risen.wait()
            except TimeoutError:
                pass
        return self.number
