"""Silence, acknowledge, and take them back: what the page and the API ask of `Quiet`, off the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from monitor.asking import RefusedError
from monitor.quantity import parse_duration
from monitor.silences import Acknowledgement, Silence
from monitor.storecalls import cause
from monitor.web.page import Page
from monitor.web.threads import CrowdedError, Threads

LARGEST_ID = 2**63 - 1
"""That a database can hold."""
STORE_WITHIN = 6.0
"""Seconds. Longer than the store itself waits for a lock."""

T = TypeVar("T")


class AwayError(Exception):
    """The store did not take it."""


class Actions:
    """Raises RefusedError with the field that is wrong, and AwayError."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._threads = Threads("page-writes", 1, most_waiting=5)

    async def silence(self, fields: Mapping[str, str], author: str) -> Silence:
        """`target`, `name` and `severity` say what, `lasts` is a duration, `reason` a sentence."""
        now = self._page.clock()
        ends_at = now + _duration(fields.get("lasts", ""))
        return await self._stored(
            lambda: self._page.quiet.add_silence(
                author=author,
                reason=fields.get("reason", ""),
                ends_at=ends_at,
                now=now,
                target=fields.get("target", "").strip(),
                name=fields.get("name", "").strip(),
                severity=fields.get("severity", "").strip(),
            )
        )

    async def acknowledge(self, dedup_key: str, fields: Mapping[str, str], author: str) -> Acknowledgement:
        """`lasts` may be missing: for as long as the alert goes on."""
        now = self._page.clock()
        conversations = self._page.cycle.dispatch.conversations.values()
        if not any(each.dedup_key == dedup_key and each.open for each in conversations):
            raise RefusedError("alert", "it is over already, or never was")
        lasts = fields.get("lasts", "")
        return await self._stored(
            lambda: self._page.quiet.acknowledge(
                dedup_key,
                author=author,
                reason=fields.get("reason", ""),
                now=now,
                until=now + _duration(lasts) if lasts else None,
            )
        )

    async def end_silence(self, number: int) -> bool:
        if number > LARGEST_ID:
            return False
        return await self._stored(lambda: self._page.quiet.expire_silence(number, self._page.clock()))

    async def take_back(self, dedup_key: str) -> bool:
        return await self._stored(lambda: self._page.quiet.unacknowledge(dedup_key, self._page.clock()))

    async def _stored(self, call: Callable[[], T]) -> T:
        try:
            done = await self._threads.run(call, STORE_WITHIN)
        except TimeoutError:
            raise AwayError(
                f"the store did not answer within {STORE_WITHIN:g} s; look whether it was done"
            ) from None
        except CrowdedError:
            raise AwayError("the store is slow, and others wait for it; nothing was done") from None
        except SQLAlchemyError as error:
            raise AwayError(f"the store refused: {cause(error)}") from None
        self._page.changes.rise()
        return done


def _duration(written: str) -> float:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise RefusedError("lasts", str(error)) from None
