"""The files that deploy the API agree with its settings, and the Dockerfile's steps work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from app.settings import Settings
from tests.dockerfile import instructions
from tests.servers import free_port

HOUSE = Path(__file__).parent.parent
DOCKERFILE = HOUSE / "deploy/Dockerfile"
NOT_OURS = {"PROMETHEUS_MULTIPROC_DIR"}
"""Read by a library, not by the settings."""
STRONG = {
    "JWT_SECRET_KEY": "0123456789abcdef" * 4,
    "DATABASE_URL": f"postgresql://user:{'0123456789abcdef' * 2}@127.0.0.1:1/paciolus",
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)


def example() -> dict[str, str]:
    lines = (HOUSE / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_has_every_variable() -> None:
    assert set(example()) == {field.upper() for field in Settings.model_fields} | NOT_OURS


def test_the_example_says_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings.load()
    for name, value in example().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == defaults


def test_a_shell_can_read_the_example() -> None:
    sourced = "set -a; . ./.env.example; env -0"
    out = subprocess.run(
        ["/bin/sh", "-euc", sourced],
        cwd=HOUSE,
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    told = dict(pair.split("=", 1) for pair in out.stdout.split("\0") if pair)
    assert example().items() <= told.items()


class Platform(NamedTuple):
    env: dict[str, str]
    instances: int
    connections: int
    """What its smallest database takes."""
    grace: float
    """Seconds from SIGTERM to SIGKILL."""


def render() -> Platform:
    spec = yaml.safe_load((HOUSE / "deploy/render.yaml").read_text())
    [service] = spec["services"]
    return Platform(
        _values(service["envVars"]),
        service["scaling"]["maxInstances"],
        97,
        service["maxShutdownDelaySeconds"],
    )


def digitalocean() -> Platform:
    spec = yaml.safe_load((HOUSE / "deploy/digitalocean-app.yaml").read_text())
    [service] = spec["services"]
    grace = service["termination"]["grace_period_seconds"]
    return Platform(_values(service["envs"]), service["instance_count"], 22, grace)


def _values(variables: list[dict[str, Any]]) -> dict[str, str]:
    return {each["key"]: STRONG.get(each["key"], each.get("value", "")) for each in variables}


@pytest.mark.parametrize("platform", [render(), digitalocean()], ids=["render", "digitalocean"])
def test_a_platform_gets_settings_that_production_takes(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(platform.env) <= {field.upper() for field in Settings.model_fields}
    for name, value in platform.env.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.production
    per_worker = settings.db_pool_size + settings.db_max_overflow
    assert platform.instances * settings.web_concurrency * per_worker < platform.connections
    assert settings.drain + settings.shutdown_seconds + 5 < platform.grace


@pytest.mark.parametrize("name", ["render.yaml", "digitalocean-app.yaml"])
def test_a_platform_asks_what_is_documented(name: str) -> None:
    text = (HOUSE / "deploy" / name).read_text()
    assert re.search(r"(?:healthCheckPath|http_path): /health\n", text)
    assert re.search(r"deploy/Dockerfile\n", text)
    assert not re.search(r"hunter2|BEGIN|://\w+:\w+@", text)


def test_the_dockerfile_is_clean() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_dockerfile_is_what_the_handbook_asks_for() -> None:
    steps = instructions(DOCKERFILE.read_text())
    words = [word for word, _ in steps]
    assert words.count("FROM") == 2, "multi-stage"
    assert re.fullmatch(r"\d+:\d+", dict(steps)["USER"]), (
        "numeric, so that Kubernetes can tell that it is not root"
    )
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert not any("/root" in rest for _, rest in steps)
    assert '"python", "-c", "import os, urllib.request as web;' in dict(steps)["HEALTHCHECK"], (
        "only the stdlib"
    )


def test_the_context_is_what_the_dockerfile_copies() -> None:
    sources = [
        source
        for word, rest in instructions(DOCKERFILE.read_text())
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    allowed = [
        line[1:] for line in (HOUSE / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert sources == allowed
    assert all((HOUSE / source).exists() for source in sources)


def run_dockerfile(dockerfile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    if os.geteuid():
        pytest.skip("needs root, to be able to become somebody else")
    return subprocess.run(
        [sys.executable, "-m", "tests.dockerfile", dockerfile, "--context", HOUSE, *more],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.nightly
@pytest.mark.timeout(660)
def test_the_dockerfile_builds_and_serves_as_an_unprivileged_user() -> None:
    env = {**STRONG, "CORS_ORIGINS": "https://paciolus.com", "PORT": str(free_port()), "DRAIN_SECONDS": "0"}
    done = run_dockerfile(DOCKERFILE, *(f"--env={name}={value}" for name, value in env.items()))
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    assert "processes of uid 10001\n" in done.stdout


# The handbook's own: what pip installs for root stays in root's home.
_HOME = "/root"
_LOCKED_UP = f"""
FROM python:3.11-slim-bookworm AS builder
RUN mkdir -p {_HOME}/.local/bin && cp /bin/sleep {_HOME}/.local/bin/serve
FROM python:3.11-slim-bookworm
COPY --from=builder {_HOME}/.local {_HOME}/.local
USER 1000:1000
ENV PATH={_HOME}/.local/bin:$PATH
HEALTHCHECK --interval=30s CMD ["false"]
CMD ["serve", "60"]
"""
_ROOT = 'FROM python:3.11-slim-bookworm\nHEALTHCHECK CMD ["true"]\nCMD ["sleep", "60"]\n'
_ABRUPT = """
FROM python:3.11-slim-bookworm
USER 1000:1000
HEALTHCHECK CMD ["true"]
CMD ["sleep", "60"]
"""
_WRITABLE = _ABRUPT.replace("USER", "RUN mkdir -m 777 /opt/app\nUSER")
_BLIND = """
FROM python:3.11-slim-bookworm
USER 1000:1000
HEALTHCHECK CMD ["test", "-e", "/tmp/started"]
CMD ["sh", "-c", "trap 'exit 0' TERM; touch /tmp/started; sleep 60 & wait"]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_LOCKED_UP, "failed: ended with 126 instead of serving"),
        (_ROOT, "failed: it would run as root"),
        (_WRITABLE, "failed: it could change what it runs"),
        (_ABRUPT, "failed: ended with -15 after SIGTERM"),
        (_BLIND, "failed: the health check is content without a server"),
        ("FROM python:3.11-slim-bookworm\nRUN false\n", "failed: RUN false"),
        ("FROM python:3.11-slim-bookworm\nADD x y\n", "failed: ADD is not known here"),
        ("FROM alpine\n", "failed: only the base image of this Python is known, not alpine"),
    ],
    ids=["locked up", "root", "writable", "abrupt", "blind", "failing", "unknown", "other base"],
)
def test_the_check_finds_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    done = run_dockerfile(tmp_path / "Dockerfile")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, said)
