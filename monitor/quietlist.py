"""Silences, windows and open alerts as text for a terminal of 80 columns. Times are those of this machine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from monitor.conversations import Conversation
from monitor.localtime import clock_time, in_minutes
from monitor.maintenance import OneOff, Weekly, Window
from monitor.quantity import format_duration
from monitor.silences import Acknowledgement, Silence
from monitor.timefields import days_text

WIDTH = 80


def silence_text(silence: Silence, now: float) -> str:
    return _entry(
        str(silence.id),
        silence.what,
        span_text(silence.starts_at, silence.ends_at, now),
        f"{silence.author}: {silence.reason}",
    )


def window_text(window: Window, now: float) -> str | None:
    """None when it is over for good."""
    span = window.upcoming(now)
    if span is None:
        return None
    return _entry(
        str(window.id) if isinstance(window, OneOff) and window.id else "-",
        _recurs(window),
        span_text(*span, now),
        f"targets: {', '.join(window.targets) or 'all'}",
        f"{(isinstance(window, OneOff) and window.author) or 'monitor.yml'}: {window.reason}",
    )


def conversation_text(
    conversation: Conversation, acknowledgement: Acknowledgement | None, withheld: str | None, now: float
) -> str:
    alert = conversation.alert
    return _entry(
        "*",
        f"{name_of(conversation)}  {alert.severity}, for {in_minutes(now - alert.since)}",
        f"{alert.title}: {alert.value} (alert when {alert.threshold})",
        f"acknowledged by {acknowledgement.author}: {acknowledgement.reason}"
        if acknowledgement
        else "nobody has acknowledged it",
        withheld or conversation.withheld,
    )


def name_of(conversation: Conversation) -> str:
    return f"{conversation.key.target}/{conversation.key.name}"


def span_text(start: float, end: float, now: float) -> str:
    if now >= end:
        return f"ended {in_minutes(now - end)} ago ({clock_time(end, None)})"
    if now >= start:
        return f"ends in {in_minutes(end - now)} ({clock_time(end, None)})"
    lasts = format_duration(float(round(end - start)))
    return f"starts in {in_minutes(start - now)} ({clock_time(start, None)}), for {lasts}"


def _recurs(window: Window) -> str:
    if isinstance(window, Weekly):
        lasts = format_duration(window.lasts)
        return f"{days_text(window.days)} {window.at:%H:%M} {window.zone} for {lasts}"
    return "once"


def _entry(mark: str, *paragraphs: str) -> str:
    return "\n".join(_lines(mark, paragraphs))


def _lines(mark: str, paragraphs: tuple[str, ...]) -> Iterator[str]:
    indent = " " * 6
    for number, paragraph in enumerate(filter(None, paragraphs)):
        first = indent if number else f"{mark:>4}  "
        yield textwrap.fill(paragraph, WIDTH, initial_indent=first, subsequent_indent=indent + "  ")
