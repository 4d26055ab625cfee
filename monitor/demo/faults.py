"""What `break` does to the API, all of it from outside. A fault is a small class and an entry in FAULTS."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import httpx

from monitor.children import Child
from monitor.demo.sqlite import keep_locked, rename
from monitor.demo.traffic import USERS, Tally, User, email

WRONG_LOGINS_PER_SECOND = 4
ATTACKER = {"x-forwarded-for": "203.0.113.66"}
"""As a proxy on this machine would tell it: the API throttles by address, and the users have another."""
STORM_BOUND = 40
"""Wrong logins that may wait for an answer at the same time."""
CROWD = 12
LARGE_MEGABYTES = 480
API_READY_WITHIN = 20.0


@dataclass(frozen=True)
class Scene:
    """All that a fault may touch."""

    api: Child
    api_url: str
    database: Path
    ballast: Path
    client: httpx.AsyncClient


class Fault(Protocol):
    says: ClassVar[str]

    def __init__(self, scene: Scene) -> None: ...

    async def begin(self) -> None:
        """Raises ValueError saying why it can't."""

    async def end(self) -> None: ...


class Lasting:
    """A fault that goes on in a task until it is healed."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._task = asyncio.create_task(self.go_on(), name=type(self).__name__)

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def go_on(self) -> None:
        raise NotImplementedError


class WrongPasswords(Lasting):
    says: ClassVar[str] = f"a login storm: {WRONG_LOGINS_PER_SECOND} wrong passwords a second"

    async def go_on(self) -> None:
        loop, attempts = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        due = loop.time()
        try:
            while True:
                if len(attempts) < STORM_BOUND:
                    attempts.add(task := asyncio.create_task(self._attempt()))
                    task.add_done_callback(attempts.discard)
                due = max(due + 1 / WRONG_LOGINS_PER_SECOND, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            for task in attempts:
                task.cancel()

    async def _attempt(self) -> None:
        with suppress(httpx.TransportError):
            guess = {"email": email(0), "password": "guess 12345"}
            await self.scene.client.post("/auth/login", json=guess, headers=ATTACKER)


class SlowUploads(Lasting):
    says: ClassVar[str] = "slow uploads: another process locks the database for writing, 3.6 s at a time"

    async def go_on(self) -> None:
        # Longer than what pages, shorter than the 5 s after which the API gives up; the pause lets
        # all writers through.
        await keep_locked(self.scene.database, locked=3.6, free=0.4)


class FullPool(Lasting):
    says: ClassVar[str] = (
        f"a full connection pool: {CROWD} more users upload at once while writes are held up for 1.5 s"
    )

    async def go_on(self) -> None:
        crowd = [User(self.scene.client, Tally(), number % USERS, think=0.01) for number in range(CROWD)]
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_locked(self.scene.database, locked=1.5, free=0.3))
            for user in crowd:
                group.create_task(user.work())


class LostTable:
    says: ClassVar[str] = "server errors: the table diagnostic_summaries is renamed, so uploads answer 500"

    def __init__(self, scene: Scene) -> None:
        self._database = scene.database

    async def begin(self) -> None:
        await rename(self._database, "diagnostic_summaries", "diagnostic_summaries_away")

    async def end(self) -> None:
        await rename(self._database, "diagnostic_summaries_away", "diagnostic_summaries")


class ShortOfMemory:
    says: ClassVar[str] = f"memory: the API grows to {LARGE_MEGABYTES} MB, of the 500 MB that it may have"

    def __init__(self, scene: Scene) -> None:
        self._ballast = scene.ballast

    async def begin(self) -> None:
        self._ballast.write_text(str(LARGE_MEGABYTES))

    async def end(self) -> None:
        self._ballast.write_text("0")


class Hung:
    says: ClassVar[str] = "a hang: the API's process is suspended (SIGSTOP)"

    def __init__(self, scene: Scene) -> None:
        self._api = scene.api

    async def begin(self) -> None:
        if not self._api.running:
            raise ValueError("the API is not running, so it can't be suspended: heal `down` first")
        self._api.send(signal.SIGSTOP)

    async def end(self) -> None:
        self._api.send(signal.SIGCONT)


class Down:
    says: ClassVar[str] = "down: the API's process is killed (SIGKILL); heal starts it again"

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def begin(self) -> None:
        self._scene.api.kill()

    async def end(self) -> None:
        self._scene.api.start()
        await self._scene.api.ready(f"{self._scene.api_url}/health", API_READY_WITHIN)


FAULTS: dict[str, type[Fault]] = {
    "logins": WrongPasswords,
    "slow": SlowUploads,
    "errors": LostTable,
    "pool": FullPool,
    "memory": ShortOfMemory,
    "hang": Hung,
    "down": Down,
}


class Faults:
    """Which faults are on. `say` is told what other terminals order."""

    def __init__(self, scene: Scene, say: Callable[[str], None]) -> None:
        self._scene = scene
        self._say = say
        self.on: dict[str, Fault] = {}

    async def order(self, action: str, name: str) -> str:
        if action not in ("break", "heal") or (name not in FAULTS and (name or action == "break")):
            raise ValueError(f"{action} {name}: no such order")
        names = [name] if name else list(self.on)
        act = self.begin if action == "break" else self.end
        done = " ".join([await act(each) for each in names]) or "Nothing is broken."
        self._say(f"From another terminal: {done}")
        return done

    async def begin(self, name: str) -> str:
        if name in self.on:
            raise ValueError(f"{name} is broken already")
        fault = FAULTS[name](self._scene)
        self.on[name] = fault
        try:
            await fault.begin()
        except ValueError:
            del self.on[name]
            raise
        return f"Broken: {fault.says}."

    async def end(self, name: str) -> str:
        fault = self.on.pop(name, None)
        if fault is None:
            raise ValueError(f"{name} is not broken")
        await fault.end()
        return f"Healed: {name}."

    async def stop(self) -> None:
        """Ends what runs in this process; the rest ends with the children and the run folder."""
        await asyncio.gather(*(each.end() for each in self.on.values() if isinstance(each, Lasting)))
