"""What people ask the agent to keep to itself: silences, and alerts that somebody looks after already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from monitor.alerting import Alert

OWN_TARGET = "paciolus-monitor"
"""The target of alerts about the agent itself. Only what names it in full keeps these back."""
LONGEST_SILENCE = 30 * 86400.0
LONGEST_ACKNOWLEDGEMENT = 30 * 86400.0
MOST_SILENCES = 200
"""That have not ended yet."""
LONGEST_AUTHOR = 80
LONGEST_REASON = 500
LONGEST_PATTERN = 200


class RefusedError(ValueError):
    """Says what is wrong with the value of `field`, and the cure."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


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
            covers([self.target] if self.target else [], target)
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


def covers(patterns: Iterable[str], target: str) -> bool:
    """Whether any of the patterns matches; none at all match every target but the agent itself."""
    patterns = list(patterns)
    if target == OWN_TARGET:
        return OWN_TARGET in patterns
    return not patterns or any(fnmatchcase(target, each) for each in patterns)


def checked_text(field: str, text: str, longest: int) -> str:
    """One line of text, without space around it."""
    text = text.strip()
    if not text:
        raise RefusedError(field, "missing; whoever reads the silence later must know")
    if len(text) > longest:
        raise RefusedError(field, f"expected at most {longest} characters, got {len(text)}")
    if not text.isprintable():
        raise RefusedError(field, "expected one line of printable text")
    return text
