"""One visit: what the patient is asked, within a budget of requests and of time, and nothing twice.

Every request goes over a fresh connection, as a new visitor's would, with a deadline and a bound of its own.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from exporters.http import Prober, Reason, Request, Result
from monitor.doctor.model import NotLookedError
from monitor.gate.asking import new_request_id
from monitor.gate.config import GateConfig
from monitor.gate.journey import Login
from monitor.gate.reports.words import plain
from monitor.gate.run import is_loopback

T = TypeVar("T")

MOST_REQUESTS = 60
TIMEOUT = 5.0
"""Seconds for one answer."""
LARGEST_BODY = 256 * 1024
"""Bytes of an answer; nothing that a doctor asks for is larger."""
LONGEST_SHOWN = 80
LONGEST_QUOTED = 200
ANY_STATUS = ((100, 599),)


@dataclass(frozen=True, slots=True)
class Patient:
    """What was given to the doctor; "" is what was not."""

    target: str
    config: GateConfig
    origin: str = ""
    token: str = field(default="", repr=False)
    email: str = ""
    password: str = field(default="", repr=False)
    register: bool = False
    metrics: str = ""
    metrics_token: str = field(default="", repr=False)
    database: str = field(default="", repr=False)
    """DATABASE_URL as it was given, whatever it is."""

    @property
    def secure(self) -> bool:
        return self.target.startswith("https:")

    @property
    def host(self) -> str:
        return urlsplit(self.target).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.target).port or (443 if self.secure else 80)

    @property
    def has_edge(self) -> bool:
        """Whether it is what strangers see; a process on this machine need not have TLS."""
        return self.config.edge == "always" or self.secure or not is_loopback(self.target)


@dataclass(frozen=True, slots=True)
class Answer:
    """`what` was asked, and the `result`. `at`: our clock, in seconds since the epoch, half way between."""

    what: str
    result: Result
    at: float

    @property
    def status(self) -> int:
        """0 where there was none."""
        return self.result.status or 0

    @property
    def broken(self) -> bool:
        """No whole answer, whatever its status."""
        return self.result.reason not in (None, Reason.STATUS, Reason.REDIRECT) or not self.result.status

    def headers(self, name: str) -> list[str]:
        return [value for each, value in self.result.headers if each == name]

    def header(self, name: str) -> str:
        """ "" where there is none."""
        return ", ".join(self.headers(name))

    def json(self) -> Any:
        """None for what is no JSON."""
        try:
            return json.loads(self.result.body)
        except (ValueError, RecursionError):
            return None

    def field(self, name: str) -> Any:
        content = self.json()
        return content.get(name) if isinstance(content, dict) else None

    @property
    def is_html(self) -> bool:
        start = self.result.body[:200].lstrip().lower()
        return "text/html" in self.result.content_type or start.startswith((b"<!doctype html", b"<html"))

    @property
    def date(self) -> float | None:
        """Of the server's clock, in seconds since the epoch; what lay in a cache is as much older."""
        try:
            return parsedate_to_datetime(self.header("date")).timestamp() + float(self.header("age") or 0)
        except (ValueError, OverflowError):
            return None

    def said(self, *names: str) -> str:
        """`OPTIONS /clients: 400, Server: cloudflare`, with those of the headers that are there."""
        outcome = (
            str(self.status)
            if not self.broken
            else plain(f"{self.status or ''} {self.result.detail}".strip())
        )
        there = [
            f"{name}: {short(self.header(name.lower()))}" for name in names if self.headers(name.lower())
        ]
        return ", ".join([f"{self.what}: {outcome}", *there])


def quoted(text: str) -> str:
    """Of what others sent, for a line that people copy into a shell."""
    return shlex.quote(short(text, LONGEST_QUOTED))


def short(text: str, most: int = LONGEST_SHOWN) -> str:
    """Of what others sent: one line, no control characters."""
    text = plain(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Made:
    """An account that is to be deleted. Not `sure`: the registration was sent, and its answer never came."""

    login: Login
    sure: bool


class Visit:
    """`clock` gives seconds since the epoch."""

    def __init__(self, patient: Patient, prober: Prober, clock: Callable[[], float]) -> None:
        self.patient = patient
        self.clock = clock
        self.answers: list[Answer] = []
        self.requests = 0
        self.reached = True
        self.made: Made | None = None
        self._prober = prober
        self._known: dict[Hashable, asyncio.Task[Any]] = {}

    @property
    def prober(self) -> Prober:
        return self._prober

    async def once(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `find` finds, or raises. Whoever waits may be cut off: it goes on, for the next one."""
        if key not in self._known:
            self._known[key] = finding = asyncio.create_task(find())
            finding.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen by us
        found: T = await asyncio.shield(self._known[key])
        return found

    async def end(self) -> None:
        """Nothing more is found out."""
        for finding in self._known.values():
            finding.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    def spend(self) -> None:
        """Raises NotLookedError when this request is one too many."""
        if self.requests >= MOST_REQUESTS:
            raise NotLookedError(f"all {MOST_REQUESTS} requests of a visit are spent")
        self.requests += 1

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str = "",
        json_body: Any = None,
        within: float = 0.0,
        spend: bool = True,
    ) -> Answer:
        """Raises NotLookedError when all requests are spent. `path` may be a whole
        URL; `within`: seconds, if not TIMEOUT."""
        if spend:
            self.spend()
        sent = {"X-Request-ID": new_request_id(), "Accept": "application/json, */*", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if json_body is not None:
            sent["Content-Type"] = "application/json"
        request = Request(
            path if "://" in path else f"{self.patient.target}{path}",
            method=method,
            headers=tuple(sent.items()),
            body=None if json_body is None else json.dumps(json_body).encode(),
            timeout=within or TIMEOUT,
            max_body=LARGEST_BODY,
            expect_status=ANY_STATUS,
            ca_file=self.patient.config.ca_file or None,
            keep_headers=True,
        )
        return await self._answer(f"{method} {path}", request)

    async def _answer(self, what: str, request: Request) -> Answer:
        began = self.clock()
        result = await self._prober.probe(request)
        answer = Answer(what, result, (began + self.clock()) / 2)
        self.answers.append(answer)
        return answer
