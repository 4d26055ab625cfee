"""Who must not be told what, now: silences, maintenance, acknowledgements and business hours, from memory.

People change them in the store, from the command line or the page; the agent reads it each second.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from monitor.alerting import Alert
from monitor.asking import covers
from monitor.config import Config
from monitor.localtime import clock_time
from monitor.maintenance import OneOff, Window, checked_window
from monitor.quantity import format_duration
from monitor.quietstore import QuietStore, Stored
from monitor.silences import Acknowledgement, Silence, checked_acknowledgement, checked_silence
from monitor.storecalls import cause

log = logging.getLogger(__name__)

READ_EVERY = 1.0
READ_DEADLINE = 5.0
"""Seconds after which the agent says that it waits; the answer, when it comes, still counts."""
STALE_AFTER = 60.0


class Quiet:
    """Answers need no store: while it is away, what was last read still holds.

    What changes something blocks; it raises RefusedError when it makes no sense, and SQLAlchemyError when it
    can't be stored. `now` is in seconds since the epoch.
    """

    def __init__(self, store: QuietStore, config: Config) -> None:
        self._store = store
        self._stored = Stored()
        self._one_at_a_time = threading.Lock()
        self._read_at: float | None = None
        self._trouble = ""
        self.configure(config)

    def configure(self, config: Config) -> None:
        """The windows, hours and targets of this configuration hold from now on."""
        self._config = config
        self._hours = {each.name: each.hours for each in config.notify}

    def withheld(self, alert: Alert, target: str, now: float) -> str | None:
        """Why nobody is told of the alert now; None when there is no reason. `target` is its name.

        The sentence stays the same for as long as the reason does.
        """
        silences = [each for each in self.silences(now) if each.active(now) and each.matches(alert, target)]
        if silences:
            last = max(silences, key=lambda each: each.ends_at)
            return f"silenced by {last.author} until {clock_time(last.ends_at, None)}: {last.reason}"
        covering = (each for each in self.windows() if covers(each.targets, target))
        found = [(span.end, each) for each in covering if (span := each.during(now))]
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

    def silences(self, now: float) -> list[Silence]:
        """Those that have not ended, the first to end first."""
        return [each for each in self._stored.silences if now < each.ends_at]

    def ended_silences(self, since: float, now: float) -> list[Silence]:
        """Those that ended after `since`. Blocks; raises SQLAlchemyError."""
        return [each for each in self._store.silences(since) if each.ends_at <= now]

    def windows(self) -> tuple[Window, ...]:
        """Those of the configuration, and those entered by hand."""
        return (*self._config.maintenance, *self._stored.maintenance)

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
        """At least one of target, name and severity must be given; the first two may hold `*` and `?`."""
        begins = now if starts_at is None else starts_at
        asked = Silence(0, author, reason, begins, ends_at, target, name, severity)
        made = self._store.add_silence(checked_silence(asked, self._targets, now), now)
        self.refresh(now)
        return made

    def expire_silence(self, number: int, now: float) -> bool:
        """False when no such silence is left."""
        ended = self._store.expire_silence(number, now)
        self.refresh(now)
        return ended

    def acknowledge(
        self, dedup_key: str, *, author: str, reason: str, now: float, until: float | None = None
    ) -> Acknowledgement:
        """In place of an earlier acknowledgement. `until` None: for as long as the conversation lasts."""
        made = checked_acknowledgement(Acknowledgement(dedup_key, author, reason, now, until))
        self._store.acknowledge(made)
        self.refresh(now)
        return made

    def unacknowledge(self, dedup_key: str, now: float) -> bool:
        """False when nobody had acknowledged it."""
        gone = self._store.unacknowledge(dedup_key)
        self.refresh(now)
        return gone

    def add_maintenance(
        self, *, author: str, reason: str, start: float, end: float, now: float, targets: Sequence[str] = ()
    ) -> OneOff:
        """No targets: all of them, but not the agent itself."""
        asked = OneOff(reason, start, end, tuple(targets), author=author)
        made = self._store.add_maintenance(checked_window(asked, self._targets, now), now)
        self.refresh(now)
        return made

    def end_maintenance(self, number: int, now: float) -> bool:
        """False when no such window is left that was entered by hand."""
        ended = self._store.end_maintenance(number, now)
        self.refresh(now)
        return ended

    def refresh(self, now: float) -> None:
        """Blocks. Raises SQLAlchemyError, and what was known stays."""
        with self._one_at_a_time:
            self._stored = self._store.load(now)
            self._read_at = now

    def fault(self, now: float) -> str | None:
        """What is wrong when people's changes have not been seen for a minute."""
        what = "silences and acknowledgements have not been read"
        if self._read_at is None:
            return f"{what} yet: {self._trouble}" if self._trouble else None
        if now - self._read_at < STALE_AFTER:
            return None
        return f"{what} for {format_duration(float(round(now - self._read_at)))}: {self._trouble}"

    async def run(self, clock: Callable[[], float]) -> None:
        """Reads the store each second, until cancelled. One reading at a time, however long it takes."""
        reading: asyncio.Future[None] | None = None
        while True:
            if reading is None:
                reading = asyncio.get_running_loop().run_in_executor(None, self.refresh, clock())
            await asyncio.wait({reading}, timeout=READ_DEADLINE)
            self._report(reading)
            reading = None if reading.done() else reading
            await asyncio.sleep(READ_EVERY)

    def _report(self, reading: asyncio.Future[None]) -> None:
        """Once when it begins and once when it ends."""
        before, self._trouble = self._trouble, _trouble(reading)
        if self._trouble and not before:
            log.error("silences can't be read, those last read hold: %s", self._trouble)
        elif before and not self._trouble:
            log.info("silences can be read again")

    @property
    def _targets(self) -> list[str]:
        return [target.name for target in self._config.targets]


def _trouble(reading: asyncio.Future[None]) -> str:
    if not reading.done():
        return f"no answer within {format_duration(READ_DEADLINE)}"
    error = reading.exception()
    if isinstance(error, SQLAlchemyError):
        return cause(error)
    return f"{type(error).__name__}: {error}" if error else ""
