"""What monitor.yml says of maintenance, and of when a notifier wants to hear what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from monitor.asking import LONGEST_REASON, RefusedError, check_targets
from monitor.hours import Hours
from monitor.maintenance import LONGEST_ONCE, LONGEST_WEEKLY, SHORTEST, OneOff, Weekly, Window, wrong_length
from monitor.mistakes import did_you_mean, known_keys
from monitor.objectives import Severity
from monitor.quantity import Seconds
from monitor.timefields import (
    MINUTES_OF_A_DAY,
    WEEK,
    Days,
    Every,
    MinuteOfDay,
    Zone,
    has_offset,
    parse_moment,
)
from monitor.yamlfile import Document, Loc

RELAYS = ("alertmanager",)
"""Kinds of receivers that decide themselves whom they tell how often: they hear every firing and its end."""


@dataclass(frozen=True, slots=True)
class HoursShape:
    """`hours` of a notifier, as it stands in the file."""

    timezone: Zone
    days: Days = WEEK
    from_: Annotated[MinuteOfDay, Field(alias="from")] = 0
    to: MinuteOfDay = MINUTES_OF_A_DAY
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] = ("ticket", "info")

    def made(self, document: Document, loc: Loc) -> Hours:
        if self.from_ == self.to:
            document.wrong((*loc, "to"), "the same as `from`; leave both out for whole days")
        return Hours(self.timezone, self.days, self.from_, self.to, self.severities)


@dataclass(frozen=True, slots=True)
class _Window:
    """Both forms of an entry under `maintenance`."""

    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
    every: Every | None = None
    for_: Annotated[Seconds | None, Field(alias="for")] = None
    start: str | None = None
    end: str | None = None
    timezone: Zone | None = None
    targets: Annotated[tuple[str, ...], Field(max_length=100)] = ()


_WINDOW: TypeAdapter[_Window] = TypeAdapter(Annotated[_Window, known_keys(_Window)])


def windows(document: Document, targets: Sequence[str]) -> Iterator[Window]:
    """Those of the file; mistakes are noted in the document."""
    for index, written in enumerate(document.under("maintenance", list)):
        loc: Loc = ("maintenance", index)
        shape = document.read(_WINDOW, written, loc)
        if shape is None:
            continue
        _check_targets(shape.targets, targets, document, loc)
        if made := _weekly(shape, document, loc) if shape.every else _once(shape, document, loc):
            yield made


def _check_targets(patterns: Sequence[str], targets: Sequence[str], document: Document, loc: Loc) -> None:
    for number, pattern in enumerate(patterns):
        try:
            check_targets([pattern], targets)
        except RefusedError as error:
            document.wrong((*loc, "targets", number), str(error))


def _weekly(shape: _Window, document: Document, loc: Loc) -> Weekly | None:
    for key, value in (("start", shape.start), ("end", shape.end)):
        if value is not None:
            document.wrong((*loc, key), "a window with `every` has no start and end; remove it")
    if shape.for_ is None:
        document.wrong((*loc, "for"), "missing; say how long it takes: `for: 2h`")
    elif not SHORTEST <= shape.for_ <= LONGEST_WEEKLY:
        document.wrong((*loc, "for"), wrong_length(shape.for_, LONGEST_WEEKLY))
    if shape.timezone is None:
        document.wrong((*loc, "timezone"), "missing; say whose clock it is: `timezone: Europe/Zurich`")
    if shape.every is None or shape.for_ is None or shape.timezone is None:
        return None
    return Weekly(shape.reason, *shape.every, shape.for_, shape.timezone, shape.targets)


def _once(shape: _Window, document: Document, loc: Loc) -> OneOff | None:
    if shape.start is None:
        document.wrong(loc, "expected `every: Sunday 02:00` and `for: 2h`, or `start` and `end`")
        return None
    if (shape.end is None) == (shape.for_ is None):
        document.wrong(loc, "a window with `start` needs either `end` or `for`")
        return None
    start = _moment(shape.start, shape, document, (*loc, "start"))
    end = _moment(shape.end, shape, document, (*loc, "end")) if shape.end else None
    if start is None or (shape.end and end is None):
        return None
    lasts = end - start if end is not None else shape.for_ or 0.0
    if not SHORTEST <= lasts <= LONGEST_ONCE:
        document.wrong((*loc, "end" if shape.end else "for"), wrong_length(lasts, LONGEST_ONCE))
    return OneOff(shape.reason, start, start + lasts, shape.targets, shape.timezone)


def _moment(written: str, shape: _Window, document: Document, loc: Loc) -> float | None:
    """In the window's zone unless it has an offset of its own."""
    try:
        found = parse_moment(written, shape.timezone or UTC)
    except ValueError as error:
        document.wrong(loc, str(error))
        return None
    if shape.timezone is None and not has_offset(written):
        document.wrong(loc, f"whose clock? Add `timezone: Europe/Zurich`, or an offset: {written}+01:00")
        return None
    return found


def check_escalation(document: Document) -> None:
    """Over all notifiers, also those that have other mistakes."""
    notifiers = document.under("notify", dict)
    escalated_to = {each.get("escalate_to") for each in notifiers.values() if isinstance(each, dict)}
    for name, written in notifiers.items():
        if not isinstance(written, dict):
            continue
        loc: Loc = ("notify", name)
        if written.get("severities") == [] and name not in escalated_to:
            cure = f"name one, or let another notifier `escalate_to: {name}`"
            why = "expected at least one entry, or it never hears anything"
            document.wrong((*loc, "severities"), f"{why}; {cure}")
        after, to = written.get("escalate_after"), written.get("escalate_to")
        relays = [key for key in ("remind_every", "escalate_after", "escalate_to") if key in written]
        if written.get("kind") in RELAYS:
            for key in relays:
                document.wrong((*loc, key), "Alertmanager itself decides who hears how often; remove it")
        elif (after is None) != (to is None):
            missing = "escalate_after: 15m" if after is None else "escalate_to: …"
            document.wrong(loc, f"who hears of it and when? Add `{missing}`")
        elif to is not None:
            _check_receiver(str(to), name, notifiers, document, (*loc, "escalate_to"))


def _check_receiver(to: str, name: str, notifiers: Mapping[str, Any], document: Document, loc: Loc) -> None:
    kind = notifiers[to].get("kind") if isinstance(notifiers.get(to), dict) else None
    if to == name:
        document.wrong(loc, "expected another notifier than this one")
    elif to not in notifiers:
        document.wrong(loc, f"there is no notifier {to!r}{did_you_mean(to, notifiers)}")
    elif kind in RELAYS:
        document.wrong(loc, f"{to} is an alertmanager, which hears of everything already; name another")
