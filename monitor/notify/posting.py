"""One POST to a receiver, within a deadline, whatever comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from monitor.notify.delivery import DeliveryError, refusal
from monitor.notify.page import one_line

READ_AT_MOST = 2_000
"""Bytes of an answer: enough for a reason."""
SHOWN = 200


class Poster:
    def __init__(self, timeout: float) -> None:
        """`timeout` in seconds, from the look-up of the name until the answer was read."""
        self._timeout = timeout
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)

    async def post(self, url: str, **how: Any) -> str:
        """What was answered, in a few words; raises DeliveryError for anything but a 2xx."""
        try:
            async with asyncio.timeout(self._timeout), self._client.stream("POST", url, **how) as response:
                said = await _excerpt(response)
        except httpx.HTTPError as error:
            raise DeliveryError(f"no answer: {type(error).__name__} {error}".rstrip()) from error
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {self._timeout:g} s") from error
        if refused := refusal(response, said):
            raise refused
        return f"{response.status_code} {said or response.reason_phrase}".rstrip()

    async def close(self) -> None:
        await self._client.aclose()


async def _excerpt(response: httpx.Response) -> str:
    """The first words, in one line; no more than READ_AT_MOST bytes are unpacked or waited for."""
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) >= READ_AT_MOST:
            break
    return one_line(bytes(raw[:READ_AT_MOST]).decode(errors="replace"))[:SHOWN]
