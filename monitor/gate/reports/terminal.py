"""For a terminal: a line or a few for each check; readable at 80 columns, without colours, in a log."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from monitor.gate.model import Exit, Report, Result, by_group
from monitor.gate.reports import words
from monitor.gate.reports.words import Standing

WIDTH = 80
STYLES = {
    Standing.PASS: "green",
    Standing.FAIL: "bold red",
    Standing.INCONCLUSIVE: "bold yellow",
    Standing.WAIVED: "yellow",
    Standing.NOT_CONFIGURED: "dim",
}


def show(console: Console, report: Report) -> None:
    console.print(Text.assemble((words.plain(report.target), "bold"), f"  {words.circumstances(report)}"))
    for group, results in by_group(report.results).items():
        console.print(Text(f"\n{words.plain(group)}", "bold"))
        console.print(_table(results))
    if report.waivers:
        console.print(Text("\nwaivers", "bold"))
        for each in words.waivers(report):
            console.print(Padding(Text(each), (0, 0, 0, 2), expand=False))
    console.print()
    for standing, names in words.named(report).items():
        console.print(Text(names, STYLES[standing]))
    console.print(verdict(report))


def verdict(report: Report) -> Text:
    """The last line: what a hurried reader looks for."""
    word, said = words.outcome(report)
    number = report.exit()
    style = {Exit.PASS: "bold green", Exit.FAIL: "bold red"}.get(number, "bold yellow")
    return Text.assemble(
        (f" {word} ", f"{style} reverse"),
        f" {words.plain(report.target)} {said}: {words.summary(report)} (exit status {int(number)})",
    )


def _table(results: list[Result]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=max(map(len, Standing)))
    table.add_column(overflow="fold")
    for each in results:
        found = words.standing(each)
        table.add_row(Text(found.upper(), STYLES[found]), _check(each))
    return table


def _check(result: Result) -> Text:
    said = "\n".join(words.told(result))
    told = Text.assemble((words.plain(result.check), "bold"), f": {said}")
    for line in _lesser(result):
        told.append(f"\n{line}", "dim")
    return told


def _lesser(result: Result) -> Iterator[str]:
    yield from (f"- {words.asked(each)}" for each in result.asked)
    if said := words.sources(result):
        yield said


def text(report: Report) -> str:
    """As in a log that knows neither colours nor its width."""
    written = io.StringIO()
    show(Console(file=written, width=WIDTH, color_system=None, highlight=False), report)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"
