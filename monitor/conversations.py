"""What has been said about one alert, and to whom: enough to go on after a restart, and repeat nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from monitor.alerting import Alert, Key, State


class Kind(StrEnum):
    """Why somebody is told. All but RESOLVED are about an alert that isn't over."""

    FIRING = "firing"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"


class Acknowledged(NamedTuple):
    author: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """About one alert, from its first firing until it is over for those who were told. Times are in seconds
    since the epoch."""

    key: Key
    dedup_key: str
    """The same for the whole conversation, however often the alert flaps."""
    began_at: float
    alert: Alert
    """As it was when it last began to fire or was resolved."""
    told: Mapping[str, float] = field(default_factory=dict)
    """Receivers that must hear when it is over, and when each heard of it first."""
    last_said: Mapping[str, float] = field(default_factory=dict)
    reminders: int = 0
    """Rounds of them."""
    escalated: Mapping[str, float] = field(default_factory=dict)
    acknowledged: Acknowledged | None = None
    unanswered_since: float | None = None
    """From when on an acknowledgement has been due: the first message, the end of a silence or of an
    acknowledgement."""
    flapping_since: float | None = None
    firings: tuple[float, ...] = ()
    """When it began to fire, the newest last, conversations before this one included; only what nobody
    withheld."""
    withheld: str = ""
    """Why nobody is told now, as a sentence."""
    explained_by: str = ""
    """The target whose fault it seems to be."""
    other_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of receivers that were told by an agent that could not read what had been told before: the keys by
    which they know of it."""
    ended_at: float | None = None

    @property
    def open(self) -> bool:
        return self.ended_at is None

    def keys_of(self, receiver: str) -> tuple[str, ...]:
        """By which it knows of the alert, the first that it was told first."""
        return self.other_keys.get(receiver, (self.dedup_key,))


def joined(stored: Conversation, here: Conversation) -> Conversation:
    """What was said before the agent began without its store, and what was said since about the same alert.

    One that goes on in both is one from now on, and ends for everybody under each key that they were told.
    """
    firings = tuple(sorted({*stored.firings, *here.firings}))
    if not stored.open:
        return replace(here, firings=firings)
    if not here.open:
        return replace(stored, firings=firings)
    known = {
        who: (*(stored.keys_of(who) if who in stored.told else ()), *here.keys_of(who)) for who in here.told
    }
    return replace(
        stored,
        alert=here.alert,
        told={**here.told, **stored.told},
        last_said={**stored.last_said, **here.last_said},
        escalated={**here.escalated, **stored.escalated},
        firings=firings,
        other_keys={**stored.other_keys, **known},
    )


class Notice(NamedTuple):
    """One message to one receiver. `note` says why now, where the kind alone doesn't."""

    notifier: str
    kind: Kind
    alert: Alert
    conversation: Conversation
    dedup_key: str
    note: str = ""


class Decision(NamedTuple):
    notices: tuple[Notice, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    """Those that are not as they were."""


def as_json(conversation: Conversation) -> str:
    return json.dumps(dataclasses.asdict(conversation))


def from_json(text: str) -> Conversation:
    fields: dict[str, Any] = json.loads(text)
    alert, acknowledged = fields["alert"], fields["acknowledged"]
    fields["key"] = Key(*fields["key"])
    fields["alert"] = Alert(**{**alert, "key": Key(*alert["key"]), "state": State(alert["state"])})
    fields["acknowledged"] = Acknowledged(*acknowledged) if acknowledged else None
    fields["firings"] = tuple(fields["firings"])
    fields["other_keys"] = {who: tuple(keys) for who, keys in fields.get("other_keys", {}).items()}
    return Conversation(**fields)
