"""`gate explain REPORT.json`: a report as a story of causes, made of what it holds and nothing else.

What was seen at the same time is told as that, never as a cause; and what is not known has a part of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from monitor.gate.model import Asked, Cause, Report, Result
from monitor.gate.reports import words
from monitor.gate.reports.words import Standing
from monitor.gate.sequential import Verdict
from monitor.notify.runbooks import first_step
from monitor.quantity import format_value
from monitor.words import PHASES

DOWN_RUNBOOK = "docs/runbooks/target-down.md"
STATE, PERFORMANCE = "state", "performance"
RESOURCES = ("pool", "memory")
"""Words in the names of the checks that say what the service had at its disposal."""
MOSTLY = 0.5
"""Of the time, for a phase to be the one that it went into."""
POINTS_TO = {
    "dns": "the name server or the resolver, before the service hears of it",
    "connect": "the network, or a service that takes no more connections",
    "tls": "the handshake: the network, or whatever ends TLS in front of the service",
    "first_byte": "the service itself, or what it waits for: its database, its pool, its processor",
    "transfer": "the size of the answer, or a narrow network",
}


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    lines: tuple[str, ...]


def show(console: Console, report: Report) -> None:
    for part in story(report):
        console.print(Text(part.title, "bold"))
        for line in part.lines:
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
        console.print()


def story(report: Report) -> Iterator[Part]:
    word, said = words.outcome(report)
    yield Part(
        f"{word}: {words.plain(report.target)} {said}", (f"{words.summary(report)}.", f"{_ran(report)}.")
    )
    if down := next((each for each in report.results if each.cause is Cause.TARGET_DOWN), None):
        yield Part("It does not answer", tuple(_about(down)))
    else:
        for each in _troubles(report):
            yield Part(f"{words.plain(each.check)}: {_headline(each)}", tuple(_about(each)))
        yield Part("Meanwhile", tuple(_meanwhile(report)))
    if steps := tuple(_steps(report)):
        yield Part("What to do first", steps)
    if unknown := tuple(_unknown(report)):
        yield Part("What is not known", unknown)


def _ran(report: Report) -> str:
    return f"It ran with {words.circumstances(report)}"


def _troubles(report: Report) -> list[Result]:
    """What failed, waived or not; the state of the service is told beside it."""
    return [each for each in report.results if each.verdict is Verdict.FAIL and each.group != STATE]


def _headline(result: Result) -> str:
    waived = ", waived" if words.standing(result) is Standing.WAIVED else ""
    return f"{words.plain(result.claim)}: not so{waived}"


def _about(result: Result) -> Iterator[str]:
    yield from words.evidence(result)
    yield from _where_time_went(result.asked)
    yield from _answers(result.asked)
    yield from (f"- {words.asked(each)}" for each in result.asked)
    if said := words.sources(result):
        yield f"Documented: {said}"


def slowest_phase(asked: Iterable[Asked]) -> tuple[str, float] | None:
    """That into which most of the time of these requests went, and its share; None if no phase stands out."""
    spent: Counter[str] = Counter()
    for each in asked:
        spent.update(each.phases)
    whole = sum(spent.values())
    if whole <= 0:
        return None
    name, most = max(spent.items(), key=lambda each: each[1])
    return (name, most / whole) if most / whole >= MOSTLY else None


def _where_time_went(asked: tuple[Asked, ...]) -> Iterator[str]:
    if (found := slowest_phase(asked)) is None:
        return
    name, share = found
    meaning = PHASES.get(name, words.plain(name))
    points = f" That points to {POINTS_TO[name]}." if name in POINTS_TO else ""
    yield f"{format_value(share, 'ratio')} of their time went into {meaning}.{points}"


def _answers(asked: tuple[Asked, ...]) -> Iterator[str]:
    statuses = Counter("no answer" if each.status is None else str(each.status) for each in asked)
    if statuses.keys() - {"200", "201", "204"}:
        told = ", ".join(f"{count} x {status}" for status, count in statuses.most_common())
        yield f"Answers of those kept in the report: {told}."


def _meanwhile(report: Report) -> Iterator[str]:
    state = [each for each in report.results if each.group == STATE and each.verdict is not None]
    yield from (_of_state(each) for each in state)
    for resource in RESOURCES:
        if not any(resource in each.check for each in report.results if each.verdict is not None):
            yield f"Of {resource} the report says nothing."
    waiting = [each for each in _troubles(report) if _waits(each)]
    broken = [each for each in state if _is_resource(each) and each.verdict is Verdict.FAIL]
    for each in broken if waiting else ():
        slow = ", ".join(words.plain(one.check) for one in waiting)
        yield (
            f"{slow} waited for the first byte while {words.plain(each.check)} was past its limit: both were "
            "seen in this run. Look there first; that one caused the other is not shown."
        )
    if waiting and state and not broken:
        yield "None of what was measured explains the waiting: look into what the slow routes call."


def _phased(result: Result) -> bool:
    """Whether it is known where the time of its requests went, or there were none to ask about."""
    return not result.asked or any(each.phases for each in result.asked)


def _waits(result: Result) -> bool:
    found = slowest_phase(result.asked)
    return found is not None and found[0] == "first_byte"


def _is_resource(result: Result) -> bool:
    return any(each in result.check for each in RESOURCES)


def _of_state(result: Result) -> str:
    said = "; ".join(words.evidence(result)) or words.plain(result.claim)
    return f"{words.plain(result.check)}, {words.standing(result)}: {said}"


def _steps(report: Report) -> Iterator[str]:
    told: set[str] = set()
    for each in report.results:
        down = each.cause is Cause.TARGET_DOWN
        runbook = each.runbook or (DOWN_RUNBOOK if down else "")
        if not runbook or runbook in told or not (down or each.verdict is Verdict.FAIL):
            continue
        told.add(runbook)
        step = first_step(runbook)
        yield f"{words.plain(each.check)}: {step} ({words.plain(runbook)})" if step else words.plain(runbook)


def _unknown(report: Report) -> Iterator[str]:
    for each in report.results:
        name = words.plain(each.check)
        if each.verdict is None:
            yield f"{name}: not configured, so nobody looked. {words.plain(each.said)}".strip()
        elif each.verdict is Verdict.INCONCLUSIVE and each.cause is not Cause.TARGET_DOWN:
            yield f"{name}: {'; '.join(words.evidence(each)) or words.plain(each.claim)}"
        elif each.verdict is Verdict.FAIL and each.group == PERFORMANCE and not _phased(each):
            yield f"{name}: in which phase the time went, for the report holds no phases of its requests."
        elif each.verdict is Verdict.FAIL and not each.runbook:
            yield f"{name}: what to do first, for there is no runbook of it."
