"""The services that notifiers talk to, on loopback: they refuse what the real ones would, and can misbehave.

What each checks is from its documentation, beside the notifier's link to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.servers import free_port

HANG = "hang"
"""Instead of an answer: none, ever."""
ENDLESS = "endless"
"""In place of a body: one that never ends."""


class Post(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    status: str
    body: str = ""
    headers: str = ""


@dataclass
class Service:
    """Answers what `judge` says of a request, or first each of `faults`."""

    judge: Callable[[Post], Answer]
    port: int = field(default_factory=free_port)
    faults: list[Answer] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (each.partition(": ") for each in head[1:-2])
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.posts.append(Post(head[0].split()[1], headers, body))
            await _answer(writer, self.faults.pop(0) if self.faults else self.judge(self.posts[-1]))


async def _answer(writer: asyncio.StreamWriter, answer: Answer) -> None:
    if answer.status == HANG:
        await asyncio.sleep(60)
    head = f"HTTP/1.1 {answer.status}\r\nconnection: close\r\n{answer.headers}"
    if answer.body == ENDLESS:
        writer.write(f"{head}\r\n".encode())
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
    writer.write(f"{head}content-length: {len(answer.body.encode())}\r\n\r\n{answer.body}".encode())
    await writer.drain()


@contextlib.asynccontextmanager
async def run_service(judge: Callable[[Post], Answer]) -> AsyncIterator[Service]:
    service = Service(judge)
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.create_task(service.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", service.port)
    try:
        yield service
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def webhook(_: Post) -> Answer:
    return Answer("204 No Content")


def slack(post: Post) -> Answer:
    """An incoming webhook: answers in plain text."""
    if post.path != "/services/T0/B0/key":
        return Answer("403 Forbidden", "invalid_token")
    message = post.json
    blocks = [block for each in message["attachments"] for block in each["blocks"]]
    texts = [message["text"], *_texts(blocks)]
    if not message["text"] or len(blocks) > 50 or not all(map(_right_block, blocks)):
        return Answer("400 Bad Request", "invalid_blocks")
    if any(re.search(r"<(?!!date\^\d+\^[^<>|]+\|[^<>]*>)|&(?!amp;|lt;|gt;)", text) for text in texts):
        return Answer("400 Bad Request", "markup of somebody else's")
    return Answer("200 OK", "ok")


def _right_block(block: dict[str, Any]) -> bool:
    match block["type"]:
        case "section" if "fields" in block:
            fields = block["fields"]
            return 1 <= len(fields) <= 10 and all(1 <= len(each["text"]) <= 2000 for each in fields)
        case "section":
            return 1 <= len(block["text"]["text"]) <= 3000
        case "actions":
            buttons = block["elements"]
            return 1 <= len(buttons) <= 25 and all(
                len(each["text"]["text"]) <= 75 and len(each["url"]) <= 3000 for each in buttons
            )
        case "context":
            return 1 <= len(block["elements"]) <= 10 and all(each["text"] for each in block["elements"])
    return False


def _texts(blocks: list[dict[str, Any]]) -> list[str]:
    shown = [each for block in blocks for each in (*block.get("fields", ()), *block.get("elements", ()))]
    shown += [block["text"] for block in blocks if "text" in block]
    return [each["text"] for each in shown if each["type"] == "mrkdwn"]


def pagerduty(post: Post) -> Answer:
    event = post.json
    wrong = [
        *(["'routing_key' is missing or invalid"] if not _key(event.get("routing_key")) else []),
        *(["'dedup_key' is too long"] if not 1 <= len(event["dedup_key"]) <= 255 else []),
        *_wrong_event(event),
    ]
    if post.path != "/v2/enqueue" or len(post.body) > 512 * 1024:
        return Answer("404 Not Found")
    if wrong:
        said = {"status": "invalid event", "message": "Event object is invalid", "errors": wrong}
        return Answer("400 Bad Request", json.dumps(said))
    return Answer("202 Accepted", json.dumps({"status": "success", "dedup_key": event["dedup_key"]}))


def _key(written: Any) -> bool:
    return re.fullmatch(r"[0-9a-zA-Z]{32}", str(written)) is not None


def _wrong_event(event: dict[str, Any]) -> list[str]:
    if event["event_action"] in ("acknowledge", "resolve"):
        return []
    payload = event["payload"]
    right = (
        event["event_action"] == "trigger"
        and 1 <= len(payload["summary"]) <= 1024
        and payload["source"]
        and payload["severity"] in ("critical", "error", "warning", "info")
        and all(link["href"].startswith("http") and link["text"] for link in event["links"])
    )
    return [] if right else ["'payload' is wrong"]


def sentry(post: Post) -> Answer:
    """The envelope endpoint of project 42."""
    authorised = dict(
        each.split("=", 1) for each in post.headers["x-sentry-auth"].removeprefix("Sentry ").split(", ")
    )
    if authorised.get("sentry_key") != "public" or authorised.get("sentry_version") != "7":
        return Answer("403 Forbidden", '{"detail": "bad sentry DSN public key"}')
    if post.path != "/api/42/envelope/":
        return Answer("404 Not Found")
    head, event = envelope(post)
    right = (
        re.fullmatch(r"[0-9a-f]{32}", event["event_id"])
        and head["event_id"] == event["event_id"]
        and event["level"] in ("fatal", "error", "warning", "info", "debug")
        and len(event["logentry"]["formatted"]) <= 8192
        and all(0 < len(value) <= 200 and "\n" not in value for value in event["tags"].values())
        and len(post.body) < 1_000_000
    )
    if not right:
        return Answer("400 Bad Request", '{"detail": "invalid event envelope"}')
    return Answer("200 OK", json.dumps({"id": event["event_id"]}))


def envelope(post: Post) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its head, and the one event in it."""
    first, about, rest = post.body.split(b"\n", 2)
    item = json.loads(about)
    assert item["type"] == "event"
    return json.loads(first), json.loads(rest[: item["length"]])
