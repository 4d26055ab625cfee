"""An application factory of the tests: the shipped API, whose workers can be made to grow, within 800 MB.

A file in its temporary folder says how large each worker is to be, in megabytes.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from fastapi import FastAPI

from app.main import create_app
from monitor.demo.api import SmallMachine, carry_ballast

MEMORY_LIMIT = 800_000_000
BALLAST = "ballast"


def create() -> FastAPI:
    folder = Path(tempfile.gettempdir())
    api = create_app(registry=SmallMachine(folder / "cgroup", MEMORY_LIMIT))
    threading.Thread(target=carry_ballast, args=(folder / BALLAST,), daemon=True, name="ballast").start()
    return api
