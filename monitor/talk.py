"""One conversation at one moment: what is said now, to whom, and how the conversation stands afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from monitor.alerting import OWN, UNSENT, Alert, State
from monitor.config import NotifierConfig
from monitor.conversations import Acknowledged, Conversation, Kind, Notice
from monitor.dependencies import Explanation
from monitor.notify.message import dedup_key
from monitor.quantity import format_duration
from monitor.quietconfig import RELAYS

FLAPS = 3
"""Firings within an hour that make an alert a flapping one."""
LONG_HELD = 60.0
"""Seconds after which a message says why it comes only now."""


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
        """Never."""

    def acknowledged(self, dedup_key: str, now: float) -> Acknowledgement | None:
        """Never."""

    def receiver_open(self, notifier: str, severity: str, now: float) -> bool:  # noqa: ARG002
        return True


class Rules(NamedTuple):
    """`memory`: seconds within which firings count. `calm`: seconds without a change that end flapping."""

    receivers: Mapping[str, NotifierConfig]
    quiet: Quiet
    memory: float
    calm: float

    def relays(self, receiver: str) -> bool:
        return receiver in self.receivers and self.receivers[receiver].kind in RELAYS

    def route(self, alert: Alert) -> list[str]:
        """By severity; who takes no messages is not told that, but all others are."""
        if alert.key.name == UNSENT and alert.key.target == OWN:
            return [name for name in self.receivers if name != alert.key.check]
        return [name for name, each in self.receivers.items() if alert.severity in each.severities]


@dataclass(slots=True)
class Talk:
    """`alert` is the conversation's as it is now; `said` collects receiver, kind and note of each message."""

    rules: Rules
    conversation: Conversation
    alert: Alert
    now: float
    said: list[tuple[str, Kind, str]]

    @property
    def notices(self) -> list[Notice]:
        """Of the end, one for each key by which the receiver knows of the alert."""
        return [
            Notice(receiver, kind, self.alert, self.conversation, key, note)
            for receiver, kind, note in self.said
            if receiver in self.rules.receivers
            for key in self._keys(receiver, kind)
        ]

    def go_on(self, explanation: Explanation | None) -> None:
        """`explanation`: what the alert's target depends on, if that is to blame."""
        self._acknowledge()
        if self.alert.state is State.RESOLVED:
            self._is_over()
        else:
            self._fires(explanation)

    def _is_over(self) -> None:
        relays = [each for each in self.conversation.told if self.rules.relays(each)]
        self._say_to(relays, Kind.RESOLVED)
        self._become(told={name: at for name, at in self.conversation.told.items() if name not in relays})
        ended, flapping = self.alert.resolved_at or self.now, self.conversation.flapping_since is not None
        if flapping and self.now - ended < self.rules.calm:
            return
        self._say_to(self._people(), Kind.RESOLVED, self._steady() if flapping else "")
        self._become(ended_at=self.now, withheld="", explained_by="")

    def _fires(self, explanation: Explanation | None) -> None:
        before = self.conversation
        asked = self.rules.quiet.withheld(self.alert, self.alert.key.target, self.now)
        if asked or explanation:
            by, why = explanation if explanation and not asked else ("", asked or "")
            self._become(withheld=why, explained_by=by)
        elif self.alert.good_since is None and not self.alert.good_results:  # else it waits for its end
            self._become(withheld="", explained_by="")
            self._count()
            self._tell(before)
            self._speak_up(before)
            self._calm_down()
            self._remind()
            self._escalate()

    def _count(self) -> None:
        """This firing, once. Its conversation may be the third within an hour."""
        fired, firings = self._fired_at, self.conversation.firings
        if firings and firings[-1] >= fired:
            return
        firings = tuple(at for at in (*firings, fired) if at > fired - self.rules.memory)[-FLAPS:]
        self._become(firings=firings)
        if len(firings) == FLAPS and self.conversation.flapping_since is None:
            self._become(flapping_since=self.now)

    def _tell(self, before: Conversation) -> None:
        """Who has not heard of it, as soon as they may."""
        untold = [each for each in self.rules.route(self.alert) if each not in self.conversation.told]
        closed = [each for each in untold if not self._reachable(each)]
        late = before.withheld and self.now - self._fired_at >= LONG_HELD
        note = f"not told until now: {before.withheld}" if late else ""
        for receiver in untold:
            if receiver in closed:
                continue
            if self.conversation.flapping_since is None or self.rules.relays(receiver):
                self._say_to([receiver], Kind.FIRING, note)
            else:
                self._say_to([receiver], Kind.FLAPPING, self._flaps())
        if closed and not self.conversation.told:
            self._become(withheld=f"outside the hours of {', '.join(closed)}")

    def _speak_up(self, before: Conversation) -> None:
        """When a silence ends, those who were told before it began hear that it was not the end."""
        if not before.told or not before.withheld or before.explained_by:
            return
        self._become(unanswered_since=self.now)
        if self.conversation.acknowledged is None and self.conversation.flapping_since is None:
            self._say_to(self._people(), Kind.REMINDER, f"it still fires; until now {before.withheld}")

    def _calm_down(self) -> None:
        flapping = self.conversation.flapping_since is not None
        if flapping and self.now - self._fired_at >= self.rules.calm:
            self._become(flapping_since=None)
            self._say_to(self._people(), Kind.REMINDER, f"it still fires: {self._steady()}")

    def _acknowledge(self) -> None:
        found = self.rules.quiet.acknowledged(self.conversation.dedup_key, self.now)
        answer = Acknowledged(found.author, found.reason, found.at) if found else None
        if answer == self.conversation.acknowledged:
            return
        self._become(acknowledged=answer)
        if answer:
            self._say_to(self._people(), Kind.ACKNOWLEDGED, f"by {answer.author}: {answer.reason}")
        else:
            self._become(unanswered_since=self.now)

    def _remind(self) -> None:
        if self.conversation.acknowledged or self.conversation.flapping_since is not None:
            return
        due = [each for each in self._people() if self._wants_reminder(each)]
        self._say_to(due, Kind.REMINDER, f"for {self._since(self._fired_at)}, and nobody has acknowledged it")
        if due:
            self._become(reminders=self.conversation.reminders + 1)

    def _wants_reminder(self, receiver: str) -> bool:
        every = self.rules.receivers[receiver].remind_every
        last = self.conversation.last_said[receiver]
        return every is not None and self.now - last >= every and self._reachable(receiver)

    def _escalate(self) -> None:
        """Also while it flaps: that was told, and nobody has answered."""
        if self.conversation.acknowledged:
            return
        for name in self._people():
            receiver, told = self.rules.receivers[name], self.conversation.told[name]
            since = max(told, self.conversation.unanswered_since or told)
            if receiver.escalate_after is None or self.now - since < receiver.escalate_after:
                continue
            due = [each for each in [receiver.escalate_to] if each and self._wants_escalation(each)]
            note = f"{name} was told {self._since(since)} ago, and nobody has acknowledged it"
            self._say_to(due, Kind.ESCALATION, note)
            self._become(escalated={**self.conversation.escalated, **dict.fromkeys(due, self.now)})

    def _wants_escalation(self, receiver: str) -> bool:
        known = receiver in self.rules.receivers and not self.rules.relays(receiver)
        return known and receiver not in self.conversation.escalated and self._reachable(receiver)

    @property
    def _fired_at(self) -> float:
        return self.conversation.began_at if self.alert.fired_at is None else self.alert.fired_at

    def _people(self) -> list[str]:
        """Those who were told and are still there, but relays."""
        here = self.rules.receivers
        return [each for each in self.conversation.told if each in here and not self.rules.relays(each)]

    def _reachable(self, receiver: str) -> bool:
        return self.rules.quiet.receiver_open(receiver, self.alert.severity, self.now)

    def _say_to(self, receivers: list[str], kind: Kind, note: str = "") -> None:
        for receiver in receivers:
            self.said.append((receiver, kind, note))
            self._become(
                told={receiver: self.now, **self.conversation.told},
                last_said={**self.conversation.last_said, receiver: self.now},
            )
            if self.conversation.unanswered_since is None:
                self._become(unanswered_since=self.now)

    def _keys(self, receiver: str, kind: Kind) -> tuple[str, ...]:
        """A relay knows each firing by its own key."""
        if self.rules.relays(receiver):
            return (dedup_key(self.alert),)
        keys = self.conversation.keys_of(receiver)
        return keys if kind is Kind.RESOLVED else keys[:1]

    def _become(self, **changes: Any) -> None:
        self.conversation = replace(self.conversation, **changes)

    def _since(self, moment: float) -> str:
        return format_duration(float(round(self.now - moment)))

    def _steady(self) -> str:
        return f"it has been steady for {format_duration(self.rules.calm)}"

    def _flaps(self) -> str:
        memory, calm = format_duration(self.rules.memory), format_duration(self.rules.calm)
        return f"began to fire {FLAPS} times within {memory}; more when it has been steady for {calm}"
