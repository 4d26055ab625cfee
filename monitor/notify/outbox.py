"""Sends what must be sent: at least once, in order for each alert, pages first, until delivered or given up.

Every message is here from the cycle that made it until its fate is written down. It is sent once the
transaction is through that stored it with its transition (monitor/recorder.py). A store that refuses, or says
nothing for PATIENCE, holds nobody back: then it is sent first, and stored as sent when the store is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from monitor.metrics import AgentMetrics
from monitor.notify import Notifier
from monitor.notify.delivery import DeliveryError
from monitor.notify.letters import Letter, Letters, Place, Progress
from monitor.notify.missed import Missed
from monitor.notify.reached import Reached
from monitor.notify.receivers import at_once, reaches_people
from monitor.storecalls import cause

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
LONGEST_RETRY = 300.0
LONGEST_ASKED_FOR = 3600.0
"""A receiver may ask for more patience than we would have, but not until everybody forgot the alert."""
GIVE_UP_AFTER = 24 * 3600.0
LOOK_EVERY = 1.0
SEND_DEADLINE = 30.0
STALLED_AFTER = 60.0
PATIENCE = 2.0
"""Seconds that a message waits for a store which neither takes nor refuses it."""
LONGEST_HELD = 30.0
"""Seconds for which one message that was asked to wait keeps back all others to that receiver: it would
refuse them, too. Not for longer, as the next one may be the page."""
MOST_LETTERS = 20_000
"""Some 60 MB. More is given up, the oldest first, each with a line in the log."""


class Settle(Protocol):
    """Writes down how far messages have come. Raises SQLAlchemyError."""

    async def __call__(self, moved: Sequence[tuple[int, Progress]], /) -> Any: ...


class Outbox:
    def __init__(
        self,
        settle: Settle,
        notifiers: Mapping[str, Notifier],
        metrics: AgentMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._settle = settle
        self._notifiers = notifiers
        self._metrics = metrics
        self._clock = clock
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._letters = Letters()
        self._busy: set[str] = set()
        self._held: dict[str, float] = {}
        """Until when receivers are left alone that asked for it."""
        self._unwritten: dict[int, Letter] = {}
        """Further than their rows say, by id."""
        self._ended: dict[Place, float] = {}
        """When the last message about an alert ended for a receiver, until its row says so: the next one
        waits for that. Else an agent that is killed could send "firing" again after "resolved"."""
        self._finishing = False
        self.reached = Reached()
        self.missed = Missed()
        self.looked_at = clock()

    def heard(self, messages: Iterable[tuple[str, str, float]]) -> None:
        """Who has heard of what still waits for others: receiver, dedup key, at."""
        for receiver, key, at in messages:
            self._got_through(receiver, key, at)

    def stall(self, now: float) -> str | None:
        """That nothing moves, or that nothing gets through to anybody."""
        if now - self.looked_at > STALLED_AFTER:
            return f"for {now - self.looked_at:.0f} s nobody looked which messages are due"
        return self.reached.stall(now)

    def post(self, letters: Iterable[Letter]) -> None:
        """Takes them over for good; each waits until it is released."""
        for letter in letters:
            if len(self._letters) >= MOST_LETTERS:
                self._end(self._letters.oldest(), f"more than {MOST_LETTERS} messages wait")
            self._letters.add(letter)

    def stored(self, letters: Iterable[tuple[Letter, int, Progress]]) -> None:
        """These have got rows, which say that they have come so far."""
        for letter, id_, written in letters:
            letter.id, letter.released = id_, True
            if letter.progress != written:
                self._write(letter)
        self.wake()

    def waited_for(self) -> set[str]:
        """Notifiers for which messages wait."""
        return set(self._letters.notifiers)

    def wake(self) -> None:
        self._woken.set()

    def __len__(self) -> int:
        """Messages neither delivered nor given up."""
        return len(self._letters)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_written(), name="outbox rows")
            while True:
                self._woken.clear()
                self._look(tasks)
                await _set_or_later(self._woken, LOOK_EVERY)

    async def send_due(self) -> None:
        """Tries once whatever is due, and writes down what became of it."""
        async with asyncio.TaskGroup() as sending:
            self._look(sending)
        await self.write()

    def _look(self, sending: asyncio.TaskGroup) -> None:
        """Starts a batch for each notifier that is through with its last: a slow one holds up nobody else."""
        self.looked_at = now = self._clock()
        self._metrics.outbox_waiting.set(len(self._letters))
        self._held = {each: until for each, until in self._held.items() if now < until <= now + LONGEST_HELD}
        for notifier in [] if self._finishing else self.waited_for() - self._busy - self._held.keys():
            due = (each for each in self._letters.first(notifier) if self._due(each, now))
            room = at_once(self._notifiers.get(notifier))
            if batch := heapq.nsmallest(room, due, key=lambda letter: not letter.wakes):
                self._busy.add(notifier)
                sending.create_task(self._send_batch(notifier, batch), name=f"batch for {notifier}")

    def _due(self, letter: Letter, now: float) -> bool:
        """The store has PATIENCE to take the message, and as much to hear that the one before it is out."""
        stored = letter.released or now - letter.created_at >= PATIENCE
        return letter.due_at <= now and stored and now - self._ended.get(letter.place, -math.inf) >= PATIENCE

    async def _send_batch(self, notifier: str, batch: list[Letter]) -> None:
        try:
            await asyncio.gather(*map(self._send, batch))
        finally:
            self._busy.discard(notifier)
        self._metrics.outbox_waiting.set(len(self._letters))
        self._woken.set()

    async def _send(self, letter: Letter) -> None:
        to, key = letter.message.notifier, letter.message.dedup_key
        if self.missed.needless(letter.message):
            self._end(letter, f"{to} never heard how it began")
            return
        try:
            async with asyncio.timeout(SEND_DEADLINE):
                await self._notifier(to).send(letter.message.body, key)
        except DeliveryError as error:
            self._failed(letter, error)
        except TimeoutError:
            self._failed(letter, DeliveryError(f"not delivered within {SEND_DEADLINE:g} s"))
        except Exception as error:
            # A notifier's mistake about one message must not end the watch, now and after each restart.
            log.exception("%s: can't send message %s", to, key)
            self._failed(letter, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            letter.delivered(self._clock())
            self._letters.remove(letter)
            self._count(letter, "delivered")
            self.missed.delivered(letter.message)
            self._got_through(to, key, self._clock())

    def _got_through(self, receiver: str, key: str, at: float) -> None:
        if reaches_people(self._notifiers.get(receiver)):
            self.reached.delivered(receiver, key, at)

    def _notifier(self, name: str) -> Notifier:
        if name not in self._notifiers:
            raise DeliveryError(f"no notifier is called {name} any more", permanent=True)
        return self._notifiers[name]

    def _failed(self, letter: Letter, error: DeliveryError) -> None:
        now, who = self._clock(), letter.message.notifier
        for_good = error.permanent or now - letter.created_at > GIVE_UP_AFTER
        key = letter.message.dedup_key
        self.reached.failed(who, key, letter.created_at, str(error), for_good=for_good)
        if for_good:
            self._end(letter, str(error))
            return
        wait = pause(letter.attempts, error.retry_after)
        if error.retry_after is not None:
            self._held[who] = now + min(wait, LONGEST_HELD)
        log.warning("%s: message %s not sent, next try in %.0f s: %s", who, key, wait, error)
        letter.postponed(now + wait, str(error))
        self._count(letter, "retried")

    def _end(self, letter: Letter, why: str) -> None:
        log.error("%s: message %s given up: %s", letter.message.notifier, letter.message.dedup_key, why)
        letter.given_up(self._clock(), why)
        self.missed.given_up(letter.message)
        self._letters.remove(letter)
        self._count(letter, "given_up")

    def _count(self, letter: Letter, outcome: str) -> None:
        self._metrics.notifications.labels(letter.message.notifier, outcome).inc()
        if letter.id is not None:
            self._write(letter)
            if letter.state != "waiting":
                self._ended[letter.place] = self._clock()

    def _write(self, letter: Letter) -> None:
        assert letter.id is not None  # noqa: S101 (only those with rows come here)
        self._unwritten[letter.id] = letter
        self._moved.set()

    async def _keep_written(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            if not await self.write():
                await asyncio.sleep(LOOK_EVERY)
                self._moved.set()

    async def finish(self) -> None:
        """Begins nothing more, waits for what is being sent, and writes down what became of it."""
        self._finishing = True
        while self._busy:
            self._woken.clear()
            await _set_or_later(self._woken, LOOK_EVERY)
        await self.write()

    async def write(self) -> bool:
        """Writes down how far messages have come; False, with nothing forgotten, when the store refuses."""
        moved, self._unwritten = self._unwritten, {}
        if not moved:
            return True
        try:
            await self._settle([(id_, letter.progress) for id_, letter in moved.items()])
        except SQLAlchemyError as error:
            self._unwritten = {**moved, **self._unwritten}
            self._ended.clear()
            log.error("outbox: %d rows can't be written: %s", len(self._unwritten), cause(error))  # noqa: TRY400 (it says it all)
            return False
        for letter in moved.values():
            self._ended.pop(letter.place, None)
        self.wake()
        return True


async def _set_or_later(event: asyncio.Event, seconds: float) -> None:
    # Not wait_for: Python 3.11's swallows a cancellation that comes together with the wake-up.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def pause(attempts: int, asked_for: float | None) -> float:
    """Seconds until the next try: what the receiver asked for, else from 1 s doubling to 5 min.

    Our own are spread by a quarter either way, so that retries don't march in step.
    """
    if asked_for is not None:
        return min(max(asked_for, FIRST_RETRY), LONGEST_ASKED_FOR)
    doubled = min(FIRST_RETRY * 2.0 ** min(attempts, 16), LONGEST_RETRY)
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 (not a secret)
