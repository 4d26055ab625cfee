"""Gates that the agent runs when a deploy hook asks: one at a time, in a process of its own, with a deadline.

A process of its own, because a gate asks as fast as it can and the agent's probes must not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import Target
from monitor.gate import runs
from monitor.gate.reports import read_report
from monitor.metrics import AgentMetrics
from monitor.storecalls import Calls, cause
from monitor.yamlfile import ConfigError

log = logging.getLogger(__name__)

LONGEST = 600.0
"""Seconds, after which a gate is killed."""
LOOK_EVERY = 60.0
LONGEST_ERROR = 300
STRANGERS = 7 * 86400.0
"""Seconds for which the last run on what the agent does not watch is told as a metric."""

Command = Callable[[str, str, Path], Sequence[str]]
"""From a URL, a profile and the file for the report."""


class BusyError(Exception):
    """A gate runs already."""


def command(url: str, profile: str, report: Path) -> Sequence[str]:
    asked = ("--target", url, "--profile", profile, "--no-store", "--json", str(report))
    return (sys.executable, "-m", "monitor", "gate", *asked)


class Hook:
    """`error`: why the last gate that was asked for left no report; empty when it did.

    `targets` are those of the configuration that is in force, whenever it is asked.
    """

    def __init__(
        self,
        engine: sa.Engine,
        calls: Calls,
        metrics: AgentMetrics,
        targets: Callable[[], Iterable[Target]],
        clock: Callable[[], float],
        command: Command = command,
        longest: float = LONGEST,
    ) -> None:
        self._engine = engine
        self._calls = calls
        self._metrics = metrics
        self._targets = targets
        self._clock = clock
        self._command = command
        self._longest = longest
        self._running: asyncio.Task[None] | None = None
        self.error = ""

    @property
    def busy(self) -> bool:
        return self._running is not None and not self._running.done()

    def start(self, target: str, profile: str) -> None:
        """Comes back at once. Raises KeyError for no target of ours, and BusyError."""
        url = {each.name: each.url for each in self._targets()}[target]
        if self.busy:
            raise BusyError
        self._running = asyncio.create_task(self._run(url, profile), name="gate")

    @property
    def targets(self) -> list[str]:
        return [each.name for each in self._targets()]

    def name(self, url: str) -> str:
        """The URL itself for what the agent does not watch."""
        return runs.watched_name(url, self._targets()) or url

    async def watch(self) -> None:
        """Also what others store there: a pipeline on this machine."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        try:
            found = await self._calls(runs.latest, self._engine)
        except SQLAlchemyError as error:
            log.warning("runs of the gate can't be read: %s", cause(error))
            return
        # The URL of a target that was taken out, or of a preview, must not stay for ever.
        recent = self._clock() - STRANGERS
        self._metrics.gated(
            {
                (name, each.profile): (each.ended, each.passed)
                for each in sorted(found, key=lambda run: run.ended)
                if (name := self.name(each.target)) != each.target or each.ended >= recent
            }
        )

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self, url: str, profile: str) -> None:
        with tempfile.TemporaryDirectory(prefix="gate-") as folder:
            report = Path(folder) / "gate.json"
            try:
                said = await self._process(self._command(url, profile, report))
                self.error = await self._calls(self._stored, report, said)
            except SQLAlchemyError as error:
                self.error = f"not stored: {cause(error)}"
            except TimeoutError:
                self.error = f"killed after {self._longest:g} s"
            except OSError as error:
                self.error = f"can't be started: {error.strerror}"
        if self.error:
            log.error("gate of %s (%s): %s", url, profile, self.error)
        await self.look()

    async def _process(self, argv: Sequence[str]) -> str:
        """The last that it said on stderr."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._longest):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        lines = said.decode(errors="replace").split("\n")
        return next((line.strip()[:LONGEST_ERROR] for line in reversed(lines) if line.strip()), "")

    def _stored(self, path: Path, said: str) -> str:
        """Why not; "" when it is."""
        if not path.exists():
            return said or "it ended without a report"
        try:
            runs.add(self._engine, read_report(path))
        except ConfigError as error:
            return str(error).removeprefix(f"{path}: ")
        return ""
