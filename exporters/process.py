"""Memory against its limit, CPU and open files of a whole process tree: a server with all of its workers.

    watch_process()

Read by psutil, and from Linux' cgroups, when scraped, so it costs nothing in between. What cannot be read is
absent from the page, never 0.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# OSError, as psutil passes on what is no matter of one process: a hidden /proc/stat, no descriptor left.
UNREADABLE = (psutil.Error, OSError)


def watch_process(registry: CollectorRegistry = REGISTRY, root_pid: int | None = None) -> None:
    """Register a ProcessTree; see there."""
    ProcessTree(root_pid).register(registry)


class ProcessTree(Collector):
    """`process_tree_memory_bytes`, `_anonymous_memory_bytes`, `_memory_limit_bytes`, `_cpu_seconds_total`,
    `_cpu_limit_cores`, `_open_files`.

    The root is `root_pid`, else the server that started this process (gunicorn's master, uvicorn's or any
    multiprocessing parent), else this process. `cgroups` is where the kernel's /sys/fs/cgroup is mounted;
    where its /proc is, psutil.PROCFS_PATH says. All are absent where /proc hides other users' processes but
    not their numbers (hidepid=1), or the machine's own files (systemd's ProcSubset=pid).
    """

    def __init__(self, root_pid: int | None = None, *, cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._root_pid = root_pid
        self._cgroups = cgroups
        self._cpu_seconds = 0.0

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return self._families(None, None, None, None, None, None)

    def collect(self) -> Iterable[Metric]:
        root = self._root_pid or server_pid()
        try:
            tree, cpu_seconds = stable_tree(root)
        except UNREADABLE:
            return self.describe()
        # The time of an ended process moves to its parent, if that waits for it; else it is lost.
        self._cpu_seconds = max(self._cpu_seconds, cpu_seconds)
        return self._families(
            total(memory_bytes, tree),
            total(anonymous_bytes, tree),
            memory_limit_bytes(Path(psutil.PROCFS_PATH), self._cgroups, root),
            self._cpu_seconds,
            cpu_limit_cores(Path(psutil.PROCFS_PATH), self._cgroups, root),
            total(psutil.Process.num_fds, tree),
        )

    def _families(
        self,
        memory: float | None,
        anonymous: float | None,
        limit: float | None,
        cpu: float | None,
        cores: float | None,
        files: float | None,
    ) -> list[Metric]:
        return [
            GaugeMetricFamily(
                "process_tree_memory_bytes", "Memory of all processes, shared pages counted once.", memory
            ),
            GaugeMetricFamily(
                "process_tree_anonymous_memory_bytes",
                "What all processes have taken for themselves, also what is swapped out.",
                anonymous,
            ),
            GaugeMetricFamily(
                "process_tree_memory_limit_bytes",
                "The tightest of the cgroups' limits and the machine.",
                limit,
            ),
            CounterMetricFamily(
                "process_tree_cpu_seconds", "CPU time of all processes, ended ones included.", cpu
            ),
            GaugeMetricFamily(
                "process_tree_cpu_limit_cores", "The tightest of the cgroups' quotas and the machine.", cores
            ),
            GaugeMetricFamily("process_tree_open_files", "Open file descriptors of all processes.", files),
        ]


def server_pid() -> int:
    """The process that holds this one's siblings too, if this is a server's worker."""
    if "gunicorn.arbiter" in sys.modules and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        return os.getppid()
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def stable_tree(root: int) -> tuple[list[psutil.Process], float]:
    """The processes under `root`, and their CPU seconds, as of one moment.

    A child's CPU time moves to its parent when it is waited for. Where all are still there afterwards, that
    has not happened while they were read, so that all of it was counted, once.
    Raises psutil.NoSuchProcess if `root` is gone, psutil.AccessDenied or OSError if /proc is hidden.
    """
    for _ in range(4):
        tree = process_tree(root)
        seconds = total(cpu_seconds, tree) or 0.0
        if all(process.is_running() for process in tree):
            break
    return tree, seconds


def process_tree(root: int) -> list[psutil.Process]:
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def total(read: Callable[[psutil.Process], float], tree: list[psutil.Process]) -> float | None:
    """The sum over those that can be read, None if none can: they go meanwhile, or are another user's."""
    readings = []
    for process in tree:
        with contextlib.suppress(*UNREADABLE):
            readings.append(read(process))
    return sum(readings) if readings else None


def cpu_seconds(process: psutil.Process) -> float:
    """Its own, and that of ended children it has waited for."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def memory_bytes(process: psutil.Process) -> int:
    """Its share of every page (PSS), so that pages shared after a fork count once; else its resident size."""
    with contextlib.suppress(psutil.AccessDenied):
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.rss)
    return process.memory_info().rss


def anonymous_bytes(process: psutil.Process) -> int:
    """Without code and other files, of which a share depends on who else uses them.

    What is shared after a fork counts more than once. Raises OSError where Linux is older than 4.5.
    """
    lines = _lines(Path(psutil.PROCFS_PATH, str(process.pid), "status"))
    status = dict(line.partition(":")[::2] for line in lines)
    try:
        return sum(1024 * int(status[name].split()[0]) for name in ("RssAnon", "VmSwap"))
    except (KeyError, IndexError, ValueError):
        raise OSError(f"no RssAnon of process {process.pid}") from None


def memory_limit_bytes(proc: Path, cgroups: Path, pid: int) -> int | None:
    """The tightest limit that holds for `pid`: its cgroups' (v2, v1 or both) or the physical memory."""
    limits = [_read_limit(group) for group in _groups(proc, cgroups, pid, "memory")]
    with contextlib.suppress(OSError):
        limits.append(psutil.virtual_memory().total)
    return min((limit for limit in limits if limit is not None), default=None)


def cpu_limit_cores(proc: Path, cgroups: Path, pid: int) -> float | None:
    """Cores that `pid` may keep busy: the tightest quota of its cgroups (v2, v1 or both), or its affinity."""
    quotas = [_read_quota(folder) for folder in _groups(proc, cgroups, pid, "cpu")]
    with contextlib.suppress(OSError):
        quotas.append(float(len(os.sched_getaffinity(pid))))
    return min((quota for quota in quotas if quota is not None), default=None)


def _read_quota(group: Path) -> float | None:
    """cpu.max of v2 holds quota and period; v1 has a file for each, with -1 for no quota."""
    v1 = [*_lines(group / "cpu.cfs_quota_us"), *_lines(group / "cpu.cfs_period_us")]
    words = " ".join(_lines(group / "cpu.max") or v1).split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def _groups(proc: Path, cgroups: Path, pid: int, controller: str) -> Iterable[Path]:
    """The folders of the cgroups that `pid` is in, from the innermost outwards."""
    for line in _lines(proc / str(pid) / "cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy != "0" and controller not in controllers.split(","):
            continue
        mount = cgroups if hierarchy == "0" else cgroups / controller
        # In a container the path may be the host's, of which only the innermost folder is mounted, as root.
        group = mount / path.strip().lstrip("/")
        while group != mount and ".." not in group.parts:
            yield group
            group = group.parent
        yield mount


def _read_limit(group: Path) -> int | None:
    text = "".join(_lines(group / "memory.max") or _lines(group / "memory.limit_in_bytes")).strip()
    return int(text) if text.isdigit() else None


def _lines(file: Path) -> list[str]:
    """The lines of a file of /proc or /sys; none if forbidden or gone, as processes go while being read."""
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
