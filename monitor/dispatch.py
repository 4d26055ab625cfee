"""Decides who is told what, and when. Alerts say what is wrong; this says who hears of it.

Each alert that fires is a conversation with its receivers: those who were told hear when it is over, and
nobody else does. Pure: time is an argument, and what must be stored or sent is returned.
"""

# ruff: noqa: ARG002
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from monitor.alerting import Alert, Key, State
from monitor.config import Config
from monitor.conversations import Conversation, Decision, Kind, Notice
from monitor.notify.message import dedup_key
from monitor.objectives import Objectives


class Acknowledgement(Protocol):
    @property
    def author(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def at(self) -> float: ...


class Quiet(Protocol):
    """What people have asked the agent to keep to itself."""

    def withheld(self, alert: Alert, target: str, now: float) -> str | None:
        """Why nobody is told of the alert now: a silence, maintenance."""

    def acknowledged(self, dedup_key: str, now: float) -> Acknowledgement | None: ...

    def receiver_open(self, notifier: str, severity: str, now: float) -> bool: ...


class NothingAsked:
    """Nobody wants quiet."""

    def withheld(self, alert: Alert, target: str, now: float) -> str | None:
        return None

    def acknowledged(self, dedup_key: str, now: float) -> Acknowledgement | None:
        return None

    def receiver_open(self, notifier: str, severity: str, now: float) -> bool:
        return True


class Dispatch:
    def __init__(self, config: Config, objectives: Objectives, quiet: Quiet | None = None) -> None:
        self.conversations: dict[Key, Conversation] = {}
        self._receivers = {each.name: each for each in config.notify}
        self._quiet = quiet or NothingAsked()

    def restore(self, conversations: Iterable[Conversation], standing: Iterable[Alert], now: float) -> None:
        """Takes up where an earlier process stopped.

        An alert that fires without a conversation is from before there were any: its route has been told.
        """
        self.conversations = {each.key: each for each in conversations}
        for alert in standing:
            if alert.state is State.FIRING and not self._open(alert.key):
                begun = _begun(alert)
                told = dict.fromkeys(self._route(alert), begun.began_at)
                self.conversations[alert.key] = replace(begun, told=told, last_said=told)

    def decide(
        self,
        target: str,
        changed: Iterable[Alert],
        standing: Iterable[Alert],
        now: float,
        *,
        probed_at: float | None = None,
        in_doubt: bool = False,
    ) -> Decision:
        """After each cycle of a target: `changed` and `standing` as Alerting has them.

        `probed_at`: when the probes of the cycle began. `in_doubt`: some check failed in it.
        """
        changed, notices = list(changed), list[Notice]()
        for alert in changed:
            conversation = self._open(alert.key) or _begun(alert)
            if alert.state is State.RESOLVED:
                kind, receivers = Kind.RESOLVED, list(conversation.told)
                conversation = replace(conversation, alert=alert, ended_at=now)
            else:
                kind, receivers = Kind.FIRING, self._route(alert)
                told = dict.fromkeys(receivers, now)
                conversation = replace(conversation, told=told, last_said=told)
            self.conversations[alert.key] = conversation
            notices += [
                Notice(each, kind, alert, conversation, conversation.dedup_key)
                for each in receivers
                if each in self._receivers
            ]
        return Decision(tuple(notices), tuple(self.conversations[alert.key] for alert in changed))

    def tick(self, now: float) -> Decision:
        """Once a second: what time alone changes."""
        return Decision()

    def _open(self, key: Key) -> Conversation | None:
        found = self.conversations.get(key)
        return found if found and found.open else None

    def _route(self, alert: Alert) -> list[str]:
        return [name for name, each in self._receivers.items() if alert.severity in each.severities]


def _begun(alert: Alert) -> Conversation:
    began_at = alert.since if alert.fired_at is None else alert.fired_at
    return Conversation(key=alert.key, dedup_key=dedup_key(alert), began_at=began_at, alert=alert)
