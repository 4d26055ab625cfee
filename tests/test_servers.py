"""The servers that the other tests stand on: real, fresh, and gone afterwards."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.conftest import StartProcess, StartServer
from tests.servers import MISSING_SERVER, answers, require_program, run_postgres, wait_until


def tables(url: str) -> list[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [name for (name,) in cursor.fetchall()]


def test_every_database_is_empty_and_apart(postgres_url: str, postgres_database: Callable[[], str]) -> None:
    with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (id int)")
        connection.commit()
    assert tables(postgres_url) == ["seen"]
    assert tables(postgres_database()) == []


def test_postgres_leaves_no_process_behind() -> None:
    with run_postgres() as server:
        [postmaster] = [c for c in psutil.Process().children() if f"--port={server.port}" in c.cmdline()]
        backends = postmaster.children()
        assert backends
    assert not any(process.is_running() for process in [postmaster, *backends])


def test_prometheus_and_alertmanager_answer(prometheus: StartServer, alertmanager: StartServer) -> None:
    assert answers(prometheus("scrape_configs: []") + "/api/v1/targets")
    assert answers(
        alertmanager("{route: {receiver: nobody}, receivers: [{name: nobody}]}") + "/api/v2/alerts"
    )


def test_a_server_that_refuses_its_config_says_why(prometheus: StartServer) -> None:
    with pytest.raises(AssertionError, match="field scrape_konfigs not found"):
        prometheus("scrape_konfigs: []")


@pytest.mark.parametrize("name", ["promtool", "amtool", "chromium", "strace"])
def test_tools_run(name: str, request: pytest.FixtureRequest) -> None:
    tool: Path = request.getfixturevalue(name)
    assert subprocess.run([tool, "--version"], capture_output=True, timeout=30, check=False).returncode == 0


def test_stop_ends_a_suspended_parent_and_its_child(process: StartProcess) -> None:
    parent = process("bash", "-c", "sleep 60 & echo started; wait")
    wait_until(lambda: "started" in parent.output)
    [child] = psutil.Process(parent.pid).children()
    parent.send(signal.SIGSTOP)
    parent.stop(grace=2)
    assert not parent.running
    wait_until(lambda: not child.is_running())


def test_a_missing_server_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=f"^{MISSING_SERVER}no-such-program"):
        require_program("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=f"^{MISSING_SERVER}no-such-program"):
        require_program("no-such-program")


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: a blue moon; last: None"):
        wait_until(lambda: None, 0.1, "a blue moon")
