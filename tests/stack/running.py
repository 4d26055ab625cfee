"""`scripts/stack` as a process, on free ports and in a hurry, and what its servers say."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from monitor.stack.ports import DOCUMENTED, variable
from monitor.stack.postgres import NAME
from monitor.stack.running import READY_WITHIN
from tests.servers import Process, free_port, require_program, wait_until

HURRY = ("--shorten=12", "--interval=1600ms", "--prometheus-flag=--rules.alert.resend-delay=2s")


class RunningStack:
    """`data` is its folder."""

    def __init__(self, process: Process, ports: dict[str, int], data: Path) -> None:
        self.process, self.ports, self.data = process, ports, data

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def pid(self, service: str) -> int:
        """The newest: one that died may have been started again."""
        said = self.process.output
        table = re.findall(rf"^ +{service} +\S+ +(\d+) ", said, re.MULTILINE)
        again = re.findall(
            rf"^The {service} is started again, pid (\d+)\.$", self.process.output, re.MULTILINE
        )
        return int([*table, *again][-1])

    @property
    def database(self) -> str:
        password = json.loads((self.data / "secrets.json").read_text())["POSTGRES_PASSWORD"]
        return f"postgresql://{NAME}:{password}@127.0.0.1:{self.ports['postgres']}/{NAME}"

    def get(self, service: str, path: str) -> Any:
        return httpx.get(self.url(service) + path, trust_env=False, timeout=10).raise_for_status().json()

    def query(self, expression: str) -> list[Any]:
        """An instant query to Prometheus."""
        asked = httpx.get(
            f"{self.url('prometheus')}/api/v1/query",
            params={"query": expression},
            trust_env=False,
            timeout=10,
        )
        found: list[Any] = asked.raise_for_status().json()["data"]["result"]
        return found

    def notifications(self) -> list[list[dict[str, str]]]:
        """What the inbox has, each with its alerts."""
        kept: list[list[dict[str, str]]] = self.get("inbox", "/notifications")["notifications"]
        return kept


def family(stack: RunningStack) -> list[psutil.Process]:
    """All that it started; PostgreSQL's and gunicorn's workers included."""
    return psutil.Process(stack.process.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)


def require_servers() -> None:
    require_program("prometheus")
    require_program("prometheus-alertmanager", "alertmanager")
    require_program("initdb", also_in=sorted(Path("/usr/lib/postgresql").glob("*/bin")))


@contextlib.contextmanager
def run_stack(folder: Path, *flags: str) -> Iterator[RunningStack]:
    """Ready when it is yielded; `folder` takes its log, and its data when a flag says so."""
    require_servers()
    ports = {name: free_port() for name in DOCUMENTED}
    env = {variable(name): str(port) for name, port in ports.items()}
    process = Process(sys.executable, "-m", "monitor.stack", *flags, log=folder / "stack.log", env=env)
    try:
        wait_until(lambda: "\nReady. " in process.output or not process.running, 3 * READY_WITHIN, "Ready")
        assert process.running, process.output
        started = re.match(r"Starting in (.+)\n", process.output)
        assert started, process.output
        yield RunningStack(process, ports, Path(started[1]))
    finally:
        process.stop(grace=30)
