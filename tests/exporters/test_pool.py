from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool, QueuePool

from exporters.pool import watch_pool
from tests.exporters.pages import value


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def pool_of_three(url: str | URL, timeout: float = 0.1) -> Engine:
    return create_engine(url, poolclass=QueuePool, pool_size=2, max_overflow=1, pool_timeout=timeout)


@pytest.fixture
def engine(tmp_path: Path, registry: CollectorRegistry) -> Iterator[Engine]:
    engine = pool_of_three(f"sqlite:///{tmp_path / 'test.db'}")
    watch_pool(engine, registry=registry)
    yield engine
    engine.dispose()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def exhaust(engine: Engine, registry: CollectorRegistry) -> None:
    """Takes all connections, lets two threads wait for one and a third give up."""
    taken = [engine.connect() for _ in range(3)]
    assert value(registry, "db_pool_checked_out") == 3
    with pytest.raises(PoolTimeoutError):
        engine.connect()
    assert value(registry, "db_pool_timeouts_total") == 1
    patient = [Thread(target=lambda: engine.connect().close()) for _ in range(2)]
    engine.pool._timeout = 10  # type: ignore[attr-defined]
    for thread in patient:
        thread.start()
    until(lambda: value(registry, "db_pool_waiters") == 2)
    for connection in taken:
        connection.close()
    for thread in patient:
        thread.join()
    assert value(registry, "db_pool_waiters") == 0
    assert value(registry, "db_pool_checked_out") == 0
    assert value(registry, "db_pool_timeouts_total") == 1
    assert value(registry, "db_pool_checkout_wait_seconds_count") == 6
    waited = value(registry, "db_pool_checkout_wait_seconds_sum")
    assert waited is not None
    assert waited >= 0.1


def test_an_idle_pool(engine: Engine, registry: CollectorRegistry) -> None:
    assert value(registry, "db_pool_size") == 2
    assert value(registry, "db_pool_overflow_limit") == 1
    for name in ("checked_out", "waiters", "timeouts_total", "checkout_wait_seconds_count"):
        assert value(registry, f"db_pool_{name}") == 0


def test_an_exhausted_pool_on_sqlite(engine: Engine, registry: CollectorRegistry) -> None:
    exhaust(engine, registry)


def test_an_exhausted_pool_on_postgresql(postgres_url: str, registry: CollectorRegistry) -> None:
    engine = pool_of_three(make_url(postgres_url).set(drivername="postgresql+psycopg2"))
    watch_pool(engine, registry=registry)
    exhaust(engine, registry)
    engine.dispose()


def test_the_pool_after_dispose_is_watched_too(engine: Engine, registry: CollectorRegistry) -> None:
    engine.connect().close()
    engine.dispose()
    with engine.connect():
        assert value(registry, "db_pool_checked_out") == 1
    assert value(registry, "db_pool_checkout_wait_seconds_count") == 2


def test_a_connection_of_a_disposed_pool_comes_back_without_a_trace(
    engine: Engine, registry: CollectorRegistry
) -> None:
    late = engine.connect()
    engine.dispose()
    assert value(registry, "db_pool_checked_out") == 0
    with engine.connect():
        late.close()
        assert value(registry, "db_pool_checked_out") == 1


def test_invalidated_and_detached_connections_do_not_count_as_checked_out(
    engine: Engine, registry: CollectorRegistry
) -> None:
    with engine.connect() as lost:
        lost.invalidate()
    with engine.connect() as kept:
        kept.detach()
        assert value(registry, "db_pool_checked_out") == 0
    assert value(registry, "db_pool_checked_out") == 0


def test_a_database_that_refuses_leaves_nobody_waiting(tmp_path: Path, registry: CollectorRegistry) -> None:
    engine = pool_of_three(f"sqlite:///{tmp_path}/no/such/folder.db")
    watch_pool(engine, registry=registry)
    with pytest.raises(Exception, match="unable to open"):
        engine.connect()
    assert value(registry, "db_pool_checked_out") == 0
    assert value(registry, "db_pool_waiters") == 0
    assert value(registry, "db_pool_timeouts_total") == 0


def test_no_limit_reads_as_infinite(tmp_path: Path, registry: CollectorRegistry) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    watch_pool(create_engine(url, poolclass=QueuePool, pool_size=0, max_overflow=-1), registry=registry)
    assert value(registry, "db_pool_size") == inf
    assert value(registry, "db_pool_overflow_limit") == inf


def test_another_kind_of_pool_is_an_error_that_names_the_cure() -> None:
    engine = create_engine("sqlite://", poolclass=NullPool)
    with pytest.raises(
        TypeError, match=r"has a NullPool: create it with .*poolclass=sqlalchemy.pool.QueuePool"
    ):
        watch_pool(engine, registry=CollectorRegistry())


WORKER = """
import os, sys
from prometheus_client import CollectorRegistry
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool
from exporters.pool import watch_pool

engine = create_engine(sys.argv[1], poolclass=QueuePool, pool_size=2, max_overflow=1)
watch_pool(engine, registry=CollectorRegistry())
connections = [engine.connect() for _ in range(2)]
connections.pop().close()
os._exit(0)
"""


def test_several_processes_add_up(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        argv = [sys.executable, "-c", WORKER, f"sqlite:///{tmp_path / 'test.sqlite'}"]
        subprocess.run(argv, env=environment, check=True, timeout=60)
    merged = CollectorRegistry()
    MultiProcessCollector(merged, str(tmp_path))  # type: ignore[no-untyped-call]
    assert value(merged, "db_pool_size") == 4
    assert value(merged, "db_pool_checked_out") == 2
    assert value(merged, "db_pool_checkout_wait_seconds_count") == 4
