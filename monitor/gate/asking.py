"""How the gate asks the target: within a budget, with a request id that its logs can be searched for.

A connection that cannot be set up is tried again, which is counted and shown; nothing else is, for an answer
that came is an answer.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx

from monitor.gate.model import Asked
from monitor.gate.traces import trace_in

TIMEOUT = 15.0
"""Seconds for one answer of a journey."""
TRIES = 3
PAUSE = 0.5
"""Seconds between tries to connect."""
LONGEST_WAIT = 15.0
"""Seconds that a target may make us wait by a Retry-After."""


class OutOfBudgetError(Exception):
    """All requests that were allowed have been sent."""


class UnreachableError(Exception):
    """No connection could be set up, however often it was tried."""


class NoAnswerError(Exception):
    """The connection was there, the answer was not."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(f"{asked.what}: {asked.detail}")
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes
    asked: Asked

    def json(self) -> Any:
        """None for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def field(self, name: str) -> Any:
        """Of a JSON object; None where there is none."""
        content = self.json()
        return content.get(name) if isinstance(content, dict) else None


class Asker:
    """`most`: requests in all, but for those that clean up."""

    def __init__(self, client: httpx.AsyncClient, most: int) -> None:
        self._client = client
        self.most = most
        self.requests = 0
        self.retries = 0
        self.traces: list[Asked] = []
        """Answers that showed a stack trace, whoever asked for them and why."""

    @property
    def left(self) -> int:
        return self.most - self.requests

    def spend(self) -> None:
        """Counts a request. Raises OutOfBudgetError when it is one too many."""
        if self.requests >= self.most:
            raise OutOfBudgetError
        self.requests += 1

    async def ask(
        self, method: str, path: str, *, token: str = "", spend: bool = True, **content: Any
    ) -> Answer:
        """Raises UnreachableError, NoAnswerError and OutOfBudgetError. A 429 is waited for once."""
        answer = await self._ask(method, path, token, content, spend=spend)
        if answer.status != httpx.codes.TOO_MANY_REQUESTS:
            return answer
        try:
            wait = float(answer.headers.get("retry-after", "1"))
        except ValueError:
            wait = LONGEST_WAIT
        if wait > LONGEST_WAIT:
            return answer
        await asyncio.sleep(wait)
        return await self._ask(method, path, token, content, spend=spend)

    async def _ask(
        self, method: str, path: str, token: str, content: dict[str, Any], *, spend: bool
    ) -> Answer:
        for left in reversed(range(TRIES)):
            if spend:
                self.spend()
            try:
                return await self._answer(method, path, token, content)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if not left:
                    raise UnreachableError(str(error) or type(error).__name__) from None
                self.retries += 1
                await asyncio.sleep(PAUSE)
        raise AssertionError

    async def _answer(self, method: str, path: str, token: str, content: dict[str, Any]) -> Answer:
        request_id = new_request_id()
        headers = {"X-Request-ID": request_id, **content.get("headers", {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        began, what = time.monotonic(), f"{method} {path[:200]}"
        try:
            said = await self._client.request(method, path, **{**content, "headers": headers})
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            took = time.monotonic() - began
            why = f"no answer: {str(error) or type(error).__name__}"
            raise NoAnswerError(Asked(what, None, took, request_id, why)) from None
        took = time.monotonic() - began
        asked = Asked(what, said.status_code, took, said.headers.get("x-request-id", request_id))
        if trace := trace_in(said.content):
            self.traces.append(Asked(what, said.status_code, took, asked.request_id, trace))
        return Answer(said.status_code, said.headers, said.content, asked)


def new_request_id() -> str:
    return f"gate-{secrets.token_hex(8)}"
