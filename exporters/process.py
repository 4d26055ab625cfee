"""Memory against its limit, CPU and open files of a whole process tree: a server with all of its workers.

    watch_process()

Read from Linux' /proc and cgroups when scraped, so it costs nothing in between. What cannot be read is
absent from the page, never 0.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024


def watch_process(registry: CollectorRegistry = REGISTRY, root_pid: int | None = None) -> None:
    """Register a ProcessTree; see there."""
    ProcessTree(root_pid).register(registry)


class ProcessTree(Collector):
    """`process_tree_memory_bytes`, `_memory_limit_bytes`, `_cpu_seconds_total`, `_open_files`.

    The root is `root_pid`, else the server that started this process (gunicorn's master, uvicorn's or any
    multiprocessing parent), else this process. `proc` and `cgroups` are where the kernel's
    /proc and /sys/fs/cgroup are mounted.
    """

    def __init__(
        self,
        root_pid: int | None = None,
        *,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        self._root_pid = root_pid
        self._proc = proc
        self._cgroups = cgroups
        self._cpu_seconds = 0.0

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return self._families(None, None, None, None)

    def collect(self) -> Iterable[Metric]:
        root = self._root_pid or server_pid()
        tree = stable_tree(self._proc, root)
        if not tree:
            return self.describe()
        # The time of an ended process moves to its parent, if that waits for it; else it is lost.
        self._cpu_seconds = max(self._cpu_seconds, sum(process.cpu_seconds for process in tree))
        return self._families(
            sum(memory_bytes(self._proc, process) for process in tree),
            memory_limit_bytes(self._proc, self._cgroups, root),
            self._cpu_seconds,
            open_files(self._proc, tree),
        )

    def _families(
        self, memory: float | None, limit: float | None, cpu: float | None, files: float | None
    ) -> list[Metric]:
        return [
            GaugeMetricFamily(
                "process_tree_memory_bytes", "Memory of all processes, shared pages counted once.", memory
            ),
            GaugeMetricFamily(
                "process_tree_memory_limit_bytes",
                "The tightest of the cgroups' limits and the machine.",
                limit,
            ),
            CounterMetricFamily(
                "process_tree_cpu_seconds", "CPU time of all processes, ended ones included.", cpu
            ),
            GaugeMetricFamily("process_tree_open_files", "Open file descriptors of all processes.", files),
        ]


class Process(NamedTuple):
    """What /proc/PID/stat says of one process."""

    pid: int
    parent: int
    cpu_seconds: float  # its own, and that of ended children it has waited for
    resident_bytes: int


def server_pid() -> int:
    """The process that holds this one's siblings too, if this is a server's worker."""
    if "gunicorn.arbiter" in sys.modules and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        return os.getppid()
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def stable_tree(proc: Path, root: int) -> list[Process]:
    """The processes under `root`, as of one moment; empty if it is gone.

    A child's CPU time moves to its parent when it is waited for. Where a second look finds the same
    processes, that has not happened during the first, which so counts all of it, once.
    """
    tree = process_tree(proc, root)
    for _ in range(3):
        again = process_tree(proc, root)
        if {process.pid for process in again} == {process.pid for process in tree}:
            break
        tree = again
    return tree


def process_tree(proc: Path, root: int) -> list[Process]:
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for folder in proc.glob("[0-9]*"):
        process = _read_process(folder)
        if process is None:
            continue
        if process.pid == root:
            found.append(process)
        else:
            children.setdefault(process.parent, []).append(process)
    for process in found:
        found.extend(children.pop(process.pid, []))
    return found


def memory_bytes(proc: Path, process: Process) -> int:
    """Its share of every page (PSS), so that pages shared after a fork count once; else its resident size."""
    for line in _lines(proc / str(process.pid) / "smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _KIB
    return process.resident_bytes


def open_files(proc: Path, tree: list[Process]) -> int | None:
    counts = [count for process in tree if (count := _open_files(proc, process.pid)) is not None]
    return sum(counts) if counts else None


def _open_files(proc: Path, pid: int) -> int | None:
    try:
        return sum(1 for _ in (proc / str(pid) / "fd").iterdir())
    except OSError:
        return None


def memory_limit_bytes(proc: Path, cgroups: Path, pid: int) -> int | None:
    """The tightest limit that holds for `pid`: its cgroups' (v2, v1 or both) or the physical memory."""
    limits = [_read_limit(file) for file in _limit_files(proc, cgroups, pid)]
    physical = [
        int(line.split()[1]) * _KIB for line in _lines(proc / "meminfo") if line.startswith("MemTotal:")
    ]
    return min([limit for limit in limits if limit is not None] + physical, default=None)


def _limit_files(proc: Path, cgroups: Path, pid: int) -> Iterable[Path]:
    for line in _lines(proc / str(pid) / "cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0":
            mount, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, of which only the innermost folder is mounted, as root.
        group = mount / path.strip().lstrip("/")
        while group != mount and ".." not in group.parts:
            yield group / name
            group = group.parent
        yield mount / name


def _read_limit(file: Path) -> int | None:
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdigit() else None


def _read_process(folder: Path) -> Process | None:
    stat = "".join(_lines(folder / "stat"))
    # The name, in parentheses, may hold spaces and parentheses itself.
    _, _, rest = stat.rpartition(")")
    fields = rest.split()
    if len(fields) < 22:
        return None
    cpu_ticks = sum(int(ticks) for ticks in fields[11:15])
    return Process(
        int(folder.name), int(fields[1]), cpu_ticks / _TICKS_PER_SECOND, int(fields[21]) * _PAGE_BYTES
    )


def _lines(file: Path) -> list[str]:
    """The lines of a file of /proc or /sys; none if forbidden or gone, as processes go while being read."""
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
