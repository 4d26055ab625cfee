"""What a gate says: a report of results, each with its claim and the evidence for it, and one exit status.

Fail closed: whatever is not shown to be good does not pass, and there are names for the ways of not knowing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from monitor.gate.sequential import Verdict

SCHEMA_VERSION = 1
CLEAN_UP = "clean-up"
"""The check that comes last, also when a run was stopped. It says nothing about the target."""


class Cause(StrEnum):
    """Why nobody knows. None of these passes."""

    NO_SAMPLES = "no_samples"
    TOO_FEW = "too_few"
    SOURCE_ERROR = "source_error"
    TARGET_DOWN = "target_down"
    STALLED = "stalled"
    """The runner itself stood still: its samples are invalid, not slow."""


class Exit(IntEnum):
    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    UNREACHABLE = 4
    ERROR = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that somebody may want to look up. Times in seconds."""

    what: str
    status: int | None
    seconds: float
    request_id: str = ""
    detail: str = ""
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`bad` of `of` were bad, the share is below (above) `bound` with 95 %; `limit` is the claim's.

    `source`: probes, history, prometheus. `window`: seconds. What is not measured is None.
    """

    source: str = "probes"
    bad: int | None = None
    of: int | None = None
    bound: float | None = None
    limit: float | None = None
    value: str = ""
    threshold: str = ""
    window: float | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """How long requests of one kind (`GET /clients`) took, in seconds to 0.1 ms, and how many failed."""

    what: str
    seconds: tuple[float, ...]
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Waiver:
    """`expires` in seconds since the epoch."""

    check: str
    owner: str
    reason: str
    expires: float


@dataclass(frozen=True, slots=True)
class Result:
    """Of one check. `said` is one sentence for a human; `where` the file and line that the claim comes from.

    `verdict` is None for what is not configured: it neither passes nor fails, and is shown.
    """

    check: str
    group: str
    claim: str
    verdict: Verdict | None
    said: str
    cause: Cause | None = None
    evidence: Evidence = Evidence()
    where: str = ""
    document: str = ""
    runbook: str = ""
    """Of the objective, for `explain`; "" where there is none."""
    missing: int = 0
    """Requests that it would take to decide."""
    asked: tuple[Asked, ...] = ()
    """The slowest, or those that failed; at most a few."""
    waiver: Waiver | None = None
    seconds: float = 0.0

    @property
    def blocks(self) -> bool:
        return self.verdict is Verdict.FAIL and self.waiver is None


@dataclass(frozen=True, slots=True)
class Report:
    """`began` and `ended` in seconds since the epoch; `versions` of what was judged (app_build_info)."""

    target: str
    profile: str
    began: float
    ended: float
    results: tuple[Result, ...]
    requests: int = 0
    retries: int = 0
    stalled: float = 0.0
    interrupted: bool = False
    versions: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    """All of the file: those that were needed (each result has its own), those that were not, the expired."""
    on_inconclusive: str = "fail"
    timed: tuple[Timed, ...] = ()
    """What a later run may be compared with."""

    def exit(self, on_inconclusive: str = "") -> Exit:
        """`on_inconclusive`: fail, pass or wait (as fail, once the waiting is over); "": as the report's."""
        lenient = (on_inconclusive or self.on_inconclusive) == "pass"
        causes = {each.cause for each in self.results}
        if self.interrupted:
            return Exit.INTERRUPTED
        if Cause.TARGET_DOWN in causes:
            return Exit.UNREACHABLE
        if any(each.blocks for each in self.results):
            return Exit.FAIL
        if Cause.SOURCE_ERROR in causes:
            return Exit.ERROR
        if not any(each.verdict is Verdict.PASS for each in self.results if each.check != CLEAN_UP):
            return Exit.INCONCLUSIVE
        if any(_open(each) for each in self.results) and not lenient:
            return Exit.INCONCLUSIVE
        return Exit.PASS


def _open(result: Result) -> bool:
    return result.verdict is Verdict.INCONCLUSIVE and result.waiver is None


def by_group(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for each in results:
        found.setdefault(each.group, []).append(each)
    return found
