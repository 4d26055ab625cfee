"""The agent's heart: one target at one moment, from the probe to the message that waits to be sent."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporters.http import Prober
from exporters.sample import Sample, labels
from monitor.alerting import Alert, Alerting
from monitor.config import Config, Target
from monitor.conversations import Decision
from monitor.dispatch import Dispatch
from monitor.history import Entry, Message, ProbeRow
from monitor.judge import Reading, judge_all
from monitor.metrics import AgentMetrics
from monitor.notify.facts import MOST_ALSO, FactBook
from monitor.notify.message import page_json, summary
from monitor.objectives import Objectives
from monitor.probes import PROBES, THROTTLED, Outcome
from monitor.recorder import Recorder
from monitor.series import Memory

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Condition:
    """What the agent holds in mind about one target between two cycles."""

    failures: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    left_alone_until: dict[str, float] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cycle:
    """`clock` gives seconds since the epoch; nothing else in here asks for the time."""

    config: Config
    objectives: Objectives
    prober: Prober
    memory: Memory
    alerting: Alerting
    dispatch: Dispatch
    recorder: Recorder
    metrics: AgentMetrics
    clock: Callable[[], float]
    conditions: Mapping[str, Condition]
    facts: FactBook = field(default_factory=FactBook)

    async def run(self, target: Target) -> None:
        """Collect, remember, evaluate, transition, enqueue."""
        began = self.clock()
        outcomes = await self.collect(target)
        now = self.clock()
        self.remember(target, outcomes, now)
        readings = self.evaluate(target, now)
        self.facts.observe(target.name, outcomes, readings, now)
        changed = self.alerting.advance(readings, now)
        self.enqueue(target, outcomes, changed, began, now)

    async def collect(self, target: Target) -> list[Outcome]:
        """All checks of the target at once, but those that were asked to wait. Never raises."""
        now, alone = self.clock(), self.conditions[target.name].left_alone_until
        due = [check for check in target.checks if now >= alone.get(check.name, 0.0)]
        return await asyncio.gather(
            *(PROBES[check.probe](self.prober, target, check, self.memory.wanted) for check in due)
        )

    def remember(self, target: Target, outcomes: Iterable[Outcome], now: float) -> None:
        condition = self.conditions[target.name]
        for outcome in outcomes:
            if outcome.reason != THROTTLED:
                in_a_row = 0 if outcome.success else condition.failures.get(outcome.check, 0) + 1
                condition.failures[outcome.check] = in_a_row
            condition.outcomes[outcome.check] = outcome
            condition.left_alone_until[outcome.check] = now + outcome.back_off
            failures = condition.failures.get(outcome.check, 0)
            self.memory.remember(target.name, outcome.check, now, _samples(target, outcome, failures))
            self.metrics.probed(target.name, outcome, failures)
        self.metrics.series.set(len(self.memory))

    def evaluate(self, target: Target, now: float) -> list[Reading]:
        condition = self.conditions[target.name]
        condition.readings = [
            _explained(reading, condition.outcomes.get(reading.objective.check))
            for reading in judge_all(self.objectives, self.memory, target, now)
        ]
        for reading in condition.readings:
            self.metrics.judged(reading)
        return condition.readings

    def enqueue(
        self, target: Target, outcomes: list[Outcome], changed: list[Alert], began: float, now: float
    ) -> None:
        """All that the cycle leaves behind goes to the store in one piece, what is to be sent included."""
        standing = self.alerting.of(target.name)
        samples = (sample for outcome in outcomes for sample in outcome.samples)
        deployed = self.facts.deploys.observe(target.name, samples, now)
        self.metrics.alerted(target.name, standing)
        for alert in changed:
            log.info("%s %s", alert.state.upper(), summary(alert))
        failing = any(self.conditions[target.name].failures.values())
        decision = self.dispatch.decide(
            target.name, changed, standing, now, probed_at=began, in_doubt=failing
        )
        entry = Entry(
            at=now,
            probes=tuple(_row(target, outcome, now) for outcome in outcomes),
            changed=tuple(changed),
            standing=tuple(standing),
            target=target.name,
            messages=tuple(self._messages(decision, now)),
            conversations=decision.conversations,
            deploys=deployed,
            readings=tuple(self.conditions[target.name].readings),
        )
        self.recorder.add(entry)

    def tick(self) -> None:
        """Between cycles: what time alone makes somebody hear."""
        now = self.clock()
        decision = self.dispatch.tick(now)
        for target in sorted({each.key.target for each in decision.conversations}):
            notices = tuple(each for each in decision.notices if each.alert.key.target == target)
            told = tuple(each for each in decision.conversations if each.key.target == target)
            entry = Entry(
                at=now,
                probes=(),
                changed=(),
                standing=tuple(self.alerting.of(target)),
                target=target,
                messages=tuple(self._messages(Decision(notices), now)),
                conversations=told,
            )
            self.recorder.add(entry)

    def _messages(self, decision: Decision, now: float) -> Iterable[Message]:
        for notifier, kind, alert, _, key, note in decision.notices:
            facts = self.facts.about(alert, now)
            also = (*facts.also, *self._explained_by(alert))[:MOST_ALSO]
            facts = replace(facts, note=note, also=also)
            body = page_json(notifier, kind, alert, key, facts, self.objectives)
            yield Message(notifier, key, body)

    def _explained_by(self, alert: Alert) -> Iterable[str]:
        """What nobody is paged for, because the alert's target explains it."""
        for child in self.dispatch.explained_by(alert.key.target):
            yield f"{child.key.target}, not paged by itself: {child.title}: {child.value}"


def _samples(target: Target, outcome: Outcome, failures: int) -> list[Sample]:
    if not outcome.samples:
        return []
    place = labels(target=target.name, check=outcome.check)
    return [*outcome.samples, Sample("probe_consecutive_failures", place, float(failures))]


def _explained(reading: Reading, outcome: Outcome | None) -> Reading:
    """A failing check says itself why, better than the numbers that it does or doesn't bring."""
    if outcome is None or outcome.success:
        return reading
    return replace(reading, why=f"{outcome.reason}: {outcome.detail} ({reading.why})")


def _row(target: Target, outcome: Outcome, now: float) -> ProbeRow:
    result = outcome.result
    return ProbeRow(
        at=now,
        target=target.name,
        check=outcome.check,
        reason=outcome.reason,
        detail=outcome.detail[:500],
        duration=result.duration,
        status=result.status,
        interval=target.interval,
        phases=dataclasses.astuple(result.phases),
    )
