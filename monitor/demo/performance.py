"""One showing of the demo, from the lock to the last line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

from rich.console import Console

from monitor.children import Child, ChildError
from monitor.demo.board import Board, follow_agent
from monitor.demo.lines import Lines, write
from monitor.demo.runfolder import AlreadyRunningError, RunFolder, UnsafeFolderError
from monitor.demo.screen import Screen
from monitor.demo.stage import Stage, set_stage
from monitor.demo.story import Story
from monitor.demo.traffic import everyday_traffic
from monitor.interruption import Interruption
from monitor.receiver import Notice

HAPPENED, MISSING, REFUSED = 0, 1, 2
INVITATION = "Try `paciolus-monitor break` in another terminal; it lists the faults. Ctrl-C ends the demo"
REDRAW_EVERY = 0.25


def perform(once: bool, interruption: Interruption) -> int:
    """The exit status; see monitor.demo.tell."""
    showing = Showing(once, interruption)
    try:
        asyncio.run(showing.run())
        return showing.last_words()
    except (AlreadyRunningError, UnsafeFolderError) as error:
        return _failed(str(error), REFUSED)
    except ChildError as error:
        return _failed(str(error), MISSING)
    except BrokenPipeError:
        # Whoever read our lines has gone; the interpreter's own last flush must not complain about it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return MISSING
    except OSError as error:
        return interruption.status or _failed(f"The demo could not go on: {error}", MISSING)


class Showing:
    def __init__(self, once: bool, interruption: Interruption) -> None:
        self._once = once
        self._interruption = interruption
        self._board = Board()
        self._audience = _audience(self._board)
        self._story: Story | None = None

    async def run(self) -> None:
        """Until the story is told or interrupted; in any case everything is put away afterwards."""
        self._interruption.cancels(asyncio.current_task())
        try:
            with RunFolder() as folder, self._audience:
                self._announce("Starting an API, its agent and an inbox")
                async with set_stage(folder, self._board, self._audience.say, self._arrived) as stage:
                    await self._show(stage)
        except asyncio.CancelledError:
            if not self._interruption.number:
                raise

    async def _show(self, stage: Stage) -> None:
        self._story = Story(self._board, stage.faults, self._announce)
        self._audience.opened()
        await first_of(
            self._tell(self._story),
            everyday_traffic(stage.client, self._board.tally),
            follow_agent(self._board),
            watch(stage.children),
            self._redraw(),
        )

    async def _tell(self, story: Story) -> None:
        await story.tell()
        if not self._once:
            self._announce(f"{story.ending()}. {INVITATION}")
            await asyncio.Event().wait()

    async def _redraw(self) -> None:
        while True:
            self._audience.refresh()
            await asyncio.sleep(REDRAW_EVERY)

    def _announce(self, text: str) -> None:
        self._board.phase = text
        self._audience.announce()

    def _arrived(self, notice: Notice) -> None:
        self._board.notices.append(notice)
        self._audience.arrived(notice)

    def last_words(self) -> int:
        """Says how it went, and returns the exit status."""
        if self._story is None or not self._story.over:
            write("Stopped before the story was told. All that was started has ended.")
            return self._interruption.status
        for line in self._story.summary():
            write(line)
        write(f"{self._story.ending()}. All that was started has ended.")
        return MISSING if self._story.missing else HAPPENED


async def watch(children: tuple[Child, ...]) -> None:
    """Raises ChildError when one ends that nobody killed on purpose."""
    while True:
        for child in children:
            child.check()
        await asyncio.sleep(0.2)


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends or raises; the others are cancelled then."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _audience(board: Board) -> Lines | Screen:
    console = Console(highlight=False)
    return Screen(board, console) if console.is_terminal and not console.is_dumb_terminal else Lines(board)


def _failed(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status
