"""What is seen while the gate runs: bars on a terminal, a line for each check in a log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from monitor.gate import progress
from monitor.gate.model import Result
from monitor.gate.reports import words
from monitor.gate.reports.terminal import STYLES


@contextmanager
def watched(console: Console) -> Iterator[progress.Progress]:
    """`console` is best one on stderr, so that stdout holds the report alone."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield Bars(bars)


class Lines:
    """Something every few seconds, or a pipeline thinks that the job hangs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def began(self, check: str, most: int | None = None) -> None: ...

    def asked(self, check: str, bad: int, of: int) -> None: ...

    def ended(self, check: str, results: Sequence[Result]) -> None:  # noqa: ARG002
        for each in results:
            self._console.print(line(each), soft_wrap=True)


class Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def began(self, check: str, most: int | None = None) -> None:
        self._tasks[check] = self._bars.add_task(words.plain(check), total=most, told="")

    def asked(self, check: str, bad: int, of: int) -> None:
        if check in self._tasks:
            self._bars.update(self._tasks[check], completed=of, told=f"{bad} of {of} bad")

    def ended(self, check: str, results: Sequence[Result]) -> None:
        if (task := self._tasks.pop(check, None)) is not None:
            self._bars.remove_task(task)
        for each in results:
            self._bars.console.print(line(each))


def line(result: Result) -> Text:
    found = words.standing(result)
    said = words.plain(result.said or result.claim)
    return Text.assemble((f"{found.upper():14}", STYLES[found]), f" {words.plain(result.check)}: {said}")
