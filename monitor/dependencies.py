"""One cause, one page: while a target is broken, the alerts of those that depend on it are its doing.

Its own alerts may come later than theirs, and its fault may show in them for a while after it has healed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.alerting import NO_DATA, Alert, State
from monitor.config import Target, depending
from monitor.objectives import Objective
from monitor.slis import Gauge

LONGEST_LINGER = 900.0
"""Seconds. A window may be of days; so long nobody's fault is a parent's that has healed."""
LONGEST_UNSEEN = 900.0
"""Seconds since a parent was seen broken. It explains nothing when nobody knows any more."""
CONFIRMATIONS, PAUSE = 3, 2.0
"""Probes until a failing target's alert stands, and the seconds between them at most."""


class Explanation(NamedTuple):
    by: str
    why: str


@dataclass(slots=True)
class _Known:
    """About one target. Times are in seconds since the epoch; None: never since this process began."""

    pages: Sequence[Alert] = ()
    in_doubt: bool = False
    healed_at: float | None = None
    probed_at: float | None = None

    def bad(self, now: float) -> bool:
        return any(now - alert.last_broken <= LONGEST_UNSEEN for alert in self.pages)

    def looked_at_since(self, moment: float) -> bool:
        return self.probed_at is not None and self.probed_at > moment


@dataclass(frozen=True, slots=True)
class Dependencies:
    parents: Mapping[str, tuple[str, ...]]
    """All that a target depends on, through others too, the nearest last: the first cause explains most."""
    children: Mapping[str, tuple[str, ...]]
    patience: Mapping[str, tuple[float, float]]
    """Seconds within which a target was looked at, and within which a failing one has its alert."""
    lingers: Mapping[str, float]
    looking_back: Collection[str]
    """Objectives whose faults show when they are over: while they wait to fire, they say nothing of now."""
    _known: defaultdict[str, _Known] = field(init=False, default_factory=lambda: defaultdict(_Known))

    @classmethod
    def of(cls, targets: Iterable[Target], objectives: Iterable[Objective]) -> Dependencies:
        targets, objectives = list(targets), list(objectives)
        direct = {each.name: each.depends_on for each in targets}
        parents = {name: tuple(reversed(depending(name, direct))) for name in direct}
        children: dict[str, list[str]] = defaultdict(list)
        for child, above in parents.items():
            for parent in above:
                children[parent].append(child)
        return cls(
            parents=parents,
            children={name: tuple(below) for name, below in children.items()},
            patience={each.name: _patience(each) for each in targets},
            lingers={each.name: _lingers(each) for each in objectives},
            looking_back=frozenset(each.name for each in objectives if each.sli.lingers),
        )

    def knowing(self, before: Dependencies) -> Dependencies:
        """With what the ones before knew of the targets that are still there."""
        self._known.update({name: each for name, each in before._known.items() if name in self.parents})
        return self

    def restore(self, target: str, standing: Iterable[Alert]) -> None:
        self._known[target].pages = self._blamed(standing)

    def assume_healed(self, target: str, now: float) -> None:
        """It was broken when an earlier process stopped, and no alert of it stands."""
        if not self._known[target].pages:
            self._known[target].healed_at = now

    def judged(
        self, target: str, standing: Iterable[Alert], now: float, probed_at: float, *, in_doubt: bool
    ) -> None:
        known = self._known[target]
        pages = self._blamed(standing)
        if known.pages and not pages:
            known.healed_at = now
        known.pages, known.probed_at, known.in_doubt = pages, probed_at, in_doubt

    def explanation(self, alert: Alert, now: float) -> Explanation | None:
        """Why the alert isn't its target's own fault, or may yet turn out not to be."""
        parents = self.parents.get(alert.key.target, ())
        for parent in parents:
            if self._known[parent].bad(now):
                return Explanation(parent, f"explained by {parent}")
        for parent in parents:
            if self._shows_still(alert, parent):
                return Explanation(parent, f"explained by {parent}, which was broken until just now")
        for parent in parents:
            if self._may_turn_out(alert, parent, now):
                return Explanation(parent, f"waits until {parent} has been looked at")
        return None

    def _blamed(self, standing: Iterable[Alert]) -> list[Alert]:
        """Pages that say of a target that it is broken now. That nobody knows is no such page."""
        return [
            alert
            for alert in standing
            if alert.severity == "page"
            and alert.key.name != NO_DATA
            and not (alert.state is State.PENDING and alert.key.name in self.looking_back)
        ]

    def _shows_still(self, alert: Alert, parent: str) -> bool:
        healed = self._known[parent].healed_at
        if healed is None:
            return False
        over = healed + self.lingers.get(alert.key.name, 0.0)
        return not self._known[alert.key.target].looked_at_since(over)

    def _may_turn_out(self, alert: Alert, parent: str, now: float) -> bool:
        known, fired = self._known[parent], alert.since if alert.fired_at is None else alert.fired_at
        looked_at, confirmed = self.patience[parent]
        if known.looked_at_since(alert.since):
            return known.in_doubt and now - fired < confirmed
        return now - fired < looked_at


def _patience(target: Target) -> tuple[float, float]:
    timeout = max(check.request.timeout for check in target.checks)
    looked_at = target.interval + timeout
    return looked_at, looked_at + CONFIRMATIONS * (timeout + PAUSE)


def _lingers(objective: Objective) -> float:
    """Seconds for which a fault that is over still shows. A gauge shows its newest value alone."""
    if isinstance(objective.sli, Gauge):
        return 0.0
    return min(objective.sli.lingers or objective.window, LONGEST_LINGER)
