"""The wheel in another environment, run from an empty folder: all that the agent reads travels with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.servers import free_port, wait_until

HOUSE = Path(__file__).parent.parent
MONITOR_YML = """
listen: 127.0.0.1:{port}
targets:
  - name: api
    url: {url}
    interval: 1s
    checks:
      health: {{probe: http, path: /health, timeout: 1s}}
notify:
  log: {{kind: log}}
"""


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Silent."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(*argv: str | Path, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": str(cwd), "PYTHONPATH": "", "COLUMNS": "200"}
    return subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a virtual environment with the wheel, and third-party packages from the one we run in."""
    folder = tmp_path_factory.mktemp("wheel")
    venv = folder / "venv"
    steps: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, HOUSE],
        [sys.executable, "-m", "venv", "--without-pip", venv],
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", venv / "bin/python"),
            *("install", "--quiet", "--no-deps", "--no-index", "--find-links", folder, "paciolus-monitor"),
        ],
    )
    for step in steps:
        done = run(*step, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    [site_packages] = venv.glob("lib/python3*/site-packages")
    # Only after the installation, or pip would find our editable one there. Its .pth file is not followed.
    (site_packages / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_what_runs_is_the_wheel(installed: Path, empty: Path) -> None:
    ask = "import app, exporters, monitor; print(app.__file__, exporters.__file__, monitor.__file__)"
    places = run(installed / "python", "-c", ask, cwd=empty).stdout.split()
    assert len(places) == 3
    assert all(Path(place).is_relative_to(installed.parent) for place in places)


def test_check_needs_no_config(installed: Path, empty: Path, api: str) -> None:
    shown = run(installed / "paciolus-monitor", "check", f"{api}/health", cwd=empty)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "OK" in shown.stdout
    explained = run(installed / "paciolus-monitor", "check", f"{api}/gone", "--explain", cwd=empty)
    assert explained.returncode == 1
    assert "404" in explained.stdout
    nobody = f"http://127.0.0.1:{free_port()}/health"
    refused = run(installed / "paciolus-monitor", "check", nobody, "--json", cwd=empty)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["reason"] == "connect"


def test_validate_knows_the_objectives_that_travel_along(installed: Path, empty: Path) -> None:
    fine = run(installed / "paciolus-monitor", "validate", cwd=empty)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert str(installed.parent) in fine.stdout.replace("\n", "")
    (empty / "monitor.yml").write_text("targets:\n  - nmae: api\n")
    broken = run(installed / "paciolus-monitor", "validate", "monitor.yml", cwd=empty)
    assert broken.returncode == 2
    assert "monitor.yml:2" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_every_runbook_travels_along(installed: Path, empty: Path) -> None:
    ask = "from monitor.resources import resource; print(resource('docs', 'runbooks'))"
    folder = Path(run(installed / "python", "-c", ask, cwd=empty).stdout.strip())
    assert folder.is_relative_to(installed.parent)
    runbooks = {path.name for path in (HOUSE / "docs/runbooks").iterdir()}
    assert {path.name for path in folder.iterdir()} == runbooks


def test_run_watches_until_it_is_told_to_stop(
    installed: Path, empty: Path, api: str, process: StartProcess
) -> None:
    port = free_port()
    (empty / "monitor.yml").write_text(MONITOR_YML.format(port=port, url=api))
    agent = process(installed / "paciolus-monitor", "run", env={"PYTHONPATH": ""}, cwd=empty)
    agent.wait_for(f"http://127.0.0.1:{port}/-/healthy")

    def metrics() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            return str(page.read().decode())

    wait_until(lambda: 'probe_success{check="health",target="api"} 1.0' in metrics(), 10, "a probe")
    agent.send(signal.SIGTERM)
    assert agent.wait(15) == 0, agent.output
    assert "Traceback" not in agent.output
    left = sorted(path.name for path in empty.iterdir())
    assert left == ["monitor.yml", "paciolus-monitor.db", "paciolus-monitor.db.lock"]


@pytest.mark.slow
@pytest.mark.nightly
def test_the_demo_finds_all_it_needs(
    installed: Path, empty: Path, process: StartProcess, tmp_path: Path
) -> None:
    # A demo runs once per user, and its lock lies here: one in another terminal shall not matter.
    env = {"PYTHONPATH": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    demo = process(installed / "paciolus-monitor", "demo", env=env, cwd=empty)
    wait_until(lambda: "Broken from outside" in demo.output or not demo.running, 100, "healthy, then broken")
    assert "Healthy: all five documented objectives are OK" in demo.output
    demo.popen.send_signal(signal.SIGTERM)
    assert demo.wait(15) == 128 + signal.SIGTERM, demo.output
    assert list(empty.iterdir()) == []
