"""An objective as dashboards ask for it: by Prometheus' rules, or without those by the agent."""

from __future__ import annotations

from collections.abc import Callable

from monitor.expressions import number
from monitor.objectives import Objective, Objectives
from monitor.quantity import Threshold, format_duration
from monitor.render.dashboard import OF_TARGET, TARGET
from monitor.render.panels import NEUTRAL, PLAIN, UNITS, UNKNOWN_COLOUR, Json, Query, Step, lines, stat
from monitor.render.rules import COMPARISONS
from monitor.slis import Busy, Utilisation

SOURCE = "From Prometheus' rules, or marked (agent) where only the agent judges the target."
NO_VALUE = "UNKNOWN: no data, or too little to judge"
OK, UNKNOWN, WARN, BREACH = range(4)
"""The worst last: where two agents watch one target, the worse verdict is shown."""
HEADROOM = 1.25
"""How far the axis reaches above the limit while the values stay below it."""
JUST_ABOVE = 1e-9
LINE_COLOURS = {"page": "red", "ticket": "red", "info": "orange"}


def named(objectives: Objectives, name: str) -> Objective | None:
    """None where the file has no such objective: the dashboards then do without its figure and its line."""
    return next((each for each in objectives if each.name == name), None)


def limits_of(objectives: Objectives, name: str) -> tuple[Step, ...]:
    objective = named(objectives, name)
    return limits(objectives, objective) if objective else PLAIN


def reach_of(objectives: Objectives, name: str) -> float:
    """How far the axis goes at least, so that the threshold is in sight and not at its bottom."""
    objective = named(objectives, name)
    return _reach(objective) if objective else 1.0


def _reach(objective: Objective) -> float:
    breach = objective.breach
    return 1.0 if breach.unit == "ratio" else HEADROOM * breach.value or 1.0


def values(objective: Objective) -> tuple[Query, Query]:
    """Nothing while UNKNOWN: one of three requests is 33 % and says nothing."""
    return (
        Query(f"max by (target) ({_series('judged', objective)})", "{{target}}"),
        Query(_agents_value(objective), "{{target}} (agent)"),
    )


def known(objective: Objective) -> str:
    """Whichever of the two values there is."""
    ours, agents = (query.expression for query in values(objective))
    return f"{ours} or {agents}"


def verdict(objective: Objective) -> str:
    """The verdict as a number. Advice that should be taken is no worse than a warning."""
    judged = _series("judged", objective)
    worst = WARN if objective.severity == "info" else BREACH
    alternatives = [
        f"{worst} * group by (target) ({_broken(judged, objective.breach)}{_alertable(objective)})",
        *(f"{WARN} * group by (target) ({_broken(judged, mild)})" for mild in _warnings(objective)),
        f"{OK} * group by (target) ({judged})",
        f"group by (target) ({_known_to_rules(objective)})",
        f"({_agents_verdict(objective, worst)} {_unless_rules(objective)})",
    ]
    return " or ".join(alternatives)


def panel(objectives: Objectives, objective: Objective) -> Json:
    drawn = _line if objective.breach.high_is_bad else figure
    return drawn(objectives, objective) | {"title": f"{objective.title}, alert when {objective.breach}"}


def _line(objectives: Objectives, objective: Objective) -> Json:
    """The threshold is always in sight, however far below it the values are."""
    breach = objective.breach
    bounded = breach.unit == "ratio" and not isinstance(objective.sli, Utilisation | Busy)
    custom: Json = {} if bounded else {"axisSoftMax": _reach(objective)}
    return lines(
        objective.title,
        description(objective),
        UNITS[breach.unit],
        *values(objective),
        limits=limits(objectives, objective),
        no_value=NO_VALUE,
        shade=NEUTRAL,
        **custom,
    )


def figure(objectives: Objectives, objective: Objective) -> Json:
    """Near 1 a percent more or less is the same line on an axis from 0 to 1, and "100%" in a legend."""
    steps = limits(objectives, objective)
    if objective.breach.high_is_bad:
        steps = (Step(UNKNOWN_COLOUR, None), Step("green", 0), *map(_beyond(objective), steps[1:]))
    return stat(
        objective.title,
        description(objective),
        UNITS[objective.breach.unit],
        Query(known(objective), "{{target}}"),
        limits=steps,
        no_value=f"UNKNOWN below {objective.minimum_samples:,} samples",
        **({} if objective.breach.high_is_bad else {"decimals": 3}),
    )


def _beyond(objective: Objective) -> Callable[[Step], Step]:
    """Grafana colours a value on the step already, and 8 connections of 10 keep a limit of four fifths."""
    margin = JUST_ABOVE if objective.breach.operator == "above" else 0
    return lambda step: Step(step.colour, (step.value or 0) + margin)


def description(objective: Objective) -> str:
    return (
        f"Alerts when {objective.breach} for {format_duration(objective.for_)}, measured over "
        f"{format_duration(objective.window)} ({objective.document}). Beyond the line: {objective.runbook}. "
        f"No line: UNKNOWN, see the Probes dashboard. {SOURCE}"
    )


def limits(objectives: Objectives, objective: Objective) -> tuple[Step, ...]:
    """Those of all objectives about this SLI, advice in orange; the objective's own warning too."""
    own, breach = LINE_COLOURS[objective.severity], objective.breach
    if not breach.high_is_bad:
        # The first step is also the colour of "no value".
        milder = [Step("orange", breach.value)] if objective.warn else []
        good = objective.warn.value if objective.warn else breach.value
        return (Step(UNKNOWN_COLOUR, None), Step(own, 0), *milder, Step("green", good))
    steps = {each.breach.value: LINE_COLOURS[each.severity] for each in _siblings(objectives, objective)}
    steps |= {mild.value: "orange" for mild in _warnings(objective)} | {breach.value: own}
    return (Step("green", None), *(Step(colour, value) for value, colour in sorted(steps.items())))


def _siblings(objectives: Objectives, objective: Objective) -> list[Objective]:
    return [
        each
        for each in objectives
        if each.sli == objective.sli and each.breach.operator == objective.breach.operator
    ]


def _warnings(objective: Objective) -> list[Threshold]:
    """What is worth a warning: the documented one, and a breach that too few events stand behind."""
    doubtful = [objective.breach] if _alertable(objective) and objective.severity != "info" else []
    return doubtful + ([objective.warn] if objective.warn else [])


def _series(what: str, objective: Objective) -> str:
    return f'objective:{what}{{objective="{objective.name}", {TARGET}}}'


def _broken(value: str, limit: Threshold) -> str:
    return f"{value} {COMPARISONS[limit.operator]} {number(limit.value)}"


def _alertable(objective: Objective) -> str:
    condition = objective.sli.promql(objective.window, lambda name, _: _series(name, objective)).alertable
    return f" and on (target) {condition}" if condition else ""


def _known_to_rules(objective: Objective) -> str:
    return f'check:target{{check="{objective.check}", {TARGET}}}'


def _unless_rules(objective: Objective) -> str:
    return f"unless on (target) {_known_to_rules(objective)}"


def _agents_value(objective: Objective) -> str:
    where = f'{OF_TARGET}, objective="{objective.name}"'
    worst = "max" if objective.breach.high_is_bad else "min"
    unknown = f'objective_verdict{{{where}, verdict="UNKNOWN"}} == 1'
    value = f"objective_value{{{where}}} unless ignoring (verdict) ({unknown})"
    return f"{worst} by (target) ({value}) {_unless_rules(objective)}"


def _agents_verdict(objective: Objective, worst: int) -> str:
    where = f'{OF_TARGET}, objective="{objective.name}"'
    scored = " or ".join(
        f'{score} * (objective_verdict{{{where}, verdict="{name}"}} == 1)'
        for name, score in (("OK", OK), ("UNKNOWN", UNKNOWN), ("WARN", WARN), ("BREACH", worst))
    )
    return f"max by (target) ({scored})"
