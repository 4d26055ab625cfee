"""The demo for a log or a pipe: lines as things happen."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Self

from monitor.demo.board import SHOWN, TERMS, Board
from monitor.receiver import Notice

INDENT = " " * 20


class Lines:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._verdicts: list[str] = []

    def __enter__(self) -> Self:
        self.say(f"Paciolus Monitor, live demo on this machine. {TERMS}")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def say(self, text: str) -> None:
        write(f"{datetime.now():%H:%M:%S}  {text}")  # noqa: DTZ005 - the reader's own clock

    def opened(self) -> None:
        board = self._board
        self.say(f"Ready: API {board.api_url}, agent {board.agent_url}, inbox {board.inbox_url}")

    def announce(self) -> None:
        """The objectives as well, when one of them has another verdict than last time."""
        self.say(self._board.phase)
        known = self._board.objectives()
        verdicts = [known[name]["verdict"] for name in SHOWN if name in known]
        if verdicts != self._verdicts:
            self._verdicts = verdicts
            for line in objective_lines(self._board):
                write(f"{INDENT}{line}")

    def arrived(self, notice: Notice) -> None:
        self.say(f"{notice.status.upper():8}  {notice.summary}")
        write(f"{INDENT}value {notice.value}, threshold {notice.threshold}, severity {notice.severity}")
        for label, text in notice.known:
            write(f"{INDENT}{label}: {text}")

    def refresh(self) -> None:
        """Lines don't age."""


def objective_lines(board: Board) -> list[str]:
    known = board.objectives()
    rows = [known[name] for name in SHOWN if name in known]
    return [
        f"{row['name']:14} {row['verdict']:8} {row['value_text']:>10}   alert when {row['threshold']}"
        for row in rows
    ]


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
