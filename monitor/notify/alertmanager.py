"""Tells Alertmanager what fires, so that Prometheus' alert and the agent's are one: one page, one resolve.

Alertmanager takes alerts with the same labels for one, and the last word about it counts:

    said without an end    it fires until resolve_timeout has passed, or until it is said again
    said with an end       it fires until then; a later end that somebody else gave stays
    an end in the past     it is over at once, whoever else still sees the fault

So the agent says again what fires, as Prometheus does, and looks first at what Alertmanager has: an alert
that was there and is gone was ended by somebody else, and to say it again would page twice. docs/adr/0012 has
the cases.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from monitor.config import NotifierConfig
from monitor.conversations import Kind
from monitor.fields import HttpUrl, Resend
from monitor.notify.alertmanager_api import AlertmanagerApi, Labels
from monitor.notify.message import rfc3339

LEAD = 120.0
"""Seconds until an alert ends that the agent takes for over: twice Prometheus' --rules.alert.resend-delay, so
that Prometheus has time to say that it still fires."""
REMEMBER_ENDED = 900.0
"""Seconds for which an end is repeated, as Prometheus does: Alertmanager may die before it has notified."""
SELDOM = 4
"""Rounds. How often an alert is said that is good again and only held; and for how long we must have been cut
off before an alert that is gone may have run out of time."""


ITS_OWN_AFFAIR = (Kind.REMINDER, Kind.ACKNOWLEDGED)
"""Said once more, an alert that somebody else has ended would page again."""


class Standing(NamedTuple):
    """An alert that fires. `said`: as in the message about it; `incident`: the same from firing to
    resolved."""

    said: dict[str, Any]
    incident: str
    last_broken: float
    good: bool

    @property
    def labels(self) -> Labels:
        return _labels(self.said)


@dataclass(slots=True)
class Told:
    """When Alertmanager was last told that an alert fires, and which of its lives that was."""

    incident: str
    at: float
    born: str
    ended_by_others: bool = False


class Ended(NamedTuple):
    said: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class AlertmanagerOptions:
    """`resend`: seconds after which it hears again what fires."""

    url: HttpUrl = field(repr=False)
    resend: Resend = 30.0


class Alertmanager:
    takes: ClassVar[type[Any]] = AlertmanagerOptions

    def __init__(
        self, config: NotifierConfig, clock: Callable[[], float] = time.time, lead: float = LEAD
    ) -> None:
        options: AlertmanagerOptions = config.options
        self.name, self.severities, self.resend_every = config.name, config.severities, options.resend
        self._clock, self._lead, self._seldom = clock, lead, SELDOM * options.resend
        self._api = AlertmanagerApi(options.url, config.timeout)
        self._one_at_a_time = asyncio.Lock()
        self._started = clock()
        self._told: dict[Labels, Told] = {}
        self._ended: dict[Labels, Ended] = {}

    async def send(self, body: str, dedup_key: str) -> str | None:
        [said] = json.loads(body)["alerts"]
        if said["annotations"].get("kind") in ITS_OWN_AFFAIR:
            return "not told: Alertmanager does that itself"
        async with self._one_at_a_time:
            if said["status"] == "firing":
                await self._begin(said, dedup_key)
            else:
                await self._end(said)
        return None

    async def resend(self, standing: Callable[[], list[Standing]]) -> None:
        """One round: says again what fires, and what ended unheard. Raises DeliveryError.

        `standing` is asked again before it is said, so that nothing is raised that was resolved meanwhile.
        """
        async with self._one_at_a_time:
            self._forget({each.labels for each in standing()})
            if names := self._names(standing()):
                born, active, now = await self._api.born(), await self._api.active(names), self._clock()
                again = [each for each in standing() if self._may_say(each, each.labels in active, born, now)]
                if posts := [*(_post(each.said) for each in again), *self._unheard(active, now)]:
                    await self._api.post(posts)
                self._told |= {each.labels: Told(each.incident, now, born) for each in again}

    async def close(self) -> None:
        await self._api.close()

    async def _begin(self, said: dict[str, Any], incident: str) -> None:
        born = await self._api.born()
        await self._api.post([_post(said)])
        self._ended.pop(_labels(said), None)
        self._told[_labels(said)] = Told(incident, self._clock(), born)

    async def _end(self, said: dict[str, Any]) -> None:
        """Not in the past while it is active: Prometheus may still see the fault, and would page again.

        Not in the future once it is gone: Prometheus has said the end already, and we would page again.
        """
        if _labels(said) in await self._api.active([said["labels"]["alertname"]]):
            await self._api.post([_post(said) | {"endsAt": rfc3339(self._clock() + self._lead)}])
        self._ended[_labels(said)] = Ended(said, datetime.fromisoformat(said["endsAt"]).timestamp())

    def _forget(self, standing: set[Labels]) -> None:
        since = self._clock() - REMEMBER_ENDED
        self._told = {key: told for key, told in self._told.items() if key in standing}
        self._ended = {key: end for key, end in self._ended.items() if key not in standing and end.at > since}

    def _names(self, standing: list[Standing]) -> set[str]:
        return {dict(labels)["alertname"] for labels in (*self._ended, *(each.labels for each in standing))}

    def _may_say(self, alert: Standing, active: bool, born: str, now: float) -> bool:
        told = self._told.get(alert.labels)
        if told is None or told.incident != alert.incident:
            # What fired when this process began may be over since: its own reading has to show that it isn't.
            return active or (not alert.good and alert.last_broken >= self._started)
        silent = now - told.at >= self._seldom
        if active:
            told.ended_by_others = False
            return silent or not alert.good
        told.ended_by_others |= told.born == born and not silent
        return not alert.good and not told.ended_by_others

    def _unheard(self, active: set[Labels], now: float) -> list[dict[str, Any]]:
        """Old enough ends to be in the past by Alertmanager's clock too."""
        return [
            _post(said) | {"endsAt": said["endsAt"]}
            for labels, (said, at) in self._ended.items()
            if labels not in active and now - at >= self.resend_every
        ]


def _labels(said: dict[str, Any]) -> Labels:
    return frozenset(said["labels"].items())


def _post(said: dict[str, Any]) -> dict[str, Any]:
    """Without an end, until resolve_timeout."""
    return {key: said[key] for key in ("labels", "annotations", "startsAt")}
