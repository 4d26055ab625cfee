"""From what the agent holds in mind to what a page shows: what is broken first, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitor.alerting import LOUDNESS, OWN, Alert
from monitor.asking import covers
from monitor.probes import Outcome
from monitor.quantity import format_duration
from monitor.web.charts import Phase, phases
from monitor.web.histories import Gathered
from monitor.web.opened import NOTHING, AlertView, alert_views
from monitor.web.page import Snapshot, Watched
from monitor.web.past import Range, main_check
from monitor.web.pastview import PastView, chart_of, heartbeats, past_view
from monitor.web.standing import WORST_FIRST, ObjectiveView, Standing, importance, objective_view, standing_of
from monitor.web.timeline import Heartbeat
from monitor.web.words import Moment, counted, plain


@dataclass(frozen=True, slots=True)
class CheckView:
    name: str
    standing: Standing
    word: str
    detail: str
    duration: str
    failures: int
    last_data: Moment | None
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class TargetView:
    """`objectives`: the worst first; `counts`: how many stand how."""

    name: str
    url: str
    interval: str
    standing: Standing
    summary: str
    counts: str
    objectives: tuple[ObjectiveView, ...]
    beats: tuple[Heartbeat, ...]
    checks: tuple[CheckView, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    now: Moment
    headline: str
    standing: Standing
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    alerts: tuple[AlertView, ...]
    targets: tuple[TargetView, ...]
    quiet: tuple[QuietView, ...]
    past: PastView
    wanted: Range
    shortened: float


@dataclass(frozen=True, slots=True)
class QuietView:
    """One silence or window of maintenance. `number` is None for what the page can't end."""

    number: int | None
    what: str
    why: str
    ends: Moment
    active: bool


@dataclass(frozen=True, slots=True)
class TargetPage:
    now: Moment
    target: TargetView
    alerts: tuple[AlertView, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    quiet: tuple[QuietView, ...]
    past: PastView
    wanted: Range


def overview(snapshot: Snapshot, gathered: Gathered = NOTHING) -> Overview:
    targets = [target_view(watched, snapshot, gathered) for watched in snapshot.watched]
    targets.sort(key=lambda each: (WORST_FIRST.index(each.standing), each.name))
    alerts = alert_views(snapshot, gathered)
    standing, headline = _headline(snapshot, targets, alerts)
    return Overview(
        now=Moment(snapshot.now, snapshot.now),
        headline=headline,
        standing=standing,
        faults=tuple(plain(fault) for fault in snapshot.faults),
        notes=tuple(plain(note) for note in snapshot.notes),
        alerts=tuple(alerts),
        targets=tuple(targets),
        quiet=tuple(quiet_views(snapshot)),
        past=past_view(gathered, snapshot.now, snapshot.targets),
        wanted=gathered.wanted,
        shortened=snapshot.shortened,
    )


def target_page(snapshot: Snapshot, name: str, gathered: Gathered = NOTHING) -> TargetPage:
    """KeyError when there is no such target."""
    watched = snapshot.of(name)
    if watched is None:
        raise KeyError(name)
    return TargetPage(
        now=Moment(snapshot.now, snapshot.now),
        target=target_view(watched, snapshot, gathered),
        alerts=tuple(alert for alert in alert_views(snapshot, gathered) if alert.target == name),
        faults=tuple(plain(fault) for fault in snapshot.faults),
        notes=tuple(plain(note) for note in snapshot.notes),
        quiet=tuple(quiet_views(snapshot, name)),
        past=past_view(gathered, snapshot.now, snapshot.targets),
        wanted=gathered.wanted,
    )


def quiet_views(snapshot: Snapshot, target: str | None = None) -> Iterator[QuietView]:
    for silence in snapshot.silences:
        if target is None or covers([silence.target] if silence.target else [], target):
            yield QuietView(
                silence.id,
                plain(silence.what),
                plain(f"{silence.author}: {silence.reason}"),
                Moment(silence.ends_at, snapshot.now),
                silence.active(snapshot.now),
            )
    for window in snapshot.windows:
        span = window.during(snapshot.now)
        if span and (target is None or covers(list(window.targets), target)):
            what = ", ".join(window.targets) or "all targets"
            yield QuietView(
                None,
                f"Maintenance: {plain(what)}",
                plain(window.reason),
                Moment(span.end, snapshot.now),
                active=True,
            )


def _headline(snapshot: Snapshot, targets: list[TargetView], alerts: list[AlertView]) -> tuple[Standing, str]:
    """The first thing that is true and matters most."""
    firing = [alert for alert in alerts if alert.firing]
    pages = [alert for alert in firing if alert.severity == "page"]
    pending = [alert for alert in alerts if not alert.firing and alert.severity != "info"]
    unknown = [target for target in targets if target.standing is Standing.UNKNOWN]
    if any(not alert.withheld for alert in pages):
        return Standing.BROKEN, _open_pages(pages)
    if snapshot.faults:
        return Standing.UNKNOWN, "The agent itself has a fault: nothing below can be trusted"
    if pages:
        return Standing.BROKEN, f"Broken, but nobody is told: {_where(pages)}"
    if tickets := [alert for alert in firing if alert.severity == "ticket"]:
        return (
            Standing.DEGRADED,
            f"Nothing pages. {counted(len(tickets), 'ticket')} open on {_where(tickets)}",
        )
    if pending:
        return Standing.PENDING, f"Nothing fires yet. Going bad: {_where(pending)}"
    if unknown:
        names = _listed([target.name for target in unknown])
        return Standing.UNKNOWN, f"Not known: {names}. Nothing else is broken"
    if warned := [target.name for target in targets if target.standing is Standing.WARNING]:
        return Standing.WARNING, f"Nothing is broken. Warning on {_listed(warned)}"
    everything = "The target is" if len(targets) == 1 else f"All {len(targets)} targets are"
    return Standing.GOOD, f"{everything} good"


def _open_pages(pages: list[AlertView]) -> str:
    """Those that somebody was paged for; what a parent explains, or a silence covers, is named after them."""
    told = [alert for alert in pages if not alert.withheld]
    withheld = [alert for alert in pages if alert.withheld]
    answered = ", acknowledged" if all(alert.acknowledged for alert in told) else ""
    more = f". Nobody is told of {_where(withheld)}" if withheld else ""
    return f"{counted(len(told), 'page')} open on {_where(told)}{answered}{more}"


def _where(alerts: list[AlertView]) -> str:
    names = sorted({alert.target for alert in alerts})
    return _listed(["the agent itself" if name == OWN else name for name in names])


def _listed(names: list[str], most: int = 3) -> str:
    shown = [plain(name, 63) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def target_view(watched: Watched, snapshot: Snapshot, gathered: Gathered) -> TargetView:
    target, now = watched.target, snapshot.now
    alerts = [alert for alert in snapshot.alerts if alert.key.target == target.name]
    objectives = [
        objective_view(reading, chart_of(gathered, reading.objective, target.name, now))
        for reading in watched.readings
    ]
    objectives.sort(key=lambda each: (WORST_FIRST.index(each.standing), -LOUDNESS.index(each.severity)))
    standing = standing_of(watched, alerts)
    return TargetView(
        name=target.name,
        url=plain(target.url),
        interval=format_duration(target.interval),
        standing=standing,
        summary=_summary(standing, watched, alerts, objectives),
        counts=_counts(objectives),
        objectives=tuple(objectives),
        beats=heartbeats(gathered, target.name, main_check(target), now),
        checks=tuple(_check_view(outcome, watched, now) for outcome in watched.outcomes.values()),
    )


def _summary(
    standing: Standing, watched: Watched, alerts: list[Alert], objectives: list[ObjectiveView]
) -> str:
    """One sentence of why the target stands as it does."""
    if standing is Standing.GOOD:
        return "Nothing is broken"
    if not watched.readings:
        return "Not probed yet" if not watched.outcomes else "No objective is judged by its checks"
    failing = next((each for each in watched.outcomes.values() if not each.success), None)
    loudest = max(alerts, key=importance, default=None)
    if loudest and standing is not Standing.WARNING:
        return plain(f"{loudest.title}: {loudest.value} (alert when {loudest.threshold})")
    if failing and standing is Standing.UNKNOWN:
        how = _NO_FAILURE.get(failing.reason, f"fails: {failing.reason}")
        return plain(f"The {failing.check} check {how}: {failing.detail}")
    return plain(f"{objectives[0].title}: {objectives[0].why}")


def _counts(objectives: list[ObjectiveView]) -> str:
    """`15 good, 1 broken, 3 unknown`."""
    words = (
        f"{count} {standing.word.lower()}"
        for standing in WORST_FIRST
        if (count := sum(each.standing is standing for each in objectives))
    )
    return ", ".join(words) or "none"


_CHECK_WORDS = {
    "ok": "Good",
    "throttled": "Asked us to wait",
    "stalled": "The agent stood still",
}
_NO_FAILURE = {"throttled": "was asked to wait", "stalled": "was held up by the agent itself"}
_CHECK_STANDING = {
    "ok": Standing.GOOD,
    "throttled": Standing.WARNING,
    "stalled": Standing.UNKNOWN,
}


def _check_view(outcome: Outcome, watched: Watched, now: float) -> CheckView:
    last_data = watched.last_good.get(outcome.check)
    return CheckView(
        name=outcome.check,
        standing=_CHECK_STANDING.get(outcome.reason, Standing.BROKEN),
        word=_CHECK_WORDS.get(outcome.reason, f"Failed: {plain(outcome.reason, 40)}"),
        detail=plain(outcome.detail),
        duration=format_duration(outcome.result.duration),
        failures=watched.failures.get(outcome.check, 0),
        last_data=None if last_data is None else Moment(last_data, now),
        phases=phases(outcome.result.phases),
    )
