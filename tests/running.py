"""The shipped API and the agent as processes, for tests that need both."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.conftest import StartProcess
from tests.inbox import Inbox
from tests.servers import Process, free_port

SHORTENED = 60


BEHIND_GATE = "tests.api_behind_gate:create"


class Api:
    """The shipped API under uvicorn; `no_metrics` is a file that closes /metrics alone while it exists."""

    def __init__(self, start: StartProcess, folder: Path, factory: str = BEHIND_GATE) -> None:
        self._start, self._factory, self.port = start, factory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "api.db"
        self.no_metrics = folder / "no-metrics"
        self.process = self.start()

    def start(self) -> Process:
        self.process = self._start(
            *(sys.executable, "-m", "uvicorn", "--factory", self._factory),
            f"--port={self.port}",
            env={
                "DATABASE_URL": f"sqlite:///{self.database}",
                "GATE": str(self.no_metrics),
            },
        )
        self.process.wait_for(self.url + "/health")
        return self.process


class Agent:
    def __init__(
        self,
        start: StartProcess,
        folder: Path,
        inbox: Inbox,
        targets: dict[str, str],
        interval: str = "500ms",
        shorten: int = SHORTENED,
        on_call: dict[str, str] | None = None,
    ) -> None:
        """`on_call` takes the place of a webhook to the inbox."""
        self._start, self.port = start, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "monitor.yml"
        checks = {
            "health": {"probe": "http", "path": "/health"},
            "metrics": {"probe": "scrape", "path": "/metrics"},
        }
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "database": f"sqlite:///{folder / 'agent.db'}",
            "shorten_windows": shorten,
            "targets": [
                {"name": name, "url": url, "interval": interval, "checks": checks}
                for name, url in targets.items()
            ],
            "notify": {
                "on-call": on_call or {"kind": "webhook", "url": inbox.url},
                "log": {"kind": "log"},
            },
        }
        self.config.write_text(json.dumps(settings))
        self.process = self.start()

    def start(self) -> Process:
        self.process = self._start(sys.executable, "-m", "monitor", "run", "--config", self.config)
        self.process.wait_for(self.url + "/-/healthy")
        return self.process

    def status(self) -> Any:
        with urllib.request.urlopen(self.url + "/api/v1/status", timeout=5) as answer:
            return json.load(answer)

    def verdicts(self, target: str = "api") -> dict[str, str]:
        return {
            each["name"]: each["verdict"] for each in self.status()["objectives"] if each["target"] == target
        }

    def written_down(self) -> bool:
        """Whether it has stored that all its messages arrived; killed before, it sends them again."""
        return "monitor_outbox_depth 0.0" in self.metrics().splitlines()

    def metrics(self) -> str:
        with urllib.request.urlopen(self.url + "/metrics", timeout=5) as answer:
            return str(answer.read().decode())
