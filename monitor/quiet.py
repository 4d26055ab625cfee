"""Who must not be told what, now: silences, maintenance, acknowledgements and business hours, from memory.

People change them in the store, from the command line or the page; the agent reads it each second.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from monitor.alerting import Alert
from monitor.config import Config
from monitor.localtime import clock_time
from monitor.maintenance import Window
from monitor.quietstore import QuietStore, Stored
from monitor.recorder import cause
from monitor.silences import (
    LONGEST_AUTHOR,
    LONGEST_REASON,
    LONGEST_SILENCE,
    Acknowledgement,
    RefusedError,
    Silence,
    checked_text,
    covers,
)

log = logging.getLogger(__name__)

REFRESH_EVERY = 1.0
REFRESH_DEADLINE = 3.0


class Quiet:
    """Answers need no store: while it is away, what was last read still holds."""

    def __init__(self, store: QuietStore, config: Config) -> None:
        self._store = store
        self._config = config
        self._hours = {each.name: each.hours for each in config.notify}
        self._stored = Stored()
        self._one_at_a_time = threading.Lock()

    def withheld(self, alert: Alert, target: str, now: float) -> str | None:
        """Why nobody is told of the alert now; None when there is no reason. `target` is its name.

        The sentence stays the same for as long as the reason does.
        """
        silences = [each for each in self.silences(now) if each.active(now) and each.matches(alert, target)]
        if silences:
            last = max(silences, key=lambda each: each.ends_at)
            return f"silenced by {last.author} until {clock_time(last.ends_at, None)}: {last.reason}"
        open_now = [(span.end, each) for each in self.windows() if (span := each.during(now))]
        found = [(end, each) for end, each in open_now if covers(each.targets, target)]
        if found:
            end, window = max(found, key=lambda pair: pair[0])
            return f"maintenance until {clock_time(end, window.zone)}: {window.reason}"
        return None

    def acknowledged(self, dedup_key: str, now: float) -> Acknowledgement | None:
        found = self._stored.acknowledgements.get(dedup_key)
        return found if found and (found.until is None or now < found.until) else None

    def receiver_open(self, notifier: str, severity: str, now: float) -> bool:
        """False while an alert of that severity must wait for the notifier's business hours."""
        hours = self._hours.get(notifier)
        return hours is None or hours.is_open(severity, now)

    def windows(self) -> tuple[Window, ...]:
        """Those of the configuration, and those entered by hand that have not ended."""
        return (*self._config.maintenance, *self._stored.maintenance)

    def silences(self, now: float) -> list[Silence]:
        """Those that have not ended, the first to end first."""
        return [each for each in self._stored.silences if now < each.ends_at]

    def refresh(self, now: float) -> None:
        """Blocks. Raises SQLAlchemyError, and what was known stays."""
        with self._one_at_a_time:
            self._stored = self._store.load(now)

    def add_silence(
        self,
        *,
        author: str,
        reason: str,
        ends_at: float,
        now: float,
        starts_at: float | None = None,
        target: str = "",
        name: str = "",
        severity: str = "",
    ) -> Silence:
        """Blocks. Raises RefusedError when it makes no sense, SQLAlchemyError when it can't be stored."""
        silence = Silence(
            0,
            checked_text("author", author, LONGEST_AUTHOR),
            checked_text("reason", reason, LONGEST_REASON),
            now if starts_at is None else starts_at,
            ends_at,
            target,
            name,
            severity,
        )
        if not silence.what:
            raise RefusedError(
                "target", "name a target, an alert or a severity; a target of '*' is all of them"
            )
        if not now < ends_at <= silence.starts_at + LONGEST_SILENCE:
            raise RefusedError("ends_at", "must end later than now, and at most 30 days after it starts")
        made = self._store.add_silence(silence, now)
        self.refresh(now)
        return made

    def expire_silence(self, number: int, now: float) -> bool:
        """Blocks. False when no such silence is left."""
        ended = self._store.expire_silence(number, now)
        self.refresh(now)
        return ended

    def acknowledge(
        self, dedup_key: str, *, author: str, reason: str, now: float, until: float | None = None
    ) -> Acknowledgement:
        """Blocks. Raises RefusedError when it makes no sense, SQLAlchemyError when it can't be stored."""
        made = Acknowledgement(
            dedup_key,
            checked_text("author", author, LONGEST_AUTHOR),
            checked_text("reason", reason, LONGEST_REASON),
            now,
            until,
        )
        self._store.acknowledge(made)
        self.refresh(now)
        return made

    def unacknowledge(self, dedup_key: str, now: float) -> bool:
        """Blocks. False when nobody had acknowledged it."""
        gone = self._store.unacknowledge(dedup_key)
        self.refresh(now)
        return gone

    async def run(self, clock: Callable[[], float]) -> None:
        """Reads the store each second, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.refresh, clock())
            except SQLAlchemyError as error:
                log.error("silences: can't be read: %s", cause(error))  # noqa: TRY400 (it says it all)
            await asyncio.sleep(REFRESH_EVERY)
