"""`make stack` as its user meets it: started, hurt, interrupted and killed."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from monitor.stack.ports import DOCUMENTED, variable
from tests.conftest import StartProcess
from tests.servers import answers, free_port, wait_until
from tests.stack.running import HURRY, family, gone, require_servers, run_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WITHIN = 60


def test_who_dies_is_told_can_be_revived_and_at_the_end_all_are_gone(tmp_path: Path) -> None:
    with run_stack(tmp_path, *HURRY) as stack:
        said = stack.process.output
        for name, port in stack.ports.items():
            assert f" 127.0.0.1:{port} " in said or f" http://127.0.0.1:{port} " in said, name
        assert psutil.pid_exists(stack.pid("prometheus"))

        psutil.Process(stack.pid("prometheus")).kill()
        died = "The prometheus ended unexpectedly with SIGKILL. Its last lines:\n"
        wait_until(lambda: died in stack.process.output, 10, "the death is told")
        assert stack.process.running
        stack.process.popen.send_signal(signal.SIGUSR1)
        wait_until(lambda: answers(stack.url("prometheus") + "/-/ready"), WITHIN, "Prometheus is back")
        assert stack.process.output.count(died) == 1

        started = family(stack)
        assert len(started) > len(DOCUMENTED)
        stack.process.popen.send_signal(signal.SIGTERM)
        assert stack.process.wait(WITHIN) == 128 + signal.SIGTERM
        assert gone(started)
        assert not stack.data.exists()
        assert stack.process.output.endswith("All that was started has ended.\n")
        assert "Traceback" not in stack.process.output


def test_a_taken_port_and_an_early_end_are_one_line_each(process: StartProcess) -> None:
    require_servers()
    env = {variable(name): str(free_port()) for name in DOCUMENTED}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = process(sys.executable, "-m", "monitor.stack", env=env | {"STACK_AGENT_PORT": port})
        assert refused.wait(WITHIN) == 2
    assert refused.output.count("\n") == 1
    assert f"agent: port {port} can't be had" in refused.output


@pytest.mark.nightly
def test_a_service_that_does_not_start_ends_the_others(process: StartProcess) -> None:
    require_servers()
    env = {variable(name): str(free_port()) for name in DOCUMENTED}
    wrong = process(sys.executable, "-m", "monitor.stack", "--prometheus-flag=--no-such-flag", env=env)
    assert wrong.wait(2 * WITHIN) == 1
    assert "The prometheus ended unexpectedly with status" in wrong.output
    assert "Traceback" not in wrong.output
    assert not Path(wrong.output.partition("\n")[0].removeprefix("Starting in ")).exists()
