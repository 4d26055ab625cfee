"""The forms of a report: for a terminal, Markdown, JSON and one HTML file that needs nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from monitor.history.incidents import Incident
from monitor.history.reading import Bar
from monitor.history.rollup import MINUTE
from monitor.quantity import format_duration
from monitor.report import words
from monitor.report.build import Report, Service

JSON_VERSION = 1
"""Goes up when a key changes its meaning or goes away."""

NARROW = 120
"""Columns of a terminal below which a table of more than MOST_COLUMNS would cut names and break numbers."""
MOST_COLUMNS = 5
INDENT = 2
COLOURS = {"met": "green", "missed": "bold red", words.NO_DATA: "yellow"}


def show(console: Console, report: Report) -> None:
    console.print(Text(words.title(report), "bold"), Text(words.span(report), "dim"))
    for table in words.tables(report):
        console.print()
        console.print(Text(table.title, "bold"))
        if not table.rows:
            console.print(table.if_empty)
            continue
        if console.width < NARROW and len(table.columns) > MOST_COLUMNS:
            _listed(console, table)
        else:
            console.print(_rich(table))
        if table.note:
            console.print(Text(table.note, "dim"))
    console.print()
    for note in words.notes(report):
        console.print(Text(note, "dim"))


def _listed(console: Console, table: words.Table) -> None:
    """Each row as a short paragraph, whose lines end between two cells unless one is longer than a line."""
    for first, *others in table.rows:
        console.print(Text(first, "bold"))
        for line in _packed(table.columns[1:], others, console.width - INDENT):
            console.print(Padding(Text("  ").join(line), (0, 0, 0, INDENT)))


def _packed(columns: Iterable[str], cells: Iterable[str], width: int) -> Iterator[list[Text]]:
    line: list[Text] = []
    for column, cell in zip(columns, cells, strict=True):
        part = Text.assemble((f"{column}: ", "dim"), (cell, COLOURS.get(cell, "")))
        if line and sum(len(each) + 2 for each in line) + len(part) > width:
            yield line
            line = []
        line.append(part)
    yield line


def _rich(table: words.Table) -> RichTable:
    made = RichTable(*table.columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in table.rows:
        made.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    return made


def markdown(report: Report) -> str:
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    yield from (f"# {words.title(report)}", "", words.span(report))
    for table in words.tables(report):
        yield from ("", f"## {table.title}", "")
        if not table.rows:
            yield table.if_empty
            continue
        yield _line(table.columns)
        yield _line("---" for _ in table.columns)
        yield from map(_line, table.rows)
        if table.note:
            yield from ("", table.note)
    yield from ("", "## What the numbers mean", "")
    yield from (f"- {note}" for note in words.notes(report))


def _line(cells: Any) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """What a target said must not end a cell, nor become a link or a tag."""
    plain = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\|<>[]*_`" else each for each in plain)


def as_json(report: Report) -> str:
    """Stable keys for scripts. Durations in seconds, times as RFC 3339 in UTC, ratios from 0 to 1."""
    objective = report.objective
    shown = {
        "version": JSON_VERSION,
        "month": str(report.month),
        "since": _time(report.since),
        "until": _time(report.until),
        "complete": report.complete,
        "made_at": _time(report.made_at),
        "objective": None if objective is None else objective.breach.value,
        "services": [_service(each) for each in report.services],
        "incidents": [_incident(report, each) for each in report.incidents],
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _service(service: Service) -> dict[str, Any]:
    budget = service.budget
    plain = (
        "target",
        "check",
        "uptime",
        "total",
        "failures",
        "ignored",
        "covered",
        "no_data",
        "p50",
        "p95",
        "p99",
    )
    return {
        **{name: getattr(service, name) for name in plain},
        "reasons": dict(service.reasons),
        "budget": None
        if budget is None
        else {**dataclasses.asdict(budget), "share": budget.share, "met": budget.met},
        "days": [_bar(each) for each in service.days],
        "slowest_hours": [_bar(each) for each in service.slowest_hours],
    }


def _bar(bar: Bar) -> dict[str, Any]:
    names = ("total", "failures", "ignored", "covered", "p95")
    return {"at": _time(bar.at), **{name: getattr(bar, name) for name in names}}


def _incident(report: Report, incident: Incident) -> dict[str, Any]:
    plain = ("id", "severity", "title", "value", "threshold", "reason", "runbook")
    return {
        **incident.key._asdict(),
        **{name: getattr(incident, name) for name in plain},
        "since": _time(incident.since),
        "fired_at": _time(incident.fired_at),
        "resolved_at": None if incident.resolved_at is None else _time(incident.resolved_at),
        "seconds_in_month": report.duration(incident),
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def html(report: Report) -> str:
    """The table of uptimes is drawn as cards."""
    _, *tables = words.tables(report)
    return (
        _template().render(
            report=report, tables=tables, words=words, state=state, day=day, known_height=known_height
        )
        + "\n"
    )


@cache
def _template() -> Template:
    loader = PackageLoader("monitor.report", "templates")
    pages = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template("report.html")


def known_height(bar: Bar) -> int:
    """Of a bar of 28: as much as of the day is known, and something where any of it is."""
    if not bar.total:
        return 0
    return max(2, min(28, round(28 * bar.covered / bar.step)))


def state(bar: Bar, objective: float) -> str:
    """How a day went, as the name of its colour: never good where nothing is known."""
    if not bar.total:
        return "unknown"
    if not bar.failures:
        return "good"
    return "some" if 1 - bar.failures / bar.total >= objective else "bad"


def day(bar: Bar) -> str:
    """A day in a sentence."""
    when = datetime.fromtimestamp(bar.at, UTC).strftime("%-d %b")
    if not bar.total:
        return f"{when}: no data"
    slow = "" if bar.p95 is None else f", p95 {words.seconds(bar.p95)}"
    gap = bar.step - bar.covered
    unknown = f", no data for {format_duration(gap)}" if gap >= MINUTE else ""
    return f"{when}: {bar.failures:,} of {bar.total:,} probes failed{slow}{unknown}"


WRITTEN: dict[str, Callable[[Report], str]] = {"md": markdown, "json": as_json, "html": html}
