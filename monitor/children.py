"""Child processes of the demo and of `make stack`: they end when their parent ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import httpx

LOG_LINES = 12
GRACE = 1.0
"""Seconds between asking a child to end and killing it."""
LOOK_EVERY = 0.02

INHERITED = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"})

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ChildError(Exception):
    """A child ended by itself or did not get ready; the message holds the last lines of its log."""


class Child:
    """A program that is started, maybe killed and started again, always with the same command and log.

    `intended`: whether it should be running. Start it in the main thread: the kernel ends it with the thread.
    `ending` asks it to end. `user` may be given by root only.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        *,
        ending: signal.Signals = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.ending = ending
        self.intended = False
        self._argv = argv
        self._env = {**inherited(), **env}
        self._folder = folder
        self._user = user
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who end our children
                user=self._user,
                preexec_fn=lambda: _die_with(parent),
            )
        self.intended = True

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raises ChildError if it should be running and isn't."""
        if self.intended and self._process is not None and (status := self._process.poll()) is not None:
            raise self.failure(f"ended unexpectedly with {_meaning(status)}")

    def failure(self, what: str) -> ChildError:
        with contextlib.suppress(OSError), self.log.open(errors="replace") as log:
            if last := deque((line.rstrip() for line in log), LOG_LINES):
                return ChildError(f"The {self.name} {what}. Its last lines:\n  " + "\n  ".join(last))
        return ChildError(f"The {self.name} {what}, and logged nothing.")

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """At once and on purpose, with what it started itself."""
        self.intended = False
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(GRACE)

    async def ready(self, url: str, within: float) -> None:
        """Until GET `url` answers 200. Raises ChildError when it ends first or `within` seconds are over."""
        try:
            async with asyncio.timeout(within), httpx.AsyncClient(trust_env=False, timeout=1) as client:
                while not await _answers(client, url):
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise self.failure(f"was not ready within {within:g} s") from None


async def stop_all(children: Iterable[Child], grace: float = GRACE) -> None:
    """Asks all, waits at most `grace` seconds, kills the rest; suspended ones included."""
    children = list(children)
    for child in children:
        child.intended = False
        child.send(child.ending)
        child.send(signal.SIGCONT)
    for _ in range(round(grace / LOOK_EVERY)):
        if not any(child.running for child in children):
            break
        await asyncio.sleep(LOOK_EVERY)
    for child in children:
        child.kill()


def inherited() -> dict[str, str]:
    """What children get of our environment: nothing that configures the API, the agent or Sentry."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED}
    # They run in a folder of their own and must still find the very modules that we run.
    return {**kept, "PYTHONPATH": os.pathsep.join(str(Path(each).resolve()) for each in sys.path)}


def _die_with(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _meaning(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
