"""Targets that fail and heal all the time, on-call who hears of it, and an agent between them that is killed.

Each target stays broken until on-call has heard of it, and then well until on-call has heard that, too: what
is lost shows as a target that waits for ever. Who was told what is held against what really happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.servers import free_port

SHORTENED = 300
"""So that three faults of a target within 12 s flap, and it may break each 8 s."""
LONGEST_ANSWER = 0.1
LONGEST_FAULT, CALM = 1.5, 8.0


class Heard(NamedTuple):
    """One message as it arrived."""

    target: str
    key: str
    over: bool
    kind: str


@dataclass
class OnCall:
    """A webhook receiver that takes its time to answer, as real ones do; it counts repetitions."""

    dice: random.Random
    heard: list[Heard] = field(default_factory=list)
    repeated: list[Heard] = field(default_factory=list)
    late: int = 0
    """Pages that came again after their end: to PagerDuty and its like a new incident, key or not."""
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, body: bytes) -> None:
        [alert] = json.loads(body)["alerts"]
        over = alert["status"] == "resolved"
        said = Heard(
            alert["labels"]["target"], alert["fingerprint"], over, alert["annotations"].get("kind", "")
        )
        async with self.news:
            self.late += not said.over and said._replace(over=True, kind="resolved") in self.heard
            (self.repeated if said in self.heard else self.heard).append(said)
            self.news.notify_all()
        await asyncio.sleep(self.dice.uniform(0, LONGEST_ANSWER))

    def of(self, target: str) -> list[Heard]:
        return [each for each in self.heard if each.target == target]

    async def hears(self, target: str, messages: int) -> None:
        """As many about the target, repetitions apart."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.of(target)) >= messages)


@dataclass
class Storm:
    """`faults` counts what really happened to each target."""

    names: list[str]
    dice: random.Random
    first: float = CALM
    """Seconds within which each target breaks for the first time."""
    port: int = field(default_factory=free_port)
    probed: asyncio.Event = field(default_factory=asyncio.Event)
    broken: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing more is to break."""

    def __post_init__(self) -> None:
        self.on_call = OnCall(self.dice)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        """Yields what happens to each target; each ends once it is well and that is known."""
        async with self.serving():
            tasks = [asyncio.create_task(self._happen(name)) for name in self.names]
            try:
                yield tasks
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Targets that are well unless they are in `broken`, and on-call."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", self.port):
            yield

    async def _happen(self, name: str) -> None:
        await self._calm(0, self.first)
        while not self.over.is_set():
            self.broken.add(name)
            self.faults[name] += 1
            await self.on_call.hears(name, 2 * self.faults[name] - 1)
            await asyncio.sleep(self.dice.uniform(0, LONGEST_FAULT))
            self.broken.discard(name)
            await self.on_call.hears(name, 2 * self.faults[name])
            await self._calm(CALM, 1.5 * CALM)

    async def _calm(self, least: float, most: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.dice.uniform(least, most)):
                await self.over.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """GET /NAME asks for the health of a target, POST / is a message to on-call."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split()
            if method == "POST":
                length = next(each.split()[1] for each in head if each.lower().startswith("content-length:"))
                await self.on_call.take(await reader.readexactly(int(length)))
            else:
                self.probed.set()
            status = "503 Down" if path[1:] in self.broken else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()

    def __str__(self) -> str:
        heard, repeated = self.on_call.heard, self.on_call.repeated
        over, over_again = sum(each.over for each in heard), sum(each.over for each in repeated)
        return (
            f"{self.faults.total()} faults, {len(heard) - over} pages, {over} resolves; repeated under the "
            f"same key: {len(repeated) - over_again} pages ({self.on_call.late} after their resolve), "
            f"{over_again} resolves; wrong: {len(self.wrong())}"
        )

    def wrong(self) -> list[str]:
        """What on-call has heard that did not happen, twice, or too late: each fault is one page and its end,
        under a key of its own."""
        return [each for name in self.names for each in self._wrong(name)]

    def _wrong(self, name: str) -> list[str]:
        heard = self.on_call.of(name)
        pages, ends = heard[0::2], heard[1::2]
        keys = [each.key for each in pages]
        right = (
            len(keys) == len(set(keys)) == self.faults[name]
            and keys == [each.key for each in ends]
            and not any(each.over for each in pages)
            and all(each.over for each in ends)
        )
        said = ", ".join(f"{each.kind} {each.key[:4]}" for each in heard)
        return [] if right else [f"{name}: {self.faults[name]} faults, heard {said}"]


def written(folder: Path, database: str, storm: Storm) -> Path:
    """monitor.yml for the agent in the storm."""
    objectives = folder / "objectives.yml"
    objectives.write_text(json.dumps({"version": 1, "objectives": [_DOWN]}))
    config = folder / "monitor.yml"
    health = {"probe": "http", "path": "/", "timeout": "600ms"}
    settings = {
        "listen": "127.0.0.1:0",
        "database": database,
        "objectives": str(objectives),
        "shorten_windows": SHORTENED,
        "targets": [
            {
                "name": name,
                "url": f"http://127.0.0.1:{storm.port}",
                "interval": "600ms",
                "checks": {"health": {**health, "path": f"/{name}"}},
            }
            for name in storm.names
        ],
        "notify": {"on-call": {"kind": "webhook", "url": f"http://127.0.0.1:{storm.port}/", "timeout": "5s"}},
    }
    config.write_text(json.dumps(settings))
    return config


_DOWN = {
    "name": "target-down",
    "title": "Health checks failed in a row",
    "document": "§5.2: 3 failures restart the instance",
    "sli": {"kind": "gauge", "metric": 'probe_consecutive_failures{check="health"}'},
    "check": "health",
    "breach": "at least 3",
    "clear": "below 1",
    "good_results": 3,
    "window": "1h",
    "for": "0s",
    "keep_firing_for": "0s",
    "severity": "page",
    "minimum_samples": 1,
    "no_data": {"after": "6h", "severity": "page"},
    "runbook": "docs/runbooks/target-down.md",
}


class Nursery:
    """The agent: started, killed, started again."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def start(self) -> None:
        await self._ask("start")

    async def kill(self) -> None:
        """AssertionError when it had ended by itself."""
        assert await self._ask("kill") == -9, f"it had ended by itself: {self._last_words()}"

    async def stop(self) -> None:
        assert await self._ask("stop") == 0, f"it did not end well: {self._last_words()}"

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-20:])

    async def _ask(self, word: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(30):
            return int(await self._process.stdout.readline())


@contextlib.asynccontextmanager
async def nursery(config: Path, log: Path) -> AsyncIterator[Nursery]:
    pipe = asyncio.subprocess.PIPE
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.killing.nursery", str(config)),
            stdin=pipe,
            stdout=pipe,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield Nursery(process, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
