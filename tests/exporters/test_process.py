from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from exporters.process import ProcessTree, cpu_limit_cores, memory_limit_bytes, watch_process
from tests.exporters.pages import parse, value

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
V1_UNLIMITED = 9223372036854771712
NOBODY = 65534
SPUN = 0.25  # what is seen at least of 0.3 s: /proc rounds each time down to ticks

# Runs the statements that it is given, one repr() a line, and says when done.
PARENT = """
import os, sys, time
from contextlib import suppress
from signal import SIG_IGN, SIGCHLD, SIGKILL, signal

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def fork(work=lambda: None):
    started, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        work()
        os.write(start, b"1")
        time.sleep(60)
        os._exit(0)
    os.read(started, 1)
    os.close(started)
    os.close(start)
    return pid

for line in sys.stdin:
    exec(eval(line))
    print(flush=True)
"""


class Parent:
    """A process that does as it is told, and the tree under it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.registry = CollectorRegistry()
        watch_process(self.registry, self.pid)

    def do(self, statements: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(repr(statements), file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "\n"

    def metric(self, name: str) -> float:
        reading = value(self.registry, f"process_tree_{name}")
        assert reading is not None
        return reading


@contextmanager
def started() -> Iterator[Parent]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        parent = Parent(process)
        try:
            parent.do("'up'")  # while Python starts, its own modules are open files too
            yield parent
        finally:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()


@pytest.fixture
def parent() -> Iterator[Parent]:
    with started() as process:
        yield process


class Machine:
    """A folder that looks like /sys/fs/cgroup and what /proc says of it."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.cgroups = folder / "cgroup"
        self.memory = psutil.virtual_memory().total

    def write(self, file: Path, content: str | int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    def cores(self, cgroup: str) -> float | None:
        self.write(self.proc / str(os.getpid()) / "cgroup", cgroup)
        return cpu_limit_cores(self.proc, self.cgroups, os.getpid())

    def limit(self, cgroup: str) -> int | None:
        self.write(self.proc / "1" / "cgroup", cgroup)
        return memory_limit_bytes(self.proc, self.cgroups, 1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_tree_is_the_root_and_all_that_descend_from_it(parent: Parent) -> None:
    alone = parent.metric("open_files")
    with started() as beside:
        beside.do("fork(lambda: spin(0.5))")
        parent.do("fork(lambda: fork(lambda: spin(0.3)))")
        # A fork has its parent's files and the two ends of a pipe.
        assert parent.metric("open_files") == alone + (alone + 2) + (alone + 4)
        assert SPUN <= parent.metric("cpu_seconds_total") < 0.5


def test_shared_pages_count_once(parent: Parent) -> None:
    parent.do("ballast = b'1' * (64 << 20)")
    assert parent.metric("memory_bytes") > 64 * MIB
    parent.do("fork(); fork(); fork()")
    assert 64 * MIB < parent.metric("memory_bytes") < 128 * MIB


def test_anonymous_memory_is_what_was_taken(parent: Parent) -> None:
    before = parent.metric("anonymous_memory_bytes")
    parent.do("ballast = b'1' * (64 << 20)")
    assert 64 * MIB <= parent.metric("anonymous_memory_bytes") - before < 66 * MIB
    parent.do("del ballast")
    assert parent.metric("anonymous_memory_bytes") - before < 2 * MIB


def test_cpu_counts_once_and_does_not_go_back_when_a_child_ends(parent: Parent) -> None:
    parent.do("child = fork(lambda: spin(0.3))")
    running = parent.metric("cpu_seconds_total")
    parent.do("os.kill(child, SIGKILL); os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)")
    zombie = parent.metric("cpu_seconds_total")
    parent.do("os.waitpid(child, 0)")
    assert SPUN <= running <= zombie <= parent.metric("cpu_seconds_total") < running + 0.25


def test_cpu_does_not_go_back_when_nobody_waits_for_a_child(parent: Parent) -> None:
    parent.do("signal(SIGCHLD, SIG_IGN); child = fork(lambda: spin(0.3))")
    before = parent.metric("cpu_seconds_total")
    parent.do("os.kill(child, SIGKILL)\nwith suppress(ChildProcessError): os.wait()")
    assert parent.metric("cpu_seconds_total") == before


def test_a_child_that_ends_during_a_scrape_counts_once(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent.do("child = fork(lambda: spin(0.3))")
    cpu_times = psutil.Process.cpu_times

    def ends_after_the_first_reading(process: psutil.Process) -> object:
        monkeypatch.undo()
        times = cpu_times(process)
        parent.do("os.kill(child, SIGKILL); os.waitpid(child, 0)")
        return times

    monkeypatch.setattr(psutil.Process, "cpu_times", ends_after_the_first_reading)
    assert SPUN <= parent.metric("cpu_seconds_total") < 0.55


def test_a_zombie_adds_no_files_and_hides_nobodys(parent: Parent) -> None:
    alone = parent.metric("open_files")
    parent.do("child = fork(); os.kill(child, SIGKILL)")
    parent.do("os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)")
    assert parent.metric("open_files") == alone
    assert parent.metric("memory_bytes") > MIB


def test_a_gone_root_is_absent_not_0(parent: Parent) -> None:
    assert parent.metric("open_files")
    parent.process.kill()
    parent.process.wait()
    assert_absent(parent.registry)


def test_a_proc_without_the_machines_own_files_is_absent_not_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    registry = CollectorRegistry()
    watch_process(registry, os.getpid())
    assert_absent(registry)
    assert memory_limit_bytes(tmp_path, tmp_path, os.getpid()) is None


def assert_absent(registry: CollectorRegistry) -> None:
    memory = ("memory_bytes", "anonymous_memory_bytes", "memory_limit_bytes")
    for name in (*memory, "cpu_seconds_total", "cpu_limit_cores", "open_files"):
        assert value(registry, f"process_tree_{name}") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_users_process_hides_its_files_but_not_its_cpu_and_size(parent: Parent) -> None:
    parent.do("spin(0.1)")
    script = (
        "import os, sys\n"
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from exporters.process import watch_process\n"
        f"os.setuid({NOBODY})\n"
        "registry = CollectorRegistry()\n"
        "watch_process(registry, int(sys.argv[1]))\n"
        "print(generate_latest(registry).decode())\n"
    )
    page = parse(python("-c", script, str(parent.pid)))
    assert page["process_tree_memory_bytes", ()] == psutil.Process(parent.pid).memory_info().rss
    assert page["process_tree_cpu_seconds_total", ()] > 0
    assert ("process_tree_open_files", ()) not in page


def python(*argv: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *argv], check=True, timeout=60, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout


def test_without_a_root_pid_it_is_this_very_process_in_the_cgroups_given(machine: Machine) -> None:
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        machine.write(machine.cgroups / file, 32 * MIB)
    registry = CollectorRegistry()
    spent = sum(os.times()[:2])
    ProcessTree(cgroups=machine.cgroups).register(registry)
    cpu = value(registry, "process_tree_cpu_seconds_total")
    assert cpu is not None
    assert cpu > spent - 0.05
    assert value(registry, "process_tree_memory_limit_bytes") == 32 * MIB


def test_without_cgroups_the_limit_is_the_machines_memory(machine: Machine) -> None:
    assert machine.limit("") == machine.memory


def test_v2_takes_the_tightest_up_to_the_root(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory.max", "max")
    machine.write(machine.cgroups / "system" / "memory.max", 512 * MIB)
    machine.write(machine.cgroups / "system" / "api" / "memory.max", 1024 * MIB)
    assert machine.limit("0::/system/api") == 512 * MIB


def test_v2_in_a_container_of_its_own_namespace(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory.max", 256 * MIB)
    assert machine.limit("0::/") == 256 * MIB
    assert machine.limit("0::/../../elsewhere") == 256 * MIB


def test_v1_unlimited_is_the_machines_memory(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory" / "memory.limit_in_bytes", V1_UNLIMITED)
    assert machine.limit("5:cpu:/\n4:memory:/") == machine.memory


def test_v1_in_a_container_that_names_the_hosts_path(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory" / "memory.limit_in_bytes", 128 * MIB)
    assert machine.limit("4:memory:/docker/3929b3e2\n1:cpu:/docker/3929b3e2") == 128 * MIB


def test_hybrid_takes_the_hierarchy_that_has_the_limit(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory" / "api" / "memory.limit_in_bytes", 64 * MIB)
    machine.write(machine.cgroups / "memory" / "memory.limit_in_bytes", V1_UNLIMITED)
    assert machine.limit("4:cpu,memory:/api\n1:name=systemd:/\n0::/user") == 64 * MIB


def test_a_limit_above_the_physical_memory_does_not_hold(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory.max", 1 << 50)
    assert machine.limit("0::/") == machine.memory


def test_without_a_quota_every_core_that_the_process_may_use_counts(machine: Machine) -> None:
    machine.write(machine.cgroups / "cpu.max", "max 100000")
    machine.write(machine.cgroups / "cpu" / "cpu.cfs_quota_us", -1)
    machine.write(machine.cgroups / "cpu" / "cpu.cfs_period_us", 100_000)
    assert machine.cores("0::/") == machine.cores("4:cpu:/") == len(os.sched_getaffinity(0))


def test_the_tightest_quota_of_v2_up_to_the_root(machine: Machine) -> None:
    machine.write(machine.cgroups / "api" / "cpu.max", "80000 100000")
    machine.write(machine.cgroups / "cpu.max", "25000 100000")
    assert machine.cores("0::/api") == 0.25


def test_a_quota_of_v1(machine: Machine) -> None:
    machine.write(machine.cgroups / "cpu" / "api" / "cpu.cfs_quota_us", 50_000)
    machine.write(machine.cgroups / "cpu" / "api" / "cpu.cfs_period_us", 100_000)
    assert machine.cores("4:cpu,cpuacct:/api\n5:memory:/api") == 0.5


@pytest.mark.parametrize("odd", ["", "a b", "1 0", "100000", "max"])
def test_a_quota_that_makes_no_sense_is_none(machine: Machine, odd: str) -> None:
    machine.write(machine.cgroups / "cpu.max", odd)
    assert machine.cores("0::/") == len(os.sched_getaffinity(0))


def test_a_multiprocessing_child_watches_its_parents_tree(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, os\n"
        "from exporters.process import server_pid\n"
        "def child(parent):\n"
        "    assert server_pid() == parent, (server_pid(), parent)\n"
        "if __name__ == '__main__':\n"
        "    assert server_pid() == os.getpid()\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child, args=(os.getpid(),))\n"
        "    process.start()\n"
        "    process.join(30)\n"
        "    raise SystemExit(process.exitcode)\n"
    )
    python(str(script))
