"""The demo's own application factory: the shipped API with 500 MB of memory, which it can be made to fill."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from app.main import create_app
from exporters.process import ProcessTree

MEMORY_LIMIT = 500_000_000
FOLDER = "DEMO_API_FOLDER"
BALLAST = "ballast"
"""A file in the folder: its text is how large the process is to be, in megabytes."""


def create() -> FastAPI:
    folder = Path(os.environ[FOLDER])
    api = create_app(registry=SmallMachine(folder / "cgroup"))
    threading.Thread(target=carry_ballast, args=(folder / BALLAST,), daemon=True, name="ballast").start()
    return api


class SmallMachine(CollectorRegistry):
    """A registry whose process tree finds its limit (bytes) in cgroup files of ours."""

    def __init__(self, cgroups: Path, limit: int = MEMORY_LIMIT) -> None:
        super().__init__()
        self._cgroups = cgroups
        for file in (cgroups / "memory.max", cgroups / "memory" / "memory.limit_in_bytes"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{limit}\n")

    def register(self, collector: Collector) -> None:
        if isinstance(collector, ProcessTree):
            collector = ProcessTree(cgroups=self._cgroups)
        super().register(collector)


def carry_ballast(file: Path, every: float = 0.25) -> None:
    """Keeps the process at the size that the file asks for, in megabytes; without a number there, lets go."""
    process, asked = psutil.Process(), 0
    ballast: list[bytes] = []
    while True:
        wanted = _megabytes(file)
        if wanted != asked:
            ballast.clear()
            ballast.append(b"\1" * max(wanted * 1_000_000 - process.memory_info().rss, 0))
            asked = wanted
        time.sleep(every)


def _megabytes(file: Path) -> int:
    """At most what the machine is said to have."""
    try:
        return min(int(file.read_text()), MEMORY_LIMIT // 1_000_000)
    except (OSError, ValueError):
        return 0
