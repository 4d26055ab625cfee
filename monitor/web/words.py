"""What a tired person reads: text from strangers made harmless and short, times, durations."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor.quantity import format_duration

LONGEST = 300
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|d|[KMGT]?i?B)(?!\w))| (?=ago\b)")
_MOMENT = re.compile(r"(?:(\d{4}-\d\d-\d\d) )?((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?) UTC")
_TURNS_TEXT_ROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: object, longest: int = LONGEST) -> str:
    """At most `longest` characters, control characters made visible: a terminal's escapes become `␛[31m`.

    The end is cut off and says so. Markup is left to the templates, which escape everything.
    """
    written = str(text)
    shown = written[:longest]
    if not shown.isprintable():
        shown = "".join(map(_visible, shown))
    return shown if len(written) <= longest else f"{shown}… ({len(written)} characters)"


def tied(text: str) -> str:
    """No line ends between a number, its unit and "ago". Not for commands, which people copy."""
    return _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)


def _visible(char: str) -> str:
    if char in "\n\r\t":
        return " "
    if ord(char) < 32:
        return chr(0x2400 + ord(char))
    if char in _TURNS_TEXT_ROUND or unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn"):
        return "\N{REPLACEMENT CHARACTER}"
    return char


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a page shows it: `iso` for machines, `utc` for people; page.js puts in the reader's own."""

    at: float
    now: float

    @property
    def iso(self) -> str:
        return _utc(self.at).isoformat(timespec="seconds").replace("+00:00", "Z")

    @property
    def utc(self) -> str:
        """`03:05`, with its date unless that is today's in UTC."""
        written, today = _utc(self.at), _utc(self.now)
        return f"{written:%H:%M}" if written.date() == today.date() else f"{written:%d %b %H:%M}"

    @property
    def ago(self) -> str:
        """`40 s ago`, `2 h 14 min ago`."""
        return (
            f"{roughly(self.now - self.at)} ago"
            if self.now >= self.at
            else f"in {roughly(self.at - self.now)}"
        )

    @property
    def lasting(self) -> str:
        return roughly(max(0.0, self.now - self.at))


def _utc(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def timed(text: str, now: float) -> list[str | Moment]:
    """A sentence with its times, of today or with a date, apart: page.js puts in the reader's own."""
    pieces: list[str | Moment] = []
    end = 0
    for found in _MOMENT.finditer(text):
        if (at := _read(found[1] or f"{_utc(now):%Y-%m-%d}", found[2])) is not None:
            pieces += [text[end : found.start()], Moment(at, now)]
            end = found.end()
    return [*pieces, text[end:]]


def _read(day: str, time: str) -> float | None:
    try:
        return datetime.fromisoformat(f"{day}T{time}+00:00").timestamp()
    except ValueError:
        return None


def roughly(seconds: float) -> str:
    """Two units at most, and no smaller one than matters: `2 h 14 min`, `3 d 4 h`, `under 1 s`."""
    if not math.isfinite(seconds):
        return "for ever"
    if seconds < 1:
        return "under 1 s"
    for above, unit in ((86400.0, 3600.0), (3600.0, 60.0), (60.0, 10.0 if seconds < 600 else 60.0)):
        if seconds >= above:
            return format_duration(math.floor(seconds / unit) * unit)
    return format_duration(math.floor(seconds))


def counted(number: int, word: str, plural: str = "") -> str:
    """`1 page`, `2 pages`."""
    return f"{number} {word}" if number == 1 else f"{number} {plural or word + 's'}"
