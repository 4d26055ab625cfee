"""gate-waivers.yml: who lets which check fail, why, and until when.

A waiver that expired does not count, and every report says so. A check that cannot be judged because the
target or a source does not answer is not let through by any waiver.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PlainValidator, TypeAdapter

from monitor.asking import LONGEST_AUTHOR, LONGEST_REASON, RefusedError, checked_text
from monitor.gate.model import Result, Waiver
from monitor.gate.sequential import Verdict
from monitor.mistakes import did_you_mean, known_keys, shown
from monitor.quantity import format_duration, parse_duration
from monitor.timefields import DAY, parse_moment
from monitor.yamlfile import ConfigError, Document, Loc, load_yaml

DEFAULT_PATH = Path("gate-waivers.yml")
LONGEST = 90 * 86400.0
"""Seconds. What is to be let through for longer is no exception: change the claim."""
HEAD = """\
# Checks of the gate that may fail for a time. Each has an owner, a reason and an expiry (UTC), and is printed
# in every report. `paciolus-monitor gate waive` writes here.
version: 1
waivers:
"""


def parse_expiry(written: object) -> float:
    """Seconds since the epoch, from `2026-12-15` (to the end of that day, UTC) or `2026-12-15 12:00`."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", str(written)):
        try:
            day = date.fromisoformat(str(written))
        except ValueError:
            day = None
        if day is not None:
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + DAY.total_seconds()
    try:
        return parse_moment(written, UTC)
    except ValueError:
        raise ValueError(
            f"expected a day such as 2026-12-15 or a moment such as 2026-12-15 12:00, got {shown(written)}"
        ) from None


@dataclass(frozen=True, slots=True)
class _Entry:
    check: Annotated[str, Field(min_length=1, max_length=100)]
    owner: Annotated[str, Field(min_length=1, max_length=LONGEST_AUTHOR)]
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
    expires: Annotated[float, PlainValidator(parse_expiry)]


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    waivers: Annotated[list[Any] | None, Field(max_length=1000)]


_ENTRY: TypeAdapter[_Entry] = TypeAdapter(Annotated[_Entry, known_keys(_Entry)])
_FILE: TypeAdapter[_File] = TypeAdapter(Annotated[_File, known_keys(_File)])


def load_waivers(path: Path, checks: Collection[str], now: float) -> tuple[Waiver, ...]:
    """In the order of the file; none when there is no such file. Raises ConfigError with every mistake.

    `checks`: the names of all that there are.
    """
    if not path.exists():
        return ()
    document = load_yaml(path)
    found = _read(document, checks, now)
    document.raise_mistakes()
    return tuple(found.values())


def _read(document: Document, checks: Collection[str], now: float) -> dict[int, Waiver]:
    """By their place in the file."""
    document.read(_FILE, document.root)
    found: dict[int, Waiver] = {}
    for index, written in enumerate(document.under("waivers", list)):
        entry = document.read(_ENTRY, written, ("waivers", index))
        if entry is None:
            continue
        found[index] = waiver = Waiver(entry.check, entry.owner, entry.reason, entry.expires)
        if entry.check not in checks:
            cure = did_you_mean(entry.check, checks)
            document.wrong(("waivers", index, "check"), f"there is no check {entry.check!r}{cure}")
        if any(each.check == entry.check for place, each in found.items() if place != index):
            document.wrong(("waivers", index, "check"), f"{entry.check!r} is waived above already")
        if waiver.expires - now > LONGEST + DAY.total_seconds():
            document.wrong(("waivers", index, "expires"), _too_long())
    return found


def _too_long() -> str:
    return f"expected at most {format_duration(LONGEST)} from now; a claim that is wrong is to be changed"


def waived(results: Iterable[Result], waivers: Iterable[Waiver], now: float) -> tuple[Result, ...]:
    """Results with the waivers that count; one that passed needs none."""
    valid = {each.check: each for each in waivers if each.expires > now}
    return tuple(
        dataclasses.replace(each, waiver=valid[each.check])
        if each.check in valid and each.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        else each
        for each in results
    )


def waive(
    path: Path, checks: Collection[str], now: float, *, check: str, owner: str, reason: str, expires: str
) -> Waiver:
    """Adds a waiver to the file, or puts it in the place of the one that the check has.

    `expires` may also be a duration from now, such as 14d. What else stands in the file, comments too, stays.
    Raises RefusedError with the field that is wrong, and ConfigError for a file with mistakes.
    """
    if check not in checks:
        raise RefusedError("check", f"there is no check {check!r}{did_you_mean(check, checks)}")
    made = Waiver(
        check,
        checked_text("owner", owner, LONGEST_AUTHOR),
        checked_text("reason", reason, LONGEST_REASON),
        _expiry(expires, now),
    )
    text = _with(path, made, checks, now) if path.exists() else HEAD + _written(made)
    _replace(path, text, checks, now)
    return made


def _expiry(written: str, now: float) -> float:
    try:
        ends = now + parse_duration(written)
        ends -= ends % 60
    except ValueError:
        try:
            ends = parse_expiry(written)
        except ValueError as error:
            raise RefusedError("expires", f"{error}, or a duration such as 14d") from None
    if not now < ends <= now + LONGEST + DAY.total_seconds():
        raise RefusedError("expires", f"expected a time to come; {_too_long()}")
    return ends


def _with(path: Path, made: Waiver, checks: Collection[str], now: float) -> str:
    document = load_yaml(path)
    found = _read(document, checks, now)
    document.raise_mistakes()
    lines = f"{path.read_text(encoding='utf-8-sig').rstrip()}\n".splitlines(keepends=True)
    old = next((index for index, each in found.items() if each.check == made.check), None)
    first, last = _block(document, lines, ("waivers",) if old is None else ("waivers", old))
    return "".join([*lines[: last if old is None else first], _written(made), *lines[last:]])


def _block(document: Document, lines: list[str], loc: Loc) -> tuple[int, int]:
    """The lines of what stands there, without the comments that follow it."""
    first = document.lines[loc]
    others = (line for place, line in document.lines.items() if place[: len(loc)] != loc and line > first)
    last = min(others, default=len(lines) + 1) - 1
    while last > first and re.match(r"\s*(#|$)", lines[last - 1]):
        last -= 1
    return first - 1, last


def _written(waiver: Waiver) -> str:
    ends = datetime.fromtimestamp(waiver.expires, UTC)
    keys = {
        "check": waiver.check,
        "owner": waiver.owner,
        "reason": waiver.reason,
        "expires": f"{ends:%Y-%m-%d %H:%M}",
    }
    # Values are quoted as JSON's: one line each, whatever they hold.
    lines = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=10_000, default_style='"')
    first, *rest = (re.sub(r'^"(\w+)":', r"\1:", line) for line in lines.splitlines())
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"


def _replace(path: Path, text: str, checks: Collection[str], now: float) -> None:
    """In one step, and only by what can be read again."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        load_waivers(beside, checks, now)
        beside.replace(path)
    except OSError as error:
        raise ConfigError.at(path, f"can't be written: {error.strerror}") from None
    except ConfigError:
        raise ConfigError.at(path, "can't be added to; write each waiver as an entry of its own") from None
    finally:
        beside.unlink(missing_ok=True)
