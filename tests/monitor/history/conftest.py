"""An empty store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.history import History, schema
from tests.servers import Postgres

SERVERS = ["sqlite", "postgresql"]


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(scope="session")
def shared_store(postgres: Postgres) -> Iterator[History]:
    """A database takes half a second to make, so tests share one on PostgreSQL."""
    with postgres.database() as url:
        made = History(url)
        made.create()
        yield made
        made.close()


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    if request.param == "sqlite":
        made = History(f"sqlite:///{tmp_path / 'history.db'}")
        made.create()
        yield made
        made.close()
        return
    shared: History = request.getfixturevalue("shared_store")
    yield shared
    emptied(shared)


def emptied(store: History) -> None:
    """As `create` left it; pruning makes it forget the numbers of series."""
    with store.engine.begin() as connection:
        for table in schema.sorted_tables:
            connection.execute(table.delete())
    store.prune(0.0)
    store.create()
