from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.types import Message, Receive, Scope, Send

from app import deadlines
from app.database import make_engine
from app.deadlines import Deadlines, due_in, seconds_left
from app.settings import Settings

SLACK = 2.0
"""Seconds that a busy machine may be late."""


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    settings = Settings.load(
        database_url=postgres_url,
        db_statement_timeout=0.5,
        db_pool_size=1,
        db_max_overflow=0,
        db_pool_timeout=30,
    )
    engine = make_engine(settings)
    yield engine
    engine.dispose()


@contextlib.contextmanager
def takes(least: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert least * 0.9 <= time.monotonic() - started < least + SLACK


def ask(engine: Engine, statement: str = "SELECT 1") -> object:
    with engine.connect() as connection:
        return connection.scalar(text(statement))


def test_the_database_knows_who_holds_its_connections(engine: Engine) -> None:
    name = ask(engine, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert name == f"paciolus-api/{os.getpid()}@{socket.gethostname()}"[:63]


def test_a_name_and_options_of_the_url_are_kept(postgres_url: str) -> None:
    url = f"{postgres_url}?application_name=report&options=-c%20work_mem%3D1MB"
    engine = make_engine(Settings.load(database_url=url))
    assert [ask(engine, f"SHOW {name}") for name in ("application_name", "work_mem")] == ["report", "1MB"]
    assert ask(engine, "SHOW statement_timeout") == "5s"
    engine.dispose()


def test_a_slow_statement_is_cancelled_by_the_server(engine: Engine) -> None:
    first = ask(engine, "SELECT pg_backend_pid()")
    with takes(0.5), pytest.raises(OperationalError, match="statement timeout"):
        ask(engine, "SELECT pg_sleep(20)")
    assert ask(engine, "SELECT pg_backend_pid()") == first, "the connection is sound"


def test_a_request_that_is_due_sooner_gives_its_connection_up(engine: Engine) -> None:
    with takes(0.2), due_in(0.2), pytest.raises(OperationalError, match="no answer"):
        ask(engine, "SELECT pg_sleep(20)")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert ask(engine) == 1


def test_nobody_waits_for_a_connection_longer_than_the_request_has(engine: Engine) -> None:
    with engine.connect(), takes(0.3), due_in(0.3), pytest.raises(PoolTimeoutError):
        ask(engine)


def test_who_is_late_is_refused_and_closes_no_sound_connection(engine: Engine) -> None:
    first = ask(engine, "SELECT pg_backend_pid()")
    with due_in(-1), takes(0), pytest.raises(PoolTimeoutError, match="due"):
        ask(engine)
    with due_in(0.01):
        assert ask(engine, "SELECT pg_backend_pid()") == first, "an answer on its way is waited for"


def test_a_server_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "CHECKOUT_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = make_engine(
            Settings.load(database_url=f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x")
        )
        with takes(0.3), pytest.raises(OperationalError, match=r"no answer from the database within 0\.3 s"):
            ask(engine)
        engine.dispose()


def test_connections_of_others_wait_as_they_always_did(engine: Engine, postgres_url: str) -> None:
    ask(engine)
    with (
        due_in(0.1),
        contextlib.closing(psycopg2.connect(postgres_url)) as other,
        other.cursor() as cursor,
        takes(0.7),
    ):
        cursor.execute("SELECT pg_sleep(0.7)")


def test_descriptors_above_1023(engine: Engine) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            os.set_inheritable(descriptor := os.dup(0), False)
            stack.callback(os.close, descriptor)
        assert ask(engine) == 1


async def test_a_request_is_due_so_long_after_its_last_byte() -> None:
    left: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(seconds_left())
        time.sleep(0.1)  # noqa: ASYNC251 - nobody else is here
        left.append(seconds_left())
        await receive()
        left.append(seconds_left())
        time.sleep(0.1)  # noqa: ASYNC251
        deadlines.restart()
        left.append(seconds_left())

    async def receive() -> Message:
        return {"type": "http.request"}

    await Deadlines(app, seconds=5)({"type": "http"}, receive, _ignore)
    assert left[1] <= 4.9 < left[2]
    assert min(left[0], left[2], left[3]) > 4.9
    assert seconds_left() == float("inf"), "outside of requests"


async def _ignore(_message: Message) -> None:
    pass


@pytest.mark.parametrize("ask_for", [deadlines.restart, seconds_left])
def test_outside_of_requests_nothing_is_due(ask_for: Callable[[], object]) -> None:
    assert ask_for() in (None, float("inf"))
