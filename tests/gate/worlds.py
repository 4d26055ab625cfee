"""What no app alone can be: two instances at one address, a frozen database, sources and gates that stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg2

from monitor.history import History
from tests.conftest import StartProcess
from tests.gate.pipeline import Api, Ran, ended, run_gate, start_api, start_gate
from tests.monitor.history.making import entry, probe
from tests.servers import Postgres, Process, free_port, run_postgres, wait_until

ANOTHER_SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one case is played; everything in it ends with `stack`."""

    stack: ExitStack
    start: StartProcess
    postgres: Postgres
    folder: Path
    apis: list[Api] = field(default_factory=list)

    def database(self) -> str:
        return self.stack.enter_context(self.postgres.database())

    def api(self, target: str = "tests.gate.defects:healthy") -> Api:
        self.apis.append(start_api(self.start, self.database(), target))
        return self.apis[-1]

    def gate(self, url: str, *arguments: str, **env: str) -> Ran:
        return run_gate(self.start, self.folder, "--target", url, *self.forms, *arguments, env=env)

    @property
    def forms(self) -> tuple[str | Path, ...]:
        return tuple(
            itertools.chain.from_iterable(
                (f"--{form}", self.folder / f"report.{form}") for form in ("junit", "md", "sarif")
            )
        )


class World(NamedTuple):
    """`check` has to fail, or with "" none; one of `exits` has to come of it, and never 0."""

    play: Callable[[Place], Ran]
    check: str
    exits: tuple[int, ...]


WORLDS: dict[str, World] = {}


def ends_with(*exits: int, check: str = "") -> Callable[[Callable[[Place], Ran]], Callable[[Place], Ran]]:
    def named(play: Callable[[Place], Ran]) -> Callable[[Place], Ran]:
        WORLDS[play.__name__] = World(play, check, exits)
        return play

    return named


@ends_with(1, check="one-secret")
def two_instances_two_secrets(place: Place) -> Ran:
    """On one database, by turns of connections."""
    database = place.database()
    place.apis.append(start_api(place.start, database))
    other = start_api(place.start, database, env={"JWT_SECRET_KEY": ANOTHER_SECRET})
    return place.gate(place.stack.enter_context(balancing(place.apis[0].url, other.url)))


@ends_with(1, check="ready")
def health_is_fine_and_the_database_frozen(place: Place) -> Ran:
    postgres = place.stack.enter_context(run_postgres())
    api = start_api(place.start, place.stack.enter_context(postgres.database()))
    with frozen(postgres):
        return place.gate(api.url)


@ends_with(4)
def target_down(place: Place) -> Ran:
    return place.gate(f"http://127.0.0.1:{free_port()}")


@ends_with(1, 3)
def accepts_and_never_answers(place: Place) -> Ran:
    listener = place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return place.gate(f"http://127.0.0.1:{listener.getsockname()[1]}")


@ends_with(4)
def dies_half_way(place: Place) -> Ran:
    api = place.api()
    gate = _under_way(place, api)
    api.process.stop(signal.SIGKILL)
    place.apis.clear()
    return ended(gate, place.folder / "report.json")


@ends_with(3)
def gate_suspended_half_way(place: Place) -> Ran:
    """For longer than it may take."""
    gate = _under_way(place, place.api(), "--max-time", "60s")
    gate.send(signal.SIGSTOP)
    time.sleep(70)
    gate.send(signal.SIGCONT)
    return ended(gate, place.folder / "report.json")


@ends_with(5)
def prometheus_down(place: Place) -> Ran:
    return place.gate(place.api().url, "--from", f"prometheus=http://127.0.0.1:{free_port()}")


@ends_with(5)
def metrics_page_down(place: Place) -> Ran:
    return place.gate(place.api().url, GATE_METRICS=f"http://127.0.0.1:{free_port()}/metrics")


@ends_with(3)
def empty_history(place: Place) -> Ran:
    return _judged_by_history(place)


@ends_with(3)
def agent_suspended(place: Place) -> Ran:
    """An hour ago."""
    return _judged_by_history(place, time.time() - 3600)


@ends_with(3)
def three_requests_only(place: Place) -> Ran:
    return place.gate(place.api().url, "--max-requests", "3")


@ends_with(3)
def five_seconds_only(place: Place) -> Ran:
    return place.gate(place.api().url, "--max-time", "5s")


def _judged_by_history(place: Place, *seen: float) -> Ran:
    url = f"sqlite:///{place.folder}/history.db"
    store = History(url)
    store.create()
    store.record([entry(at, probes=(probe(at, interval=30.0),)) for at in seen])
    store.close()
    return place.gate(place.api().url, "--from", "history", GATE_HISTORY=url)


def _under_way(place: Place, api: Api, *arguments: str) -> Process:
    report = place.folder / "report.json"
    gate = start_gate(place.start, "--target", api.url, *place.forms, "--json", report, *arguments)
    wait_until(lambda: api.rows()["diagnostic_summaries"] > 5 or not gate.running, 60)
    return gate


@contextlib.contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    with contextlib.closing(psycopg2.connect(postgres.url())) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster
    every = [postmaster, *postmaster.children()]
    for each in every:
        each.suspend()
    try:
        yield
    finally:
        for each in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()


@contextlib.contextmanager
def balancing(*urls: str) -> Iterator[str]:
    """One address for several, by turns of connections. In a thread."""
    loop, port = asyncio.new_event_loop(), free_port()
    turns = itertools.cycle([int(url.rpartition(":")[2]) for url in urls])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", next(turns))
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async def serve() -> None:
        async with await asyncio.start_server(pass_on, "127.0.0.1", port):
            ready.set()
            await asyncio.to_thread(over.wait)

    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        thread.join(10)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
