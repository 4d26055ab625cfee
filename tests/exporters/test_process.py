from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from exporters.process import ProcessTree, memory_limit_bytes, watch_process
from tests.exporters.pages import value

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
V1_UNLIMITED = 9223372036854771712
NOBODY = 65534

# Runs what it is given line by line, and says when done.
PARENT = """
import mmap, os, subprocess, sys, time
from signal import SIGKILL

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def fork(seconds=0):
    started, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        spin(seconds)
        os.write(start, b"1")
        time.sleep(60)
        os._exit(0)
    os.read(started, 1)
    os.close(started)
    os.close(start)
    return pid

for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Parent:
    """A process that does as it is told, and the tree under it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.registry = CollectorRegistry()
        watch_process(self.registry, self.pid)

    def do(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
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
        try:
            yield Parent(process)
        finally:
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

    def limit(self, cgroup: str) -> int | None:
        self.write(self.proc / "1" / "cgroup", cgroup)
        return memory_limit_bytes(self.proc, self.cgroups, 1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_tree_is_the_root_and_all_that_descend_from_it(parent: Parent) -> None:
    alone = parent.metric("open_files")
    cpu = parent.metric("cpu_seconds_total")
    parent.do("child = subprocess.Popen([sys.executable, '-c', 'import os; os.fork(); input()'], stdin=-1)")
    parent.do("fork(0.2)")
    with started() as beside:
        beside.do("fork(0.2)")
        processes = psutil.Process(parent.pid).children(recursive=True)
        assert parent.metric("open_files") == alone + sum(process.num_fds() for process in processes)
        assert cpu + 0.2 <= parent.metric("cpu_seconds_total")


def test_shared_pages_count_once(parent: Parent) -> None:
    parent.do("ballast = mmap.mmap(-1, 64 << 20); ballast.write(b'1' * (64 << 20))")
    alone = parent.metric("memory_bytes")
    assert alone > 64 * MIB
    parent.do("fork(); fork(); fork()")
    assert parent.metric("memory_bytes") < alone + 64 * MIB


def test_cpu_counts_once_and_does_not_go_back_when_a_child_ends(parent: Parent) -> None:
    parent.do("child = fork(0.3)")
    running = parent.metric("cpu_seconds_total")
    assert running >= 0.3
    parent.do("os.kill(child, SIGKILL); os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)")
    zombie = parent.metric("cpu_seconds_total")
    parent.do("os.waitpid(child, 0)")
    waited_for = parent.metric("cpu_seconds_total")
    assert running <= zombie <= waited_for < running + 0.3


def test_cpu_does_not_go_back_when_nobody_waits_for_a_child(parent: Parent) -> None:
    parent.do("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    parent.do("child = fork(0.3)")
    before = parent.metric("cpu_seconds_total")
    parent.do("os.kill(child, SIGKILL)")
    parent.do("try: os.waitpid(child, 0)\nexcept ChildProcessError: pass")
    assert parent.metric("cpu_seconds_total") == before
