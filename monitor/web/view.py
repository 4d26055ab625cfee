"""From what the agent holds in mind to what a page shows: what is broken first, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from monitor.alerting import LOUDNESS, NO_DATA, Alert, State
from monitor.asking import covers
from monitor.judge import Reading, Verdict
from monitor.notify.page import Answer
from monitor.notify.runbooks import first_step
from monitor.objectives import Objective
from monitor.probes import Outcome
from monitor.quantity import format_duration
from monitor.web.charts import Meter, Phase, meter, phases
from monitor.web.page import Snapshot, Told, Watched
from monitor.web.words import Moment, counted, plain


class Standing(StrEnum):
    """How a target or an objective stands. The value is the CSS class; icon and word say it, too."""

    BROKEN = "broken"
    DEGRADED = "degraded"
    PENDING = "pending"
    WARNING = "warning"
    UNKNOWN = "unknown"
    GOOD = "good"

    @property
    def word(self) -> str:
        return _WORDS[self][0]

    @property
    def icon(self) -> str:
        """The id of a symbol in icons.svg."""
        return _WORDS[self][1]


_WORDS = {
    Standing.BROKEN: ("Broken", "cross"),
    Standing.DEGRADED: ("Degraded", "triangle"),
    Standing.PENDING: ("Going bad", "clock"),
    Standing.WARNING: ("Warning", "triangle"),
    Standing.UNKNOWN: ("Unknown", "question"),
    Standing.GOOD: ("Good", "tick"),
}
_WORST_FIRST = list(Standing)
_OF_VERDICT = {
    Verdict.BREACH: Standing.BROKEN,
    Verdict.WARN: Standing.WARNING,
    Verdict.UNKNOWN: Standing.UNKNOWN,
    Verdict.OK: Standing.GOOD,
}


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    name: str
    title: str
    standing: Standing
    value: str
    formula: str
    why: str
    severity: str
    runbook: str
    document: str
    window: str
    meter: Meter | None


@dataclass(frozen=True, slots=True)
class AlertView:
    """`ident` names it in addresses and in the page; `wait` says when a pending one will fire."""

    ident: str
    dedup_key: str
    name: str
    target: str
    check: str
    title: str
    severity: str
    standing: Standing
    firing: bool
    value: str
    threshold: str
    why: str
    since: Moment
    last_data: Moment | None
    wait: str
    facts: tuple[Answer, ...]
    first_step: str
    acknowledged: str
    withheld: str
    runbook: str


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
    checks: tuple[CheckView, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    now: Moment
    headline: str
    standing: Standing
    faults: tuple[str, ...]
    alerts: tuple[AlertView, ...]
    targets: tuple[TargetView, ...]
    quiet: tuple[QuietView, ...]
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
    quiet: tuple[QuietView, ...]


@dataclass(frozen=True, slots=True)
class PublicTarget:
    name: str
    standing: Standing
    word: str


@dataclass(frozen=True, slots=True)
class PublicView:
    """For those who use what is watched: whether it works, and nothing of how it is made."""

    now: Moment
    headline: str
    standing: Standing
    targets: tuple[PublicTarget, ...]


def overview(snapshot: Snapshot) -> Overview:
    targets = [target_view(watched, snapshot) for watched in snapshot.watched]
    targets.sort(key=lambda each: (_WORST_FIRST.index(each.standing), each.name))
    alerts = alert_views(snapshot)
    standing, headline = _headline(snapshot, targets, alerts)
    return Overview(
        now=Moment(snapshot.now, snapshot.now),
        headline=headline,
        standing=standing,
        faults=tuple(plain(fault) for fault in snapshot.faults),
        alerts=tuple(alerts),
        targets=tuple(targets),
        quiet=tuple(quiet_views(snapshot)),
        shortened=snapshot.shortened,
    )


def target_page(snapshot: Snapshot, name: str) -> TargetPage:
    """KeyError when there is no such target."""
    watched = snapshot.of(name)
    if watched is None:
        raise KeyError(name)
    return TargetPage(
        now=Moment(snapshot.now, snapshot.now),
        target=target_view(watched, snapshot),
        alerts=tuple(alert for alert in alert_views(snapshot) if alert.target == name),
        faults=tuple(plain(fault) for fault in snapshot.faults),
        quiet=tuple(quiet_views(snapshot, name)),
    )


_PUBLIC = {
    Standing.BROKEN: (Standing.BROKEN, "Disrupted"),
    Standing.DEGRADED: (Standing.DEGRADED, "Disrupted in part"),
    Standing.UNKNOWN: (Standing.UNKNOWN, "Not known"),
}
_WORKING = (Standing.GOOD, "Working")


def public_view(snapshot: Snapshot) -> PublicView:
    """What is not told to on-call yet is told to nobody."""
    targets = []
    for watched in snapshot.watched:
        alerts = [alert for alert in snapshot.alerts if alert.key.target == watched.target.name]
        standing, word = _PUBLIC.get(_standing(watched, alerts), _WORKING)
        targets.append(PublicTarget(watched.target.name, standing, word))
    worst = min((target.standing for target in targets), key=_WORST_FIRST.index)
    concerned = sum(target.standing is worst for target in targets)
    headline = {
        Standing.BROKEN: f"{counted(concerned, 'service is', 'services are')} disrupted",
        Standing.DEGRADED: f"{counted(concerned, 'service is', 'services are')} disrupted in part",
        Standing.UNKNOWN: f"It is not known how {counted(concerned, 'service does', 'services do')}",
    }.get(worst, "Everything works")
    return PublicView(Moment(snapshot.now, snapshot.now), headline, worst, tuple(targets))


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
    pending = [alert for alert in alerts if not alert.firing]
    unknown = [target for target in targets if target.standing is Standing.UNKNOWN]
    if pages:
        where = sorted({alert.target for alert in pages})
        what = f"{counted(len(pages), 'page')} open on {_listed(where)}"
        return Standing.BROKEN, what
    if snapshot.faults:
        return Standing.UNKNOWN, "The agent itself has a fault: nothing below can be trusted"
    if tickets := [alert for alert in firing if alert.severity == "ticket"]:
        where = sorted({alert.target for alert in tickets})
        return Standing.DEGRADED, f"Nothing pages. {counted(len(tickets), 'ticket')} open on {_listed(where)}"
    if pending:
        where = sorted({alert.target for alert in pending})
        return Standing.PENDING, f"Nothing fires yet. Going bad: {_listed(where)}"
    if unknown:
        names = _listed([target.name for target in unknown])
        return Standing.UNKNOWN, f"Not known: {names}. Nothing else is broken"
    if warned := [target.name for target in targets if target.standing is Standing.WARNING]:
        return Standing.WARNING, f"Nothing is broken. Warning on {_listed(warned)}"
    everything = "The target is" if len(targets) == 1 else f"All {len(targets)} targets are"
    return Standing.GOOD, f"{everything} good"


def _listed(names: list[str], most: int = 3) -> str:
    shown = [plain(name, 63) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def target_view(watched: Watched, snapshot: Snapshot) -> TargetView:
    target = watched.target
    alerts = [alert for alert in snapshot.alerts if alert.key.target == target.name]
    objectives = [objective_view(reading) for reading in watched.readings]
    objectives.sort(key=lambda each: (_WORST_FIRST.index(each.standing), -LOUDNESS.index(each.severity)))
    standing = _standing(watched, alerts)
    return TargetView(
        name=target.name,
        url=plain(target.url),
        interval=format_duration(target.interval),
        standing=standing,
        summary=_summary(standing, watched, alerts, objectives),
        counts=_counts(objectives),
        objectives=tuple(objectives),
        checks=tuple(_check_view(outcome, watched, snapshot.now) for outcome in watched.outcomes.values()),
    )


def _standing(watched: Watched, alerts: list[Alert]) -> Standing:
    """UNKNOWN for want of traffic leaves a target good; for want of data, it does not."""
    firing = {alert.severity for alert in alerts if alert.state is State.FIRING}
    if "page" in firing:
        blind = all(alert.key.name == NO_DATA for alert in alerts if alert.severity == "page")
        return Standing.UNKNOWN if blind else Standing.BROKEN
    if "ticket" in firing:
        return Standing.DEGRADED
    if any(alert.state is State.PENDING and alert.severity != "info" for alert in alerts):
        return Standing.PENDING
    verdicts = {reading.verdict for reading in watched.readings}
    if any(reading.blind for reading in watched.readings) or not verdicts - {Verdict.UNKNOWN}:
        return Standing.UNKNOWN
    return Standing.WARNING if Verdict.WARN in verdicts else Standing.GOOD


def _summary(
    standing: Standing, watched: Watched, alerts: list[Alert], objectives: list[ObjectiveView]
) -> str:
    """One sentence of why the target stands as it does."""
    if standing is Standing.GOOD:
        return "Nothing is broken"
    if not watched.readings:
        return "Not probed yet" if not watched.outcomes else "No objective is judged by its checks"
    failing = next((each for each in watched.outcomes.values() if not each.success), None)
    loudest = max(alerts, key=_importance, default=None)
    if loudest and standing is not Standing.WARNING:
        return plain(f"{loudest.title}: {loudest.value} (alert when {loudest.threshold})")
    if failing and standing is Standing.UNKNOWN:
        return plain(f"The {failing.check} check fails: {failing.reason}: {failing.detail}")
    return plain(f"{objectives[0].title}: {objectives[0].why}")


def _importance(alert: Alert) -> tuple[bool, int, float]:
    return alert.state is State.FIRING, LOUDNESS.index(alert.severity), -alert.since


def _counts(objectives: list[ObjectiveView]) -> str:
    """`15 good, 1 broken, 3 unknown`."""
    words = (
        f"{count} {standing.word.lower()}"
        for standing in _WORST_FIRST
        if (count := sum(each.standing is standing for each in objectives))
    )
    return ", ".join(words) or "none"


def objective_view(reading: Reading) -> ObjectiveView:
    objective = reading.objective
    return ObjectiveView(
        name=objective.name,
        title=objective.title,
        standing=_OF_VERDICT[reading.verdict],
        value=reading.value_text,
        formula=_formula(reading),
        why=plain(reading.why),
        severity=objective.severity,
        runbook=runbook_link(objective.runbook),
        document=objective.document,
        window=format_duration(objective.window),
        meter=meter(objective.breach, reading.value),
    )


def _formula(reading: Reading) -> str:
    """`19 % is above 12 %`, `7 % is not above 12 %`."""
    limit = reading.objective.breach
    if reading.value is None:
        return f"Alert when {limit}"
    broken = "" if limit.broken_by(reading.value) else "not "
    return f"{reading.value_text} is {broken}{limit}"


def runbook_link(runbook: str) -> str:
    if runbook.startswith(("https://", "http://")):
        return runbook
    return f"/runbooks/{runbook.rpartition('/')[2].removesuffix('.md')}"


def alert_views(snapshot: Snapshot) -> list[AlertView]:
    """Those that fire first, the loudest and oldest of them before the others."""
    waits = {
        (reading.target, reading.objective.name): reading.objective
        for watched in snapshot.watched
        for reading in watched.readings
    }
    ordered = sorted(snapshot.told, key=lambda each: _importance(each.alert), reverse=True)
    return [
        _alert_view(told, snapshot, waits.get((told.alert.key.target, told.alert.key.name)))
        for told in ordered
    ]


def _alert_view(told: Told, snapshot: Snapshot, objective: Objective | None) -> AlertView:
    alert = told.alert
    firing = alert.state is State.FIRING
    watched = snapshot.of(alert.key.target)
    last_data = watched.last_good.get(alert.key.check) if watched else None
    return AlertView(
        ident="-".join(alert.key),
        dedup_key=told.conversation.dedup_key if told.conversation else "",
        name=alert.key.name,
        target=alert.key.target,
        check=alert.key.check,
        title=plain(alert.title),
        severity=alert.severity,
        standing=_alert_standing(alert) if firing else Standing.PENDING,
        firing=firing,
        value=plain(alert.value),
        threshold=plain(alert.threshold),
        why=plain(alert.reason),
        since=Moment(alert.since, snapshot.now),
        last_data=None if last_data is None else Moment(last_data, snapshot.now),
        wait=_wait(alert, objective, snapshot.now) if objective and not firing else "",
        facts=tuple(_facts(told, snapshot.now)),
        first_step=plain(first_step(alert.runbook).replace("`", "")),
        acknowledged=_acknowledged(told),
        withheld=plain(told.withheld),
        runbook=runbook_link(alert.runbook),
    )


def _facts(told: Told, now: float) -> Iterator[Answer]:
    facts = told.facts
    said = [
        ("Slowest phase", facts.phase),
        ("Last good", facts.last_good),
        *(("Also wrong", each) for each in facts.also),
        ("Deploy", facts.deploy),
    ]
    if (conversation := told.conversation) is not None:
        if conversation.flapping_since is not None:
            said.append(("Flapping", f"since {Moment(conversation.flapping_since, now).ago}"))
        if conversation.explained_by:
            said.append(("Explained by", conversation.explained_by))
        heard = [f"{name} {Moment(at, now).ago}" for name, at in conversation.told.items()]
        said.append(("Told", ", ".join(heard) or "nobody yet"))
    return (Answer(label, plain(text)) for label, text in said if text)


def _acknowledged(told: Told) -> str:
    found = told.acknowledged
    return plain(f"{found.author} looks after it: {found.reason}") if found else ""


def _alert_standing(alert: Alert) -> Standing:
    if alert.key.name == NO_DATA:
        return Standing.UNKNOWN
    return {"page": Standing.BROKEN, "ticket": Standing.DEGRADED}.get(alert.severity, Standing.WARNING)


def _wait(alert: Alert, objective: Objective, now: float) -> str:
    left = alert.since + objective.for_ - now
    verb = {"page": "pages", "ticket": "opens a ticket"}.get(alert.severity, "is told")
    return f"{verb} in {format_duration(max(1.0, round(left)))} unless it ends" if left > 0 else "held back"


_CHECK_WORDS = {"ok": "Good", "throttled": "Asked us to wait", "stalled": "The agent stood still"}


def _check_view(outcome: Outcome, watched: Watched, now: float) -> CheckView:
    last_data = watched.last_good.get(outcome.check)
    standing = Standing.GOOD if outcome.success else Standing.BROKEN
    return CheckView(
        name=outcome.check,
        standing=Standing.WARNING if outcome.reason in ("throttled", "stalled") else standing,
        word=_CHECK_WORDS.get(outcome.reason, f"Failed: {plain(outcome.reason, 40)}"),
        detail=plain(outcome.detail),
        duration=format_duration(outcome.result.duration),
        failures=watched.failures.get(outcome.check, 0),
        last_data=None if last_data is None else Moment(last_data, now),
        phases=phases(outcome.result.phases),
    )


def fingerprint(snapshot: Snapshot) -> tuple[object, ...]:
    """Differs when the page would say something else that matters at once: states, not values."""
    return (
        snapshot.faults,
        snapshot.silences,
        tuple((each.alert.key, each.alert.state, each.acknowledged, each.withheld) for each in snapshot.told),
        tuple(_verdicts(watched.readings) for watched in snapshot.watched),
    )


def _verdicts(readings: Iterable[Reading]) -> tuple[Verdict, ...]:
    return tuple(reading.verdict for reading in readings)
