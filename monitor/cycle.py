"""The agent's heart: one target at one moment, from the probe to the message that waits to be sent."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from exporters.http import Prober
from exporters.sample import Sample, labels
from monitor.alerting import OWN, Alert, Alerting, State, no_longer_watched
from monitor.alerting import Condition as AlertCondition
from monitor.config import Config, Target
from monitor.confirming import (
    COUNTED,
    INTERRUPTIONS,
    LEEWAY,
    SPACING,
    Steadiness,
    Streak,
    counting,
    follow,
    needed,
    undecided,
)
from monitor.conversations import Decision
from monitor.dispatch import Dispatch
from monitor.history import Entry, Message, ProbeRow
from monitor.judge import Reading, judge_all, nobody_knows
from monitor.metrics import AgentMetrics
from monitor.notify.facts import MOST_ALSO, FactBook
from monitor.notify.message import page_json, summary
from monitor.notify.page import moment
from monitor.objectives import Objectives
from monitor.probes import PROBES, THROTTLED, Outcome, stalled
from monitor.recorder import Recorder
from monitor.series import Memory
from monitor.standstill import Away, away

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Condition:
    """What the agent holds in mind about one target between two cycles."""

    streaks: dict[str, Streak] = field(default_factory=dict)
    steadiness: dict[str, Steadiness] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    left_alone_until: dict[str, float] = field(default_factory=dict)
    limited_since: dict[str, float] = field(default_factory=dict)
    """When checks were first answered with 429, and with nothing else since."""
    again_at: dict[str, float] = field(default_factory=dict)
    """When checks that are not decided yet are asked again, out of turn."""
    readings: list[Reading] = field(default_factory=list)
    looked_at: float | None = None
    """When the last look ended; after a restart, when the last probe that was stored did."""
    told_at: float | None = None
    """When a probe of this process last told something."""
    ended_at: float | None = None
    """When this process last ended a whole cycle well."""

    def begin_anew(self, now: float) -> None:
        """After a time of which nobody knows. Who asked to be left alone is left alone as long as before."""
        self.streaks.clear()
        self.again_at.clear()
        if self.looked_at is not None and now < self.looked_at:
            back = self.looked_at - now
            self.left_alone_until = {check: at - back for check, at in self.left_alone_until.items()}
            self.limited_since = {check: at - back for check, at in self.limited_since.items()}

    def forget(self, check: str) -> None:
        for kept in (self.streaks, self.steadiness, self.outcomes, self.again_at):
            kept.pop(check, None)
        for times in (self.left_alone_until, self.limited_since):
            times.pop(check, None)

    def answered(self, outcome: Outcome, now: float) -> None:
        self.outcomes[outcome.check] = outcome
        self.left_alone_until[outcome.check] = now + outcome.back_off
        if outcome.reason == THROTTLED:
            self.limited_since.setdefault(outcome.check, now)
        elif outcome.telling:
            self.limited_since.pop(outcome.check, None)

    def follow(
        self,
        check: str,
        success: bool,
        began: float,
        ended: float,
        spacing: float,
        *,
        again: bool = False,
    ) -> None:
        before = self.streaks.get(check)
        self.streaks[check] = follow(before, success, began, ended, spacing)
        if not again:
            newly = not success and (before is None or before.success)
            self.steadiness.setdefault(check, Steadiness()).began_to_fail.append(newly)

    @property
    def failures(self) -> dict[str, int]:
        """In a row, as far as they lie apart, by check."""
        return {check: streak.failures for check, streak in self.streaks.items()}


def no_conditions(_now: float) -> Iterable[AlertCondition]:
    return ()


@dataclass(slots=True)
class Cycle:
    """`clock` gives seconds since the epoch; nothing else in here asks for the time.

    `steady` is a clock that nobody sets, and that stops while the machine sleeps; None where there is none.
    """

    config: Config
    objectives: Objectives
    prober: Prober
    memory: Memory
    alerting: Alerting
    dispatch: Dispatch
    recorder: Recorder
    metrics: AgentMetrics
    clock: Callable[[], float]
    conditions: dict[str, Condition]
    facts: FactBook = field(default_factory=FactBook)
    steady: Callable[[], float] | None = None
    own: Callable[[float], Iterable[AlertCondition]] = no_conditions
    """What may be wrong with the agent itself."""
    ticked_at: float | None = None
    """When `tick` last ended well."""

    async def run(self, target: Target, *, again: bool = False) -> float | None:
        """Collect, remember, evaluate, transition, enqueue.

        Returns after how many seconds it wants to look `again`, out of turn, at checks that are not decided
        yet; None when the next turn is soon enough.
        """
        steady = self.steady or self.clock
        began, steadily = self.clock(), steady()
        outcomes = await self.collect(target, again=again)
        now = self.clock()
        lost = away(target, self.conditions[target.name].looked_at, began, now, steady() - steadily)
        if lost is not None:
            outcomes = self.begin_anew(target, outcomes, lost, now)
        self.remember(target, outcomes, began, now, again=again)
        readings = self.evaluate(target, now, {each.check for each in outcomes if each.telling}, lost)
        self.facts.observe(target.name, outcomes, readings, now)
        changed = self.alerting.advance(readings, now)
        self.enqueue(target, outcomes, changed, began, now, again=again)
        self.conditions[target.name].ended_at = now
        return self.confirm(target, outcomes, now)

    def begin_anew(self, target: Target, outcomes: list[Outcome], lost: Away, now: float) -> list[Outcome]:
        """Takes back what can't be true of a time in which the agent was away."""
        log.warning("%s: %s", target.name, lost.why)
        self.metrics.stood_still(max(0.0, lost.seconds))
        self.conditions[target.name].begin_anew(now)
        if lost.seconds < 0:
            self.memory.forget_after(target.name, now)
            self.alerting.forget_after(target.name, now)
        if not lost.during:
            return outcomes
        return [each if each.success else stalled(each.check, each.result, lost.why) for each in outcomes]

    @property
    def spacing(self) -> float:
        """Seconds that lie between two results of a check that count."""
        return SPACING / self.config.shorten_windows

    async def collect(self, target: Target, *, again: bool = False) -> list[Outcome]:
        """All checks of the target at once, but those that were asked to wait. Never raises."""
        now, condition = self.clock(), self.conditions[target.name]
        due = [check for check in target.checks if now >= condition.left_alone_until.get(check.name, 0.0)]
        if again:
            due = [check for check in due if now >= condition.again_at.get(check.name, math.inf)]
        return await asyncio.gather(
            *(PROBES[check.probe](self.prober, target, check, self.memory.wanted) for check in due)
        )

    def remember(
        self, target: Target, outcomes: Iterable[Outcome], began: float, now: float, *, again: bool
    ) -> None:
        condition = self.conditions[target.name]
        for outcome in outcomes:
            if outcome.telling:
                condition.told_at = now
                condition.follow(outcome.check, outcome.success, began, now, self.spacing, again=again)
            condition.answered(outcome, now)
            failures = condition.failures.get(outcome.check, 0)
            steady = condition.steadiness.get(outcome.check, Steadiness())
            samples = _samples(target, outcome, failures, steady.interruptions, again=again)
            self.memory.remember(target.name, outcome.check, now, samples)
            self.metrics.probed(target.name, outcome, failures, steady.interruptions, again=again)

    def confirm(self, target: Target, outcomes: Iterable[Outcome], now: float) -> float | None:
        """When to ask again those that are not decided: soon, but as far apart as it takes to count."""
        condition = self.conditions[target.name]
        for outcome in outcomes:
            condition.again_at.pop(outcome.check, None)
            streak = condition.streaks.get(outcome.check)
            if outcome.back_off or streak is None:
                continue
            held = counting(self.objectives, target.name, outcome.check)
            firing = self.alerting.firing(target.name, {each.name for each in held})
            if undecided(streak, needed(held), firing=firing):
                soon = max(now, streak.ended + self.spacing if outcome.telling else now + self.spacing)
                condition.again_at[outcome.check] = soon + LEEWAY / self.config.shorten_windows
        return max(0.0, min(condition.again_at.values()) - now) if condition.again_at else None

    def evaluate(
        self, target: Target, now: float, fresh: Collection[str], lost: Away | None
    ) -> list[Reading]:
        """`fresh` are the checks that have just told something."""
        condition = self.conditions[target.name]
        condition.looked_at = now
        condition.readings = [
            replace(
                _explained(reading, condition),
                fresh=reading.objective.check in fresh,
            )
            for reading in judge_all(self.objectives, self.memory, target, now)
        ]
        if lost is not None:
            condition.readings = [nobody_knows(each, lost.why) for each in condition.readings]
        for reading in condition.readings:
            self.metrics.judged(reading)
        return condition.readings

    def enqueue(
        self,
        target: Target,
        outcomes: list[Outcome],
        changed: list[Alert],
        began: float,
        now: float,
        *,
        again: bool,
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
            probes=() if again else tuple(_row(target, outcome, now) for outcome in outcomes),
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
        """Between cycles: what time alone makes somebody hear, and how the agent itself is."""
        now = self.clock()
        changed = self.alerting.advance_own(self.own(now), now)
        standing = self.alerting.of(OWN)
        if changed:
            self.metrics.alerted(OWN, standing)
        for alert in changed:
            log.info("%s %s", alert.state.upper(), summary(alert))
        self._tell(self.dispatch.decide(OWN, changed, standing, now), now, changed)
        self._tell(self.dispatch.tick(now), now)
        self.ticked_at = now

    def _tell(self, decision: Decision, now: float, changed: Iterable[Alert] = ()) -> None:
        for target in sorted({each.key.target for each in decision.conversations}):
            notices = tuple(each for each in decision.notices if each.alert.key.target == target)
            told = tuple(each for each in decision.conversations if each.key.target == target)
            entry = Entry(
                at=now,
                probes=(),
                changed=tuple(changed),
                standing=tuple(self.alerting.of(target)),
                target=target,
                messages=tuple(self._messages(Decision(notices), now)),
                conversations=told,
            )
            self.recorder.add(entry)

    def end(self, target: str, unwatched: Iterable[Alert], now: float) -> None:
        """These alerts stood, and nobody watches any more what they are about; who was told is told."""
        changed = tuple(no_longer_watched(each, now) for each in unwatched if each.state is State.FIRING)
        for alert in changed:
            log.info("%s %s", alert.state.upper(), summary(alert))
        decision = self.dispatch.end(target, changed, now)
        standing = self.alerting.of(target)
        self.metrics.alerted(target, standing)
        entry = Entry(
            at=now,
            probes=(),
            changed=changed,
            standing=tuple(standing),
            target=target,
            messages=tuple(self._messages(decision, now)),
            conversations=decision.conversations,
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


def _samples(
    target: Target, outcome: Outcome, failures: int, interruptions: int, *, again: bool
) -> list[Sample]:
    """Of a repeat just the counts: shares and medians are of regular probes, or outages would weigh more."""
    if not outcome.samples:
        return []
    place = labels(target=target.name, check=outcome.check)
    counts = [Sample(COUNTED, place, float(failures)), Sample(INTERRUPTIONS, place, float(interruptions))]
    return counts if again else [*outcome.samples, *counts]


def _explained(reading: Reading, condition: Condition) -> Reading:
    """A failing check says itself why, better than the numbers that it does or doesn't bring."""
    check = reading.objective.check
    outcome = condition.outcomes.get(check)
    if outcome is None or outcome.success:
        return reading
    said = f"{outcome.reason}: {outcome.detail}"
    if outcome.reason == THROTTLED:
        since = moment(condition.limited_since[check], reading.at)
        said = f"rate limited since {since}, so exempt the monitor: {outcome.detail}"
    return replace(reading, why=f"{said} ({reading.why})")


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
