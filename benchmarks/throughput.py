"""Requests per second of the API under one uvicorn, with and without instrumentation, driven by wrk.

    python -m benchmarks.throughput

Both servers run all the time on the same SQLite and are loaded in turns, round by round; printed are medians.
`/health` is the least that a request can cost, so the worst case; `GET /clients` checks a token and reads
twice from the database. The servers' own CPU per request tells the same, and is deaf to what else the
machine does. Takes about 25 s.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import httpx
import psutil
from fastapi import FastAPI

from app.main import create_app
from benchmarks.probe import free_port, running

ROUNDS = 4
SECONDS = 1
CONNECTIONS = 8
WRK = "wrk"
PER_REQUEST = ("instrument", "watch_pool", "forbid_storage")
"""What `app.main` instruments itself with that runs with each request; the rest runs with each scrape."""


def instrumented() -> FastAPI:
    return create_app()


def bare() -> FastAPI:
    with ExitStack() as without:
        for name in PER_REQUEST:
            without.enter_context(patch(f"app.main.{name}"))
        return create_app()


PATHS = ("/health", "/clients")
SERVERS = (bare.__name__, instrumented.__name__)


class Round(NamedTuple):
    """Requests per second, and microseconds of the server's CPU for each."""

    rate: float
    cpu: float


class Server(NamedTuple):
    base: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


Rounds = dict[tuple[str, str], list[Round]]


def uvicorn(server: str, port: int) -> tuple[str, ...]:
    quiet = ("--no-access-log", "--log-level", "warning")
    factory = ("--factory", f"benchmarks.throughput:{server}")
    return (sys.executable, "-m", "uvicorn", *factory, "--port", str(port), *quiet)


def token(base: str) -> str:
    """Of a new user with 50 clients."""
    account = {"email": "ada@example.com", "password": f"{secrets.token_hex()}aA1!"}
    with httpx.Client(base_url=base, trust_env=False) as client:
        client.post("/auth/register", json=account).raise_for_status()
        made: str = client.post("/auth/login", json=account).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {made}"
        for number in range(50):
            client.post("/clients", json={"name": f"Company {number}"}).raise_for_status()
    return made


def load(wrk: str, server: Server, path: str, token: str) -> Round:
    argv = (wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-H", f"Authorization: Bearer {token}")
    before = server.cpu_seconds()
    ran = subprocess.run((*argv, server.base + path), check=True, capture_output=True, text=True, timeout=60)
    cpu = server.cpu_seconds() - before
    requests = re.search(r"^ +([0-9]+) requests in ", ran.stdout, re.MULTILINE)
    rate = re.search(r"^Requests/sec: +([0-9.]+)$", ran.stdout, re.MULTILINE)
    if requests is None or rate is None or "Non-2xx" in ran.stdout or "Socket errors" in ran.stdout:
        raise SystemExit(f"{path}: {ran.stdout}")
    return Round(float(rate[1]), 1e6 * cpu / int(requests[1]))


def measure(wrk: str, servers: dict[str, Server]) -> Rounds:
    """By path and server."""
    valid = token(servers["bare"].base)
    rounds: Rounds = {(path, server): [] for path in PATHS for server in SERVERS}
    for number in range(ROUNDS + 1):
        for path, server in rounds:
            done = load(wrk, servers[server], path, valid)
            if number:  # the first round warms up
                rounds[path, server].append(done)
    return rounds


def report(rounds: Rounds) -> None:
    print(f"requests per second, median of {ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections")
    for path in PATHS:
        for unit, what in (("requests/s", "rate"), ("us of CPU", "cpu")):
            bare, ours = (
                statistics.median(getattr(each, what) for each in rounds[path, server]) for server in SERVERS
            )
            figures = f"bare {bare:7,.0f}   instrumented {ours:7,.0f}   ratio {ours / bare:.2f}"
            print(f"  GET {path:9} {unit:10}   {figures}", flush=True)


def main() -> None:
    wrk = shutil.which(WRK)
    if wrk is None:
        print(f"skipped: {WRK} is not installed (apt-get install {WRK})")
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as at_end:
        os.environ.update(DATABASE_URL=f"sqlite:///{Path(folder, 'paciolus.db')}", LOG_LEVEL="WARNING")
        servers = {}
        for name in SERVERS:
            port = free_port()
            process = at_end.enter_context(running(port, *uvicorn(name, port)))
            servers[name] = Server(f"http://127.0.0.1:{port}", process)
        report(measure(wrk, servers))


if __name__ == "__main__":
    main()
