"""What all forms of a report say of a check, in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from enum import StrEnum
from typing import NamedTuple

from monitor.gate.model import Asked, Cause, Evidence, Exit, Report, Result, Waiver
from monitor.gate.sequential import Verdict
from monitor.localtime import clock_time
from monitor.quantity import format_duration, format_value
from monitor.words import PHASES

LONGEST = 400
"""Characters of anything that a target said."""


class Standing(StrEnum):
    """A verdict as people read it: a waiver counts, and what is not configured has a name too."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"
    NOT_CONFIGURED = "not configured"


OUTCOMES = {
    Exit.PASS: ("PASS", "may go out"),
    Exit.FAIL: ("FAIL", "must not go out"),
    Exit.INCONCLUSIVE: ("INCONCLUSIVE", "nobody knows whether it may go out"),
    Exit.UNREACHABLE: ("UNREACHABLE", "the target does not answer"),
    Exit.ERROR: ("ERROR", "a source of the evidence does not answer, so nobody knows"),
    Exit.INTERRUPTED: ("INTERRUPTED", "stopped before it was decided"),
}
CAUSES = {
    Cause.NO_SAMPLES: "there were no samples",
    Cause.TOO_FEW: "there were too few samples",
    Cause.SOURCE_ERROR: "a source of the evidence did not answer",
    Cause.TARGET_DOWN: "the target did not answer",
    Cause.STALLED: "the runner itself stood still, so its samples are invalid",
}


class Place(NamedTuple):
    """`line` is 0 where none is known."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


def outcome(report: Report) -> tuple[str, str]:
    """A word, and a half sentence about the target."""
    return OUTCOMES[report.exit()]


def standing(result: Result) -> Standing:
    if result.verdict is None:
        return Standing.NOT_CONFIGURED
    if result.waiver is not None and result.verdict is not Verdict.PASS:
        return Standing.WAIVED
    return Standing(result.verdict)


def counts(report: Report) -> dict[Standing, int]:
    found = Counter(standing(each) for each in report.results)
    return {each: found[each] for each in Standing}


def summary(report: Report) -> str:
    """`34 passed, 1 failed, 2 not configured`"""
    said = {Standing.PASS: "passed", Standing.FAIL: "failed"}
    told = [f"{number} {said.get(each, each)}" for each, number in counts(report).items() if number]
    return ", ".join(told) or "no check ran"


def named(report: Report) -> dict[Standing, str]:
    """Which ones did not pass, as a line for each way of that, for who reads no further."""
    said = {
        Standing.FAIL: "failed",
        Standing.INCONCLUSIVE: "inconclusive",
        Standing.NOT_CONFIGURED: "not configured, so not looked at",
    }
    names = {of: [plain(each.check) for each in report.results if standing(each) is of] for of in said}
    return {of: f"{said[of]}: {', '.join(found)}" for of, found in names.items() if found}


def told(result: Result) -> list[str]:
    """Claim and findings; of what did not pass the claim comes last, and as the promise that it is."""
    found, claim = list(evidence(result)), plain(result.claim)
    if standing(result) is Standing.PASS:
        return [claim, *found]
    return [*found, f"promised: {claim}"]


def circumstances(report: Report) -> str:
    """Profile, duration, requests; and what was not as it should be."""
    told = [
        f"profile {plain(report.profile)}",
        format_duration(report.ended - report.began),
        _number(report.requests, "request"),
    ]
    if report.versions:
        told.append(f"version {', '.join(map(plain, report.versions))}")
    if report.retries:
        told.append(f"{_number(report.retries, 'connection')} tried again")
    if report.stalled:
        told.append(f"the runner itself stood still for {format_duration(report.stalled)}")
    return ", ".join(told)


def evidence(result: Result) -> Iterator[str]:
    """What was said, how many of how many, what that shows, from where; as short lines."""
    if result.said and result.said != result.claim:
        yield plain(result.said)
    told = list(_measured(result))
    if told:
        yield f"{'; '.join(told)} ({_source(result.evidence)})"
    if result.cause is not None:
        yield f"nobody knows: {CAUSES[result.cause]}"
    if needs := missing(result):
        yield needs
    if result.waiver is not None:
        yield waived(result.waiver)


def _measured(result: Result) -> Iterator[str]:
    found = result.evidence
    if found.bad is not None and found.of is not None:
        yield f"{found.bad} of {found.of} bad"
    if found.bound is not None:
        side = "above" if result.verdict is Verdict.FAIL else "below"
        limit = "" if found.limit is None else f", limit {format_value(found.limit, 'ratio')}"
        shown = format_value(found.bound, "ratio", apart_from=found.limit)
        yield f"share {side} {shown} with 95 % confidence{limit}"
    if found.value:
        yield f"{plain(found.value)}{f', bad is {plain(found.threshold)}' if found.threshold else ''}"


def _source(found: Evidence) -> str:
    window = "" if found.window is None else f", over {format_duration(found.window)}"
    return f"from {plain(found.source)}{window}"


def missing(result: Result) -> str:
    """`needs 34 more requests, about 17 s`; "" for what is decided."""
    if not result.missing:
        return ""
    of = result.evidence.of
    about = f", about {format_duration(_round(result.missing * result.seconds / of))}" if of else ""
    return f"needs {_number(result.missing, 'more request')}{about if result.seconds else ''}"


def _round(seconds: float) -> float:
    return float(round(seconds)) if seconds >= 1 else seconds


def asked(each: Asked) -> str:
    """`GET /clients: 500 in 3.4 s (first_byte 3.3 s), request id 4f1c; detail`"""
    status = each.status or "no answer"
    parts = [f"{plain(each.what)}: {status} in {format_value(each.seconds, 'seconds')}"]
    if spent := phases(each):
        parts.append(f" ({spent})")
    if each.request_id:
        parts.append(f", request id {plain(each.request_id)}")
    if each.detail:
        parts.append(f"; {plain(each.detail)}")
    return "".join(parts)


def phases(each: Asked) -> str:
    """In the order in which they happen."""
    known = [name for name in PHASES if each.phases.get(name)]
    others = sorted(each.phases.keys() - PHASES.keys())
    return ", ".join(f"{plain(name)} {format_value(each.phases[name], 'seconds')}" for name in known + others)


def sources(result: Result) -> str:
    """Where the claim stands: `alerts/objectives.yml:69 (§9.2: …)`"""
    place = str(found) if (found := where(result)) else ""
    document = plain(result.document)
    return f"{place} ({document})" if place and document else place or document


def where(result: Result) -> Place | None:
    """Of the repository, also where the file came with the package."""
    path, _, line = result.where.rpartition(":")
    if not line.isdigit():
        path, line = result.where, "0"
    path = path.partition("/_resources/")[2] or path
    return Place(plain(path), int(line)) if path else None


def waived(waiver: Waiver) -> str:
    return f"waived by {plain(waiver.owner)} until {_utc(waiver.expires)}: {plain(waiver.reason)}"


def waivers(report: Report) -> Iterator[str]:
    """All of them: one that nobody needs any more, or that expired, is to be taken out."""
    needed = {each.check for each in report.results if each.waiver and each.verdict is not Verdict.PASS}
    for each in report.waivers:
        name = plain(each.check)
        if each.expires <= report.ended:
            yield (
                f"{name}: the waiver of {plain(each.owner)} expired on {_utc(each.expires)} and does not "
                f"count: {plain(each.reason)}"
            )
        else:
            yield f"{name}: {waived(each)}{'' if each.check in needed else ' (not needed in this run)'}"


def plain(text: str) -> str:
    """One line without control characters: a target must not move a terminal's cursor or end a cell."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _utc(at: float) -> str:
    return clock_time(at, UTC)
