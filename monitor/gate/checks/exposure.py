"""What strangers must not be shown: documentation, numbers, and where the code went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from monitor.gate.found import Found, all_held, failed, not_configured, passed
from monitor.gate.journey import UPLOAD
from monitor.gate.model import Asked

if TYPE_CHECKING:
    from monitor.gate.run import Run

DOCUMENTATION = ("/docs", "/redoc", "/openapi.json")
CLOSED = (401, 403, 404, 410)
METRICS = "/metrics"


async def docs_closed(run: Run) -> Found:
    faults: list[tuple[str, Asked]] = []
    for path in DOCUMENTATION:
        answer = await run.asker.ask("GET", path)
        if answer.status not in CLOSED:
            faults.append((f"{path} answers {answer.status}", answer.asked))
    return all_held(faults, f"closed: {', '.join(DOCUMENTATION)}")


async def metrics_private(run: Run) -> Found:
    if not run.judges_edge:
        return not_configured("http on loopback is not what strangers see; `edge: always` judges it anyway")
    answer = await run.asker.ask("GET", METRICS)
    if answer.status < 300:
        return failed(f"{METRICS} answers {answer.status} to everybody", answer.asked)
    return passed(f"{METRICS} answers {answer.status}")


async def no_traces(run: Run) -> Found:
    """Of this check's own mistakes, and of every other answer that came so far."""
    tried = 0
    for method, path, content in _mistakes(await run.journey.token()):
        # Servers hang up after an exception: what comes next must not be lost with that connection.
        headers = {**content.pop("headers", {}), "Connection": "close"}
        await run.asker.ask(method, path, headers=headers, **content)
        tried += 1
    if shown := run.asker.traces:
        told = "; ".join(dict.fromkeys(f"{each.what} {each.detail}" for each in shown))
        return failed(told, *shown)
    return passed(f"none in {tried} provoked errors, nor in any other answer")


def _mistakes(token: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What careless code falls over."""
    as_json = {"Content-Type": "application/json"}
    yield "POST", "/auth/login", {"content": b'{"email": ', "headers": as_json}
    yield "POST", "/auth/login", {"content": b"\xff\xfe\x00", "headers": as_json}
    yield "POST", "/auth/login", {"content": b"[" * 2000, "headers": as_json}
    yield "POST", "/auth/login", {"json": {"email": ["not", "text"], "password": {"a": 1}}}
    yield "GET", "/clients/not-a-number", {"token": token}
    yield "GET", "/clients/99999999999999999999999", {"token": token}
    yield "GET", "/clients?limit=-1&after=%00", {"token": token}
    yield "GET", "/%00%ff/../../etc/passwd", {}
    yield "TRACE", "/health", {}
    yield "POST", "/clients", {"token": token, "json": {"name": "\x00"}}
    yield "POST", "/export/pdf", {"token": token, "json": {"diagnostic": {"row_count": "many"}}}
    yield "POST", UPLOAD, {"token": token, "files": {"file": ("t.xlsx", b"PK\x03\x04 no zip", "text/csv")}}
    yield (
        "POST",
        UPLOAD,
        {"token": token, "content": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
    )
    yield (
        "GET",
        "/auth/me",
        {"headers": {"Authorization": b"Bearer \xe9\xff"}},
    )
