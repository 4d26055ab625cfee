"""What a replay found: for people, and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from monitor.gate.model import Exit
from monitor.gate.replay import Period, Replay
from monitor.gate.reports import words
from monitor.gate.sequential import Verdict
from monitor.localtime import clock_time
from monitor.quantity import format_duration, format_value

SHOWN = 10
"""Periods of each sort on the terminal; JSON has all."""
VERSION = 1
ENDS = {"passed": Exit.PASS, "blocked": Exit.FAIL, "nobody knows": Exit.INCONCLUSIVE}


def text(found: Replay) -> str:
    return "\n".join(_lines(found))


def _lines(found: Replay) -> Iterator[str]:
    gates, targets = found.total().total(), len(found.gates)
    of = f"{gates:,} gates, {targets} {'target' if targets == 1 else 'targets'}"
    yield (
        f"Profile {found.profile} from {_at(found.since)} to {_at(found.until)}, a gate every "
        f"{format_duration(found.every)}: {of}"
    )
    yield ""
    yield from _table("target", [*_of_targets(found)])
    yield ""
    yield from _table("check", [*_of_checks(found)])
    yield from _spans("Blocked for longest", _of(found, Verdict.FAIL))
    yield from _spans("Nobody knows, so no pass", _of(found, Verdict.INCONCLUSIVE))
    if found.left_out:
        yield ""
        yield f"Not in a history, so not replayed: {', '.join(found.left_out)}"


def _of_targets(found: Replay) -> Iterator[tuple[str, list[int]]]:
    rows = [*found.gates.items()] if len(found.gates) > 1 else []
    for name, count in [*rows, ("in all", found.total())]:
        yield name, [count[each] for each in ENDS.values()]


def _of_checks(found: Replay) -> Iterator[tuple[str, list[int]]]:
    for name, count in found.checks.items():
        yield name, [count[each] for each in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)]


def _table(head: str, rows: Sequence[tuple[str, list[int]]]) -> Iterator[str]:
    cells = [[head, *ENDS], *([words.plain(name), *_shares(counts)] for name, counts in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *numbers])


def _shares(counts: Sequence[int]) -> Iterator[str]:
    whole = sum(counts)
    for each in counts:
        yield f"{each:,} ({format_value(each / whole, 'ratio')})" if whole else "not configured"


def _of(found: Replay, verdict: Verdict) -> list[Period]:
    return [each for each in found.periods if each.verdict is verdict]


def _spans(title: str, periods: Sequence[Period]) -> Iterator[str]:
    if not periods:
        return
    yield ""
    yield title
    for each in periods[:SHOWN]:
        span = f"{_at(each.since)} to {_at(each.until)}, {format_duration(each.lasted)}"
        yield f"  {words.plain(each.target)}, {each.check}: {span}: {words.plain(each.said)}"
    if len(periods) > SHOWN:
        yield f"  and {len(periods) - SHOWN:,} more (--json has all)"


def as_json(found: Replay) -> str:
    shown = {
        "version": VERSION,
        "profile": found.profile,
        "since": _time(found.since),
        "until": _time(found.until),
        "every": found.every,
        "gates": {name: _named(counts) for name, counts in _of_targets(found)},
        "checks": {name: _named(counts) for name, counts in _of_checks(found)},
        "left_out": list(found.left_out),
        "periods": [*_periods(found.periods)],
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _named(counts: Iterable[int]) -> dict[str, int]:
    return {name.replace(" ", "_"): each for name, each in zip(ENDS, counts, strict=True)}


def _periods(periods: Iterable[Period]) -> Iterator[dict[str, Any]]:
    for each in periods:
        yield {
            "target": each.target,
            "check": each.check,
            "verdict": str(each.verdict),
            "since": _time(each.since),
            "until": _time(each.until),
            "said": each.said,
        }


def _at(at: float) -> str:
    return clock_time(at, UTC)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
