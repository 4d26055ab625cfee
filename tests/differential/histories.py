"""What a target went through, made up at random, one scrape after another.

A scrape fails, is missed, or brings a page of series; workers are born late, restart, or vanish from the
page. Prometheus is told of it as it would see it (a failed scrape and a vanished series leave stale markers),
and the agent as it would (samples, or none).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import NamedTuple

from exporters.sample import Labels, Sample, labels

STEP = 5
"""Seconds from scrape to scrape."""
SCRAPES = 31
BOUNDS = (0.1, 0.5, 1.0, 3.0, 10.0, math.inf)
LE = {bound: "+Inf" if bound == math.inf else f"{bound:g}" for bound in BOUNDS}

Page = dict[tuple[str, Labels], float]
Kind = Callable[[Random], Iterator[Page]]
"""Makes the pages of one target, one for each scrape."""


class Scrape(NamedTuple):
    """`page` is None when the scrape failed; `missed`: nobody asked."""

    page: Page | None
    missed: bool = False


@dataclass
class Mood:
    """How a target behaves for a while: `rate` events a scrape, a share of them bad."""

    chance: Random
    rate: float = 0.0
    bad: float = 0.0
    left: int = field(default=0)

    def step(self) -> None:
        if self.left <= 0:
            self.rate = self.chance.choice((0, 0, 0.3, 2, 10, 60))
            self.bad = self.chance.choice((0, 0, 0.02, 0.05, 0.1, 0.5, 1))
            self.left = self.chance.randint(2, 25)
        self.left -= 1

    def events(self) -> int:
        whole = int(self.rate)
        return self.chance.randint(0, 2 * whole) if whole else int(self.chance.random() < self.rate)


def history(kind: Kind, chance: Random) -> list[Scrape]:
    """SCRAPES of them; the target is there from the first on, or is born late, or goes away for good."""
    failing, missing = chance.choice((0, 0, 0.05, 0.3)), chance.choice((0, 0, 0.05))
    born = chance.choice((0, 0, 0, chance.randrange(SCRAPES)))
    dead = chance.choice((SCRAPES, SCRAPES, SCRAPES, chance.randrange(SCRAPES)))
    outage = chance.randrange(SCRAPES) if chance.random() < 0.2 else SCRAPES
    scrapes = []
    for number, page in zip(range(SCRAPES), kind(chance), strict=False):
        if number < born or chance.random() < missing:
            scrapes.append(Scrape(None, missed=True))
        elif number >= dead or outage <= number < outage + 8 or chance.random() < failing:
            scrapes.append(Scrape(None))
        else:
            scrapes.append(Scrape(page))
    return scrapes


@cache
def _key(metric: str, worker: str, *pairs: tuple[str, str]) -> tuple[str, Labels]:
    return metric, labels(worker=worker, **dict(pairs))


class _Worker:
    """One process of the target: its counters start anew when it does, or it is gone for a while."""

    def __init__(self, chance: Random, name: str) -> None:
        self.chance = chance
        self.name = name
        self.counts: dict[tuple[str, Labels], float] = {}
        self.restarts = chance.choice((0, 0, 0.05))
        self.away = chance.choice((0, 0, chance.randrange(SCRAPES)))

    def count(self, metric: str, by: float, **pairs: str) -> None:
        key = _key(metric, self.name, *pairs.items())
        self.counts[key] = self.counts.get(key, 0.0) + by

    def page(self) -> Page:
        if self.away > 0:
            self.away -= 1
            return {}
        if self.chance.random() < self.restarts:
            self.counts = dict.fromkeys(self.counts, 0.0)
        odd = math.nan if self.chance.random() < 0.002 else None
        return {key: value if odd is None else odd for key, value in self.counts.items()}


def _workers(chance: Random) -> list[_Worker]:
    return [_Worker(chance, str(number)) for number in range(chance.choice((1, 1, 2)))]


def requests(chance: Random) -> Iterator[Page]:
    """A counter by status: failures have no series before the first one, or are born at 0."""
    workers, mood = _workers(chance), Mood(chance)
    for worker in workers:
        for status in chance.choice((("200",), ("200", "500"), ("200", "404", "500"))):
            worker.count("c_total", chance.choice((0, 0, 12345)), status=status)
    while True:
        mood.step()
        for worker in workers:
            for _ in range(mood.events()):
                worker.count("c_total", 1, status="500" if chance.random() < mood.bad else "200")
        yield {key: value for worker in workers for key, value in worker.page().items()}


def durations(chance: Random) -> Iterator[Page]:
    """A histogram, cumulative; some targets lack a bucket, or +Inf."""
    workers, mood = _workers(chance), Mood(chance)
    kept = BOUNDS if chance.random() < 0.85 else tuple(chance.sample(BOUNDS, 4))
    for worker in workers:
        _observe(worker, kept, None)
    while True:
        mood.step()
        for worker in workers:
            for _ in range(min(mood.events(), 12)):
                slow = chance.random() < mood.bad
                _observe(worker, kept, chance.uniform(1, 8) if slow else chance.expovariate(5))
        yield {key: value for worker in workers for key, value in worker.page().items()}


def _observe(worker: _Worker, kept: tuple[float, ...], seconds: float | None) -> None:
    for bound in kept:
        worker.count("h_bucket", float(seconds is not None and seconds <= bound), le=LE[bound])


def fullness(chance: Random) -> Iterator[Page]:
    """A gauge and its capacity, of each of several workers; now and then without a capacity, or one of 0."""
    workers = [str(number) for number in range(chance.choice((1, 1, 3)))]
    capacity = chance.choice((10.0, 10.0, 20.0, 0.0))
    level, odd = chance.choice((0.2, 0.75, 0.85, 1.0)), chance.choice((0, 0, 0.03))
    digits = chance.choice((0, 6))
    while True:
        if chance.random() < 0.08:
            level = chance.choice((0.0, 0.5, 0.79, 0.8, 0.81, 0.95))
        page: Page = {}
        for worker in workers:
            used = math.nan if chance.random() < odd else round(level * 10 + chance.gauss(0, 0.4), digits)
            page["used", labels(worker=worker)] = used
            if chance.random() > odd:
                page["capacity", labels(worker=worker)] = capacity
        yield page


def busy(chance: Random) -> Iterator[Page]:
    workers, level = _workers(chance), chance.choice((0.1, 0.5, 0.9))
    cores = chance.choice((1.0, 1.0, 2.0, 0.0))
    while True:
        if chance.random() < 0.08:
            level = chance.choice((0.0, 0.3, 0.69, 0.7, 0.71, 1.0))
        page: Page = {}
        for worker in workers:
            worker.count("c_total", STEP * level * chance.uniform(0.9, 1.1))
            page |= worker.page()
        yield page | {("capacity", labels(worker="0")): cores}


def probes(chance: Random) -> Iterator[Page]:
    """What the agent says of a health check: success, failures in a row, duration of the last success."""
    place = labels(check="health")
    failing, in_a_row, mood = 0.0, 0.0, 0
    duration = 0.05
    while True:
        mood -= 1
        if mood <= 0:
            failing, mood = chance.choice((0, 0, 0.03, 0.3, 1)), chance.randint(3, 30)
            duration = chance.choice((0.05, 0.15, 0.199, 0.2, 0.201, 0.4))
        success = chance.random() >= failing
        in_a_row = 0.0 if success else in_a_row + 1
        page: Page = {
            ("probe_success", place): float(success),
            ("probe_consecutive_failures", place): in_a_row,
        }
        if success:
            page["probe_last_duration_seconds", place] = duration * chance.uniform(0.97, 1.03)
        yield page


def samples_of(page: Page) -> list[Sample]:
    """For the agent, which always finds something on a page, be it of no interest."""
    found = (Sample(name, pairs, value) for (name, pairs), value in page.items())
    return [Sample("anything", (), 1.0), *found]
