"""How a notifier says that a message could not be delivered."""

from __future__ import annotations

import httpx

WORTH_A_RETRY = frozenset({408, 425, 429})


class DeliveryError(Exception):
    """`permanent`: trying again won't help (a wrong address, a refused key).

    `retry_after`: seconds that the receiver asked to wait.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


def refusal(response: httpx.Response, said: str = "") -> DeliveryError | None:
    """None for any 2xx; 408, 425, 429 and 5xx may pass, all else is permanent."""
    status = response.status_code
    if 200 <= status < 300:
        return None
    retry = status >= 500 or status in WORTH_A_RETRY
    wait = _seconds(response.headers.get("retry-after"))
    return DeliveryError(f"answered {status} {said}".rstrip(), permanent=not retry, retry_after=wait)


def _seconds(retry_after: str | None) -> float | None:
    """Only the form in seconds; receivers that send a date get our own back-off."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
