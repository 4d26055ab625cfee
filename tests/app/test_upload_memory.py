"""However many uploads come at once, the memory that they take together has a bound."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.upload_memory import FullError, UploadMemory
from tests.app.conftest import BALANCED, upload
from tests.servers import wait_until

HEAD = b"--b\r\nContent-Disposition: form-data; name=file; filename=tb.csv\r\n\r\n"
END = b"\r\n--b--\r\n"


@contextmanager
def begun(user: httpx.Client, app: FastAPI, announced: int) -> Iterator[socket.socket]:
    """An upload of which so far only the beginning has come."""
    before = app.state.upload_memory.reserved
    head = (
        f"POST /audit/trial-balance HTTP/1.1\r\nHost: api\r\nContent-Length: {announced}\r\n"
        f"Authorization: {user.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    with socket.create_connection((user.base_url.host, user.base_url.port or 80), timeout=10) as connection:
        connection.sendall(head.encode() + HEAD)
        wait_until(lambda: app.state.upload_memory.reserved == before + announced, 5, "room is taken")
        yield connection


@pytest.fixture
def room(app: FastAPI) -> int:
    """Bytes for all uploads together, in these tests."""
    room = 2_000
    app.state.upload_memory = UploadMemory(room)
    return room


def free(app: FastAPI) -> None:
    wait_until(lambda: app.state.upload_memory.reserved == 0, 5, "all room is free again")


def test_uploads_beyond_the_room_are_refused_unread_and_others_are_not(
    user: httpx.Client, app: FastAPI, room: int
) -> None:
    with begun(user, app, room - 10) as first:
        refused = upload(user)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert "uploads" in refused.json()["detail"]
        assert user.get("/clients").status_code == 200
        rest = BALANCED + b" " * (room - 10 - len(HEAD) - len(BALANCED) - len(END)) + END
        first.sendall(rest)
        assert first.recv(12) == b"HTTP/1.1 200"
        free(app)
    assert upload(user).status_code == 200
    free(app)


def test_who_leaves_in_the_middle_leaves_no_room_taken(user: httpx.Client, app: FastAPI, room: int) -> None:
    with begun(user, app, room):
        pass
    free(app)
    assert upload(user).status_code == 200


@pytest.mark.parametrize("content", [b"", b"not a trial balance"])
def test_a_refused_file_leaves_no_room_taken(
    user: httpx.Client, app: FastAPI, room: int, content: bytes
) -> None:
    assert upload(user, content).status_code == 422
    free(app)


def test_what_is_too_large_for_any_upload_is_told_so(user: httpx.Client, app: FastAPI) -> None:
    assert upload(user, b"x" * 51_000_000).status_code == 413
    free(app)


def test_an_upload_that_does_not_say_its_size_reserves_the_largest(user: httpx.Client, app: FastAPI) -> None:
    app.state.upload_memory = UploadMemory(40_000_000)
    content_type = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = user.post("/audit/trial-balance", content=iter([HEAD, BALANCED, END]), headers=content_type)
    assert answer.status_code == 503


def test_room_is_given_back_after_an_error() -> None:
    memory = UploadMemory(10)
    with pytest.raises(KeyError), memory.reserve(10):
        raise KeyError
    with memory.reserve(4), pytest.raises(FullError), memory.reserve(7):
        pass
    assert memory.reserved == 0
