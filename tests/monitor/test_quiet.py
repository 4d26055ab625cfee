"""Silences, acknowledgements and maintenance, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.config import Config
from monitor.history import History
from monitor.quiet import Quiet
from monitor.quietstore import QuietStore
from monitor.silences import RefusedError
from tests.monitor.making import FIRING

NOW = 1_800_000_000.0
HOUR = 3600.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def history(url: str) -> Iterator[History]:
    made = History(url)
    made.create()
    yield made
    made.close()


def config(url: str = "") -> Config:
    return Config((), (), "127.0.0.1", 0, url, None, 1.0, Path("monitor.yml"))


@pytest.fixture
def quiet(history: History) -> Quiet:
    return Quiet(QuietStore(history.engine), config())


def test_a_silence_holds_back_what_it_names_until_it_ends(quiet: Quiet) -> None:
    quiet.add_silence(author="ann", reason="known", ends_at=NOW + HOUR, now=NOW, target="api")
    assert str(quiet.withheld(FIRING, "api", NOW)).startswith("silenced by ann until ")
    assert quiet.withheld(FIRING, "web", NOW) is None
    assert quiet.withheld(FIRING, "api", NOW + HOUR) is None


def test_a_silence_of_nothing_in_particular_is_refused(quiet: Quiet) -> None:
    with pytest.raises(RefusedError, match="name a target"):
        quiet.add_silence(author="ann", reason="known", ends_at=NOW + HOUR, now=NOW)


def test_an_acknowledgement_lasts_until_it_is_taken_back(quiet: Quiet) -> None:
    quiet.acknowledge("key", author="ann", reason="on it", now=NOW)
    assert quiet.acknowledged("key", NOW + 99 * HOUR) is not None
    assert quiet.unacknowledge("key", NOW)
    assert quiet.acknowledged("key", NOW) is None
