"""A changed configuration is taken up without a restart: on SIGHUP, or when its files have changed.

A file with a mistake changes nothing. A good one is applied in one step (monitor/changeover.py), but for what
only a restart can change: that keeps its value, and is named until the restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from monitor import deploys
from monitor.alerting import OWN
from monitor.changeover import change, difference
from monitor.config import Config, Target, load_config
from monitor.cycle import Cycle
from monitor.filewatch import Digests, FileWatch, digests
from monitor.heartbeat import Heartbeat
from monitor.history import Deploy, History
from monitor.history.writing import Outcomes
from monitor.loading import files_of, objectives_of
from monitor.notify.outbox import Outbox
from monitor.notify.receivers import Receiver, Receivers
from monitor.notify.resend import Resends
from monitor.objectives import Objectives
from monitor.quiet import Quiet
from monitor.recall import recall_samples, retention
from monitor.schedule import Schedule
from monitor.storecalls import Calls, cause
from monitor.yamlfile import ConfigError

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0
TRY_AGAIN_EVERY = 30.0
"""Seconds after which a file that was refused is read again: what it lacked may be there now."""
NEEDS_RESTART = {
    "listen": ("host", "port"),
    "database": ("database",),
    "shorten_windows": ("shorten_windows",),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A good configuration. `restart`: the keys of the file that take one."""

    config: Config
    objectives: Objectives
    contents: Digests
    receivers: dict[str, Receiver]
    restart: tuple[str, ...]


class Past(NamedTuple):
    """What the store knows of targets and checks that are new."""

    outcomes: Sequence[Outcomes] = ()
    deploys: Sequence[Deploy] = ()


@dataclass(slots=True)
class Parts:
    """Of the agent, which go on under the next configuration."""

    cycle: Cycle
    history: History
    calls: Calls
    quiet: Quiet
    receivers: Receivers
    resends: Resends
    outbox: Outbox
    heartbeat: Heartbeat
    schedule: Schedule


class Reload:
    def __init__(self, parts: Parts, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._clock = clock
        self._metrics = parts.cycle.metrics
        self._files = FileWatch(files_of(parts.cycle.config))
        self._asked = asyncio.Event()
        self.refused = ""
        self._refused_at = 0.0
        self._restart: tuple[str, ...] = ()
        self._metrics.reloaded(clock())

    def ask(self) -> None:
        """Reads the files again, changed or not."""
        self._asked.set()

    def notes(self) -> Iterator[str]:
        """What somebody should know about the configuration that is in force."""
        if self.refused:
            at = datetime.fromtimestamp(self._refused_at, UTC)
            yield (
                f"the configuration of {at:%Y-%m-%d %H:%M:%S} UTC is not in force, the one before is: "
                f"{self.refused}"
            )
        for key in self._restart:
            yield f"{key} has changed in {self._parts.cycle.config.path.name}: restart the agent"

    async def run(self) -> None:
        """Until cancelled."""
        tried = self._clock()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._asked.wait()
            again = bool(self.refused) and abs(self._clock() - tried) >= TRY_AGAIN_EVERY
            if self._asked.is_set() or again or await asyncio.to_thread(self._files.look):
                self._asked.clear()
                await self.once()
                tried = self._clock()
            await self._tidy()

    async def once(self) -> bool:
        """Whether what the files hold now is in force."""
        try:
            loaded = await asyncio.to_thread(self._load)
            new = self._apply(loaded, await self._past(loaded))
        except ConfigError as error:
            return self._not_loaded(str(error))
        except Exception as error:
            log.exception("the configuration can't be taken up, by a fault of the agent's own")
            return self._not_loaded(f"{type(error).__name__}: {error}")
        self.refused, self._restart = "", loaded.restart
        self._metrics.reloaded(self._clock())
        await self._born(new)
        return True

    def _not_loaded(self, why: str) -> bool:
        """Says so once, also when it is tried again."""
        if why != self.refused:
            log.error("nothing is changed, for the configuration has mistakes:\n%s", why)
            self._refused_at = self._clock()
        self.refused = why
        self._metrics.not_reloaded()
        return False

    def _load(self) -> Loaded:
        """Blocks. Raises ConfigError, and what was tried is tried again only when something has changed."""
        running = self._parts.cycle.config
        contents = digests([running.path, *files_of(running)])
        try:
            written = load_config(running.path)
            contents = digests(files_of(written))
            config, restart = kept(running, written)
            objectives = objectives_of(config)
            receivers = self._parts.receivers.made(config.notify, contents)
        finally:
            self._files.tried(contents)
        return Loaded(config, objectives, contents, receivers, restart)

    async def _past(self, loaded: Loaded) -> Past:
        """Somebody takes a target out, and puts it in again: its month of availability is still there."""
        before, history = _places(self._parts.cycle.config), self._parts.history
        new = _places(loaded.config) - before
        if not new:
            return Past()
        now = self._clock()
        since = now - max(retention(loaded.objectives).values(), default=0.0)
        try:
            found = await self._parts.calls(history.outcomes, since, now)
            deployed = await self._parts.calls(deploys.stored, history.engine)
        except SQLAlchemyError as error:
            log.warning("new targets begin without their past, the store can't be read: %s", cause(error))
            return Past()
        added = {target for target, _ in new} - {target for target, _ in before}
        return Past(
            [each for each in found if (each.target, each.check) in new],
            [each for each in deployed if each.target in added],
        )

    def _apply(self, loaded: Loaded, past: Past) -> list[Target]:
        """Without a pause in it: everything else on the event loop sees all of it or nothing.

        The targets that are not as they were.
        """
        parts, config = self._parts, loaded.config
        wanted = retention(parts.cycle.objectives).keys()
        other = difference(parts.cycle, config, loaded.objectives)
        anew = set(other.changed)
        if retention(loaded.objectives).keys() != wanted:
            anew |= {target.name for target in config.targets}
        change(parts.cycle, config, loaded.objectives)
        recall_samples(parts.cycle, past.outcomes)
        parts.cycle.facts.deploys.restore(past.deploys, self._clock())
        parts.quiet.configure(config)
        parts.receivers.configure(loaded.receivers)
        parts.resends.renew()
        parts.heartbeat.configure(config.heartbeat)
        self._metrics.can_tell(loaded.receivers)
        parts.schedule.replan(config.targets, anew)
        log.info("%s is in force: %s", config.path, other or "the targets and objectives are as before")
        for key in loaded.restart:
            log.warning("%s: %s has changed, and needs a restart; all else is in force", config.path, key)
        return [each for each in config.targets if each.name in {*other.added, *other.changed}]

    async def _born(self, targets: Iterable[Target]) -> None:
        """One at a time: the counters of hundreds take longer than anybody else should wait."""
        for target in targets:
            self._metrics.born(target.name, (check.name for check in target.checks), ())
            await asyncio.sleep(0)

    async def _tidy(self) -> None:
        await self._metrics.let_go()
        receivers = self._parts.receivers
        for name in await receivers.tidy(self._parts.outbox.waited_for()):
            self._metrics.forget([{"notifier": name}, {"target": OWN, "check": name}])
            self._parts.outbox.reached.forget(name)
            log.info("%s: nothing waits for it any more, it is closed", name)


def kept(running: Config, written: Config) -> tuple[Config, tuple[str, ...]]:
    """What of `written` can be in force now, and the keys for which it takes a restart."""
    names = [
        key
        for key, fields in NEEDS_RESTART.items()
        if any(getattr(running, name) != getattr(written, name) for name in fields)
    ]
    same = {name: getattr(running, name) for fields in NEEDS_RESTART.values() for name in fields}
    return replace(written, **same), tuple(names)


def _places(config: Config) -> set[tuple[str, str]]:
    return {(target.name, check.name) for target in config.targets for check in target.checks}
