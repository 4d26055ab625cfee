"""A story: what happens to the services, the agent and the receivers, and who should hear what, and when.

Each is played through the real agent. Whatever the story, nobody may hear anything that it does not name, and
what on-call relies on anyway (`promises`) is looked at in the end.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exporters.http import Request
from monitor.config import CheckConfig, Config, NotifierConfig, Target
from monitor.confirming import LEEWAY, SPACING
from monitor.conversations import Kind
from monitor.maintenance import Window
from monitor.notify.webhook import WebhookOptions
from tests.scenarios.promises import broken_promises
from tests.scenarios.receivers import Heard, Receivers
from tests.scenarios.simulation import BEGAN, TICK, Simulation
from tests.scenarios.worlds import TIMEOUT, Service

S, M, H = 1.0, 60.0, 3600.0
LEAST = 2 * SPACING
"""Seconds: a shorter outage pages nobody (docs/adr/0017)."""
SLACK = 0.5


def soon(interval: float) -> float:
    """Seconds from the begin of an outage to its page, at most: a turn, and two repeats (docs/adr/0017)."""
    return interval + 2 * (SPACING + LEEWAY) + SLACK


def receiver(name: str, *severities: str, kind: str = "webhook", **how: Any) -> NotifierConfig:
    options = WebhookOptions(f"http://{name}/")
    return NotifierConfig(name, kind, options, TIMEOUT, severities or ("page", "ticket", "info"), **how)  # type: ignore[arg-type]


PAGER, CHAT = receiver("pager", "page"), receiver("chat", "ticket", "info")


class Event(NamedTuple):
    """One line of a story's history."""

    text: str
    apply: Callable[[Simulation], object]


class Wanted(NamedTuple):
    """What somebody should hear: not before `at`, and at most `within` seconds later (None: `soon`)."""

    kind: Kind
    name: str
    at: float
    within: float | None
    target: str = "api"
    to: str = "pager"
    may: bool = False
    """It may come, and need not."""

    def fits(self, heard: Heard, interval: float) -> bool:
        within = soon(interval) if self.within is None else self.within
        said = heard.page
        return (
            (heard.kind, said.alert, said.target, heard.receiver)
            == (self.kind, self.name, self.target, self.to)
        ) and self.at <= heard.at <= self.at + within

    def __str__(self) -> str:
        within = "soon" if self.within is None else f"+{self.within:g} s"
        return f"{self.kind} {self.name} of {self.target} to {self.to} at {clock(self.at)} ({within})"


def page(at: float, within: float | None = None, name: str = "target-down", **how: Any) -> Wanted:
    return Wanted(Kind.FIRING, name, at, within, **how)


def resolved(at: float, within: float | None = None, name: str = "target-down", **how: Any) -> Wanted:
    return Wanted(Kind.RESOLVED, name, at, within, **how)


def said(kind: str, at: float, within: float | None = None, name: str = "target-down", **how: Any) -> Wanted:
    return Wanted(Kind(kind), name, at, within, **how)


def ticket(at: float, name: str, within: float = 5 * M, **how: Any) -> Wanted:
    return Wanted(Kind.FIRING, name, at, within, **{"to": "chat", **how})


def closed(at: float, name: str, within: float = 15 * M, **how: Any) -> Wanted:
    return Wanted(Kind.RESOLVED, name, at, within, **{"to": "chat", **how})


def unsent(at: float, within: float, until: float, until_within: float, to: str = "chat") -> list[Wanted]:
    """That a receiver can't be told is told to others, and that it can again."""
    about = {"name": "notifications-failing", "target": "monitor", "to": to}
    return [page(at, within, **about), resolved(until, until_within, **about)]


def refusing(at: float, until: float) -> list[Wanted]:
    """That the store refuses is told as well, if cycles wait for it long enough."""
    return maybe(
        page(at, 3 * M, name="store-refusing", target="monitor", to="chat"),
        resolved(until, 30, name="store-refusing", target="monitor", to="chat"),
    )


def maybe(*wanted: Wanted) -> list[Wanted]:
    return [each._replace(may=True) for each in wanted]


@dataclass(frozen=True)
class Story:
    """`name` is what a person would say. `wanted` may depend on the interval."""

    name: str
    history: Sequence[Event]
    wanted: Sequence[Wanted] | Callable[[float], Sequence[Wanted]]
    lasts: float
    intervals: tuple[float, ...] = (30.0,)
    phases: tuple[float, ...] = (0.0,)
    """Shares of an interval by which the turns are shifted."""
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"api": ()})
    """And what each depends on."""
    own_intervals: Mapping[str, float] = field(default_factory=dict)
    metrics: bool = False
    receivers: tuple[NotifierConfig, ...] = (PAGER, CHAT)
    maintenance: tuple[Window, ...] = ()
    began: float = BEGAN
    tick_every: float = TICK
    nightly: bool = False
    given_up: frozenset[str] = frozenset()
    """Receivers that refuse for good: they are not told of every end."""

    def interval(self, target: str, interval: float) -> float:
        return self.own_intervals.get(target, interval)


class Played(NamedTuple):
    simulation: Simulation
    heard: list[Heard]
    complaints: list[str]


class Totals:
    """Of this process."""

    stories = 0
    seconds = 0.0
    cpu = 0.0


def play(story: Story, interval: float = 30.0, phase: float = 0.0) -> Played:
    began = time.process_time()
    random.seed(zlib.crc32(story.name.encode()))
    simulation = Simulation(
        _config(story, interval),
        [Service(each) for each in story.targets],
        Receivers(),
        phase=phase * interval,
    )
    simulation.began, simulation.tick_every = story.began, story.tick_every
    for event in story.history:
        event.apply(simulation)
    simulation.run(story.lasts)
    heard = simulation.receivers.understood()
    wanted = story.wanted(interval) if callable(story.wanted) else story.wanted
    complaints = [
        *_differences(wanted, heard, lambda target: story.interval(target, interval)),
        *broken_promises(simulation, heard, story.given_up),
    ]
    Totals.stories += 1
    Totals.seconds += story.lasts
    Totals.cpu += time.process_time() - began
    return Played(simulation, heard, complaints)


def cases(*stories: Story) -> list[Any]:
    """For pytest.mark.parametrize: each story at each interval and phase, all but the first nightly."""
    return [
        pytest.param(
            story,
            interval,
            phase,
            id=f"{story.name} [{interval:g} s, {phase:g}]",
            marks=[pytest.mark.nightly]
            if story.nightly or (interval, phase) != (story.intervals[0], story.phases[0])
            else [],
        )
        for story in stories
        for interval in story.intervals
        for phase in story.phases
    ]


def check(story: Story, interval: float, phase: float) -> None:
    played = play(story, interval, phase)
    assert not played.complaints, told(story, played)


def told(story: Story, played: Played) -> str:
    lines = [story.name, *played.complaints, "history:", *(f"  {each.text}" for each in story.history)]
    lines += ["heard:", *(f"  {_line(each)}" for each in played.heard)]
    return "\n".join(lines)


def _line(heard: Heard) -> str:
    return (
        f"{clock(heard.at)} {heard.receiver} {heard.kind} {heard.page.target} {heard.page.alert} "
        f"[{heard.page.dedup_key[:6]}] {heard.page.value}: {heard.page.reason[:90]} {heard.page.note}"
    )


def _differences(
    wanted: Iterable[Wanted], heard: Sequence[Heard], interval: Callable[[str], float]
) -> list[str]:
    """Each message must be one that is wanted, and each that is wanted must have come, once."""
    left = list(heard)
    missed = []
    for each in sorted(wanted, key=lambda one: (one.may, one.at + (one.within or soon(30)))):
        found = next((one for one in left if each.fits(one, interval(each.target))), None)
        if found is not None:
            left.remove(found)
        elif not each.may:
            missed.append(f"missed: {each}")
    return [*missed, *(f"nobody wants: {_line(each)}" for each in left)]


def _config(story: Story, interval: float) -> Config:
    targets = tuple(
        _target(name, story.interval(name, interval), parents, metrics=story.metrics)
        for name, parents in story.targets.items()
    )
    return Config(
        targets,
        story.receivers,
        "127.0.0.1",
        0,
        "",
        None,
        1.0,
        Path("monitor.yml"),
        maintenance=story.maintenance,
    )


def _target(name: str, interval: float, parents: tuple[str, ...], *, metrics: bool) -> Target:
    asked = Request(url="", timeout=min(TIMEOUT, interval))
    checks = [CheckConfig("health", "http", "/health", asked)]
    if metrics:
        checks.append(CheckConfig("metrics", "scrape", "/metrics", asked))
    return Target(name, f"http://{name}", interval, tuple(checks), parents)


def clock(at: float) -> str:
    """Since the story began."""
    hours, rest = divmod(at, H)
    minutes, seconds = divmod(rest, M)
    return f"{int(hours)}:{int(minutes):02}:{seconds:06.3f}".rstrip("0").rstrip(".")
