"""What pipelines copy: it parses, its shell works, it names inputs and options that exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

HOUSE = Path(__file__).parents[2]
EXAMPLES = HOUSE / "docs/examples"
ACTION = yaml.safe_load((HOUSE / "action.yml").read_text())
WORKFLOWS = sorted(EXAMPLES.glob("github-*.yml"))
TEMPLATE = HOUSE / ".gitlab/gate.gitlab-ci.yml"
GITLAB = [TEMPLATE, EXAMPLES / "gitlab-post-deploy.yml"]
SCRIPTS = sorted(path for path in EXAMPLES.iterdir() if not path.suffix)


def checked(shell: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=shell, capture_output=True, text=True, timeout=10, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), shell


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        yield from job["steps"]


def test_the_action_uses_the_inputs_that_it_has() -> None:
    text = (HOUSE / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    named = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)\.", text)) == named
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input would be run as part of the script"
        checked(step["run"])
        used = set(re.findall(r"\$\{?([A-Z_]+)", step["run"])) - {"RUNNER_TEMP"}
        assert used == set(step["env"])


def test_the_action_asks_the_gate_as_its_inputs_say(tmp_path: Path) -> None:
    gate = tmp_path / "paciolus-monitor/bin/paciolus-monitor"
    gate.parent.mkdir(parents=True)
    gate.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 3\n')
    gate.chmod(0o755)
    [step] = [step for step in ACTION["runs"]["steps"] if step.get("id") == "gate"]
    defaults = {name: each.get("default", "") for name, each in ACTION["inputs"].items()}
    given = {**defaults, "target": "http://a/$(touch x) 'b", "baseline": "last-pass"}
    env = {name: given[value[len("${{ inputs.") : -len(" }}")]] for name, value in step["env"].items()}
    script = tmp_path / "script.sh"
    script.write_text(step["run"])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
        cwd=tmp_path,
        env={**env, "RUNNER_TEMP": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 3, "the job must see how it ended"
    asked = done.stdout.splitlines()
    assert asked[:3] == ["gate", "--target", given["target"]]
    assert asked[asked.index("--baseline") + 1] == "last-pass"
    assert "--config" not in asked
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_give_the_action_what_it_takes(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"]["contents"] == "read"
    assert all("timeout-minutes" in job or "uses" not in str(job) for job in workflow["jobs"].values())
    gates = [step for step in steps(path) if step.get("uses") == "./"]
    assert gates
    for gate in gates:
        assert set(gate["with"]) <= set(ACTION["inputs"])
        required = {name for name, each in ACTION["inputs"].items() if each.get("required")}
        assert required <= set(gate["with"])
    assert set(re.findall(r"steps\.gate\.outputs\.(\w+)", text)) <= set(ACTION["outputs"])
    for step in steps(path):
        if "run" in step:
            assert "${{" not in step["run"]
            checked(step["run"])
        for named in re.findall(r"docs/examples/[\w-]+", step.get("run", "")):
            assert os.access(HOUSE / named, os.X_OK)


@pytest.mark.parametrize("path", GITLAB, ids=lambda path: path.stem)
def test_gitlab_jobs_parse(path: Path) -> None:
    jobs = {
        name: job
        for name, job in yaml.safe_load(path.read_text()).items()
        if name not in ("include", "stages")
    }
    assert jobs
    for job in jobs.values():
        for line in [*job.get("before_script", []), *job.get("script", [])]:
            checked(line)
            for named in re.findall(r"docs/examples/[\w-]+", line):
                assert os.access(HOUSE / named, os.X_OK)


def test_gitlab_variables_are_those_of_the_template() -> None:
    [job] = yaml.safe_load(TEMPLATE.read_text()).values()
    used = set(re.findall(r"\$\{?(GATE_\w+)", "\n".join([*job["before_script"], *job["script"]])))
    assert used == set(job["variables"])
    example = yaml.safe_load((EXAMPLES / "gitlab-post-deploy.yml").read_text())
    assert set(example["gate"]["variables"]) <= used
    said = (HOUSE / "docs/gate.md").read_text() + TEMPLATE.read_text()
    configured = set(re.findall(r"\$\{(GATE_\w+)", (HOUSE / "alerts/gate.yml").read_text()))
    assert set(re.findall(r"\b(GATE_[A-Z_]+)\b", said)) <= used | configured


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    assert os.access(script, os.X_OK)
    checked(script.read_text())


@contextmanager
def platform(answers: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str, str, Any]]]]:
    """Its address, and what it was asked: method, path, authorization, body."""
    asked: list[tuple[str, str, str, Any]] = []

    class Answering(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            asked.append((self.command, self.path, self.headers["authorization"], body))
            found = answers.get(f"{self.command} {self.path}")
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(name: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [EXAMPLES / name, *arguments],
        env={"PATH": path, "NO_PROXY": "*", **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def render_deploys(*statuses: str) -> dict[str, Any]:
    deploys = [{"deploy": {"id": f"dep-{n}", "status": status}} for n, status in enumerate(statuses)]
    return {
        "GET /services/srv-1/deploys?limit=20": deploys,
        "PATCH /services/srv-1": {},
        "POST /services/srv-1/rollback": {"id": "dep-9"},
    }


def test_render_goes_back_to_what_was_live_before() -> None:
    with platform(render_deploys("live", "build_failed", "deactivated", "deactivated")) as (url, asked):
        done = run(
            "rollback-render", {"RENDER_API": url, "RENDER_API_KEY": "k3y", "RENDER_SERVICE_ID": "srv-1"}
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert asked == [
        ("GET", "/services/srv-1/deploys?limit=20", "Bearer k3y", None),
        ("PATCH", "/services/srv-1", "Bearer k3y", {"autoDeploy": "no"}),
        ("POST", "/services/srv-1/rollback", "Bearer k3y", {"deployId": "dep-2"}),
    ]


def test_render_without_an_earlier_release_changes_nothing() -> None:
    with platform(render_deploys("live", "canceled")) as (url, asked):
        done = run(
            "rollback-render", {"RENDER_API": url, "RENDER_API_KEY": "k3y", "RENDER_SERVICE_ID": "srv-1"}
        )
    assert done.returncode == 1
    assert "no earlier release" in done.stderr
    assert len(asked) == 1
    assert run("rollback-render", {"RENDER_API_KEY": "k3y"}).returncode == 1


def digitalocean(*, valid: bool) -> dict[str, Any]:
    phases = ("ACTIVE", "ERROR", "SUPERSEDED", "SUPERSEDED")
    refusal = {} if valid else {"error": {"message": "it is too old"}}
    return {
        "GET /apps/a1/deployments?per_page=20": {
            "deployments": [{"id": f"d-{n}", "phase": phase} for n, phase in enumerate(phases)]
        },
        "POST /apps/a1/rollback/validate": {"valid": valid, **refusal},
        "POST /apps/a1/rollback": {"deployment": {}},
    }


@pytest.mark.parametrize("valid", [True, False])
def test_digitalocean_asks_whether_it_can_go_back(valid: bool) -> None:
    with platform(digitalocean(valid=valid)) as (url, asked):
        done = run(
            "rollback-digitalocean",
            {"DIGITALOCEAN_API": url, "DIGITALOCEAN_ACCESS_TOKEN": "k3y", "DIGITALOCEAN_APP_ID": "a1"},
        )
    to = {"deployment_id": "d-2", "skip_pin": False}
    wanted = [
        ("GET", "/apps/a1/deployments?per_page=20", "Bearer k3y", None),
        ("POST", "/apps/a1/rollback/validate", "Bearer k3y", to),
        ("POST", "/apps/a1/rollback", "Bearer k3y", to),
    ]
    assert asked == (wanted if valid else wanted[:2])
    assert done.returncode == (0 if valid else 1)
    assert done.stderr == ("" if valid else "DigitalOcean refuses: it is too old\n")


@pytest.mark.parametrize(("status", "end"), [("live", 0), ("build_failed", 1)])
def test_a_deploy_is_waited_for(status: str, end: int) -> None:
    answers = {
        "POST /services/srv-1/deploys": {"id": "dep-7", "status": "build_in_progress"},
        "GET /services/srv-1/deploys/dep-7": {"id": "dep-7", "status": status},
    }
    env = {"RENDER_API_KEY": "k3y", "RENDER_SERVICE_ID": "srv-1", "EVERY": "0"}
    with platform(answers) as (url, asked):
        done = run("deploy-render", {"RENDER_API": url, **env}, "c0ffee")
    assert done.returncode == end
    assert asked[0] == ("POST", "/services/srv-1/deploys", "Bearer k3y", {"commitId": "c0ffee"})
    assert (done.stdout + done.stderr).startswith("dep-7 is ")
