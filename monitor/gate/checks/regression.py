"""Is it slower, or does it fail more often, than the baseline? By monitor/gate/compare.py.

A service beside it is asked the same in turns. An earlier run was measured at another time, perhaps from
another machine: what differs in those differs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

from monitor.gate.baseline import Beside
from monitor.gate.compare import (
    LEAST,
    LEAST_EFFECT,
    TOGETHER,
    Alarm,
    Compared,
    Side,
    alarms,
    compare,
    medians,
    together,
)
from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.model import Asked, Cause, Evidence, Report
from monitor.gate.pairs import Heard, Pairs, measured
from monitor.gate.sample import Answer
from monitor.gate.source import SourceError
from monitor.gate.timings import timed
from monitor.localtime import clock_time

if TYPE_CHECKING:
    from monitor.gate.run import Run

NOTHING = "nothing to compare with: --baseline last-pass, a URL, or the JSON report of an earlier run"
FIRST = "if this run passes, it is one; if it cannot, name its report: --json FILE, then --baseline FILE"
THRESHOLD = f"typically {LEAST_EFFECT:g} times as long, or more that failed or were among the slowest"
NOT_THERE = {404, 405}
HALF = 0.5

Sides = Mapping[str, Side]
"""By kind of request."""


async def not_worse(run: Run) -> Found:
    if run.baseline is None:
        return not_configured(NOTHING)
    if run.beside is not None:
        pairs = await measured(run, run.beside)
        return _judged(pairs, _answered(pairs.old, run.beside), _beside(run, run.beside))
    earlier = await run.baseline.earlier()
    pairs = await measured(run, None)
    if earlier is None or not earlier.timed:
        why = "there is no baseline yet" if earlier is None else f"{_told(earlier)} has no durations in it"
        return not_configured(f"{why}; {FIRST}")
    return _judged(
        pairs, {each.what: Side(each.seconds, each.failed) for each in earlier.timed}, _told(earlier)
    )


def _answered(heard: Heard, beside: Beside) -> Sides:
    """Without what the baseline does not have yet. Raises SourceError for one that is itself in trouble."""
    sides = {kind: _side(answers) for kind, answers in heard.items() if not _is_missing(answers)}
    for kind, side in sides.items():
        if side.failed > HALF * side.of:
            why = next(each.asked.detail for each in heard[kind] if each.failed)
            raise SourceError(
                f"the baseline {beside.target}: {side.failed} of {side.of} {kind} failed: {why}"
            )
    return sides


def _is_missing(answers: list[Answer]) -> bool:
    return all(each.asked.status in NOT_THERE for each in answers)


def _side(answers: list[Answer]) -> Side:
    found = timed("", answers)
    return Side(found.seconds, found.failed)


def _beside(run: Run, beside: Beside) -> str:
    same = " (the target itself: what differs is chance)" if beside.target == run.target else ""
    return f"{beside.target}{same}"


def _told(earlier: Report) -> str:
    version = f", version {', '.join(earlier.versions)}" if earlier.versions else ""
    return f"the run of {clock_time(earlier.began, UTC)}{version}"


def _judged(pairs: Pairs, old: Sides, against: str) -> Found:
    new = {kind: _side(answers) for kind, answers in pairs.new.items()}
    both = {kind: (old[kind], new[kind]) for kind in new if kind in old and old[kind].of}
    if not both:
        return unknown(Cause.NO_SAMPLES, f"{against} knows none of these requests, or none of them counted")
    compared = {kind: compare(*sides) for kind, sides in both.items()}
    whole = compared[TOGETHER] = compare(*together(both.values()))
    said = "; ".join([f"against {against}", *_aside(pairs, new.keys() - both.keys())])
    evidence = Evidence(value=_value(compared), threshold=THRESHOLD, window=round(pairs.seconds, 1))
    found = alarms(compared)
    if found:
        told = "; ".join(f"{each.kind}: {each.said} (p = {each.chance:.1g})" for each in found)
        return failed(f"{told}; {said}", *_asked(pairs.new, found), evidence=evidence)
    if whole.cause is not None:
        few = f"{whole.new.of} requests, {whole.old.of} of the baseline, of {LEAST} at least; {said}"
        missing = max(0, LEAST - whole.new.of)
        return replace(unknown(whole.cause, few), evidence=evidence, missing=missing, seconds=pairs.seconds)
    return passed(f"{whole.new.of} requests, {whole.old.of} of the baseline; {said}", evidence)


def _aside(pairs: Pairs, unmatched: set[str]) -> Iterator[str]:
    if unmatched:
        yield f"not in the baseline: {', '.join(sorted(unmatched))}"
    if pairs.left_out:
        yield f"{pairs.left_out} left out, for we were asked to wait or this process stood still"


def _value(compared: Mapping[str, Compared]) -> str:
    """The worst first, since a report cuts what is long."""
    worst = sorted(compared.items(), key=lambda each: each[1].ratio, reverse=True)
    return "; ".join(f"{kind} {medians(kind, each)}" for kind, each in worst if kind != TOGETHER)


def _asked(heard: Heard, found: list[Alarm]) -> list[Asked]:
    """Of the kinds that raised an alarm: what failed, then the slowest."""
    kinds = {each.kind for each in found} - {TOGETHER} or heard.keys()
    answers = [each for kind in kinds for each in heard[kind]]
    answers.sort(key=lambda each: (each.failed, each.asked.seconds), reverse=True)
    return [each.asked for each in answers]
