"""Requests that are too long, too slow, or without a body."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from monitor.web import patience
from monitor.web.bounds import LONGEST_BODY
from tests.servers import wait_until
from tests.web.asking import anonymous, browser
from tests.web.scenes import healthy
from tests.web.serving import served


@pytest.mark.parametrize(
    "path", ["/", "/-/healthy", "/metrics", "/static/page.css", "/api/v1/status", "/targets/api"]
)
async def test_head_is_get_without_the_body(tmp_path: Path, path: str) -> None:
    answer = await anonymous(healthy(tmp_path)).head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"]
    far = await anonymous(healthy(tmp_path), "203.0.113.9").head(path)
    assert far.status_code == (200 if path.startswith("/static/") else 401)


def test_head_on_a_real_port(tmp_path: Path) -> None:
    with served(healthy(tmp_path).page) as url, httpx.Client(trust_env=False) as client:
        assert client.head(f"{url}/-/healthy").status_code == 200
        assert client.head(f"{url}/api/v1/events").status_code == 405
        assert client.get(f"{url}/-/healthy").json()["healthy"]


@pytest.mark.parametrize("path", ["/silences", "/api/v1/silences"])
async def test_a_body_is_bounded_before_it_is_kept(tmp_path: Path, path: str) -> None:
    body = b'{"reason": "' + b"x" * LONGEST_BODY + b'"}'
    answer = await browser(healthy(tmp_path)).post(
        path, content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert len(answer.content) < 2000


async def test_what_was_sent_in_the_wrong_place_is_not_said_again(tmp_path: Path) -> None:
    answer = await browser(healthy(tmp_path)).post(
        "/api/v1/silences", json={"reason": ["hunter2"], "lasts": "1h"}
    )
    assert (answer.status_code, answer.json()) == (422, {"detail": "reason: Input should be a valid string"})


def test_whoever_never_ends_a_request_does_not_keep_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LONGEST_WAIT", 1.0)
    with served(healthy(tmp_path).page) as url, httpx.Client(trust_env=False) as client:
        port = int(url.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(210)]
        try:
            for each in slow[::2]:
                each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            wait_until(lambda: client.get(f"{url}/-/healthy").status_code == 503, 5, "no place left")
            wait_until(
                lambda: client.get(f"{url}/-/healthy").status_code == 200, 10, "their places", every=0.3
            )
        finally:
            for each in slow:
                each.close()
