"""Holds each objective's SLI against its threshold, and says OK, WARN, BREACH or UNKNOWN, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.config import Target
from monitor.objectives import Objective, Objectives
from monitor.quantity import format_duration
from monitor.series import Memory
from monitor.slis import Measurement

STALE_AFTER_INTERVALS = 3


class Verdict(StrEnum):
    OK = "OK"
    WARN = "WARN"
    BREACH = "BREACH"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Reading:
    """One objective on one target at one moment. `blind`: UNKNOWN for want of data, not of traffic.

    `fresh`: its check has just been asked, and told something; else the numbers are those of an earlier look.
    """

    objective: Objective
    target: str
    at: float
    verdict: Verdict
    value: float | None
    why: str
    blind: bool = False
    fresh: bool = True

    @property
    def value_text(self) -> str:
        if self.value is None:
            return "no value"
        return self.objective.breach.shown(self.value)


def judge_all(objectives: Objectives, memory: Memory, target: Target, now: float) -> list[Reading]:
    """A reading for every objective that one of the target's checks feeds."""
    return list(_readings(objectives, memory, target, now))


def _readings(objectives: Objectives, memory: Memory, target: Target, now: float) -> Iterator[Reading]:
    checks = {check.name for check in target.checks}
    for objective in objectives:
        if objective.check in checks:
            yield judge(objective, memory, target, now)


def judge(objective: Objective, memory: Memory, target: Target, now: float) -> Reading:
    def unknown(why: str, value: float | None = None, *, blind: bool) -> Reading:
        return Reading(objective, target.name, now, Verdict.UNKNOWN, value, why, blind)

    last_good = memory.last_good(target.name, objective.check)
    if last_good is None:
        return unknown(f"the {objective.check} check has brought no data yet", blind=True)
    if now < last_good:
        return unknown(f"the clock was set back by {format_duration(last_good - now)}", blind=True)
    if now - last_good > STALE_AFTER_INTERVALS * target.interval:
        ago = format_duration(now - last_good)
        return unknown(f"the {objective.check} check last brought data {ago} ago", blind=True)

    measured = objective.sli.measure(memory.of(target.name), objective.window, now)
    if not measured.present:
        wanted = " and ".join(str(selector) for selector in objective.sli.reads)
        return unknown(f"the {objective.check} check brings no {wanted}", blind=True)
    if measured.value is None or measured.samples < objective.minimum_samples:
        return unknown(_too_few(objective, measured), measured.value, blind=False)
    return Reading(
        objective,
        target.name,
        now,
        _verdict(objective, measured.value, measured),
        measured.value,
        f"{measured.basis} in the last {format_duration(objective.window)}{_last(objective, measured)}",
    )


def nobody_knows(reading: Reading, why: str) -> Reading:
    """UNKNOWN for a reason of the agent's own, and not for want of the target's data."""
    return replace(reading, verdict=Verdict.UNKNOWN, why=why, blind=False)


def _too_few(objective: Objective, measured: Measurement) -> str:
    return (
        f"too little to judge: {measured.basis} in the last {format_duration(objective.window)}, "
        f"at least {objective.minimum_samples} needed"
    )


def _verdict(objective: Objective, value: float, measured: Measurement) -> Verdict:
    """Up, but slow just now, is a warning: one slow answer among quick ones notifies nobody."""
    if objective.breach.broken_by(value):
        return Verdict.BREACH if measured.alertable else Verdict.WARN
    if (objective.warn and objective.warn.broken_by(value)) or _broken_just_now(objective, measured):
        return Verdict.WARN
    return Verdict.OK


def _broken_just_now(objective: Objective, measured: Measurement) -> bool:
    return measured.newest is not None and objective.breach.broken_by(measured.newest)


def _last(objective: Objective, measured: Measurement) -> str:
    if measured.newest is None or not _broken_just_now(objective, measured):
        return ""
    return f"; the last one {objective.breach.shown(measured.newest)}"
