"""The shipped alerts/ folder started with alerts/start-alertmanager, its waiting times taken out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import StartProcess
from tests.servers import Process, free_port, require_program

ALERTS = Path(__file__).parent.parent.parent / "alerts"
HURRIED = {
    r"group_wait: \S+": "group_wait: 0s",
    r"group_interval: \S+": "group_interval: 1s",
    r"repeat_interval: 50s": "repeat_interval: 500ms",
}

Outcome = tuple[subprocess.CompletedProcess[str], dict[str, Any]]
Check = Callable[[Mapping[str, str]], Outcome]


def checked(shell: list[str], path: str, folder: Path, env: Mapping[str, str]) -> Outcome:
    """How `start-alertmanager check` ended, and the config that it wrote."""
    ran = subprocess.run(
        [*shell, ALERTS / "start-alertmanager", "check"],
        env={"PATH": path, "RUNTIME_DIRECTORY": str(folder), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    written = folder / "alertmanager.yml"
    return ran, yaml.safe_load(written.read_text()) if ran.returncode == 0 else {}


def hurried(folder: Path) -> Path:
    """A copy of alerts/ in which groups are notified at once and looked at every second."""
    copy = folder / "alerts"
    shutil.copytree(ALERTS, copy)
    text = (copy / "alertmanager.yml").read_text()
    for written, instead in HURRIED.items():
        text, count = re.subn(written, instead, text)
        assert count, written
    (copy / "alertmanager.yml").write_text(text)
    return copy


class Started:
    """An Alertmanager of the shipped files, with the receivers that `env` names."""

    def __init__(self, start: StartProcess, folder: Path, env: Mapping[str, str]) -> None:
        require_program("prometheus-alertmanager", "alertmanager")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process = start(
            hurried(folder) / "start-alertmanager",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            f"--storage.path={folder / 'storage'}",
            env={"RUNTIME_DIRECTORY": str(folder / "run"), "INBOX_URL": "off", **env},
        )
        self.process.wait_for(f"{self.url}/-/ready")

    def post(self, *alerts: Mapping[str, Any]) -> None:
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def standing(self) -> dict[tuple[str, str, str], str]:
        """By alertname (with a + for Grafana's copy), target and check: active or suppressed."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return {_key(each["labels"]): each["status"]["state"] for each in json.load(answer)}


def _key(labels: Mapping[str, str]) -> tuple[str, str, str]:
    copy = "+" if "grafana_folder" in labels else ""
    return labels["alertname"] + copy, labels.get("target", ""), labels.get("check", "")


def alert(name: str, severity: str = "page", check: str = "metrics", target: str = "api", **more: str) -> Any:
    """As Prometheus and the agent post it; `more` are labels, an empty label is none."""
    labels = {"alertname": name, "target": target, "check": check, "severity": severity, **more}
    return {"labels": {key: value for key, value in labels.items() if value}, "annotations": {}}


def as_grafana(posted: Mapping[str, Any], folder: str = "Paciolus") -> dict[str, Any]:
    """The same as Grafana's Alertmanager contact point posts it: with labels of its own, and no end."""
    own = {"grafana_folder": folder, "__alert_rule_uid__": f"paciolus-{posted['labels']['alertname']}"}
    now = datetime.now(UTC)
    return {
        "labels": {**posted["labels"], **own},
        "annotations": {**posted["annotations"], "__orgId__": "1", "__values__": '{"A":0.071}'},
        "startsAt": (now - timedelta(seconds=1)).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost:3000/alerting/grafana/paciolus/view",
        "UpdatedAt": now.isoformat(),
        "Timeout": False,
    }


def ended(posted: Mapping[str, Any]) -> dict[str, Any]:
    return {**posted, "endsAt": datetime.now(UTC).isoformat()}
