"""What performance is asked with: the requests of gate.yml by turns, uploads with other bytes each time."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import httpx

from exporters.http import Request
from monitor.gate.asking import OutOfBudgetError, new_request_id
from monitor.gate.found import Found
from monitor.gate.journey import UPLOAD, Journey, trial_balance, upload
from monitor.gate.sample import WARM_UP, Answer, Claim, Sampled, answered, sample
from monitor.gate.sequential import Sequential
from monitor.quantity import format_value

if TYPE_CHECKING:
    from monitor.gate.run import Run

ROWS = 3
ENDING = 0.2
"""Seconds that are left for saying what is known when the time is over."""
Next = Callable[[], Awaitable[tuple[str, Request]]]
"""What is asked next, and how a report calls it."""


def fixed(what: str, request: Request, pause: float = 0.0) -> Next:
    """Always the same, `pause` seconds apart."""

    async def following() -> tuple[str, Request]:
        await asyncio.sleep(pause)
        return what, request

    return following


class Service(Protocol):
    """The target, or the baseline beside it."""

    @property
    def target(self) -> str: ...
    @property
    def journey(self) -> Journey: ...
    @property
    def ca_file(self) -> str | None: ...


class Turns:
    """The requests of gate.yml as the account, in turn; each may take `patience` seconds."""

    def __init__(
        self, service: Service, turns: Sequence[tuple[str, str]], token: str, patience: float
    ) -> None:
        self._service = service
        self._kinds = dict(turns)
        self._turns = itertools.cycle([what for what, _ in turns])
        self._token = token
        self._patience = patience

    async def __call__(self) -> tuple[str, Request]:
        what = next(self._turns)
        if what == f"POST {UPLOAD}":
            return what, uploading(self._service, self._token, self._patience, ROWS)
        return what, asking(self._service, what, self._token, self._patience)

    def kind(self, answer: Answer) -> str:
        """As in gate.yml: `GET /clients/{client}` of `GET /clients/17`."""
        return self._kinds[answer.asked.what]


async def taking_turns(service: Service, requests: Iterable[str], patience: float) -> Turns:
    token = await service.journey.token()
    turns = [(await _filled(service, each), each) for each in requests]
    return Turns(service, turns, token, patience)


async def _filled(service: Service, what: str) -> str:
    return what.replace("{client}", str(await service.journey.client())) if "{client}" in what else what


def asking(service: Service, what: str, token: str, patience: float) -> Request:
    method, _, path = what.partition(" ")
    headers = (("Authorization", f"Bearer {token}"),) if token else ()
    return Request(f"{service.target}{path}", method, headers, timeout=patience, ca_file=service.ca_file)


def uploading(service: Service, token: str, patience: float, rows: int) -> Request:
    """With other bytes each time: some refuse what they have seen before."""
    cents = [secrets.randbelow(10**7) + 1 for _ in range(rows)]
    made = httpx.Request("POST", service.target, files=upload(trial_balance(cents)))
    service.journey.uploads += 1
    headers = (("Authorization", f"Bearer {token}"), ("Content-Type", made.headers["content-type"]))
    url = f"{service.target}{UPLOAD}"
    return Request(url, "POST", headers, made.read(), timeout=patience, ca_file=service.ca_file)


async def judged(
    run: Run,
    following: Next,
    claims: Mapping[str, Claim],
    warm_up: int = WARM_UP,
    heard: Callable[[Answer], None] = lambda _: None,
    at_once: int = 1,
) -> dict[str, Found]:
    """By the name of the check. All claims look at the same requests, and `heard` gets each answer.

    Raises OutOfBudgetError for none.
    """
    if run.asker.left <= 0:
        raise OutOfBudgetError
    for name, claim in claims.items():
        run.progress.began(name, claim.test.most)
    watched = [replace(claim, told=partial(run.progress.asked, name)) for name, claim in claims.items()]
    sampled = await sample(
        lambda: asked(run, following),
        watched,
        deadline=time.monotonic() + run.left() - ENDING,
        requests=run.asker.left,
        warm_up=warm_up,
        heard=heard,
        at_once=at_once,
    )
    run.asker.requests += sampled[0].requests
    run.asker.retries += sampled[0].retries
    return {name: _found(each) for name, each in zip(claims, sampled, strict=True)}


async def asked(run: Run, following: Next) -> Answer:
    what, request = await following()
    request_id = new_request_id()
    headers = (*request.headers, ("X-Request-ID", request_id))
    return answered(what, await run.prober.probe(replace(request, headers=headers)), request_id)


def _found(sampled: Sampled) -> Found:
    aside = f"; {sampled.aside}" if sampled.aside else ""
    return Found(
        sampled.verdict,
        f"{_told(sampled)}{aside}",
        sampled.cause,
        sampled.evidence,
        sampled.asked if sampled.bad else (),
        sampled.missing,
        sampled.seconds,
    )


def _told(sampled: Sampled) -> str:
    """Errors apart: who reads "p95: fail" thinks of slow answers."""
    said = f"{sampled.errors or 'none'} of {sampled.of} requests failed"
    if math.isinf(sampled.slow):
        return said
    longer = format_value(sampled.slow, "seconds")
    return f"{said}, {sampled.bad - sampled.errors or 'none'} took {longer} or longer"


def at_most(test: Sequential, most: int) -> Sequential:
    """Goes on beyond what was planned while nothing is decided: a share just above the limit takes more."""
    return replace(test, most=max(test.most, most))
