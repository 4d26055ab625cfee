"""Decides who is told what, and when. Alerts say what is wrong; this says who hears of it.

Each alert that fires is a conversation with its receivers: those who were told hear when it is over, and
nobody else does. Pure: time is an argument, and what must be stored or sent is returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace

from monitor.alerting import OWN, Alert, Key, State, no_longer_watched
from monitor.config import Config
from monitor.conversations import Conversation, Decision, Notice, joined
from monitor.dependencies import Dependencies
from monitor.notify.message import dedup_key
from monitor.objectives import Objective
from monitor.talk import NothingAsked, Quiet, Rules, Talk

MEMORY = 3600.0
CALM = 900.0


class Dispatch:
    def __init__(self, config: Config, objectives: Iterable[Objective], quiet: Quiet | None = None) -> None:
        self._quiet = quiet or NothingAsked()
        self._kept: dict[str, dict[Key, Conversation]] = defaultdict(dict)
        self._firing: dict[str, dict[Key, Alert]] = {}
        self._dependencies = Dependencies.of((), ())
        self.configure(config, objectives)

    def configure(self, config: Config, objectives: Iterable[Objective]) -> None:
        """Conversations go on under these receivers and dependencies."""
        self._rules = Rules(
            receivers={each.name: each for each in config.notify},
            quiet=self._quiet,
            memory=MEMORY / config.shorten_windows,
            calm=CALM / config.shorten_windows,
        )
        self._dependencies = Dependencies.of(config.targets, objectives).knowing(self._dependencies)
        names = {OWN, *(target.name for target in config.targets)}
        self._firing = {target: firing for target, firing in self._firing.items() if target in names}

    @property
    def conversations(self) -> dict[Key, Conversation]:
        """Those that go on, and for an hour those that are over."""
        return {key: each for kept in self._kept.values() for key, each in kept.items()}

    def explained_by(self, target: str) -> list[Alert]:
        """Alerts of others that nobody is told of, because this target seems to be to blame."""
        return [
            self._alert(each, each.began_at)
            for child in self._dependencies.children.get(target, ())
            for each in self._kept.get(child, {}).values()
            if each.open and each.explained_by == target
        ]

    def fires_at(self, receiver: str) -> list[Alert]:
        """What the receiver has heard of and not yet the end of."""
        return [
            alert
            for target, firing in self._firing.items()
            for key, alert in firing.items()
            if (found := self._open(target, key)) and receiver in found.told
        ]

    def restore(
        self, conversations: Iterable[Conversation], standing: Iterable[Alert], now: float
    ) -> list[Conversation]:
        """Takes up where an earlier process stopped, or an earlier configuration.

        An alert that fires without a conversation is from before there were any: its route has been told.
        Those that had begun here before their past was known; they go on as one.
        """
        joint: list[Conversation] = []
        for conversation in conversations:
            kept = self._kept[conversation.key.target]
            if here := kept.get(conversation.key):
                joint.append(joined(conversation, here))
            kept[conversation.key] = joint[-1] if here else conversation
        by_target: dict[str, list[Alert]] = defaultdict(list)
        for alert in standing:
            by_target[alert.key.target].append(alert)
        for target, alerts in by_target.items():
            self._firing[target] = _firing(alerts)
            self._dependencies.restore(target, alerts)
            for alert in self._firing[target].values():
                if self._open(target, alert.key) is None:
                    self._kept[target][alert.key] = self._told_before(alert)
        for conversation in self.conversations.values():
            if conversation.open and conversation.explained_by:
                self._dependencies.assume_healed(conversation.explained_by, now)
        return joint

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
        changed, standing = list(changed), list(standing)
        began = now if probed_at is None else probed_at
        self._firing[target] = _firing(standing)
        self._dependencies.judged(target, standing, now, began, in_doubt=in_doubt)
        for alert in changed:
            self._turn(alert)
        turned = {alert.key for alert in changed}
        return self._review([target, *self._dependencies.children.get(target, ())], now, turned)

    def end(self, target: str, unwatched: Collection[Alert], now: float) -> Decision:
        """These alerts are resolved because nobody watches any more what they are about."""
        turned = {alert.key for alert in unwatched}
        for alert in unwatched:
            self._firing.get(target, {}).pop(alert.key, None)
            self._turn(alert)
        return self._review([target], now, turned)

    def tick(self, now: float) -> Decision:
        """Once a second: what time alone changes, and what people have asked for meanwhile."""
        decision = self._review(list(self._kept), now)
        for target, kept in list(self._kept.items()):
            for key, each in list(kept.items()):
                if each.ended_at is not None and now - each.ended_at > self._rules.memory:
                    del kept[key]
            if not kept:
                del self._kept[target]
        return decision

    def _turn(self, alert: Alert) -> None:
        """The alert began to fire, or was resolved."""
        kept, before = self._kept[alert.key.target], self._open(alert.key.target, alert.key)
        if before is not None:
            kept[alert.key] = replace(before, alert=alert)
        elif alert.state is State.FIRING:
            last = kept.get(alert.key)
            kept[alert.key] = replace(_begun(alert), firings=last.firings if last else ())

    def _review(self, targets: Iterable[str], now: float, turned: Collection[Key] = ()) -> Decision:
        notices: list[Notice] = []
        changed: list[Conversation] = []
        for target in targets:
            for key, before in list(self._kept[target].items()):
                if not before.open:
                    continue
                talk = Talk(self._rules, before, self._alert(before, now), now, [])
                talk.go_on(self._dependencies.explanation(talk.alert, now))
                notices += talk.notices
                self._kept[target][key] = talk.conversation
                if talk.conversation != before or key in turned:
                    changed.append(talk.conversation)
        return Decision(tuple(notices), tuple(changed))

    def _alert(self, conversation: Conversation, now: float) -> Alert:
        """As it stands now. One that is gone without an end belongs to what is no longer watched."""
        key, last = conversation.key, conversation.alert
        standing = self._firing.get(key.target, {}).get(key)
        if standing is not None or last.state is State.RESOLVED:
            return standing or last
        return no_longer_watched(last, now)

    def _open(self, target: str, key: Key) -> Conversation | None:
        found = self._kept[target].get(key)
        return found if found and found.open else None

    def _told_before(self, alert: Alert) -> Conversation:
        begun = _begun(alert)
        told = dict.fromkeys(self._rules.route(alert), begun.began_at)
        return replace(begun, told=told, last_said=told, unanswered_since=begun.began_at)


def _begun(alert: Alert) -> Conversation:
    began_at = alert.since if alert.fired_at is None else alert.fired_at
    return Conversation(key=alert.key, dedup_key=dedup_key(alert), began_at=began_at, alert=alert)


def _firing(standing: Iterable[Alert]) -> dict[Key, Alert]:
    return {alert.key: alert for alert in standing if alert.state is State.FIRING}
