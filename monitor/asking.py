"""What people may ask of the agent: who asks, why, and about which targets."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from monitor.mistakes import did_you_mean

OWN_TARGET = "paciolus-monitor"
"""The target of alerts about the agent itself. Only what names it in full keeps these back."""
LONGEST_AUTHOR = 80
LONGEST_REASON = 500
LONGEST_PATTERN = 100


class RefusedError(ValueError):
    """Says what is wrong with the value of `field`, and the cure."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def covers(patterns: Collection[str], target: str) -> bool:
    """Whether any of the patterns matches; none at all match every target but the agent itself."""
    if target == OWN_TARGET:
        return OWN_TARGET in patterns
    return not patterns or any(fnmatchcase(target, each) for each in patterns)


def check_targets(patterns: Iterable[str], targets: Iterable[str]) -> None:
    """Raises RefusedError for a pattern that matches no target: it would keep back nothing."""
    known = [*targets, OWN_TARGET]
    for pattern in patterns:
        if len(pattern) > LONGEST_PATTERN:
            raise RefusedError("target", f"expected at most {LONGEST_PATTERN} characters, got {len(pattern)}")
        if not any(covers([pattern], each) for each in known):
            raise RefusedError("target", f"there is no target {pattern!r}{did_you_mean(pattern, known)}")


def checked_text(field: str, text: str, longest: int) -> str:
    """One line of text, without space around it."""
    text = text.strip()
    if not text:
        raise RefusedError(field, "missing; others must be able to tell")
    if len(text) > longest:
        raise RefusedError(field, f"expected at most {longest} characters, got {len(text)}")
    if not text.isprintable():
        raise RefusedError(field, "expected one line of printable text")
    return text
