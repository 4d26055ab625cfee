"""How a notifier says that a message could not be delivered."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

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
    wait = seconds_asked(response.headers.get("retry-after", ""), time.time())
    return DeliveryError(f"answered {status} {said}".rstrip(), permanent=not retry, retry_after=wait)


def seconds_asked(retry_after: str, now: float) -> float | None:
    """From either form of Retry-After (RFC 9110, 10.2.3): seconds, or the date until which to wait."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is not of that form, and would be read as local time.
    return until.timestamp() - now if until.tzinfo else None
