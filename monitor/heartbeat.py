"""Tells a service outside, again and again, that the agent works: when the beats stop, that service calls.

A dead agent can page nobody, and one that hangs is worse, for it looks alive. So a beat goes out only while
nothing stalls (monitor/working.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from monitor.heartbeatconfig import HeartbeatConfig
from monitor.metrics import AgentMetrics
from monitor.notify.delivery import DeliveryError
from monitor.notify.posting import Poster

log = logging.getLogger(__name__)

WITHIN = 10.0
"""Seconds for one beat, from the look-up of the name until it was answered."""
LOOK_EVERY = 5.0
"""Seconds after which an agent that stalled looks whether it works again."""
FIRST_RETRY = BEGUN_WITHIN = 1.0


class Works(Protocol):
    @property
    def begun(self) -> bool:
        """Whether it has looked at any target yet: who only ever starts does not work."""

    def stalls(self) -> list[str]:
        """Why the agent does not work; empty when it does."""


class Heartbeat:
    def __init__(
        self,
        config: HeartbeatConfig | None,
        works: Works,
        metrics: AgentMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._works = works
        self._metrics = metrics
        self._clock = clock
        self._poster = Poster(WITHIN)
        self._changed = asyncio.Event()
        self._failures = 0
        self._withheld = False

    def configure(self, config: HeartbeatConfig | None) -> None:
        """The next beat, if this is another address, goes out at once."""
        if config != self._config:
            self._config, self._failures = config, 0
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            wait = None if self._config is None else await self.beat(self._config)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def close(self) -> None:
        await self._poster.close()

    async def beat(self, config: HeartbeatConfig) -> float:
        """One beat, or none while something stalls; the seconds until the next."""
        began = asyncio.get_running_loop().time()
        if not self._works.begun:
            return min(BEGUN_WITHIN, config.every)
        if stalls := self._works.stalls():
            return self._hold(stalls, config.every)
        try:
            await self._poster.post(config.url)
        except DeliveryError as error:
            return self._failed(str(error), config.every)
        except Exception as error:
            # A mistake of ours about a beat must not end the watch: the missing beat is what calls somebody.
            log.exception("heartbeat: can't be sent")
            return self._failed(f"{type(error).__name__}: {error}", config.every)
        self._sent()
        return max(0.0, config.every - (asyncio.get_running_loop().time() - began))

    def _hold(self, stalls: list[str], every: float) -> float:
        self._metrics.heartbeats.labels("withheld").inc()
        if not self._withheld:
            log.error("heartbeat: none goes out, for the agent does not work: %s", "; ".join(stalls))
        self._withheld = True
        return min(LOOK_EVERY, every)

    def _failed(self, why: str, every: float) -> float:
        self._metrics.heartbeats.labels("failed").inc()
        if not self._failures:
            log.warning("heartbeat: not sent, each further try unlogged: %s", why)
        self._failures += 1
        return min(FIRST_RETRY * 2.0 ** min(self._failures - 1, 16), every)

    def _sent(self) -> None:
        self._metrics.heartbeats.labels("sent").inc()
        self._metrics.last_heartbeat.set(self._clock())
        if self._withheld or self._failures:
            log.info("heartbeat: sent again")
        self._withheld, self._failures = False, 0
