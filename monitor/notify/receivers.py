"""The notifiers of the configuration, and for a while those of the one before: messages wait for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from monitor.config import NotifierConfig
from monitor.filewatch import Digests
from monitor.notify import NOTIFIERS, Notifier
from monitor.notify.alertmanager import Alertmanager
from monitor.notify.log import Log

AT_ONCE = 100


class Receiver:
    """A notifier that knows whether it is sending. `made_of`: equal for two that would do the same."""

    def __init__(self, config: NotifierConfig, contents: Digests) -> None:
        self.made_of = _made_of(config, contents)
        self.notifier: Notifier = NOTIFIERS[config.kind](config)
        self._sending = 0

    @property
    def busy(self) -> bool:
        return self._sending > 0

    async def send(self, body: str, dedup_key: str) -> str | None:
        self._sending += 1
        try:
            return await self.notifier.send(body, dedup_key)
        finally:
            self._sending -= 1

    async def close(self) -> None:
        await self.notifier.close()


def _made_of(config: NotifierConfig, contents: Digests) -> tuple[NotifierConfig, str | None]:
    """The certificates count by what is in the file."""
    trusted = getattr(config.options, "ca_file", None)
    return config, contents.get(Path(trusted)) if trusted else None


def reaches_people(notifier: Notifier | None) -> bool:
    """A line in a log reaches nobody."""
    return not isinstance(_behind(notifier), Log)


def at_once(notifier: Notifier | None) -> int:
    """How many messages it is given at a time."""
    return getattr(_behind(notifier), "at_once", AT_ONCE)


def _behind(notifier: Notifier | None) -> Notifier | None:
    return notifier.notifier if isinstance(notifier, Receiver) else notifier


class Receivers(Mapping[str, Notifier]):
    """By name, the removed ones included until nothing waits for them any more."""

    def __init__(self, configs: Iterable[NotifierConfig], contents: Digests) -> None:
        self._current = {each.name: Receiver(each, contents) for each in configs}
        self._removed: dict[str, Receiver] = {}
        self._replaced: list[Receiver] = []

    def __getitem__(self, name: str) -> Notifier:
        return self._current[name] if name in self._current else self._removed[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._current, **self._removed})

    def __len__(self) -> int:
        return len({**self._current, **self._removed})

    @property
    def configured(self) -> Collection[str]:
        """The names of those in the configuration, whatever that is at the moment."""
        return self._current.keys()

    @property
    def alertmanagers(self) -> list[Alertmanager]:
        made = (each.notifier for each in self._current.values())
        return [each for each in made if isinstance(each, Alertmanager)]

    def made(self, configs: Iterable[NotifierConfig], contents: Digests) -> dict[str, Receiver]:
        """What `configure` takes; those that stay as they are, are the same. Blocks."""
        found = {}
        for config in configs:
            old = self._current.get(config.name)
            same = old is not None and old.made_of == _made_of(config, contents)
            found[config.name] = old if old is not None and same else Receiver(config, contents)
        return found

    def configure(self, made: Mapping[str, Receiver]) -> None:
        """What is queued goes through the new one of the same name."""
        for name, old in self._current.items():
            if name not in made:
                self._removed[name] = old
            elif made[name] is not old:
                self._replaced.append(old)
        self._replaced += [self._removed.pop(name) for name in made if name in self._removed]
        self._current.clear()
        self._current.update(made)

    async def tidy(self, waited_for: Collection[str]) -> list[str]:
        """Closes those that are through, and names those that are gone; `waited_for`: by messages."""
        for each in [each for each in self._replaced if not each.busy]:
            self._replaced.remove(each)
            await each.close()
        gone = []
        for name, each in list(self._removed.items()):
            if not each.busy and name not in waited_for:
                del self._removed[name]
                await each.close()
                gone.append(name)
        return gone

    async def close(self) -> None:
        for each in (*self._current.values(), *self._removed.values(), *self._replaced):
            await each.close()
