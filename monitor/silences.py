"""What people ask the agent to keep to itself: silences, and alerts that somebody looks after already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from monitor.alerting import LOUDNESS, Alert
from monitor.asking import (
    LONGEST_AUTHOR,
    LONGEST_PATTERN,
    LONGEST_REASON,
    RefusedError,
    check_targets,
    checked_text,
    covers,
)
from monitor.mistakes import did_you_mean
from monitor.quantity import format_duration

LONGEST_SILENCE = 30 * 86400.0
MOST_SILENCES = 200
"""That have not ended yet."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Times are in seconds since the epoch. `target` and `name` may hold `*` and `?`; "" matches all."""

    id: int
    author: str
    reason: str
    starts_at: float
    ends_at: float
    target: str = ""
    name: str = ""
    severity: str = ""

    def active(self, now: float) -> bool:
        return self.starts_at <= now < self.ends_at

    def matches(self, alert: Alert, target: str) -> bool:
        return (
            covers((self.target,) if self.target else (), target)
            and (not self.name or fnmatchcase(alert.key.name, self.name))
            and self.severity in ("", alert.severity)
        )

    @property
    def what(self) -> str:
        """`target=api name=error-rate`"""
        asked = (("target", self.target), ("name", self.name), ("severity", self.severity))
        return " ".join(f"{key}={value}" for key, value in asked if value)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody looks after the conversation `dedup_key`. `until` is None: for as long as it lasts."""

    dedup_key: str
    author: str
    reason: str
    at: float
    until: float | None = None


def checked_silence(asked: Silence, targets: Iterable[str], now: float) -> Silence:
    """Raises RefusedError."""
    if not asked.what:
        raise RefusedError("target", "name a target, an alert or a severity; a target of '*' is all of them")
    if asked.target:
        check_targets([asked.target], targets)
    if asked.name:
        checked_text("name", asked.name, LONGEST_PATTERN)
    if asked.severity not in ("", *LOUDNESS):
        raise RefusedError(
            "severity", f"there is no severity {asked.severity!r}{did_you_mean(asked.severity, LOUDNESS)}"
        )
    if not asked.ends_at > max(now, asked.starts_at):
        raise RefusedError("ends_at", "expected a time to come, after it starts")
    if (lasts := asked.ends_at - max(now, asked.starts_at)) > LONGEST_SILENCE:
        longest, got = format_duration(LONGEST_SILENCE), format_duration(lasts)
        raise RefusedError("ends_at", f"expected at most {longest}, got {got}; renew it then, if need be")
    return replace(
        asked,
        author=checked_text("author", asked.author, LONGEST_AUTHOR),
        reason=checked_text("reason", asked.reason, LONGEST_REASON),
    )


def checked_acknowledgement(asked: Acknowledgement) -> Acknowledgement:
    """Raises RefusedError."""
    checked_text("alert", asked.dedup_key, LONGEST_PATTERN)
    if asked.until is not None and not 0 < asked.until - asked.at <= LONGEST_SILENCE:
        raise RefusedError("until", f"expected a time within the next {format_duration(LONGEST_SILENCE)}")
    return replace(
        asked,
        author=checked_text("author", asked.author, LONGEST_AUTHOR),
        reason=checked_text("reason", asked.reason, LONGEST_REASON),
    )
