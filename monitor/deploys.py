"""Which version each target runs, and since when: from the labels of `app_build_info` on its metrics page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa

from exporters.sample import Sample
from monitor.history import Deploy
from monitor.history.tables import deploys

BUILD_INFO = "app_build_info"
SETTLED = 300.0
"""Seconds. While a deploy rolls over the instances, old and new answer in turn; a version that was there
before and has been the only one for so long is there again: rolled back."""
FORGOTTEN = 3600.0
"""Seconds after which a version that comes again is a deploy like any other."""
MOST_AN_HOUR = 20
"""Of one target; a label that changes with every look is no version."""
LONGEST = 100


class Build(NamedTuple):
    version: str
    commit: str
    branch: str


@dataclass(slots=True)
class _Running:
    """Of one target. `alone`: the build that was the only one for some time, and since when."""

    latest: Deploy | None = None
    seen: dict[Build, float] = field(default_factory=dict)
    alone: tuple[Build, float] | None = None
    noted: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_AN_HOUR))


class Deploys:
    """In memory; what is new goes into the store with the cycle that saw it."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def restore(self, known: Iterable[Deploy], now: float) -> None:
        """From the oldest to the newest; of targets that have been looked at here, what was seen holds."""
        seen = frozenset(self._running)
        for deploy in (each for each in known if each.target not in seen):
            build = Build(deploy.version, deploy.commit, deploy.branch)
            self._running[deploy.target] = _Running(deploy, {build: now})

    def forget(self, target: str) -> None:
        self._running.pop(target, None)

    def latest(self, target: str) -> Deploy | None:
        return self._running[target].latest if target in self._running else None

    def observe(self, target: str, samples: Iterable[Sample], now: float) -> tuple[Deploy, ...]:
        """What was deployed since the last look."""
        builds = {build for sample in samples if sample.name == BUILD_INFO for build in _builds(sample)}
        if not builds:
            return ()
        running = self._running.setdefault(target, _Running())
        found = [
            running.latest
            for build, at in _new(running, builds, now)
            if _note(running, target, build, at, now)
        ]
        running.seen |= dict.fromkeys(builds, now)
        running.seen = {each: at for each, at in running.seen.items() if now - at < FORGOTTEN}
        return tuple(each for each in found if each)


def stored(engine: sa.Engine, since: float = 0.0, target: str | None = None) -> list[Deploy]:
    """Those since then, the oldest first. Blocks, and raises SQLAlchemyError."""
    query = sa.select(*(deploys.c[name] for name in Deploy._fields)).where(deploys.c.at >= since)
    if target is not None:
        query = query.where(deploys.c.target == target)
    with engine.connect() as connection:
        return [Deploy(*row) for row in connection.execute(query.order_by(deploys.c.at))]


def _printable(value: str) -> str:
    """A line end, or a sign that turns the reading direction round, would change a page's text after it."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)


def _builds(sample: Sample) -> Iterator[Build]:
    said = {name: _printable(value[:LONGEST]) for name, value in sample.labels}
    if version := said.get("version"):
        yield Build(version, said.get("commit") or said.get("revision", ""), said.get("branch", ""))


def _new(running: _Running, builds: set[Build], now: float) -> Iterator[tuple[Build, float]]:
    yield from ((build, now) for build in sorted(builds - running.seen.keys()))
    [*others, last] = sorted(builds)
    if others:
        running.alone = None
    elif running.alone is None or running.alone[0] != last:
        running.alone = last, now
    elif now - running.alone[1] >= SETTLED:
        yield running.alone


def _note(running: _Running, target: str, build: Build, at: float, now: float) -> bool:
    before = running.latest
    if before and build == (before.version, before.commit, before.branch):
        return False
    if len(running.noted) == MOST_AN_HOUR and now - running.noted[0] < FORGOTTEN:
        return False
    running.noted.append(now)
    running.latest = Deploy(at, target, *build, before=before.version if before else "")
    return True
