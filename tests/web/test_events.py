"""Server-sent events on a real port: bounded, and no brake on the agent's end."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from monitor.web import events
from monitor.web.changes import Changes
from tests.servers import wait_until
from tests.web.scenes import alert, healthy, incident, stand
from tests.web.serving import served


def lines_of(url: str, into: list[str], within: float = 10) -> threading.Thread:
    def read() -> None:
        try:
            with httpx.stream("GET", f"{url}/api/v1/events", timeout=within, trust_env=False) as answer:
                into.append(str(answer.status_code))
                into.extend(line for line in answer.iter_lines() if line)
        except httpx.HTTPError as error:
            into.append(repr(error))
        into.append("end")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_a_change_of_state_is_told_once_and_the_stream_ends_with_the_agent(tmp_path: Path) -> None:
    made, heard = healthy(tmp_path), list[str]()
    with served(made.page) as url:
        reader = lines_of(url, heard)
        wait_until(lambda: made.page.changes.listeners == 1, awaited="a listener")
        time.sleep(events.LOOK_EVERY * 1.2)
        stand(made, alert("error-rate", "api", "7 %"))
        wait_until(lambda: "event: changed" in heard, awaited="the event")
        began = time.monotonic()
    assert time.monotonic() - began < 2
    reader.join(5)
    assert heard[0] == "200"
    assert heard.count("event: changed") == 1
    assert heard[-1] == "end"
    assert made.page.changes.listeners == 0


def test_listeners_are_bounded_and_places_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_CLIENTS", 3)
    made = incident(tmp_path)
    with served(made.page) as url:
        port = int(url.rpartition(":")[2])
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for each in sockets:
            each.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_until(lambda: made.page.changes.listeners == 3, awaited="three listeners")
        refused = httpx.get(f"{url}/api/v1/events", trust_env=False)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        for each in sockets:
            each.close()
        wait_until(lambda: made.page.changes.listeners == 0, awaited="their places")


def test_the_heartbeat_keeps_a_quiet_stream_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    heard = list[str]()
    with served(healthy(tmp_path).page) as url:
        lines_of(url, heard)
        wait_until(lambda: heard.count(": still here") >= 3, awaited="heartbeats")
    assert "event: changed" not in heard


async def test_whoever_is_late_sees_the_last_number() -> None:
    changes = Changes()
    for _ in range(1000):
        changes.rise()
    assert await changes.after(3, 1) == 1000
    assert await changes.after(1000, 0.01) == 1000
    changes.close()
    assert await changes.after(1000, 60) == 1000
