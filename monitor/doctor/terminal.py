"""For a terminal: what is wrong first, then what is fine, then what nobody looked at.

Text keeps to the width; a line to copy is never broken, for half a command is a wrong command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from monitor.doctor.model import Area, Fine, NotLooked, Report, Seen, Step, Trouble
from monitor.gate.model import Exit
from monitor.gate.reports.words import plain

INDENT = 8
WIDEST = 100
"""Columns of text; longer lines are hard to read."""


def show(console: Console, report: Report) -> None:
    console.width = min(console.width, WIDEST)
    took = f"{report.requests} requests in {report.ended - report.began:.1f} s"
    console.print(Text.assemble((plain(report.target), "bold"), f"  {took}"))
    for number, (seen, found) in enumerate(report.troubles, 1):
        _trouble(console, number, seen, found)
    _listed(console, "fine", _fine(report.seen))
    _listed(console, "not looked at", _not_looked(report.seen))
    if report.left_behind:
        _row(console, "left", Text(f"not deleted: {report.left_behind}", "bold yellow"))
    console.print()
    console.print(_verdict(report))


def _trouble(console: Console, number: int, seen: Seen, found: Trouble) -> None:
    console.print()
    console.print(
        Text.assemble(
            (f" {number} ", "bold red reverse"),
            f" {seen.kind.area}: ",
            (seen.kind.title, "bold"),
            (f"  {seen.name}, {found.section}", "dim"),
        )
    )
    for index, line in enumerate(found.saw):
        _row(console, "" if index else "saw", Text(plain(line)))
    _row(console, "cause", Text(found.cause))
    for index, step in enumerate(found.cure):
        _step(console, "" if index else "cure", step)


def _step(console: Console, label: str, step: Step) -> None:
    _row(console, label, Text(step.said))
    for line in step.command.splitlines():
        console.print(Text(" " * (INDENT + 4) + line, "bold cyan"), soft_wrap=True)


def _row(console: Console, label: str, text: Text) -> None:
    for line in text.wrap(console, console.width - INDENT):
        line.rstrip()
        console.print(Text.assemble((f"  {label}".ljust(INDENT), "dim"), line), soft_wrap=True)
        label = ""


def _listed(console: Console, title: str, rows: Iterable[tuple[str, str, str]]) -> None:
    told = list(rows)
    if not told:
        return
    console.print(Text(f"\n{title}", "bold"))
    for what, said, allow in told:
        indented = Text.assemble((f"{what}: ", "dim"), said).wrap(console, console.width - 4)
        for number, line in enumerate(indented):
            line.rstrip()
            console.print(Text("    " if number else "  ") + line, soft_wrap=True)
        if allow:
            _row(console, "", Text(f"to look: {allow}"))


def _fine(seen: Iterable[Seen]) -> Iterator[tuple[str, str, str]]:
    told: dict[Area, list[str]] = {}
    for each in seen:
        if isinstance(each.outcome, Fine):
            told.setdefault(each.kind.area, []).append(plain(each.outcome.said))
    yield from ((area, "; ".join(dict.fromkeys(lines)), "") for area, lines in told.items())


def _not_looked(seen: Iterable[Seen]) -> Iterator[tuple[str, str, str]]:
    """By what would allow it, for that can be mended; each said once."""
    told: dict[tuple[Area, str], list[str]] = {}
    for each in seen:
        if isinstance(each.outcome, NotLooked):
            told.setdefault((each.kind.area, each.outcome.allow), []).append(plain(each.outcome.why))
    for (area, allow), whys in told.items():
        yield area, "; ".join(dict.fromkeys(whys)), allow


def _verdict(report: Report) -> Text:
    number = report.exit()
    found = len(report.troubles)
    words = {
        Exit.PASS: ("NOTHING FOUND", "bold green", "nothing wrong that was looked at"),
        Exit.FAIL: ("TROUBLE", "bold red", f"{found} found; mend the first one first"),
        Exit.UNREACHABLE: (
            "UNREACHABLE",
            "bold red",
            "the target does not answer" + (", see above" if found else ""),
        ),
        Exit.ERROR: ("UNSURE", "bold yellow", "something went wrong with the visit itself, see above"),
        Exit.INTERRUPTED: ("INTERRUPTED", "bold yellow", f"{found} found so far"),
    }
    word, style, said = words[number]
    return Text.assemble((f" {word} ", f"{style} reverse"), f" {said} (exit status {int(number)})")
