"""What a check is, and what it can find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from monitor.gate.model import Asked, Cause, Evidence
from monitor.gate.sequential import Verdict
from monitor.quantity import Unit

if TYPE_CHECKING:
    from monitor.gate.run import Run

Group = Literal["functional", "security", "performance", "state"]
MOST_ASKED = 5
NOTHING = Evidence()


@dataclass(frozen=True, slots=True)
class Found:
    """`said` is one sentence for a human. `seconds`: how long the sampling took, where there was some."""

    verdict: Verdict | None
    said: str
    cause: Cause | None = None
    evidence: Evidence = NOTHING
    asked: tuple[Asked, ...] = ()
    missing: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is asked before a release. `claim` may hold `{limit}`.

    gate.yml has to give it an `objective` of that kind of SLI, or a claim in that `unit`, or nothing.
    """

    group: Group
    claim: str
    ask: Callable[[Run], Awaitable[Found]]
    objective: str = ""
    unit: Unit | None = None
    own: bool = False
    """Asked by the gate itself whatever judges the objectives: nobody else makes such traffic."""
    asks: int = 2
    """Requests, about; of what is sampled the plan knows better."""
    waits: tuple[float, float] = (0.0, 0.0)
    """Seconds that pass however quick the target is: usually, and at most."""

    @property
    def known_elsewhere(self) -> bool:
        """Whether a history or a Prometheus can judge it in the gate's place."""
        return bool(self.objective) and not self.own


def passed(said: str, evidence: Evidence = NOTHING) -> Found:
    return Found(Verdict.PASS, said, evidence=evidence)


def failed(said: str, *asked: Asked, evidence: Evidence = NOTHING) -> Found:
    return Found(Verdict.FAIL, said, evidence=evidence, asked=asked[:MOST_ASKED])


def unknown(cause: Cause, said: str, asked: Sequence[Asked] = ()) -> Found:
    return Found(Verdict.INCONCLUSIVE, said, cause, asked=tuple(asked[:MOST_ASKED]))


def not_configured(said: str) -> Found:
    """Neither passes nor fails, and is shown."""
    return Found(None, said)


def both(first: Found, second: Found, where: str) -> Found:
    """Good where both are; `where` the second one was looked at."""
    if second.verdict is None:
        return first
    verdicts = {first.verdict, second.verdict}
    verdict = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.PASS
    return Found(
        verdict, f"{first.said}; {where}: {second.said}", asked=(first.asked + second.asked)[:MOST_ASKED]
    )


def all_held(faults: Sequence[tuple[str, Asked]], good: str) -> Found:
    """Fails with every fault, each of which names the request that showed it."""
    if not faults:
        return passed(good)
    told = "; ".join(dict.fromkeys(fault for fault, _ in faults))
    return failed(told, *(asked for _, asked in faults))
