"""Starts the services in order, says where they are, tells of those that die, and ends them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from monitor.children import Child, ChildError, stop_all
from monitor.stack import postgres
from monitor.stack.files import Hurry, pace_words, write_files
from monitor.stack.places import Places
from monitor.stack.ports import LOOPBACK, Ports
from monitor.stack.programs import READY, SERVERS, Choices, programs, url

READY_WITHIN = 60.0
GRACE = 10.0
"""Seconds that all together have to end."""
LOOK_EVERY = 0.2


@dataclass(frozen=True)
class Stack:
    places: Places
    ports: Ports
    hurry: Hurry | None
    choices: Choices

    async def run(self) -> None:
        """Until cancelled; then all has ended. Raises ChildError when one of them doesn't get ready."""
        say(f"Starting in {self.places.data}")
        write_files(self.places.config, self.ports, self.hurry)
        async with self._started() as children:
            say(table(children, self.ports))
            say(f"Ready. {pace_words(self.hurry)}")
            say(f"Ctrl-C ends all. `kill -USR1 {os.getpid()}` starts again what has died.")
            await watch(children)

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncIterator[dict[str, Child]]:
        variables = self._variables()
        password = variables["POSTGRES_PASSWORD"]
        database = postgres.make_postgres(self.places, self.ports, password)
        children = programs(self.places, self.ports, variables, self.choices)
        try:
            database.start()
            await postgres.ready(database, self.ports, password)
            for name in SERVERS:
                children[name].start()
            for name in SERVERS:
                await children[name].ready(url(name, self.ports) + READY[name], READY_WITHIN)
            yield {"postgres": database, **children}
        finally:
            await stop_all(children.values(), GRACE)
            await stop_all([database], GRACE)

    def _variables(self) -> dict[str, str]:
        own = {f"{name.upper()}_URL": url(name, self.ports) for name in ("prometheus", "alertmanager")}
        return {**own, **os.environ, **self.places.secrets()}


def table(children: Mapping[str, Child], ports: Ports) -> str:
    rows = [("service", "address", "pid", "log")]
    for name, child in children.items():
        address = f"{LOOPBACK}:{ports[name]}" if name == "postgres" else url(name, ports)
        rows.append((name, address, str(child.pid), str(child.log)))
    return "\n".join(f"  {name:14}{address:26}{pid:>8}  {log}" for name, address, pid, log in rows)


async def watch(children: Mapping[str, Child]) -> None:
    """Says who died, once, and starts again what is down when SIGUSR1 asks for it."""
    revive, told = asyncio.Event(), set[str]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, revive.set)
    while True:
        for name, child in children.items():
            try:
                child.check()
            except ChildError as error:
                if name not in told:
                    say(str(error))
                told.add(name)
        if revive.is_set():
            revive.clear()
            for name in sorted(told):
                children[name].start()
                say(f"The {name} is started again, pid {children[name].pid}.")
            told.clear()
        await asyncio.sleep(LOOK_EVERY)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
