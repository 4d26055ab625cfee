"""Posts the message as JSON to a URL, with a secret signed after https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from monitor.config import NotifierConfig
from monitor.fields import Headers, HttpUrl, SigningSecret
from monitor.notify.posting import Poster


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """`secret` signs what is sent; `headers` are sent along."""

    url: HttpUrl = field(repr=False)
    secret: SigningSecret | None = field(default=None, repr=False)
    headers: Headers = field(default=(), repr=False)


class Webhook:
    """Any 2xx answer is delivery; 408, 425, 429, 5xx and no answer are tried again; all else is permanent."""

    takes: ClassVar[type[Any]] = WebhookOptions

    def __init__(self, config: NotifierConfig, clock: Callable[[], float] = time.time) -> None:
        self._options: WebhookOptions = config.options
        self._clock = clock
        self._poster = Poster(config.timeout)

    async def send(self, body: str, dedup_key: str) -> str:
        # The body of a retry is the same to the byte; firing and resolved share a dedup key but not this one.
        once = f"{dedup_key}-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
        headers = {**dict(self._options.headers), "content-type": "application/json", "idempotency-key": once}
        if self._options.secret:
            headers |= signature(self._options.secret, once, round(self._clock()), body)
        return await self._poster.post(self._options.url, content=body, headers=headers)

    async def close(self) -> None:
        await self._poster.close()


def signature(secret: bytes, identity: str, at: int, body: str) -> dict[str, str]:
    """`at` in seconds since the epoch: a receiver refuses what is minutes old, for it may be a recording."""
    made = hmac.digest(secret, f"{identity}.{at}.{body}".encode(), "sha256")
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }
