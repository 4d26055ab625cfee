"""One agent to a store, on both kinds of store, however the other one ends."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from monitor.history import History
from monitor.history.claim import TakenError, claimed
from tests.conftest import StartProcess
from tests.servers import wait_until

HOLD = """
import sys, time
from monitor.history.claim import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'agent.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_a_store_has_one_agent_at_a_time(url: str) -> None:
    with claimed(url):
        with contextlib.closing(History(url)) as history:
            history.create()
        with pytest.raises(TakenError, match="another agent uses it"), claimed(url, patience=0):
            pytest.fail("two at once")
    with claimed(url, patience=0):
        """Free again."""


def test_a_killed_agent_lets_go_within_the_patience_of_the_next(url: str, process: StartProcess) -> None:
    holder = process(sys.executable, "-c", HOLD, url)
    wait_until(lambda: "held" in holder.output, 20, "the claim")
    with pytest.raises(TakenError), claimed(url, patience=0):
        pytest.fail("two at once")
    holder.popen.kill()
    with claimed(url):
        """Not refused."""


def test_what_cannot_be_claimed_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    for nowhere in (
        "sqlite://",
        f"sqlite:///{tmp_path / 'no-such-folder' / 'agent.db'}",
        "postgresql://nobody@127.0.0.1:1/nothing",
    ):
        with claimed(nowhere, patience=0), claimed(nowhere, patience=0):
            """No error."""
