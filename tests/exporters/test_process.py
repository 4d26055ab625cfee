from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporters.process import ProcessTree, memory_limit_bytes, watch_process
from tests.exporters.pages import value

MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
V1_UNLIMITED = 9223372036854771712


class Machine:
    """A folder that looks like /proc and /sys/fs/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.cgroups = folder / "cgroup"
        self.write(self.proc / "meminfo", f"MemTotal: {8 * 1024 * 1024} kB\nMemFree: 1 kB\n")

    def write(self, file: Path, content: str | int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    def process(
        self,
        pid: int,
        parent: int,
        *,
        cpu: int = 0,
        reaped_cpu: int = 0,
        rss_pages: int = 1,
        name: str = "python",
    ) -> Path:
        times = f"{cpu * TICKS} 0 {reaped_cpu * TICKS} 0"
        folder = self.proc / str(pid)
        self.write(
            folder / "stat",
            f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0 77 1000 {rss_pages} 0",
        )
        (folder / "fd").mkdir(exist_ok=True)
        for descriptor in range(3):
            (folder / "fd" / str(descriptor)).touch()
        return folder

    def watch(self, root: int) -> CollectorRegistry:
        registry = CollectorRegistry()
        ProcessTree(root, proc=self.proc, cgroups=self.cgroups).register(registry)
        return registry

    def limit(self, cgroup: str) -> int | None:
        self.write(self.proc / "1" / "cgroup", cgroup)
        return memory_limit_bytes(self.proc, self.cgroups, 1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_tree_is_the_root_and_all_that_descend_from_it(machine: Machine) -> None:
    machine.process(10, 1, cpu=1)
    machine.process(11, 10, cpu=2, name="odd) S 1 (name")
    machine.process(12, 11, cpu=4, reaped_cpu=8)
    machine.process(13, 1, cpu=100)
    registry = machine.watch(10)
    assert value(registry, "process_tree_cpu_seconds_total") == 15
    assert value(registry, "process_tree_open_files") == 9
    assert value(registry, "process_tree_memory_bytes") == 3 * PAGE
    assert value(registry, "process_tree_memory_limit_bytes") == 8192 * MIB


def test_shared_pages_count_once_where_the_kernel_tells(machine: Machine) -> None:
    for pid, parent in ((10, 1), (11, 10)):
        folder = machine.process(pid, parent, rss_pages=100_000)
        machine.write(
            folder / "smaps_rollup",
            "55-7f ---p 00 00:00 0 [rollup]\nRss: 900 kB\nPss: 300 kB\nPss_Anon: 1 kB",
        )
    assert value(machine.watch(10), "process_tree_memory_bytes") == 600 * 1024


def test_cpu_does_not_go_back_when_a_child_ends(machine: Machine) -> None:
    machine.process(10, 1, cpu=1)
    child = machine.process(11, 10, cpu=5)
    registry = machine.watch(10)
    assert value(registry, "process_tree_cpu_seconds_total") == 6
    (child / "stat").unlink()
    assert value(registry, "process_tree_cpu_seconds_total") == 6
    machine.process(10, 1, cpu=2, reaped_cpu=5)
    assert value(registry, "process_tree_cpu_seconds_total") == 7


def test_half_gone_and_garbled_processes_are_left_out(machine: Machine) -> None:
    machine.process(10, 1, cpu=1)
    (machine.proc / "11").mkdir()
    machine.write(machine.proc / "12" / "stat", "12 (short")
    machine.write(machine.proc / "13" / "stat", "")
    assert value(machine.watch(10), "process_tree_cpu_seconds_total") == 1


def test_a_gone_root_is_absent_not_0(machine: Machine) -> None:
    registry = machine.watch(10)
    for name in ("memory_bytes", "memory_limit_bytes", "cpu_seconds_total", "open_files"):
        assert value(registry, f"process_tree_{name}") is None


def test_without_cgroups_the_limit_is_the_machines_memory(machine: Machine) -> None:
    assert machine.limit("") == 8192 * MIB


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
    assert machine.limit("5:cpu:/\n4:memory:/") == 8192 * MIB


def test_v1_in_a_container_that_names_the_hosts_path(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory" / "memory.limit_in_bytes", 128 * MIB)
    assert machine.limit("4:memory:/docker/3929b3e2\n1:cpu:/docker/3929b3e2") == 128 * MIB


def test_hybrid_takes_the_hierarchy_that_has_the_limit(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory" / "api" / "memory.limit_in_bytes", 64 * MIB)
    machine.write(machine.cgroups / "memory" / "memory.limit_in_bytes", V1_UNLIMITED)
    assert machine.limit("4:cpu,memory:/api\n1:name=systemd:/\n0::/user") == 64 * MIB


def test_a_limit_above_the_physical_memory_does_not_hold(machine: Machine) -> None:
    machine.write(machine.cgroups / "memory.max", 1 << 50)
    assert machine.limit("0::/") == 8192 * MIB


def test_this_very_process_with_a_child() -> None:
    registry = CollectorRegistry()
    watch_process(registry, root_pid=os.getpid())
    alone = value(registry, "process_tree_open_files")
    spins = (
        "import sys, time\nwhile time.process_time() < 0.2: pass\nprint('spun', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", spins], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        files = value(registry, "process_tree_open_files")
        assert files is not None
        assert alone is not None
        assert files >= alone + 3
        before = value(registry, "process_tree_cpu_seconds_total")
        child.communicate(timeout=30)
    after = value(registry, "process_tree_cpu_seconds_total")
    memory, limit = (
        value(registry, "process_tree_memory_bytes"),
        value(registry, "process_tree_memory_limit_bytes"),
    )
    assert before is not None
    assert after is not None
    assert after >= before >= 0.2
    assert memory is not None
    assert limit is not None
    assert 5 * MIB < memory < limit


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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, str(script)], check=True, timeout=60, env=environment)
