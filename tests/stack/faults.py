"""What breaks a running API from outside: each is a context, broken inside it and healed after it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import psycopg2

from monitor.stack.places import Places
from tests.stack.api_with_ballast import BALLAST, MEMORY_LIMIT
from tests.stack.running import RunningStack

ACCOUNT = {"email": "accountant@example.com", "password": "correct horse 1 battery"}
USERS = 5
CROWD = 26
"""More users than the 20 connections of the pools, fewer than with their overflow."""
THINK = 0.25
"""Seconds between two requests of a user."""
GUESSES = 8
"""Wrong passwords a second."""
Broken = contextlib.AbstractContextManager[None]
FULL = 0.92
"""Of the memory that the API may have."""


@contextlib.contextmanager
def in_threads(work: Callable[[threading.Event], None], number: int) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def token(stack: RunningStack) -> str:
    with httpx.Client(base_url=stack.url("api"), trust_env=False, timeout=20) as client:
        client.post("/auth/register", json=ACCOUNT)
        answer = client.post("/auth/login", json=ACCOUNT).raise_for_status()
        return str(answer.json()["access_token"])


def users(stack: RunningStack, bearer: str, number: int, think: float) -> Broken:
    """Each asks for its clients, again and again."""

    def work(stop: threading.Event) -> None:
        headers = {"authorization": f"Bearer {bearer}"}
        with httpx.Client(base_url=stack.url("api"), headers=headers, trust_env=False, timeout=20) as client:
            while not stop.wait(think):
                with contextlib.suppress(httpx.TransportError):
                    client.get("/clients")

    return in_threads(work, number)


def held_locks(stack: RunningStack, locked: float, free: float) -> Broken:
    """Somebody else's transaction has the table of clients for `locked` seconds, then lets go for `free`."""

    def work(stop: threading.Event) -> None:
        with contextlib.closing(psycopg2.connect(stack.database)) as connection:
            while not stop.wait(free):
                with connection, connection.cursor() as cursor:
                    cursor.execute("LOCK TABLE clients IN ACCESS EXCLUSIVE MODE")
                    time.sleep(locked)

    return in_threads(work, 1)


def slow(stack: RunningStack, _bearer: str) -> Broken:
    """Longer than the 3 s that page, shorter than the 5 s after which PostgreSQL cancels the statement."""
    return held_locks(stack, locked=3.6, free=0.3)


@contextlib.contextmanager
def full_pool(stack: RunningStack, bearer: str) -> Iterator[None]:
    """Many wait for a lock, each with a connection, and none for as long as would page for slowness."""
    with held_locks(stack, locked=1.0, free=0.05), users(stack, bearer, CROWD, think=0.01):
        yield


@contextlib.contextmanager
def lost_table(stack: RunningStack, _bearer: str) -> Iterator[None]:
    execute(stack, "ALTER TABLE clients RENAME TO clients_away")
    try:
        yield
    finally:
        execute(stack, "ALTER TABLE clients_away RENAME TO clients")


def execute(stack: RunningStack, statement: str) -> None:
    with (
        contextlib.closing(psycopg2.connect(stack.database)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@contextlib.contextmanager
def short_of_memory(stack: RunningStack, _bearer: str) -> Iterator[None]:
    """Every worker grows by its part of what is missing."""
    [now] = stack.query('process_tree_memory_bytes{job="api"}')
    workers = psutil.Process(stack.pid("api")).children()
    missing = FULL * MEMORY_LIMIT - float(now["value"][1])
    size = max(worker.memory_info().rss for worker in workers) + missing / len(workers)
    ballast = Places(stack.data).temporary / BALLAST
    ballast.write_text(f"{size / 1_000_000:.0f}")
    try:
        yield
    finally:
        ballast.write_text("0")


def login_storm(stack: RunningStack, _bearer: str) -> Broken:
    def work(stop: threading.Event) -> None:
        with httpx.Client(base_url=stack.url("api"), trust_env=False, timeout=20) as client:
            while not stop.wait(1 / GUESSES):
                client.post("/auth/login", json=ACCOUNT | {"password": "a guess"})

    return in_threads(work, 1)


FAULTS: dict[str, Callable[[RunningStack, str], Broken]] = {
    "latency-p95": slow,
    "error-rate": lost_table,
    "pool-usage": full_pool,
    "memory-usage": short_of_memory,
    "failed-logins": login_storm,
}
"""By the alert that must follow."""
