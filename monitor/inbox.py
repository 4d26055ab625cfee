"""`paciolus-monitor inbox`: where notifications arrive while no pager is configured. Only in memory."""

from __future__ import annotations

import logging
import socket
from collections import deque
from html import escape
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitor.receiver import Notice, receiver

log = logging.getLogger(__name__)

MOST_KEPT = 300
MOST_BYTES = 8_000_000
"""Of their bodies together; a notification may hold many alerts."""
REFRESH = 5
"""Seconds between two looks of an open page."""

PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh}">
<title>Inbox: {count}</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em; color: #222; background: #fff }}
td, th {{ text-align: left; vertical-align: top; padding: .3em 1em .3em 0; border-bottom: 1px solid #ddd }}
.firing {{ color: #b00020; font-weight: bold }} .resolved {{ color: #1b6e2d; font-weight: bold }}
small {{ color: #555 }}
</style></head><body>
<h1>Inbox</h1>
<p>{count} notifications since the start, the last {kept} below, newest first. They are gone when this ends.
<a href="/notifications">As JSON</a></p>
<table><tr><th>arrived<th>state<th>severity<th>alert<th>target<th>what</tr>
{rows}
</table></body></html>
"""


class Inbox:
    def __init__(self) -> None:
        self.count = 0
        self.kept: deque[tuple[list[Notice], int]] = deque()
        self.web = Starlette(
            routes=[
                Route("/", self._page),
                Route("/alerts", receiver(self.take), methods=["POST"]),
                Route("/notifications", self._json),
                Route("/-/healthy", _healthy),
            ]
        )

    def take(self, notices: list[Notice], size: int) -> None:
        """`size` in bytes."""
        self.count += 1
        self.kept.append((notices, size))
        while len(self.kept) > MOST_KEPT or sum(each for _, each in self.kept) > MOST_BYTES:
            self.kept.popleft()
        for notice in notices:
            log.info("%s", " ".join(_told(notice).split()))

    async def _json(self, _request: Request) -> Response:
        return JSONResponse(
            {"count": self.count, "notifications": [_as_json(notices) for notices, _ in self.kept]}
        )

    async def _page(self, _request: Request) -> Response:
        rows = "\n".join(_row(notice) for notices, _ in reversed(self.kept) for notice in notices)
        return HTMLResponse(
            PAGE.format(refresh=REFRESH, count=self.count, kept=len(self.kept), rows=rows),
            headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("healthy\n")


def _told(notice: Notice) -> str:
    return f"{notice.status} {notice.severity} {notice.alert} {notice.summary} ({notice.runbook})"


def _as_json(notices: list[Notice]) -> list[dict[str, Any]]:
    return [{**notice._asdict(), "at": notice.at.isoformat()} for notice in notices]


def _row(notice: Notice) -> str:
    state = "firing" if notice.firing else "resolved"
    cells = (notice.severity, notice.alert, notice.target)
    known = "".join(f"<br><small>{label}: {escape(text)}</small>" for label, text in notice.known)
    shown = "".join(f"<td>{escape(cell)}" for cell in cells) + f"<td>{escape(notice.summary)}{known}"
    return f"<tr><td>{notice.at:%H:%M:%S}<td class={state}>{escape(notice.status)}{shown}</tr>"


def serve(listening: socket.socket) -> None:
    """Until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        Inbox().web, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listening])
