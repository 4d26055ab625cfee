"""Hands cycles to the store without ever making the measuring, or the telling, wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from monitor.history import Entry, History
from monitor.metrics import AgentMetrics
from monitor.notify.journal import Batch
from monitor.notify.letters import Letter, release
from monitor.notify.outbox import Outbox
from monitor.quantity import format_duration
from monitor.storecalls import Calls, StoreSilentError, cause

log = logging.getLogger(__name__)

BACKLOG, BACKLOG_BYTES = 10_000, 64 * 1_048_576
"""Cycles that may wait, and about how much memory they may take."""
ROW_BYTES, STATE_BYTES = 400, 2000
"""What a probe result or a reading takes beside its text, and an alert or a conversation with it."""
BATCH = 500
RETRY_AFTER = 1.0
PRUNE_EVERY = 3600.0
NOTED_AFTER = 10.0
"""Seconds for which the store may refuse before somebody should know."""


Opening = Callable[[], Awaitable[None]]


class Waiting(NamedTuple):
    """A cycle that isn't stored yet, and its messages on their way."""

    entry: Entry
    letters: tuple[Letter, ...]
    size: int
    """About how many bytes it takes."""

    @classmethod
    def of(cls, entry: Entry, letters: tuple[Letter, ...]) -> Waiting:
        rows = (*(each.detail for each in entry.probes), *(each.why for each in entry.readings))
        states = len(entry.changed) + len(entry.standing) + len(entry.conversations)
        bodies = sum(len(letter.message.body) for letter in letters)
        return cls(
            entry, letters, sum(map(len, rows)) + ROW_BYTES * len(rows) + STATE_BYTES * states + bodies
        )

    @property
    def worth(self) -> int:
        """What would be lost with it: probe results, who was told what, a message that nobody has got."""
        if any(letter.state == "waiting" for letter in self.letters):
            return 2
        entry = self.entry
        return 1 if entry.changed or entry.conversations or entry.deploys or self.letters else 0

    def without_results(self) -> Waiting:
        return Waiting.of(replace(self.entry, probes=(), readings=()), self.letters)


@dataclass(frozen=True, slots=True)
class Trouble:
    """The store refuses, or says nothing, since then (seconds since the epoch)."""

    since: float
    why: str


class Recorder:
    """Keeps what the store can't take right now, up to BACKLOG cycles and BACKLOG_BYTES.

    Past that probe results go first, the oldest first; what alerts did, and who was told, when nothing else
    is left.
    """

    def __init__(
        self,
        history: History,
        calls: Calls,
        metrics: AgentMetrics,
        clock: Callable[[], float],
        outbox: Outbox,
    ) -> None:
        self._history = history
        self._calls = calls
        self._metrics = metrics
        self._clock = clock
        self._outbox = outbox
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._at_store: list[Waiting] = []
        """What was handed over last, in one batch; kept together until it is known to be stored."""
        self._batch = Batch()
        self._most = BATCH
        self._silent: StoreSilentError | None = None
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._pruned_at = 0.0
        self._opening: Opening | None = None
        self.trouble: Trouble | None = None

    def begin_without(self, why: str, opening: Opening) -> None:
        """The store can't be opened. `opening`, which raises SQLAlchemyError, is tried before anything is
        stored: what is stored replaces what the store knew."""
        self._opening = opening
        self.trouble = Trouble(self._clock(), why)

    def note(self, now: float) -> str | None:
        """That the store refuses, as long as it does."""
        if self.trouble is None or now - self.trouble.since < NOTED_AFTER:
            return None
        since = format_duration(float(round(now - self.trouble.since)))
        return f"the store has refused for {since}, {len(self)} cycles wait in memory: {self.trouble.why}"

    def add(self, entry: Entry) -> None:
        """Its messages are on their way from now on, whatever becomes of the store."""
        refused = self.trouble is not None
        letters = tuple(Letter.new(each, entry.at, released=refused) for each in entry.messages)
        self._outbox.post(letters)
        if refused and letters:
            self._outbox.wake()
        self._keep(len(self._waiting), Waiting.of(entry, letters))
        while (len(self) > BACKLOG or self._bytes > BACKLOG_BYTES) and self._make_room():
            pass
        self._arrived.set()

    def _keep(self, index: int, waiting: Waiting) -> None:
        self._waiting.insert(index, waiting)
        self._bytes += waiting.size

    def __len__(self) -> int:
        """Cycles that are not stored yet."""
        return len(self._waiting) + len(self._at_store)

    def _make_room(self) -> bool:
        """False when all that waits is being stored."""
        if self._drop_oldest(0):
            return True
        too_large = self._bytes > BACKLOG_BYTES
        return (too_large and self._thin_oldest()) or self._drop_oldest(1) or self._drop_oldest(2)

    def _drop_oldest(self, worth: int) -> bool:
        found = next((index for index, each in enumerate(self._waiting) if each.worth <= worth), None)
        if found is not None:
            self._dropped(self._take_out(found))
        return found is not None

    def _thin_oldest(self) -> bool:
        """The first that has results beside what alerts did."""
        results = (
            (at, each) for at, each in enumerate(self._waiting) if each.entry.probes or each.entry.readings
        )
        found = next(results, None)
        if found is not None:
            index, whole = found
            self._take_out(index)
            self._keep(index, whole.without_results())
            self._metrics.store_dropped.inc()
        return found is not None

    def _take_out(self, index: int) -> Waiting:
        found = self._waiting[index]
        del self._waiting[index]
        self._bytes -= found.size
        return found

    def _dropped(self, lost: Waiting) -> None:
        """Its messages stay on their way; what isn't known any more after a restart is said."""
        self._metrics.store_dropped.inc()
        if lost.worth:
            told = ", ".join(each.message.dedup_key for each in lost.letters) or "nobody"
            log.error("store: a transition of %s is not stored; told: %s", lost.entry.target, told)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while len(self):
                if not await self.flush():
                    await asyncio.sleep(RETRY_AFTER)
            await self._prune()

    async def flush_all(self) -> None:
        """Until the store has everything, or refuses."""
        while len(self) and await self.flush():
            pass

    async def flush(self) -> bool:
        """Stores the oldest cycles in one transaction; False, with nothing lost, when the store refuses."""
        async with self._one_at_a_time:
            return await self._store_oldest()

    async def _store_oldest(self) -> bool:
        if self._opening and not await self._opened(self._opening):
            return False
        if not self._at_store:
            self._take(min(self._most, len(self._waiting)))
        if not self._at_store:
            return True
        try:
            if await self._too_slow():
                self._halve()
            await self._store()
        except (IntegrityError, DataError) as error:
            return self._unacceptable(cause(error))
        except StoreSilentError as error:
            self._silent = self._silent or error
            return self._refused(cause(error))
        except SQLAlchemyError as error:
            return self._refused(cause(error))
        except Exception as error:
            # One cycle with a mistake of ours must not keep all others from the store.
            log.exception("store: a cycle can't be written")
            return self._unacceptable(f"{type(error).__name__}: {error}")
        self._accepted()
        return True

    async def _opened(self, opening: Opening) -> bool:
        try:
            await opening()
        except SQLAlchemyError as error:
            return self._refused(cause(error))
        except Exception as error:
            log.exception("store: what it knows can't be taken up, by a fault of the agent's own")
            return self._refused(f"{type(error).__name__}: {error}")
        self._opening = None
        return True

    async def _store(self) -> None:
        letters = [letter for each in self._at_store for letter in each.letters]
        self._batch.progress = [letter.progress for letter in letters]
        entries = [each.entry for each in self._at_store]
        ids = await self._calls(self._history.record, entries, self._batch)
        self._outbox.stored(zip(letters, ids, self._batch.progress, strict=True))
        self._bytes -= sum(each.size for each in self._at_store)
        self._at_store = []
        self._most = min(2 * self._most, BATCH)

    async def _too_slow(self) -> bool:
        """Whether what was handed over last took too long and certainly isn't stored: it is too much."""
        if self._silent is None:
            return False
        if not self._silent.over():
            raise self._silent
        stored = await self._calls(self._history.has, self._batch)
        self._silent = None
        return not stored

    def _take(self, count: int) -> None:
        self._at_store = [self._waiting.popleft() for _ in range(count)]
        self._batch = Batch()

    def _unacceptable(self, why: str) -> bool:
        """The store works, and will never take this: one of them goes, or the half that holds it is found."""
        if len(self._at_store) == 1:
            [lost] = self._at_store
            self._bytes -= lost.size
            self._at_store = []
            log.error("store: a cycle of %s is unacceptable: %s", lost.entry.target, why)
            release(lost.letters)
            self._outbox.wake()
            self._dropped(lost)
            return True
        self._halve()
        return True

    def _halve(self) -> None:
        self._most = max(1, len(self._at_store) // 2)
        self._waiting.extendleft(reversed(self._at_store))
        self._take(self._most)

    def _refused(self, why: str) -> bool:
        self._metrics.store_errors.inc()
        self._metrics.store_backlog.set(len(self))
        log.error("store: %d cycles wait: %s", len(self), why)
        self.trouble = Trouble(self.trouble.since if self.trouble else self._clock(), why)
        for each in (*self._at_store, *self._waiting):
            release(each.letters)
        self._outbox.wake()
        return False

    def _accepted(self) -> None:
        if self.trouble:
            log.warning("store: takes cycles again, after %.0f s", self._clock() - self.trouble.since)
        self.trouble = None
        self._metrics.store_backlog.set(len(self))

    async def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = now
        try:
            await self._calls(self._history.prune, now)
        except SQLAlchemyError as error:
            log.error("store: pruning failed: %s", cause(error))  # noqa: TRY400 (it says it all)
