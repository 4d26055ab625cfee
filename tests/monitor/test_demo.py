"""The demo as its user meets it: as a process that is started, watched, interrupted and killed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from monitor.demo.board import SHOWN, Board
from monitor.demo.faults import FAULTS
from monitor.demo.runfolder import AlreadyRunningError, RunFolder, UnsafeFolderError, find
from monitor.demo.screen import picture
from monitor.demo.story import Story
from monitor.demo.traffic import trial_balance
from monitor.receiver import Notice, read_notices
from tests.conftest import StartProcess
from tests.servers import Process, answers, wait_until

READY_WITHIN = 60
STOPPED_WITHIN = 15
"""Seconds, on a machine that is busy with something else; alone it takes half a second."""

Start = Callable[..., Process]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Where the demos of this test hold their lock, whatever runs on the machine besides."""
    return tmp_path


@pytest.fixture
def start(process: StartProcess, runtime: Path) -> Start:
    return partial(start_in, runtime, process)


def order(runtime: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *words],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ready(demo: Process) -> list[psutil.Process]:
    """The API and the agent, once both answer."""
    wait_until(lambda: "Ready: " in demo.output or not demo.running, READY_WITHIN, "the demo is ready")
    assert demo.running, demo.output
    return children_of(demo)


def children_of(demo: Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(demo.pid).children(recursive=True)
    return []


def gone(children: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(children, timeout=STOPPED_WITHIN)
    return not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def stopped(demo: Process, number: signal.Signals) -> int:
    """To the demo alone: its children are its own affair."""
    demo.popen.send_signal(number)
    return demo.wait(STOPPED_WITHIN)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_it_tells_its_story(start: Start, runtime: Path) -> None:
    demo = start("--once")
    assert demo.wait(120) == 0, demo.output
    said = demo.output
    for title, threshold, runbook in (
        ("Failed logins", "above 100/min", "failed-logins"),
        ("API response time", "above 3 s", "latency-p95"),
    ):
        fired = rf"FIRING +api: {title}\b.* \(alert when {threshold}\)\n +value \S+.*, threshold {threshold}"
        assert re.search(
            rf"{fired}.*\n +reason: .+\n(?: +.+\n)* +runbook: docs/runbooks/{runbook}\.md", said
        ), said
        assert re.search(rf"RESOLVED +api: {title}\b.* good again after", said), said
        summary = (
            rf"RESOLVED +{runbook}: fired and delivered \d+ s after the break, resolved and delivered \d+ s"
        )
        assert re.search(summary, said), said
    assert "Documented thresholds; windows 20 times shorter; one probe a second." in said
    assert "The story is told" in said
    assert "Traceback" not in said
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("moment", [0.3, 2])
def test_ctrl_c_at_the_start_leaves_nothing_behind(moment: float, start: Start, runtime: Path) -> None:
    demo = start()
    with pytest.raises(subprocess.TimeoutExpired):
        demo.popen.wait(moment)
    children = children_of(demo)
    assert stopped(demo, signal.SIGINT) == 128 + signal.SIGINT, demo.output
    assert gone(children)
    assert "Stopped" in demo.output
    assert "Traceback" not in demo.output
    assert list(runtime.iterdir()) == []


@pytest.mark.nightly
@pytest.mark.timeout(240)
def test_two_demos_side_by_side(process: StartProcess, tmp_path: Path) -> None:
    """Each of another user: they keep out of each other's way, take orders, and end as they are ended."""
    homes = [tmp_path / name for name in ("grace", "ada")]
    for home in homes:
        home.mkdir()
    demos = [start_in(home, process) for home in homes]
    children = [ready(demo) for demo in demos]
    ports = [port for demo in demos for port in re.findall(r"//127\.0\.0\.1:(\d+)", demo.output)]
    assert len(set(ports)) == len(ports) == 6
    assert "can't be had (Address already in use)" in "".join(demo.output for demo in demos)

    second = start_in(homes[0], process)
    assert second.wait(READY_WITHIN) == 2
    assert second.output.count("\n") == 1
    assert f"A demo is running already (pid {demos[0].pid})" in second.output

    orders_reach(homes[0], int(ports[0]))
    ended_with_ctrl_c(demos[0], homes[0])
    killed_it_leaves_no_child(demos[1], children[1], homes[1])
    ends_with_its_agent(start_in(homes[1], process), homes[1])
    assert gone(children[0])


def start_in(home: Path, process: StartProcess, *flags: str) -> Process:
    return process(sys.executable, "-m", "monitor", "demo", *flags, env={"XDG_RUNTIME_DIR": str(home)})


def orders_reach(home: Path, port: int) -> None:
    broken = order(home, "break", "errors")
    assert (broken.returncode, broken.stderr) == (0, "")
    assert "the table diagnostic_summaries is renamed" in broken.stdout
    again = order(home, "break", "errors")
    assert (again.returncode, again.stderr) == (1, "errors is broken already\n")
    assert order(home, "heal", "errors").stdout == "Healed: errors.\n"
    assert order(home, "break", "down").returncode == 0
    assert refused(port)
    assert order(home, "heal", "down").returncode == 0
    assert answers(f"http://127.0.0.1:{port}/health")


def ended_with_ctrl_c(demo: Process, home: Path) -> None:
    assert stopped(demo, signal.SIGINT) == 128 + signal.SIGINT, demo.output
    assert "Stopped" in demo.output
    assert "Traceback" not in demo.output
    assert list(home.iterdir()) == []


def killed_it_leaves_no_child(demo: Process, children: list[psutil.Process], home: Path) -> None:
    assert len(children) == 2
    demo.popen.kill()
    assert gone(children)
    assert find(home / "paciolus-monitor-demo") is None


def ends_with_its_agent(demo: Process, home: Path) -> None:
    agent = next(child for child in ready(demo) if "run" in child.cmdline())
    agent.kill()
    assert demo.wait(STOPPED_WITHIN) == 1
    assert "The agent ended unexpectedly with SIGKILL" in demo.output
    assert "Traceback" not in demo.output
    assert list(home.iterdir()) == []


def refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_orders_without_a_demo(runtime: Path) -> None:
    nobody = order(runtime, "heal")
    assert nobody.returncode == 1
    assert nobody.stderr == "No demo is running. Start one in another terminal: paciolus-monitor demo\n"
    listed = order(runtime, "break")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(FAULTS)
    wrong = order(runtime, "break", "memroy")
    assert wrong.returncode == 2
    assert "There is no fault called memroy. Did you mean memory?" in wrong.stderr


def test_the_run_folder_is_private_and_taken_once(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    with RunFolder(place) as folder:
        folder.publish("http://127.0.0.1:1", "token")
        assert place.stat().st_mode & 0o077 == 0
        found = find(place)
        assert found is not None
        assert found.url == "http://127.0.0.1:1"
        with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
            RunFolder(place)
    assert not place.exists()
    assert find(place) is None


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    for place in ("open", "elsewhere"):
        with pytest.raises(UnsafeFolderError, match="in the way"):
            RunFolder(tmp_path / place)


def objective(name: str, verdict: str = "BREACH") -> dict[str, Any]:
    why = "p95 of 100 requests in the last 15 s"
    return {
        "name": name,
        "title": name,
        "verdict": verdict,
        "value_text": "4 s",
        "threshold": "above 3 s",
        "why": why,
    }


def notice(status: str, alert: str) -> Notice:
    words = (f"api: {alert} is 4.24 s (alert when above 3 s)", "4.24 s", "above 3 s")
    return Notice(
        datetime(2025, 1, 1, tzinfo=UTC), status, alert, "page", *words, "a reason", "docs/runbooks/a.md"
    )


def busy_board() -> Board:
    alert = {"title": "API response time (p95)", "state": "firing", "since": 0, "severity": "page"}
    check = {"name": "health", "reason": "timeout", "failures": 12, "duration": 0.9}
    board = Board(phase="Broken from outside: everything at once", broken=FAULTS)
    board.status = {
        "now": 100,
        "targets": [
            {"name": "api", "url": "http://127.0.0.1:8000", "checks": [check, {**check, "name": "metrics"}]}
        ],
        "objectives": [objective(name) for name in (*SHOWN, "target-down")],
        "alerts": [{**alert, "name": name} for name in SHOWN],
    }
    board.notices += [notice(status, name) for name in SHOWN for status in ("firing", "resolved")]
    return board


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40)])
@pytest.mark.parametrize("board", [Board(), busy_board()], ids=["at the start", "all at once"])
def test_the_screen_fits(width: int, height: int, board: Board) -> None:
    console = Console(width=width, height=height, force_terminal=True)
    with console.capture() as captured:
        console.print(
            picture(board, console, ["Port 8000 can't be had", "From another terminal: Healed: slow."])
        )
    lines = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert any("windows 20 times shorter" in line for line in lines)


def test_what_is_missing_is_said_exactly() -> None:
    board = busy_board()
    board.notices.clear()
    story = Story(board, faults=None, announce=print)  # type: ignore[arg-type]
    assert story._not_paged(40) == [
        "failed-logins: fired, but no firing notification after 40 s",
        "latency-p95: fired, but no firing notification after 40 s",
    ]
    board.notices += [notice("firing", "failed-logins"), notice("firing", "latency-p95")]
    board.notices.append(notice("resolved", "latency-p95"))
    [missing] = story._not_resolved(40)
    assert missing.startswith(
        "failed-logins: fired, but no resolved notification after 40 s; it is BREACH at 4 s"
    )


@pytest.mark.parametrize(
    "body", [{}, {"version": "3", "alerts": []}, {"version": "4"}, [], {"version": "4", "alerts": [1]}]
)
def test_the_inbox_takes_nothing_else_than_a_webhook(body: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        list(read_notices(body, datetime(2025, 1, 1, tzinfo=UTC)))


def test_trial_balances_differ_and_balance() -> None:
    first, second = trial_balance(1), trial_balance(2)
    assert first != second
    rows = [line.split(",")[1:] for line in first.decode().splitlines()[1:]]
    assert sum(float(debit or 0) for debit, _ in rows) == sum(float(credit or 0) for _, credit in rows)
