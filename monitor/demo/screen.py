"""The demo in a terminal: one picture that is drawn anew as things change, from 80 x 24 upwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitor.demo.board import SHOWN, TERMS, Board
from monitor.receiver import Notice

ROOMY = 32
"""Lines from which on there are blank ones between the parts."""
WIDE = 110
"""Columns from which on each objective says why."""

STYLES = {
    "OK": "green",
    "WARN": "yellow",
    "BREACH": "bold red",
    "UNKNOWN": "magenta",
    "pending": "black on yellow",
    "firing": "bold white on red",
    "resolved": "black on green",
}


class Screen:
    """No thread draws it: children may only be started while there is none."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._said: deque[str] = deque(maxlen=2)
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._said.append(text)
        self.refresh()

    def opened(self) -> None:
        self.refresh()

    def announce(self) -> None:
        self.refresh()

    def arrived(self, _notice: Notice) -> None:
        self.refresh()

    def refresh(self) -> None:
        self._live.update(picture(self._board, self._console, self._said), refresh=True)


def picture(board: Board, console: Console, said: Iterable[str] = ()) -> RenderableType:
    """What fits: the newest notifications come first, and the oldest are left out."""
    gap: list[RenderableType] = [Text()] if console.height >= ROOMY else []
    parts = [_header(), *gap, _phase(board), *(Text(each, "yellow") for each in said), *gap, _targets(board)]
    parts += [*gap, _objectives(board, wide=console.width >= WIDE), *gap, _alerts(board), *gap]
    parts.append(_heading(f"NOTIFICATIONS in the inbox: {len(board.notices) or 'none yet'}"))
    left = console.height - _lines(console, Group(*parts))
    for notice in reversed(board.notices):
        shown = _notice(notice, whole=console.height >= ROOMY)
        if (left := left - _lines(console, shown)) < 0:
            break
        parts.append(shown)
    return Group(*parts)


def _lines(console: Console, what: RenderableType) -> int:
    return len(console.render_lines(what, pad=False))


def _header() -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    clock = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 - the reader's own clock
    line.add_row(
        Text("Paciolus Monitor: live demo on this machine (Ctrl-C ends it)", "bold"), Text(clock, "bold")
    )
    return Group(line, Text(TERMS))


def _phase(board: Board) -> Text:
    broken = f" [broken: {', '.join(board.broken)}]" if board.broken else ""
    return Text.assemble((board.phase, "bold cyan"), (broken, "bold red"))


def _heading(text: str) -> Text:
    return Text(text, "bold underline")


def _targets(board: Board) -> RenderableType:
    if board.agent_silent or board.status is None:
        return Text("TARGETS: the agent does not answer yet", "magenta")
    lines = [_traffic(board)]
    for target in board.status["targets"]:
        address = target["url"].removeprefix("http://")
        probes = [_last_probe(check) for check in target["checks"]]
        lines.insert(0, Text("  ").join([_heading("TARGET "), Text(f"{target['name']} {address}"), *probes]))
    return Group(*lines)


def _last_probe(check: dict[str, Any]) -> Text:
    if check["reason"] == "ok":
        return Text.assemble(f"{check['name']} ", (f"ok {check['duration'] * 1000:.0f} ms", "green"))
    failing = f"{check['reason'].upper()}, {check['failures']}x"
    return Text.assemble(f"{check['name']} ", (failing, "bold red"))


def _traffic(board: Board) -> Text:
    tally = board.tally
    lost = tally.failed + tally.unreachable
    answered, failed = (
        f"{tally.answered} requests answered, ",
        (f"{lost} failed", "bold red" if lost else "green"),
    )
    return Text.assemble(_heading("TRAFFIC"), "  ", answered, failed)


def _objectives(board: Board, *, wide: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=7)
    table.add_column(no_wrap=True)
    headings = ("OBJECTIVE", "NOW", "ALERT WHEN", "VERDICT", "BECAUSE")
    table.add_row(*map(_heading, headings if wide else headings[:4]))
    for row in _shown(board):
        style = STYLES.get(row["verdict"], "")
        now, verdict = Text(row["value_text"], style), Text(row["verdict"], style)
        because = [Text(row["why"])] if wide else []
        table.add_row(Text(row["title"]), now, Text(row["threshold"]), verdict, *because)
    return table


def _shown(board: Board) -> list[dict[str, Any]]:
    """The documented five, and whatever else is broken."""
    known = board.objectives()
    blank = {
        "value_text": "",
        "threshold": "",
        "verdict": "UNKNOWN",
        "why": "the agent is silent yet",
    }
    broken = [name for name, row in known.items() if row["verdict"] == "BREACH" and name not in SHOWN]
    return [known.get(name, {"title": name, **blank}) for name in (*SHOWN, *broken)]


def _alerts(board: Board) -> RenderableType:
    alerts = board.alerts()
    if not alerts:
        return Text.assemble(_heading("ALERT"), "  ", ("none", "green"))
    table = Table.grid(padding=(0, 2))
    table.add_row(*map(_heading, ("ALERT", "STATE", "SINCE", "SEVERITY")))
    now = float((board.status or {}).get("now", 0))
    for alert in alerts:
        since = datetime.fromtimestamp(alert["since"])  # noqa: DTZ006 - the reader's own clock
        age = f"{since:%H:%M:%S} ({now - alert['since']:.0f} s)"
        state = Text(f" {alert['state'].upper()} ", STYLES[alert["state"]])
        good = board.objectives().get(alert["name"], {}).get("verdict") in ("OK", "WARN")
        hopeful = Text("good again" if good else "", "green")
        table.add_row(Text(alert["title"]), state, Text(age), Text(alert["severity"]), hopeful)
    return table


def _notice(notice: Notice, *, whole: bool) -> RenderableType:
    block = Table.grid(padding=(0, 1))
    block.add_column(no_wrap=True)
    state = Text(f" {notice.status.upper()} ", STYLES.get(notice.status, "bold"))
    block.add_row(Text(f"{notice.at:%H:%M:%S}"), Text.assemble(state, " ", (notice.summary, "bold")))
    for label, text in notice.known:
        if not (whole or label in ("reason", "runbook")):
            continue
        block.add_row("", Text.assemble((f"{label} ", "dim"), text))
    return block
