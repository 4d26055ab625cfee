"""The demo's own application factory: the shipped API with 400 MB of memory, which it can be made to fill."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from app.main import create_app
from exporters.process import ProcessTree

MEMORY_LIMIT = 400_000_000
FOLDER = "DEMO_API_FOLDER"
BALLAST = "ballast"
"""A file in the folder: its text is how many megabytes the API holds for nothing."""


def create() -> FastAPI:
    folder = Path(os.environ[FOLDER])
    api = create_app(registry=SmallMachine(folder / "cgroup"))
    threading.Thread(target=carry_ballast, args=(folder / BALLAST,), daemon=True, name="ballast").start()
    return api


class SmallMachine(CollectorRegistry):
    """A registry whose process tree finds its limit in cgroup files of ours."""

    def __init__(self, cgroups: Path) -> None:
        super().__init__()
        self._cgroups = cgroups
        for file in (cgroups / "memory.max", cgroups / "memory" / "memory.limit_in_bytes"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{MEMORY_LIMIT}\n")

    def register(self, collector: Collector) -> None:
        if isinstance(collector, ProcessTree):
            collector = ProcessTree(cgroups=self._cgroups)
        super().register(collector)


def carry_ballast(file: Path, every: float = 0.25) -> None:
    held = bytearray()
    while True:
        wanted = 0
        with contextlib.suppress(OSError, ValueError):
            wanted = min(int(file.read_text()), 2 * MEMORY_LIMIT // 1_000_000) * 1_000_000
        if wanted != len(held):
            held = bytearray(b"\1") * wanted
        time.sleep(every)
