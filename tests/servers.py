"""Real PostgreSQL, Prometheus and Alertmanager for the tests: on free loopback ports, stopped by pid."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg2
import pytest

T = TypeVar("T")

MISSING_SERVER = "missing server: "
FIRST_PORT, PORTS_EACH, PORT_RANGES = 11_000, 2_000, 10


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def require_program(*names: str, also_in: Iterable[Path] = ()) -> Path:
    """The first of `names` on PATH or in the folders `also_in`; else the test skips, or fails under CI."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, also_in)])
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    reason = f"{MISSING_SERVER}{names[0]} (scripts/setup-servers installs it)"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _ports_of_this_process() -> Iterator[int]:
    """Below those that the kernel gives to clients, and apart from those of tests that run beside us."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % PORT_RANGES
    first = FIRST_PORT + worker * PORTS_EACH
    own = list(range(first, first + PORTS_EACH))
    start = os.getpid() % PORTS_EACH
    return itertools.cycle(own[start:] + own[:start])


_ports = _ports_of_this_process()


CALMLY = ("nice", "-n", "10")
"""Before a program that calculates for minutes: tests beside it wait for servers that answer in time."""


def free_port() -> int:
    """A port that nobody listens on, and none of the last thousands that this gave."""
    for port in itertools.islice(_ports, PORTS_EACH):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
    raise AssertionError("no port is free")


def wait_until(condition: Callable[[], T], within: float = 10, awaited: str = "", every: float = 0.05) -> T:
    """Poll until `condition()` is truthy and return what it said; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (said := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {awaited or condition}; last: {said!r}")
        time.sleep(every)
    return said


async def eventually(
    condition: Callable[[], T], within: float = 10, awaited: str = "", every: float = 0.05
) -> T:
    """`wait_until` for a test that shares its event loop with what it waits for."""
    deadline = time.monotonic() + within
    while not (said := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {awaited or condition}; last: {said!r}")
        await asyncio.sleep(every)
    return said


def answers(url: str) -> bool:
    """Whether GET `url` says 200 within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


class Process:
    """A started program in a process group of its own, its stdout and stderr together in the file `log`."""

    def __init__(
        self,
        *argv: str | Path,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        """`env` is added to the environment of the tests; `user` may be given by root only."""
        self.log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                [str(arg) for arg in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                user=user,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait(self, timeout: float = 30) -> int:
        """Exit code, negative for a signal; AssertionError with the output after `timeout` seconds."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output}") from None

    def wait_for(self, url: str, timeout: float = 20) -> None:
        """Until GET `url` answers 200; AssertionError with the output when it ends first or takes longer."""
        try:
            wait_until(lambda: not self.running or answers(url), timeout, url)
            assert self.running, f"ended with {self.popen.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{self.popen.args!r}: {error}\n{self.output}") from None

    def send(self, number: int) -> None:
        """To the whole group, workers included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self, how: int = signal.SIGTERM, grace: float = 5) -> None:
        """Ask, wait up to `grace` seconds, then kill whatever is left of the group, suspended or not."""
        if self.running:
            self.send(how)
            self.send(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace)
        self.send(signal.SIGKILL)
        self.popen.wait(grace)


class Postgres:
    """A running cluster with superuser `postgres`, no password."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        with contextlib.closing(psycopg2.connect(self.url(), connect_timeout=5)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    def accepts(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """URL of a fresh, empty database; afterwards it is dropped, whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def run_postgres(*settings: str) -> Iterator[Postgres]:
    """PostgreSQL on a free port; `settings` like "max_connections=20"."""
    initdb = require_program("initdb", also_in=sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    # PostgreSQL refuses to run as root, and pytest's own folders are closed to everybody else.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder, contextlib.ExitStack() as at_end:
        home = Path(folder)
        if user:
            shutil.chown(home, user)
        start = partial(Process, log=home / "log", cwd=home, user=user)
        how = ("--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        made = start(initdb, "--pgdata=cluster", *how)
        assert made.wait(60) == 0, made.output

        postgres = Postgres(free_port())
        first = (
            f"port={postgres.port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
        )
        flags = [f"--{setting}" for setting in (*first, *settings)]
        server = start(initdb.with_name("postgres"), "-D", "cluster", *flags)
        # Its children lead sessions of their own, so only the postmaster can end them: SIGQUIT, not SIGTERM,
        # which would wait for clients.
        at_end.callback(server.stop, signal.SIGQUIT)
        wait_until(lambda: not server.running or postgres.accepts(), 30, "PostgreSQL accepts connections")
        assert server.running, server.output
        yield postgres


@contextlib.contextmanager
def run_prometheus(config: str, folder: Path, *flags: str, storage: Path | None = None) -> Iterator[str]:
    """Prometheus with `config` written into `folder` (rule files may lie beside it); yields its base URL.

    `storage` may hold blocks already; without it, it starts empty.
    """
    program = require_program("prometheus")
    port = free_port()
    (folder / "prometheus.yml").write_text(config)
    process = Process(
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={storage or folder / f'prometheus-{port}'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        *flags,
        log=folder / f"prometheus-{port}.log",
    )
    with contextlib.ExitStack() as at_end:
        at_end.callback(process.stop)
        process.wait_for(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def run_alertmanager(config: str, folder: Path, *flags: str) -> Iterator[str]:
    """Alertmanager with `config` written into `folder`, without clustering; yields its base URL."""
    program = require_program("prometheus-alertmanager", "alertmanager")
    port = free_port()
    (folder / "alertmanager.yml").write_text(config)
    process = Process(
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / f'alertmanager-{port}'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        *flags,
        log=folder / f"alertmanager-{port}.log",
    )
    with contextlib.ExitStack() as at_end:
        at_end.callback(process.stop)
        process.wait_for(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"
