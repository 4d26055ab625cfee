"""Whether the agent truly works: it looks at every target, decides, and what it has to say gets through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from monitor.config import Target
from monitor.cycle import Cycle
from monitor.metrics import AgentMetrics
from monitor.probes import STALLED
from monitor.quantity import format_duration
from monitor.quiet import Quiet

LATE_AFTER_INTERVALS = 3
SLACK = 10.0
"""Seconds that a look may take longer than it should on a busy machine."""
TICK_WITHIN = 15.0
MOST_NAMED = 3

Question = Callable[[float], str | None]
"""What is wrong with a part of the agent at that moment; None: nothing."""


@dataclass(slots=True)
class Working:
    """`asked` are further parts that may stall, `noted` what somebody should know though the agent works."""

    cycle: Cycle
    metrics: AgentMetrics
    clock: Callable[[], float]
    quiet: Quiet
    asked: tuple[Question, ...] = ()
    noted: Callable[[], Iterable[str]] = tuple
    _since: dict[str, float] = field(default_factory=dict)
    """When each target was first asked about, which may be before its first look has ended."""

    def stalls(self) -> list[str]:
        """Why nobody may rely on a page coming; empty while they may."""
        now = self.clock()
        answers = (ask(now) for ask in (self._cycles, self._targets, self._sight, self._tick, *self.asked))
        return list(filter(None, answers))

    @property
    def begun(self) -> bool:
        """Whether a cycle has ended well since this process started."""
        return any(condition.ended_at is not None for condition in self.cycle.conditions.values())

    def faults(self) -> list[str]:
        """These, and what else keeps the agent from working as it should."""
        return [*self.stalls(), *filter(None, [self.quiet.fault(self.clock())])]

    def notes(self) -> list[str]:
        return list(self.noted())

    def _cycles(self, now: float) -> str | None:
        slowest = max(target.interval for target in self.cycle.config.targets)
        since = now - self.metrics.last_cycle_at
        if since > LATE_AFTER_INTERVALS * slowest:
            return f"no cycle has ended well for {since:.0f} s, the longest interval is {slowest:g} s"
        if since < -slowest:
            return f"the clock was set back by {-since:.0f} s, and nothing has been measured since"
        return None

    def _targets(self, now: float) -> str | None:
        late = list(self._late(now))
        more = f", and {len(late) - MOST_NAMED} more" if len(late) > MOST_NAMED else ""
        return f"not looked at in time: {', '.join(late[:MOST_NAMED])}{more}" if late else None

    def _sight(self, now: float) -> str | None:
        """A machine without time for the agent: it looks, but can believe nothing that it sees."""
        conditions = self.cycle.conditions.values()
        reasons = {each.reason for condition in conditions for each in condition.outcomes.values()}
        if reasons != {STALLED}:
            return None
        began = min(self._since.values(), default=now)
        told = max((each.told_at for each in conditions if each.told_at is not None), default=began)
        slowest = max(target.interval for target in self.cycle.config.targets)
        if now - told <= LATE_AFTER_INTERVALS * slowest:
            return None
        return f"for {now - told:.0f} s the machine had too little time for a single probe to tell anything"

    def _late(self, now: float) -> Iterator[str]:
        targets = self.cycle.config.targets
        self._since = {each.name: min(self._since.get(each.name, now), now) for each in targets}
        for target in targets:
            ended = self.cycle.conditions[target.name].ended_at
            age = abs(now - (self._since[target.name] if ended is None else ended))
            if age > (longest := _longest_look(target)):
                yield f"{target.name} for {format_duration(float(round(age)))} ({longest:g} s at most)"

    def _tick(self, now: float) -> str | None:
        ticked = self.cycle.ticked_at
        if ticked is None or abs(now - ticked) <= TICK_WITHIN:
            return None
        return f"for {abs(now - ticked):.0f} s nobody decided what time alone changes: reminders, escalation"


def _longest_look(target: Target) -> float:
    """Seconds from the end of one look to the end of the next."""
    return target.interval + max(check.request.timeout for check in target.checks) + SLACK
