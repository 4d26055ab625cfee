"""The three requests to Alertmanager's API v2 that the agent needs. All raise DeliveryError, and none reads
without a bound."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import httpx

from monitor.notify.delivery import DeliveryError, refusal

LARGEST_ANSWER = 16_000_000
"""Bytes; an alert takes about 1,200."""

Labels = frozenset[tuple[str, str]]


class AlertmanagerApi:
    def __init__(self, url: str, timeout: float) -> None:
        self._url = f"{url.rstrip('/')}/api/v2"
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)

    async def post(self, alerts: list[dict[str, Any]]) -> None:
        await self._ask("POST", "alerts", json=alerts)

    async def active(self, names: Collection[str]) -> set[Labels]:
        """The alerts of these names that it takes to be firing, silenced and inhibited ones included."""
        matcher = f'alertname=~"{"|".join(sorted(names))}"'
        found = await self._ask("GET", "alerts", params={"filter": matcher})
        try:
            return {frozenset(each["labels"].items()) for each in json.loads(found)}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeliveryError(f"is this Alertmanager? It answered {found[:40]!r}") from error

    async def born(self) -> str:
        """Another text after each of its restarts."""
        found = await self._ask("GET", "status")
        try:
            return str(json.loads(found)["uptime"])
        except (ValueError, TypeError, KeyError) as error:
            raise DeliveryError(f"is this Alertmanager? It answered {found[:40]!r}") from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, what: str, **how: Any) -> bytes:
        try:
            async with self._client.stream(method, f"{self._url}/{what}", **how) as response:
                body = await _bounded(response)
        except httpx.HTTPError as error:
            raise DeliveryError(f"no answer: {type(error).__name__} {error}".rstrip()) from error
        if refused := refusal(response, body[:200].decode(errors="replace")):
            raise refused
        return body


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise DeliveryError(f"answered more than {LARGEST_ANSWER} bytes")
    return bytes(body)
