"""Fixtures over the real servers of `tests.servers`: started when first asked for, stopped in any case."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.servers import (
    MISSING_SERVER,
    Postgres,
    Process,
    require_program,
    run_alertmanager,
    run_postgres,
    run_prometheus,
)

gc.disable()  # until all is collected: what imports and parameters make is no garbage


class StartServer(Protocol):
    """Starts a server with this config text and returns its base URL; it lives until the test ends."""

    def __call__(self, config: str, *flags: str) -> str: ...


class StartProcess(Protocol):
    """Starts a program that the end of the test kills, with everything that it started."""

    def __call__(
        self, *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Process: ...


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture
def postgres_database(postgres: Postgres, at_end: ExitStack) -> Callable[[], str]:
    """Each call makes a fresh, empty database and returns its URL."""
    return lambda: at_end.enter_context(postgres.database())


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    return postgres_database()


@pytest.fixture
def prometheus(at_end: ExitStack, tmp_path: Path) -> StartServer:
    return lambda config, *flags: at_end.enter_context(run_prometheus(config, tmp_path, *flags))


@pytest.fixture
def alertmanager(at_end: ExitStack, tmp_path: Path) -> StartServer:
    return lambda config, *flags: at_end.enter_context(run_alertmanager(config, tmp_path, *flags))


def process_starter(at_end: ExitStack, folders: pytest.TempPathFactory) -> StartProcess:
    def start(*argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Process:
        log = folders.mktemp("process") / "output"
        started = Process(*argv, log=log, env=env, cwd=cwd)
        at_end.callback(started.stop)
        return started

    return start


@pytest.fixture
def process(at_end: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> StartProcess:
    return process_starter(at_end, tmp_path_factory)


@pytest.fixture(scope="session")
def promtool() -> Path:
    return require_program("promtool")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return require_program("amtool")


@pytest.fixture(scope="session")
def chromium() -> Path:
    return require_program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def strace() -> Path:
    return require_program("strace")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files: each is run by one process."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Last of all summaries, so that it cannot be overlooked."""
    yield
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    missing = Counter(reason.split(MISSING_SERVER)[1] for reason in reasons if MISSING_SERVER in reason)
    if missing:
        terminalreporter.write_line(f"{missing.total()} tests skipped for missing servers:", yellow=True)
    for server, count in missing.items():
        terminalreporter.write_line(f"  {count} for {server}", yellow=True)
