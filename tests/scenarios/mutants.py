"""Agents with a fault of their own. A suite that plays them and finds nothing wrong would be worth nothing.

`python -m tests.scenarios.mutants` plays all stories with each, and prints how many find it; with EACH=4 each
fourth story.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from monitor import alerting
from monitor.alerting import Condition
from monitor.judge import Reading
from monitor.notify import outbox
from monitor.promql import Points
from tests.scenarios import simulation
from tests.scenarios.stories import Story, play

Mutant = Callable[[], AbstractContextManager[Any]]


def _returning(place: str, value: Any) -> Mutant:
    return lambda: patch(place, lambda *_, **__: value)


def _being(place: str, value: Any) -> Mutant:
    return lambda: patch(place, value)


def _conditions(**changes: Any) -> Mutant:
    """Alerts are decided as if the objective said so."""
    real = alerting._condition

    def changed(reading: Reading) -> Condition:
        return real(reading)._replace(**changes)

    return lambda: patch("monitor.alerting._condition", changed)


@contextmanager
def _resets_are_negative() -> Iterator[None]:
    def rate(points: Points, start: float, end: float) -> float | None:
        times, values = points
        return (values[-1] - values[0]) / (end - start) if len(times) > 1 else None

    with ExitStack() as patches:
        for module in ("monitor.slis.counters", "monitor.slis.base"):
            patches.enter_context(patch(f"{module}.rate", rate))
        yield


@contextmanager
def _few_are_enough() -> Iterator[None]:
    real = simulation.objectives()
    made = replace(real, entries=tuple(replace(each, minimum_samples=0) for each in real))
    with patch("tests.scenarios.simulation.objectives", lambda: made):
        yield


def _always_winter(moment: datetime, zone: tzinfo | None) -> float:
    return moment.replace(tzinfo=UTC).timestamp() - 3600.0


def _impatient(pause: Callable[..., float], attempts: int, asked_for: float | None) -> float:
    return pause(attempts, None)


MUTANTS: Mapping[str, Mutant] = {
    "repeats need not lie apart": _being("monitor.cycle.SPACING", 0.0),
    "for is ignored": _conditions(wait=0.0),
    "keep_firing_for is ignored": _conditions(keep_firing=0.0),
    "one good answer ends it": _conditions(good_results=1),
    "clear is ignored": _conditions(cleared=True),
    "minimum_samples is ignored": _few_are_enough,
    "a counter's new beginning is negative": _resets_are_negative,
    "429 is a failure": _returning("monitor.probes._nothing_learnt", None),
    "missing data is nobody's business": _returning("monitor.alerting.Alerting._blindness", []),
    "inhibition is ignored": _returning("monitor.alerting.Alerting._silences", False),
    "the agent's own absence is ignored": _returning("monitor.cycle.away", None),
    "dependencies are ignored": _returning("monitor.dependencies.Dependencies.explanation", None),
    "silences are ignored": _returning("monitor.quiet.Quiet.withheld", None),
    "the end of a silence is nothing": _returning("monitor.talk.Talk._speak_up", None),
    "flapping is not seen": _being("monitor.talk.FLAPS", 99),
    "each escalation goes out again": _returning("monitor.talk.Talk._wants_escalation", True),
    "office hours are ignored": _returning("monitor.quiet.Quiet.receiver_open", True),
    "Zurich has no summer": _being("monitor.maintenance.instant", _always_winter),
    "a restart forgets what fires": _returning("monitor.alerting.Alerting.restore", None),
    "a restart forgets who was told": _returning("monitor.dispatch.Dispatch.restore", None),
    "a restart forgets what is to be sent": _returning("monitor.takeup.unsent", []),
    "a message is tried once": _being("monitor.notify.outbox.GIVE_UP_AFTER", -1.0),
    "Retry-After is ignored": _being("monitor.notify.outbox.pause", partial(_impatient, outbox.pause)),
    "who never heard hears the end": _returning("monitor.notify.missed.Missed.needless", False),
}


def stories() -> list[Story]:
    """One of each name."""
    modules = [
        import_module(f"{__package__}.{each.stem}")
        for each in sorted(Path(__file__).parent.glob("test_*.py"))
    ]
    found = [story for module in modules for story in getattr(module, "STORIES", ())]
    return list({story.name: story for story in reversed(found)}.values())[::-1]


def finds(mutant: str, story: Story) -> bool:
    with MUTANTS[mutant]():
        try:
            return bool(play(story, story.intervals[0], story.phases[0]).complaints)
        except Exception:  # noqa: BLE001 (a mutant may break anything)
            return True


def main() -> None:
    logging.disable(logging.CRITICAL)
    every = [each for each in stories() if not each.nightly][:: int(os.environ.get("EACH", "1"))]
    for mutant in sys.argv[1:] or MUTANTS:
        found = [story.name for story in every if finds(mutant, story)]
        print(f"{mutant} | {len(found)} of {len(every)} | {min(found, key=len, default='none')}", flush=True)


if __name__ == "__main__":
    main()
