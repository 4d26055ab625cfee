"""Sends what the outbox table holds: at least once, in order for each alert, until delivered or given up.

The transaction that stored a transition (monitor/history) put its messages there; this only reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from monitor.history import History, Queued
from monitor.metrics import AgentMetrics
from monitor.notify import Notifier
from monitor.notify.delivery import DeliveryError
from monitor.notify.log import Log
from monitor.notify.reached import Reached
from monitor.recorder import cause

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
LONGEST_RETRY = 300.0
LONGEST_ASKED_FOR = 3600.0
"""A receiver may ask for more patience than we would have, but not until everybody forgot the alert."""
GIVE_UP_AFTER = 24 * 3600.0
LOOK_EVERY = 1.0
SEND_DEADLINE = 30.0
STALLED_AFTER = 60.0


class Outbox:
    def __init__(
        self,
        history: History,
        notifiers: Mapping[str, Notifier],
        metrics: AgentMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._history = history
        self._notifiers = notifiers
        self._metrics = metrics
        self._clock = clock
        self._woken = asyncio.Event()
        self._busy: set[str] = set()
        self._sent: set[int] = set()
        """Delivered, but the store doesn't know yet."""
        self.reached = Reached()
        self.looked_at = clock()
        """When it last knew what is due."""

    def restore(self) -> None:
        """Who has heard of what still waits for others. Blocks; raises SQLAlchemyError."""
        for notifier, key, at in self._history.reached():
            self._got_through(notifier, key, at)

    def stall(self, now: float) -> str | None:
        """That nothing moves, or that nothing gets through to anybody."""
        if now - self.looked_at > STALLED_AFTER:
            return f"for {now - self.looked_at:.0f} s nobody looked which messages are due"
        return self.reached.stall(now)

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as sending:
            while True:
                self._woken.clear()
                await self._look(sending)
                # Not wait_for: Python 3.11's swallows a cancellation that comes together with the wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._woken.wait()

    async def send_due(self) -> None:
        """Tries once whatever is due."""
        async with asyncio.TaskGroup() as sending:
            await self._look(sending)

    async def _look(self, sending: asyncio.TaskGroup) -> None:
        """Starts a batch for each notifier that is through with its last: a slow one holds up nobody else."""
        try:
            due = await asyncio.to_thread(self._history.due, self._clock(), frozenset(self._busy))
            self._metrics.outbox_waiting.set(await asyncio.to_thread(self._history.waiting))
        except SQLAlchemyError as error:
            log.error("outbox: the store can't be read: %s", cause(error))  # noqa: TRY400 (the cause says it all)
            return
        self.looked_at = self._clock()
        batches: dict[str, list[Queued]] = defaultdict(list)
        for message in due:
            batches[message.notifier].append(message)
        for notifier, batch in batches.items():
            self._busy.add(notifier)
            sending.create_task(self._send_batch(notifier, batch), name=f"batch for {notifier}")

    async def _send_batch(self, notifier: str, batch: list[Queued]) -> None:
        outcomes = await asyncio.gather(*map(self._send, batch), return_exceptions=True)
        self._busy.discard(notifier)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, SQLAlchemyError):
                raise failure
            log.error("outbox: the store can't be written: %s", cause(failure))
        if not failures:
            self._woken.set()

    async def _send(self, message: Queued) -> None:
        try:
            if message.id not in self._sent:
                async with asyncio.timeout(SEND_DEADLINE):
                    await self._notifier(message.notifier).send(message.body, message.dedup_key)
        except DeliveryError as error:
            await self._failed(message, error)
        except TimeoutError:
            await self._failed(message, DeliveryError(f"not delivered within {SEND_DEADLINE:g} s"))
        except Exception as error:
            # A notifier's mistake about one message must not end the watch, now and after each restart.
            log.exception("%s: can't send message %s", message.notifier, message.dedup_key)
            await self._failed(message, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            self._sent.add(message.id)
            await asyncio.to_thread(self._history.delivered, message.id, self._clock())
            self._sent.discard(message.id)
            self._metrics.notifications.labels(message.notifier, "delivered").inc()
            self._got_through(message.notifier, message.dedup_key, self._clock())

    def _got_through(self, notifier: str, key: str, at: float) -> None:
        """A line in a log reaches nobody."""
        if not isinstance(self._notifiers.get(notifier), Log):
            self.reached.delivered(notifier, key, at)

    def _notifier(self, name: str) -> Notifier:
        if name not in self._notifiers:
            raise DeliveryError(f"no notifier is called {name} any more", permanent=True)
        return self._notifiers[name]

    async def _failed(self, message: Queued, error: DeliveryError) -> None:
        now, who = self._clock(), message.notifier
        self.reached.failed(who, message.dedup_key, message.created_at, str(error))
        if error.permanent or now - message.created_at > GIVE_UP_AFTER:
            self._metrics.notifications.labels(who, "given_up").inc()
            log.error("%s: message %s given up: %s", who, message.dedup_key, error)
            await asyncio.to_thread(self._history.given_up, message.id, now, str(error))
            return
        wait = pause(message.attempts, error.retry_after)
        self._metrics.notifications.labels(who, "retried").inc()
        log.warning("%s: message %s not sent, next try in %.0f s: %s", who, message.dedup_key, wait, error)
        await asyncio.to_thread(self._history.postponed, message.id, now + wait, str(error))


def pause(attempts: int, asked_for: float | None) -> float:
    """Seconds until the next try: what the receiver asked for, else from 1 s doubling to 5 min.

    Our own are spread by a quarter either way, so that retries don't march in step.
    """
    if asked_for is not None:
        return min(max(asked_for, FIRST_RETRY), LONGEST_ASKED_FOR)
    doubled = min(FIRST_RETRY * 2.0 ** min(attempts, 16), LONGEST_RETRY)
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 (not a secret)
