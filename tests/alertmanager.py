"""A real Alertmanager that can be killed and started again on the same port, and what it can be asked."""

from __future__ import annotations

import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import StartProcess
from tests.inbox import Inbox
from tests.servers import Process, free_port, require_program

CONFIG = """
global: {{resolve_timeout: {resolve_timeout}}}
route: {{receiver: inbox, group_by: [alertname, target], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


class Alertmanager:
    """It writes down once a second whom it has notified; by default that would be every 15 minutes."""

    def __init__(self, start: StartProcess, folder: Path, inbox: Inbox, resolve_timeout: str = "5m") -> None:
        self._start, self.port = start, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.storage = folder / "alertmanager"
        self.config = folder / "alertmanager.yml"
        self.config.write_text(CONFIG.format(url=inbox.url, resolve_timeout=resolve_timeout))
        self.process = self.start()

    def start(self) -> Process:
        self.process = self._start(
            require_program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.config}",
            f"--storage.path={self.storage}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--data.maintenance-interval=1s",
        )
        self.process.wait_for(f"{self.url}/-/ready")
        return self.process

    def kill(self) -> None:
        self.process.send(signal.SIGKILL)
        self.process.wait()

    def forget(self) -> None:
        """While it is down: its storage is gone."""
        shutil.rmtree(self.storage)

    def alerts(self) -> list[Any]:
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False, timeout=5)
        found: list[Any] = answer.raise_for_status().json()
        return found

    def post(self, labels: dict[str, str], **said: Any) -> None:
        answer = httpx.post(
            f"{self.url}/api/v2/alerts", json=[{"labels": labels, **said}], trust_env=False, timeout=5
        )
        answer.raise_for_status()


def after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
