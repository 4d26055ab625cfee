"""Posts the message as JSON to a URL."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import httpx

from monitor.config import NotifierConfig
from monitor.notify.delivery import DeliveryError, refusal


class Webhook:
    """Any 2xx answer is delivery; 408, 425, 429, 5xx and no answer are tried again; all else is permanent."""

    takes_url: ClassVar[bool] = True

    def __init__(self, config: NotifierConfig) -> None:
        self._url = config.url
        self._client = httpx.AsyncClient(timeout=config.timeout, trust_env=False)

    async def send(self, body: str, dedup_key: str) -> None:
        # The body of a retry is the same to the byte; firing and resolved share a dedup key but not this one.
        once = f"{dedup_key}-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
        headers = {"content-type": "application/json", "idempotency-key": once}
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                refused = refusal(response)
        except httpx.HTTPError as error:
            raise DeliveryError(f"no answer: {type(error).__name__} {error}".rstrip()) from error
        if refused:
            raise refused

    async def close(self) -> None:
        await self._client.aclose()
