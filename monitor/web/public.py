"""The status view: for those who use what is watched."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.web.histories import Gathered
from monitor.web.page import Snapshot
from monitor.web.past import Away
from monitor.web.standing import WORST_FIRST, Standing, standing_of
from monitor.web.timeline import Heartbeat, heartbeat
from monitor.web.words import Moment, counted


@dataclass(frozen=True, slots=True)
class PublicTarget:
    name: str
    standing: Standing
    word: str
    beat: Heartbeat | None = None


@dataclass(frozen=True, slots=True)
class PublicView:
    """For those who use what is watched: whether it works, and nothing of how it is made."""

    now: Moment
    headline: str
    standing: Standing
    targets: tuple[PublicTarget, ...]


_PUBLIC = {
    Standing.BROKEN: (Standing.BROKEN, "Disrupted"),
    Standing.DEGRADED: (Standing.DEGRADED, "Disrupted in part"),
    Standing.UNKNOWN: (Standing.UNKNOWN, "Not known"),
}
_WORKING = (Standing.GOOD, "Working")


def public_view(snapshot: Snapshot, gathered: Gathered | None = None) -> PublicView:
    """What is not told to on-call yet is told to nobody."""
    targets = []
    for watched in snapshot.watched:
        alerts = [alert for alert in snapshot.alerts if alert.key.target == watched.target.name]
        standing, word = _PUBLIC.get(standing_of(watched, alerts), _WORKING)
        beat = _beat(gathered, watched.target.name, snapshot.now) if gathered else None
        targets.append(PublicTarget(watched.target.name, standing, word, beat))
    worst = min((target.standing for target in targets), key=WORST_FIRST.index)
    concerned = sum(target.standing is worst for target in targets)
    headline = {
        Standing.BROKEN: f"{counted(concerned, 'service is', 'services are')} disrupted",
        Standing.DEGRADED: f"{counted(concerned, 'service is', 'services are')} disrupted in part",
        Standing.UNKNOWN: f"It is not known how {counted(concerned, 'service does', 'services do')}",
    }.get(worst, "Everything works")
    return PublicView(Moment(snapshot.now, snapshot.now), headline, worst, tuple(targets))


def _beat(gathered: Gathered, target: str, now: float) -> Heartbeat | None:
    found = gathered.bars.get((target, gathered.wanted.key))
    return None if found is None or isinstance(found, Away) else heartbeat(found, gathered.wanted, now)
