"""The end, with real processes: not ready first, then the pause, then requests in flight, then the exit."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi import FastAPI

from app.main import create_app
from tests.conftest import StartProcess
from tests.servers import Process, free_port, wait_until

PAUSE = 1.5
IN_FLIGHT = 3.5
"""Seconds that a request takes: longer than the pause, so that it ends after the door is closed."""
WAYS = {
    "uvicorn": ("uvicorn", "--factory", "tests.app.test_shutdown:create"),
    "uvicorn, 2 workers": ("uvicorn", "--workers=2", "--factory", "tests.app.test_shutdown:create"),
    "gunicorn": ("gunicorn", "-c", "python:app.gunicorn_conf", "tests.app.test_shutdown:create()"),
}


def create() -> FastAPI:
    app = create_app()

    @app.get("/slow")
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    return app


@contextmanager
def running(
    way: str, process: StartProcess, folder: Path, **env: str
) -> Iterator[tuple[Process, httpx.Client]]:
    port = free_port()
    given = {
        "DATABASE_URL": f"sqlite:///{folder}/paciolus.db",
        "API_PORT": str(port),
        "DRAIN_SECONDS": str(PAUSE),
        "TMPDIR": str(folder),
        **env,
    }
    uvicorns = (f"--port={port}", "--timeout-graceful-shutdown=20") if way.startswith("uvicorn") else ()
    server = process(sys.executable, "-m", *WAYS[way], *uvicorns, env=given)
    base = f"http://127.0.0.1:{port}"
    server.wait_for(base + "/health/ready", 60)
    wanted = {"uvicorn": 1, "uvicorn, 2 workers": 2, "gunicorn": 4}[way]
    wait_until(lambda: server.output.count("Application startup complete") == wanted, 60, "all serve")
    with httpx.Client(base_url=base, headers={"Connection": "close"}, timeout=30, trust_env=False) as client:
        yield server, client


def connects(client: httpx.Client) -> bool:
    try:
        client.get("/health")
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize(
    "way", ["uvicorn", pytest.param("uvicorn, 2 workers", marks=pytest.mark.nightly), "gunicorn"]
)
def test_a_stop_is_noticed_by_load_balancers_before_anybody_else(
    way: str, process: StartProcess, tmp_path: Path
) -> None:
    with running(way, process, tmp_path) as (server, client), ThreadPoolExecutor(8) as pool:
        family = [child.pid for child in psutil.Process(server.pid).children()]
        in_flight = [pool.submit(client.get, f"/slow?seconds={IN_FLIGHT}") for _ in range(8)]
        time.sleep(0.5)
        asked = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503, PAUSE, "not ready", every=0.01)
        assert client.get("/health").status_code == 200, "everything is still answered"
        assert client.get("/clients").status_code == 401
        wait_until(lambda: not connects(client), 10, "the door is closed", every=0.02)
        closed = time.monotonic() - asked
        answers = [each.result() for each in in_flight]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, "done")] * 8
        server.wait(20)
    assert closed > PAUSE * 0.9
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in family), 10, "its processes are gone")
    assert "asked to end: not ready from now on, closing in 1.5 s" in server.output
    assert "Traceback" not in server.output
    if way == "gunicorn":
        assert server.popen.returncode == 0


def test_what_takes_too_long_is_cut_off(process: StartProcess, tmp_path: Path) -> None:
    env = {"DRAIN_SECONDS": "0", "SHUTDOWN_SECONDS": "1", "WEB_CONCURRENCY": "4"}
    with running("gunicorn", process, tmp_path, **env) as (server, client), ThreadPoolExecutor(1) as pool:
        endless = pool.submit(client.get, "/slow?seconds=600")
        time.sleep(0.5)
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(15) == 0
        assert endless.result().status_code == 500


@pytest.mark.nightly
def test_a_signal_to_the_whole_group_does_not_shorten_the_pause(
    process: StartProcess, tmp_path: Path
) -> None:
    with running("gunicorn", process, tmp_path) as (server, client):
        asked = time.monotonic()
        server.send(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503, PAUSE, "not ready", every=0.01)
        wait_until(lambda: not connects(client), 10, "the door is closed", every=0.02)
        assert time.monotonic() - asked > PAUSE * 0.9
        assert server.wait(20) == 0


@pytest.mark.parametrize("hurry", [signal.SIGINT], ids=lambda number: number.name)
def test_ctrl_c_does_not_pause(hurry: signal.Signals, process: StartProcess, tmp_path: Path) -> None:
    with running("uvicorn", process, tmp_path, DRAIN_SECONDS="60") as (server, _):
        os.kill(server.pid, hurry)
        server.wait(15)
