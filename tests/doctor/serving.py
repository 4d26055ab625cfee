"""An API of a few lines that can be made wrong in any way, and the doctor's look at it."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import jwt

from monitor.doctor.examine import examine
from monitor.doctor.model import Fine, NotLooked, Report, Trouble
from monitor.doctor.visit import Patient
from monitor.gate.config import load_gate
from monitor.objectives import load_objectives
from monitor.resources import resource
from tests.servers import free_port

CONFIG = load_gate(resource("alerts", "gate.yml"), load_objectives(resource("alerts", "objectives.yml")), {})
ORIGIN = "https://paciolus.com"
SECRET = "f3a9c1d7e5b24680a1b2c3d4e5f60718293a4b5c6d7e8f90"
EIGHT_HOURS = 8 * 3600


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = bytes | AsyncIterator[bytes]
Replies = Callable[[Asked], Reply | Awaitable[Reply]]


def said(
    status: int = 200, body: Any = b"", headers: Iterable[tuple[str, str]] = (), date: float | None = None
) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/json" if not isinstance(body, bytes) else "text/html"
    lines = [
        f"HTTP/1.1 {status} X",
        f"Date: {formatdate(time.time() if date is None else date, usegmt=True)}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def token(secret: str = SECRET, *, age: float = 60, life: float = EIGHT_HOURS, **claims: Any) -> str:
    issued = time.time() - age
    return jwt.encode({"sub": "1", "iat": issued, "exp": issued + life, **claims}, secret, "HS256")


@dataclass
class Api:
    """In health unless it is made otherwise. `paths` answer in place of what is right."""

    origins: tuple[str, ...] = (ORIGIN,)
    methods: str = "GET, POST, PUT, PATCH, DELETE"
    allowed: str = "Authorization, Content-Type"
    secret: str = SECRET
    clock: float = 0.0
    """Seconds ahead of ours."""
    paths: Mapping[str, Replies] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply | Awaitable[Reply]:
        self.asked.append(asked)
        for name in (f"{asked.method} {asked.path}", asked.path, asked.method, "*"):
            if name in self.paths:
                return self.paths[name](asked)
        return self.reply(asked)

    def reply(self, asked: Asked) -> bytes:
        if asked.method == "OPTIONS":
            return self.said(asked, 200 if self.cors(asked) else 400)
        match asked.path:
            case "/health":
                return self.said(asked, 200, {"status": "healthy", "version": "1.0.0"})
            case "/health/ready":
                return self.said(asked, 200, {"status": "ready"})
            case "/auth/login":
                fresh = token(self.secret, age=-self.clock)
                return self.said(asked, 200, {"access_token": fresh})
            case "/auth/me":
                return self.said(asked, 200 if self.knows(asked) else 401, {})
        return self.said(asked, 404, {})

    def said(self, asked: Asked, status: int, body: Any = b"") -> bytes:
        return said(status, body, self.cors(asked), time.time() + self.clock)

    def cors(self, asked: Asked) -> list[tuple[str, str]]:
        origin = asked.headers.get("origin", "")
        if not origin or not {origin, "*"} & {*self.origins}:
            return []
        found = [("Access-Control-Allow-Origin", "*" if "*" in self.origins else origin)]
        if asked.method == "OPTIONS":
            found += [("Access-Control-Allow-Methods", self.methods)]
            found += [("Access-Control-Allow-Headers", self.allowed)]
        return found

    def knows(self, asked: Asked) -> bool:
        text = asked.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            jwt.decode(text, self.secret, ["HS256"], options={"verify_iat": False})
        except jwt.InvalidTokenError:
            return False
        return True


@asynccontextmanager
async def serving(
    replies: Replies | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Base URL and port."""
    replies = replies or Api()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            reply = said(400) if asked is None else replies(asked)
            reply = await reply if inspect.isawaitable(reply) else reply
            for part in [reply] if isinstance(reply, bytes) else [each async for each in reply]:
                writer.write(part)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    tasks = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    port = free_port()
    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}", port
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    """None for what is no HTTP."""
    start = await reader.readexactly(1)
    if not start.isalpha():
        return None
    first = (start + await reader.readline()).decode("latin-1").split(" ")
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first[0], first[1], headers, body)


class Findings:
    """What a report says of each kind."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.troubles = {seen.name: found for seen, found in report.troubles}
        outcomes = {each.name: each.outcome for each in report.seen}
        self.fine = {name: each.said for name, each in outcomes.items() if isinstance(each, Fine)}
        self.not_looked = {name: each for name, each in outcomes.items() if isinstance(each, NotLooked)}

    @property
    def names(self) -> list[str]:
        assert not any(each.broken for each in self.report.seen), self.report.seen
        return list(self.troubles)

    def only(self, name: str) -> Trouble:
        """The one trouble that there is."""
        assert self.names == [name], self.troubles
        return self.troubles[name]


async def seen(target: str, **given: Any) -> Findings:
    config = given.pop("config", CONFIG)
    return Findings(await examine(Patient(target, config, **given)))


async def seen_of(replies: Replies, **given: Any) -> Findings:
    async with serving(replies) as (target, _):
        return await seen(target, **{"origin": ORIGIN, **given})


def commands(found: Trouble) -> str:
    return "\n".join(step.command for step in found.cure if step.command)
