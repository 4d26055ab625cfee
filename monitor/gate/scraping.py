"""The target's /metrics page, read all the while the gate runs: state is judged by what it was under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exporters.http import Prober, Request
from exporters.sample import Sample
from exporters.scrape import scrape
from monitor.gate.config import Metrics
from monitor.objectives import Objectives
from monitor.series import TargetSeries

EVERY = 2.0
"""Seconds."""
TIMEOUT = 5.0
SECRET_AGE = "auth_jwt_secret_age_seconds"  # noqa: S105 - a metric's name
BUILD_INFO = "app_build_info"
MEMORY = ("process_tree_anonymous_memory_bytes", "process_tree_memory_bytes")
"""The first that the page has. The second also counts code, and changes with whoever else runs the same."""


class Scraping:
    """`fault`: why there are no numbers; "" while there are. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        prober: Prober,
        metrics: Metrics,
        objectives: Objectives,
        ca_file: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        headers = (("Authorization", f"Bearer {metrics.token}"),) if metrics.token else ()
        self._request = Request(metrics.url, headers=headers, timeout=TIMEOUT, ca_file=ca_file or None)
        self._prober = prober
        self._clock = clock
        self.given = metrics.given
        self.url = metrics.url
        names = {selector.name for each in objectives for selector in each.sli.reads}
        self.series = TargetSeries(dict.fromkeys({*names, SECRET_AGE, BUILD_INFO}, float("inf")))
        self.fault = "it was not asked yet"
        self.times: list[float] = []
        self._newest: list[Sample] = []

    async def go_on(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        at = self._clock()
        page = await scrape(self._prober, self._request)
        if page.error is not None:
            self.fault = page.error
            return
        self.fault = ""
        self.times.append(at)
        self._newest = page.samples
        self.series.remember(at, page.samples)

    async def at_least(self, looks: int) -> bool:
        """Whether it was read so often; waits for it as long as the page is there."""
        while len(self.times) < looks and (not self.fault or not self.times):
            await self.look()
            if self.fault:
                return False
            if len(self.times) < looks:
                await asyncio.sleep(EVERY)
        return not self.fault

    def newest(self, name: str) -> list[Sample]:
        return [each for each in self._newest if each.name == name]

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(sorted({dict(each.labels).get("version", "?") for each in self.newest(BUILD_INFO)}))
