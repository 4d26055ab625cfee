"""Pages of agents in every state that somebody may look at, made of the agent's own parts, at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from exporters.http import Phases, Prober, Reason, Result
from exporters.sample import Sample, labels
from monitor.agent import retention
from monitor.alerting import Alert, Alerting, Key, State
from monitor.config import Config, Target
from monitor.confirming import Streak
from monitor.conversations import Conversation
from monitor.cycle import Condition, Cycle
from monitor.deploys import stored
from monitor.dispatch import Dispatch
from monitor.gate import runs
from monitor.gate.hook import Hook
from monitor.gate.model import Report
from monitor.history import Deploy, Entry, History, Message, ProbeRow
from monitor.judge import Reading, Verdict
from monitor.metrics import AgentMetrics
from monitor.notify.journal import settle, unsent
from monitor.objectives import Objective, Objectives, load_objectives
from monitor.probes import THROTTLED, Outcome
from monitor.quantity import format_duration
from monitor.quiet import Quiet
from monitor.quietstore import QuietStore
from monitor.resources import resource
from monitor.series import Memory
from monitor.slis.probes import BurnRate
from monitor.storecalls import StoreCalls
from monitor.web import Page
from monitor.web.past import Past
from monitor.webconfig import WebConfig
from monitor.working import Working
from tests.gate.reporting import EVERYTHING as GATE_FAILED
from tests.gate.reporting import GOOD as GATE_PASSED
from tests.monitor.making import recorder_of, target

NOW = 1_795_748_700.0
"""2026-11-27 03:05 UTC."""
PASSWORD = "correct horse"
HASHED = "$argon2id$v=19$m=8,t=1,p=1$Q74AAZ8FQone4EpxjcwBgg$sp1VzsbzO6y4bNpnj3rEfZ6tdHxinj3Hqg6asTWQ0Og"
"""Of PASSWORD, cheaper than any that is meant in earnest."""
TOKEN = "0123456789abcdef-token"
OBJECTIVES = load_objectives(resource("alerts", "objectives.yml"))
GOOD = {
    "target-down": 0.0,
    "health-latency": 0.041,
    "latency-p95": 0.412,
    "error-rate": 0.0007,
    "pool-usage": 0.35,
    "memory-usage": 0.52,
    "failed-logins": 1.5,
    "availability": 0.99981,
    "scale-out-latency": 0.412,
    "scale-out-cpu": 0.31,
    "autoscale-cpu": 0.28,
    "scale-out-queue": 4.0,
}
BASES = {
    "health-latency": "median of 10 samples",
    "latency-p95": "p95 of 904 requests",
    "scale-out-latency": "p95 of 904 requests",
    "memory-usage": "266 MiB of 512 MiB",
    "failed-logins": "15 events",
    "zero-storage": "0 since the target started, seen",
    "availability": "86,384 probes",
    "scale-out-cpu": "0.31 of 1",
    "autoscale-cpu": "0.28 of 1",
}
HOSTILE = '<script>alert("x")</script>\x1b[31mred\x1b[0m\u202e & "quoted" \x00 ' + "A" * 10_000


@dataclass
class World:
    """`page` over conditions that the test changes."""

    page: Page
    history: History
    quiet: Quiet
    now: float = NOW

    def clock(self) -> float:
        return self.now


def world(
    folder: Path,
    targets: Iterable[Target] | None = None,
    *,
    objectives: Objectives = OBJECTIVES,
    web: WebConfig | None = None,
) -> World:
    """An agent that has just started: nothing was measured yet."""
    made = World.__new__(World)
    made.now = NOW
    config = Config(
        targets=tuple(targets or [target("api")]),
        notify=(),
        host="127.0.0.1",
        port=9464,
        database=f"sqlite:///{folder / 'agent.db'}",
        objectives=None,
        shorten_windows=1.0,
        path=folder / "monitor.yml",
        web=web or WebConfig(users={"ann": HASHED}, tokens=(TOKEN,)),
    )
    made.history = History(config.database)
    made.history.create()
    made.quiet = Quiet(QuietStore(made.history.engine), config)
    metrics = AgentMetrics(CollectorRegistry())
    cycle = Cycle(
        config=config,
        objectives=objectives,
        prober=Prober(),
        memory=Memory(retention(objectives)),
        alerting=Alerting(),
        dispatch=Dispatch(config, objectives, made.quiet),
        recorder=recorder_of(made.history, metrics, made.clock)[0],
        metrics=metrics,
        clock=made.clock,
        conditions={each.name: Condition() for each in config.targets},
    )
    metrics.cycle_ended(NOW)
    past, working = Past(made.history, made.clock), Working(cycle, metrics, made.clock, made.quiet)
    engine = made.history.engine
    gate = Hook(engine, StoreCalls(engine), metrics, lambda: cycle.config.targets, made.clock)
    made.page = Page(cycle, metrics, made.clock, made.quiet, past, working, gate)
    return made


def measured(
    made: World,
    name: str,
    values: Mapping[str, float | None] | None = None,
    *,
    failing: str = "",
    at: float = NOW - 4,
) -> None:
    """One target has been judged good, but for `values` (None: unknown). `failing`: the detail of /health."""
    cycle = made.page.cycle
    condition = cycle.conditions[name]
    for check in ("health", "metrics"):
        condition.outcomes[check] = outcome(check, failing if check == "health" else "")
        failed = bool(failing) and check == "health"
        condition.streaks[check] = Streak(success=not failed, length=12, ended=at)
        last = at - 360 if failing and check == "health" else at
        cycle.memory.remember(
            name, check, last, [Sample("probe_success", labels(target=name, check=check), 1.0)]
        )
    given = {**GOOD, **(values or {})}
    condition.readings = [
        reading(each, name, given.get(each.name, 0.0), at)
        for each in cycle.objectives
        if each.check in ("health", "metrics")
    ]


def outcome(check: str, failing: str = "") -> Outcome:
    if failing:
        phases = Phases(dns=0.002, connect=0.004, first_byte=9.994)
        result = Result(Reason.TIMEOUT, failing, phases=phases, duration=10.0)
        return Outcome(check, Reason.TIMEOUT, failing, result, [])
    phases = Phases(dns=0.001, connect=0.004, tls=0.011, first_byte=0.022, transfer=0.003)
    result = Result(None, "200 OK, 15 bytes", 200, phases, 0.041)
    return Outcome(check, "ok", "200 OK, 15 bytes", result, [])


def reading(objective: Objective, name: str, value: float | None, at: float, why: str = "") -> Reading:
    if value is None:
        said = why or "too little to judge: 3 requests in the last 5 min, at least 20 needed"
        return Reading(objective, name, at, Verdict.UNKNOWN, None, said, blind="brought" in said)
    verdict = Verdict.BREACH if objective.breach.broken_by(value) else Verdict.OK
    said = why or f"{_basis(objective, value)} in the last {format_duration(objective.window)}"
    return Reading(objective, name, at, verdict, value, said)


def _basis(objective: Objective, value: float) -> str:
    """What such a value rests on, as the SLIs of the shipped objectives say it."""
    if isinstance(objective.sli, BurnRate):
        return f"{value * 4:.0f} of 120 probes failed"
    if objective.name == "error-rate":
        return f"{value * 904:.0f} of 904 requests"
    if objective.name == "pool-usage":
        return f"{value * 50:.0f} of 50"
    return BASES.get(objective.name, "newest value")


def alert(
    name: str, where: str, value: str, *, state: State = State.FIRING, ago: float = 1440, why: str = ""
) -> Alert:
    objective = OBJECTIVES.by_name(name)
    return Alert(
        key=Key(name, where, objective.check),
        state=state,
        since=NOW - ago,
        last_broken=NOW - 4,
        severity=objective.severity,
        title=objective.title,
        value=value,
        threshold=str(objective.breach),
        reason=why or "64 of 904 requests in the last 5 min",
        runbook=objective.runbook,
        fired_at=NOW - ago + objective.for_ if state is State.FIRING else None,
    )


def stand(made: World, *alerts: Alert) -> None:
    made.page.cycle.alerting.restore(alerts)
    made.page.cycle.dispatch.restore([], alerts, made.now)


def healthy(folder: Path, web: WebConfig | None = None) -> World:
    made = world(folder, map(target, ("api", "db", "web")), web=web)
    for name in ("api", "db", "web"):
        measured(made, name)
    return made


def incident(folder: Path, web: WebConfig | None = None) -> World:
    """The API fails and is slow, a database's pool fills up, the web page can't be judged."""
    made = world(folder, map(target, ("api", "db", "web", "worker")), web=web)
    measured(made, "api", {"error-rate": 0.0708, "latency-p95": 4.31})
    measured(made, "db", {"pool-usage": 0.96})
    measured(made, "web", failing="429")
    measured(made, "worker", {"latency-p95": None, "error-rate": None})
    blind = "the health check last brought data 6 min ago"
    condition = made.page.cycle.conditions["web"]
    condition.outcomes["health"] = replace(
        outcome("health"), reason=THROTTLED, detail="429 Too Many Requests; next try in 4 min"
    )
    condition.streaks["health"] = Streak(success=True, length=1, ended=NOW - 360)
    condition.readings = [
        replace(each, verdict=Verdict.UNKNOWN, value=None, why=blind, blind=True)
        if each.objective.check == "health" and each.objective.name != "target-down"
        else each
        for each in condition.readings
    ]
    stand(
        made,
        alert("error-rate", "api", "7.08 %"),
        alert("latency-p95", "api", "4.31 s", ago=900, why="p95 of 904 requests in the last 5 min"),
        alert("pool-usage", "db", "96 %", state=State.PENDING, ago=120, why="48 of 50 in the last 1 min"),
    )
    return made


def without_data(folder: Path) -> World:
    return world(folder, map(target, ("api", "db")))


def forty(folder: Path) -> World:
    names = [f"service-{number:02}" for number in range(40)]
    made = world(folder, map(target, names))
    for number, name in enumerate(names):
        measured(made, name, {"error-rate": None} if number % 9 == 4 else None)
    measured(made, names[17], {"error-rate": 0.31})
    stand(made, alert("error-rate", names[17], "31 %"))
    return made


def long_names(folder: Path) -> World:
    names = [f"{'a-very-long-name-' * 3}{end}"[:62] for end in ("eu-central-1a", "us")]
    names = [f"{number}{name}"[:63] for number, name in enumerate(names)]
    made = world(folder, map(target, names))
    measured(made, names[0], failing=HOSTILE)
    measured(made, names[1])
    stand(made, alert("target-down", names[0], "12", why=f"timeout: {HOSTILE}"))
    return made


def faulty(folder: Path) -> World:
    """The agent stopped measuring ten minutes ago; what it saw last was good."""
    made = healthy(folder)
    for name in ("api", "db", "web"):
        measured(made, name, at=NOW - 600)
    made.page.metrics.cycle_ended(NOW - 600)
    return made


def lived(made: World, name: str, *, down: Iterable[tuple[float, float]] = (), born: float = 90.0) -> None:
    """A past of `born` days, ever finer towards now. `down`: (from, to) in hours before now."""
    times = [
        *_every(3600, NOW - born * 86_400, NOW - 86_400),
        *_every(600, NOW - min(born, 1) * 86_400, NOW - 3600),
        *_every(60, NOW - 3600, NOW),
    ]
    probes, readings = list[ProbeRow](), list[Reading]()
    for at, interval in times:
        hours = (NOW - at) / 3600
        failing = any(start >= hours > end for start, end in down)
        if born > 1 and 400 < hours < 430:
            continue  # nobody looked
        slow = 0.04 + 0.02 * math.sin(hours / 4)
        phases = (0.001, 0.004, 0.011, slow - 0.018, 0.002)
        row = ProbeRow(at, name, "health", "ok", "200 OK", slow, 200, float(interval), phases)
        if failing:
            row = row._replace(reason="timeout", detail="no answer within 10 s", duration=10.0, status=None)
        probes.append(row)
        if hours < 24:
            readings += _judged_then(made, name, at, hours, failing)
    entry = Entry(NOW, tuple(probes), (), (), name, (), readings=tuple(readings))
    made.history.record([entry])


def _every(seconds: int, start: float, end: float) -> Iterator[tuple[float, int]]:
    return ((start + seconds * number, seconds) for number in range(int((end - start) // seconds)))


def _judged_then(made: World, name: str, at: float, hours: float, failing: bool) -> Iterator[Reading]:
    now = {each.objective.name: each.value for each in made.page.cycle.conditions[name].readings}
    standing = made.page.cycle.alerting.of(name)
    began = {each.key.name: (made.now - each.since) / 3600 for each in standing}
    for objective in made.page.cycle.objectives:
        if objective.check not in ("health", "metrics") or 5 < hours < 7:
            continue
        usual, last = GOOD.get(objective.name, 0.0), now.get(objective.name)
        wobble = usual * (1 + (1e-4 if usual > 0.9 else 0.25) * math.sin(hours * 2 + len(objective.name)))
        late = (
            last
            if last is not None and hours < began.get(objective.name, 0.4)
            else min(wobble, 1.0)
            if usual > 0.99
            else wobble
        )
        yield reading(objective, name, None if failing else late, at)


def happened(made: World, told: Alert, *, ago: float, lasted: float, messages: int = 2) -> None:
    """An incident that is over, or goes on when it `lasted` longer than it is ago; told to a pager."""
    fired = replace(told, since=NOW - ago, fired_at=NOW - ago + 120, state=State.FIRING)
    key = f"{fired.key.target}-{ago:g}"
    conversation = Conversation(key=fired.key, dedup_key=key, began_at=NOW - ago, alert=fired)
    sent = tuple(Message(name, key, "{}") for name in ("pager", "log")[:messages])
    entries = [Entry(NOW - ago + 120, (), (fired,), (), fired.key.target, sent, (conversation,))]
    if lasted < ago:
        over = replace(fired, state=State.RESOLVED, resolved_at=NOW - ago + lasted)
        entries.append(Entry(NOW - ago + lasted, (), (over,), (), fired.key.target, (), (conversation,)))
    made.history.record(entries)
    for letter in unsent(made.history.engine):
        letter.delivered(letter.created_at + 1.4)
        settle(made.history.engine, [(letter.id or 0, letter.progress)])


def deployed(made: World, name: str, version: str, before: str, hours: float) -> None:
    deploy = Deploy(NOW - hours * 3600, name, version, "9f3c2ab71d", "main", before)
    made.history.record([Entry(deploy.at, (), (), (), name, (), deploys=(deploy,))])


def gated(made: World, url: str, report: Report, hours: float) -> None:
    began = NOW - hours * 3600
    runs.add(made.history.engine, replace(report, target=url, began=began, ended=began + 58))


def heard(made: World) -> None:
    """What fires was told to the pager as it began; the agent has watched all along."""
    cycle = made.page.cycle
    told = [
        replace(each, told={"pager": each.began_at, "log": each.began_at})
        for each in cycle.dispatch.conversations.values()
    ]
    cycle.dispatch.restore(told, [], made.now)
    cycle.facts.deploys.restore(stored(made.history.engine), made.now)
    for name, condition in cycle.conditions.items():
        _well_until_it_broke(made, name)
        cycle.facts.observe(name, condition.outcomes.values(), condition.readings, NOW - 4)


def _well_until_it_broke(made: World, name: str) -> None:
    condition = made.page.cycle.conditions[name]
    began = {each.key.name: each.since for each in made.page.cycle.alerting.of(name)}
    for each in condition.readings:
        at = began.get(each.objective.name, NOW) - 20
        good = reading(each.objective, name, GOOD.get(each.objective.name, 0.0), at)
        made.page.cycle.facts.observe(name, condition.outcomes.values(), [good], at)


def told_story(folder: Path) -> World:
    """The incident, with a past: what the pictures in the documentation show."""
    made = incident(folder)
    lived(made, "api", down=[(30, 29.5), (700, 698), (1500, 1496)])
    lived(made, "db", born=20)
    lived(made, "web", down=[(300, 299)])
    lived(made, "worker", born=0.3)
    happened(made, alert("error-rate", "api", "7.08 %"), ago=1440, lasted=1e9)
    happened(
        made,
        alert("latency-p95", "api", "4.31 s", why="p95 of 904 requests in the last 5 min"),
        ago=900,
        lasted=1e9,
    )
    happened(made, alert("target-down", "api", "3", why="connect: refused"), ago=30 * 3600, lasted=1800)
    happened(
        made, alert("pool-usage", "db", "91 %", why="46 of 50 in the last 1 min"), ago=3 * 86_400, lasted=2700
    )
    deployed(made, "api", "2.8.0", "2.7.3", 100)
    deployed(made, "api", "2.8.1", "2.8.0", 0.6)
    gated(made, "https://canary.example.com", replace(GATE_PASSED, profile="canary"), 1.2)
    gated(made, made.page.config.targets[0].url, GATE_FAILED, 0.55)
    heard(made)
    made.quiet.add_silence(
        author="bob",
        reason="rebuilding its index until the morning",
        ends_at=NOW + 3 * 3600,
        now=NOW,
        target="worker",
    )
    return made


SCENES = {
    "healthy": healthy,
    "incident": incident,
    "without-data": without_data,
    "forty": forty,
    "long-names": long_names,
    "faulty": faulty,
}
