"""Would the gate have blocked? Judged over the agent's history, by the checks that a history can tell of.

The same checks as with --from history, each at a time of the past. What nobody knew then is counted apart,
and never as good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from monitor.gate import from_history
from monitor.gate.checks import CHECKS, past
from monitor.gate.config import Claim, GateConfig, Profile
from monitor.gate.found import Found
from monitor.gate.from_history import Known
from monitor.gate.model import Exit, Report, Result
from monitor.gate.run import result_of
from monitor.gate.sequential import Verdict
from monitor.gate.source import HISTORY, Seen
from monitor.objectives import Objective
from monitor.slis import Availability

BY_HISTORY = (past.error_budget, past.firing)


@dataclass(frozen=True, slots=True)
class Period:
    """Gates in a row that one check blocked (`fail`), or in which nobody knew. `said` of the first one."""

    target: str
    check: str
    verdict: Verdict
    since: float
    until: float
    said: str

    @property
    def lasted(self) -> float:
        return self.until - self.since


@dataclass(slots=True)
class Replay:
    """`gates` of each target by how they would have ended; `checks`: by verdict, None for not configured.

    `since` and `until` in seconds since the epoch, a gate every `every` seconds. `left_out`: checks of the
    profile that need the service itself.
    """

    profile: str
    since: float
    until: float
    every: float
    left_out: tuple[str, ...]
    gates: dict[str, Counter[Exit]] = field(default_factory=dict)
    checks: dict[str, Counter[Verdict | None]] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)

    @property
    def knows(self) -> bool:
        """Whether anything could be judged at all."""
        return any(each[Verdict.PASS] or each[Verdict.FAIL] for each in self.checks.values())

    def total(self) -> Counter[Exit]:
        return sum(self.gates.values(), Counter[Exit]())


@dataclass(slots=True)
class AsOf:
    """What was known at a time; also what a check needs of a Run."""

    known: Known
    target: str
    config: GateConfig
    claim: Claim
    at: float = 0.0
    name = HISTORY

    @property
    def past(self) -> AsOf:
        return self

    async def seen(self, objective: Objective) -> Seen | None:
        return from_history.seen(self.known, self.target, objective, self.at)

    async def firing(self) -> list[str] | None:
        return from_history.firing(self.known, self.target, self.at)


def told_by_history(profile: Profile) -> list[str]:
    """The checks of it that a history can tell of."""
    return [name for name in profile.checks if CHECKS[name].known_elsewhere or CHECKS[name].ask in BY_HISTORY]


def moments(since: float, until: float, every: float) -> list[float]:
    """Multiples of `every`, so that those of whole hours are on the hour; not after `until`."""
    return [every * number for number in range(-int(-since // every), int(until // every) + 1)]


def longest_window(config: GateConfig) -> float:
    """Seconds that a check looks back."""
    return max((each.window for each in config.objectives if isinstance(each.sli, Availability)), default=0.0)


async def replay(
    known: Mapping[str, Known], config: GateConfig, profile: Profile, times: Sequence[float], every: float
) -> Replay:
    names = told_by_history(profile)
    left_out = tuple(each for each in profile.checks if each not in names)
    found = Replay(profile.name, times[0], times[-1], every, left_out)
    found.checks = {name: Counter() for name in names}
    for target, history in known.items():
        asking = AsOf(history, target, config, config.claims[names[0]])
        judged = [(at, [await _judged(asking, name, at) for name in names]) for at in times]
        found.gates[target] = Counter(_exit(results, at, target) for at, results in judged)
        for index, name in enumerate(names):
            results = [each[index] for _, each in judged]
            found.checks[name].update(each.verdict for each in results)
            found.periods += _periods(target, zip(times, results, strict=True), every)
    found.periods.sort(key=lambda each: (-each.lasted, each.since, each.target))
    return found


async def _judged(asking: AsOf, name: str, at: float) -> Result:
    check = CHECKS[name]
    asking.claim, asking.at = asking.config.claims[name], at
    found: Found = await (past.objective if check.known_elsewhere else _asks(name))(asking)
    return result_of(name, check, asking.claim, found, 0.0)


def _asks(name: str) -> past.Ask:
    return next(each for each in BY_HISTORY if each is CHECKS[name].ask)


def _exit(results: Iterable[Result], at: float, target: str) -> Exit:
    return Report(target, "", at, at, tuple(results)).exit()


def _periods(target: str, judged: Iterable[tuple[float, Result]], every: float) -> Iterator[Period]:
    """Of one check."""
    going_on: Period | None = None
    for at, each in judged:
        if going_on is not None and each.verdict is going_on.verdict:
            going_on = replace(going_on, until=at + every)
            continue
        if going_on is not None:
            yield going_on
        going_on = None
        if each.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            said = each.evidence.value or each.said
            going_on = Period(target, each.check, each.verdict, at, at + every, said)
    if going_on is not None:
        yield going_on
