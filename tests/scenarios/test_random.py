"""Days of outages that nobody has thought of, and an oracle that knows the rules and not the agent."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.scenarios.events import agent_killed, agent_restarts, broken, clock_set, receiver_down, suspended
from tests.scenarios.oracle import LEAST, Oracle, Outage, differences
from tests.scenarios.promises import broken_promises
from tests.scenarios.stories import Event, H, M, Story, clock, play, soon
from tests.scenarios.worlds import HANGING, REFUSED, TIMEOUT, Answer, failing

ANSWERS: tuple[Answer, ...] = (REFUSED, failing(503), failing(500), HANGING)
BURNS = {"availability-burn-1h": H, "availability-burn-6h": 6 * H}
LONGEST_AWAY = 10 * M
DISTANT = 75 * M
"""Outages so far apart make no alert flap."""


class Life:
    """Three targets, an agent and a pager for some time, drawn from a seed."""

    def __init__(self, seed: int, *, interval: float, lasts: float, flapping: bool) -> None:
        self.random, self.interval, self.lasts = Random(seed), interval, lasts
        self.sure = soon(interval) + 3 * min(TIMEOUT, interval)
        self.history: list[Event] = []
        self.away: list[tuple[float, float]] = []
        self.deaf: list[tuple[float, float]] = []
        names = ("api", "db", "web")
        self.outages = {name: sorted(self._outages(flapping=flapping)) for name in names}
        for name, outages in self.outages.items():
            for outage in outages:
                answer = self.random.choice(ANSWERS)
                self.history.append(broken(*outage, answer, answer.said, name))
        self._agent_and_pager(flapping=flapping)

    def _outages(self, *, flapping: bool) -> Iterator[Outage]:
        at, starts = 10 * M, list[float]()
        while True:
            at += self._gap(flapping=flapping)
            while any(abs(at - each - H) < 3 * self.sure for each in starts):
                at += self.sure
            outage = Outage(at, at + self._length(flapping=flapping))
            if outage.end > self.lasts - H:
                return
            starts.append(outage.start)
            yield outage
            if self.random.random() < 0.5:
                blip = outage.end + 4 * self.sure
                yield Outage(blip, blip + self.random.uniform(0.2, LEAST - 0.05))
                at = blip
            at = max(at, outage.end)

    def _gap(self, *, flapping: bool) -> float:
        if not flapping:
            return self.random.uniform(DISTANT, 3 * DISTANT)
        least = 4 * self.sure
        return self.random.choice(
            [self.random.uniform(least, least + M), self.random.uniform(22 * M, 40 * M)]
        )

    def _length(self, *, flapping: bool) -> float:
        sure = self.sure + 2 * self.interval + 20
        if flapping:
            return self.random.choice([self.random.uniform(sure, 7 * M), self.random.uniform(20 * M, 30 * M)])
        return self.random.choice(
            [
                self.random.uniform(0.2, 2.95),
                self.random.uniform(LEAST, sure),
                self.random.uniform(sure, 2 * H),
            ]
        )

    def _agent_and_pager(self, *, flapping: bool) -> None:
        """Restarts at any moment. What takes long would blur where an alert flaps: elsewhere only."""
        for _ in range(int(self.lasts / (3 * H))):
            at = self.random.uniform(0, self.lasts)
            self.history.append(self.random.choice([agent_killed, agent_restarts])(at))
            self.away.append((at, at + 2))
        if flapping:
            return
        for _ in range(int(self.lasts / (8 * H))):
            at, takes = self.random.uniform(0, self.lasts - H), self.random.uniform(M, LONGEST_AWAY)
            happens = self.random.choice([suspended, clock_set])
            self.history.append(happens(at, takes))
            self.away.append((at, at + (takes if happens is suspended else 0.0)))
            start, lasts = self.random.uniform(0, self.lasts - H), self.random.uniform(M, 40 * M)
            self.history.append(
                receiver_down("pager", start, start + lasts, self.random.choice([None, 503, 429]))
            )
            self.deaf.append((start, start + lasts))

    @property
    def story(self) -> Story:
        targets: dict[str, tuple[str, ...]] = dict.fromkeys(self.outages, ())
        return Story(
            "", self.history, [], self.lasts, targets=targets, tick_every=min(self.interval / 3, 20.0)
        )


def live(life: Life) -> list[str]:
    """What was said wrongly, and what was not."""
    played = play(life.story, life.interval)
    simulation, pages = played.simulation, [each for each in played.heard if each.receiver == "pager"]
    oracle = Oracle(life.sure, life.interval, life.away, life.deaf)
    complaints = list(broken_promises(simulation, played.heard, ()))
    for target, outages in life.outages.items():
        said = [
            (str(each.kind), each.at)
            for each in pages
            if (each.page.target, each.page.alert) == (target, "target-down")
        ]
        complaints += [f"{target}: {each}" for each in differences(oracle.expects(outages), said)]
    for each in pages:
        name, target = each.page.alert, each.page.target
        failed = [
            one for one in simulation.asked if one.target == target and one.failed and one.at <= each.at
        ]
        if name in BURNS and each.kind == "firing":
            recent = [one for one in failed if one.at > each.at - BURNS[name] - life.interval - H]
            complaints += [f"{name} of {target} after {len(recent)} failures"] * (len(recent) < 4)
        elif name != "target-down" and name not in BURNS:
            complaints.append(f"nobody expects {name} of {target} at {clock(each.at)}")
    return complaints


FAR = [(seed, 300.0, 48 * H, False) for seed in range(40)]
NEAR = [(seed, 60.0, 12 * H, False) for seed in range(40)]
FLAPPING = [(seed, 30.0, 4 * H, True) for seed in range(40)]
BY_DEFAULT = [(0, 300.0, 24 * H, False), FLAPPING[0]]


@pytest.mark.parametrize(
    ("seed", "interval", "lasts", "flapping"),
    [
        pytest.param(*each, marks=[] if each in BY_DEFAULT else [pytest.mark.nightly])
        for each in (*BY_DEFAULT[:1], *FAR, *NEAR, *FLAPPING)
    ],
)
def test_days(seed: int, interval: float, lasts: float, flapping: bool) -> None:
    life = Life(seed, interval=interval, lasts=lasts, flapping=flapping)
    complaints = live(life)
    history = "\n".join(each.text for each in life.history)
    assert not complaints, "\n".join([*complaints, history])
