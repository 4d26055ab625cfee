"""A Dispatch in simulated time, with people who ask for quiet and receivers who write down what they hear."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.alerting import Alert, Key, State
from monitor.config import Config, NotifierConfig, Target
from monitor.conversations import Acknowledged, Conversation, Decision, Notice, as_json, from_json
from monitor.dispatch import Dispatch
from monitor.objectives import Objective
from tests.monitor.making import objective, target

BEGAN = 1_700_000_000.0
DOWN = Key("target-down", "api", "health")


def receiver(
    name: str,
    *,
    kind: str = "webhook",
    severities: tuple[str, ...] = ("page", "ticket", "info"),
    remind_every: float | None = None,
    escalate_after: float | None = None,
    escalate_to: str | None = None,
) -> NotifierConfig:
    return NotifierConfig(
        name,
        kind,
        None,
        5.0,
        severities,  # type: ignore[arg-type]
        remind_every=remind_every,
        escalate_after=escalate_after,
        escalate_to=escalate_to,
    )


def config(receivers: Iterable[NotifierConfig], targets: Iterable[Target]) -> Config:
    return Config(tuple(targets), tuple(receivers), "127.0.0.1", 0, "", None, 1.0, Path("monitor.yml"))


@dataclass(slots=True)
class People:
    """What they have asked for, changed by the test."""

    silenced: dict[str, str] = field(default_factory=dict)
    """By target."""
    acknowledgements: dict[str, Acknowledged] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def withheld(self, alert: Alert, target: str, now: float) -> str | None:
        return self.silenced.get(target)

    def acknowledged(self, dedup_key: str, now: float) -> Acknowledged | None:
        return self.acknowledgements.get(dedup_key)

    def receiver_open(self, notifier: str, severity: str, now: float) -> bool:
        return notifier not in self.closed or severity == "page"


@dataclass(slots=True)
class World:
    """Alerts begin to fire and are resolved as the test says; every message is in `heard`."""

    config: Config
    objectives: tuple[Objective, ...] = ()
    people: People = field(default_factory=People)
    now: float = BEGAN
    heard: list[Notice] = field(default_factory=list)
    heard_at: list[float] = field(default_factory=list)
    standing: dict[str, dict[Key, Alert]] = field(default_factory=dict)
    stored: dict[Key, str] = field(default_factory=dict)
    dispatch: Dispatch = field(init=False)

    def __post_init__(self) -> None:
        self.dispatch = Dispatch(self.config, self.objectives, self.people)

    def breaks(self, key: Key = DOWN, severity: str = "page", *, state: State = State.FIRING) -> None:
        fired = self.now if state is State.FIRING else None
        alert = Alert(
            key, state, self.now, self.now, severity, key.name, "3", "at least 3", "refused", "runbook", fired
        )
        self.standing.setdefault(key.target, {})[key] = alert
        self.cycle(key.target, alert if fired else None)

    def heals(self, key: Key = DOWN) -> None:
        alert = self.standing[key.target].pop(key)
        resolved = replace(alert, state=State.RESOLVED, resolved_at=self.now, good_since=self.now)
        self.cycle(key.target, resolved if alert.state is State.FIRING else None)

    def cycle(self, target: str = "api", *changed: Alert | None, in_doubt: bool = False) -> None:
        """One that sees what was there before, and `changed`."""
        seen = self.standing.setdefault(target, {})
        for key, alert in seen.items():
            seen[key] = replace(alert, last_broken=self.now)
        turned = [alert for alert in changed if alert is not None]
        self._take(
            self.dispatch.decide(
                target, turned, seen.values(), self.now, probed_at=self.now - 0.1, in_doubt=in_doubt
            )
        )

    def passes(self, seconds: float, step: float = 5.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + step, end)
            self._take(self.dispatch.tick(self.now))

    def restarts(self, config: Config | None = None) -> None:
        """All that the new process knows is what was stored."""
        self.config = config or self.config
        self.dispatch = Dispatch(self.config, self.objectives, self.people)
        names = {each.name for each in self.config.targets}
        standing = [
            alert for name, alerts in self.standing.items() if name in names for alert in alerts.values()
        ]
        self.dispatch.restore(map(from_json, self.stored.values()), standing, self.now)

    def acknowledges(self, key: Key = DOWN, author: str = "ann") -> None:
        dedup_key = self.conversation(key).dedup_key
        self.people.acknowledgements[dedup_key] = Acknowledged(author, "on it", self.now)

    def conversation(self, key: Key = DOWN) -> Conversation:
        return self.dispatch.conversations[key]

    def kinds(self, receiver: str, key: Key = DOWN) -> list[str]:
        return [str(each.kind) for each in self.heard if (each.notifier, each.alert.key) == (receiver, key)]

    def _take(self, decision: Decision) -> None:
        self.heard += decision.notices
        self.heard_at += [self.now] * len(decision.notices)
        self.stored |= {each.key: as_json(each) for each in decision.conversations}


def world(
    *receivers: NotifierConfig, targets: Iterable[Target] | None = None, people: People | None = None
) -> World:
    down = objective("target-down", check="health")
    watched = [target()] if targets is None else targets
    return World(config(receivers or [receiver("on-call")], watched), (down,), people or People())
