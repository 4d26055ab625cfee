"""Is every objective kept, and what fires?"""

from __future__ import annotations

from monitor.expressions import number
from monitor.links import panel_id
from monitor.objectives import Objective, Objectives
from monitor.render import judged
from monitor.render.dashboard import (
    COLUMNS,
    OF_TARGET,
    TARGET,
    Band,
    band,
    dashboard,
    heading,
    target_variables,
)
from monitor.render.firing import firing
from monitor.render.panels import (
    UNKNOWN_COLOUR,
    Json,
    Query,
    Step,
    mapping,
    override,
    stat,
    states,
    table,
)
from monitor.slis import Availability

DOCUMENTED = ("latency-p95", "error-rate", "pool-usage", "memory-usage", "failed-logins")
"""The five numbers of the operations document, §9.2; they come first."""
HEALTH = "health"
"""The check that asks whether it answers."""
SEVERITIES = {"info": (1, "blue"), "ticket": (2, "orange"), "page": (3, "red")}
"""Rank and colour, as in a table sorted by loudness."""
LEFT = 15
"""Columns of what is watched; the rest is for what fires."""
RULES = f"check:target{{{TARGET}}}"
AGENT = f"objective_verdict{{{OF_TARGET}}}"
VERDICTS = mapping(
    (judged.OK, "OK", "green"),
    (judged.UNKNOWN, "UNKNOWN", UNKNOWN_COLOUR),
    (judged.WARN, "WARN", "orange"),
    (judged.BREACH, "BREACH", "red"),
)


def overview(objectives: Objectives) -> str:
    kept = [each for each in objectives if isinstance(each.sli, Availability)]
    advice = [each for each in objectives if each.severity == "info"]
    documented = [each for each in objectives if each.name in DOCUMENTED]
    others = [each for each in objectives if each not in kept + advice + documented]
    probed = [each for each in others if each.check == HEALTH]
    top = [panel for each in kept for panel in (_figure(objectives, each), _budget(each))]
    widths = (7, *((LEFT - 7) // len(top),) * len(top), COLUMNS - LEFT) if top else (LEFT, COLUMNS - LEFT)
    return dashboard(
        "overview",
        target_variables("up"),
        band(4, _counts(objectives), *top, _evaluators(), widths=widths),
        band(15, _verdicts(objectives), _table(objectives), widths=(LEFT, COLUMNS - LEFT)),
        heading("The five documented numbers, and what must never be stored"),
        *_rows(objectives, documented + [each for each in others if each not in probed]),
        heading("Whether it answers at all, and how fast the error budget burns"),
        *_rows(objectives, probed, in_a_row=2),
        heading("Time to scale out: advice, nobody is paged"),
        *_rows(objectives, advice, in_a_row=2),
    )


WIDTHS = {"Target": 90, "Check": 85, "Seen by": 105}
"""Pixels; the alert's name has the rest."""


def _rows(objectives: Objectives, shown: list[Objective], in_a_row: int = 3) -> list[Band]:
    panels = [_numbered(objectives, each, judged.panel(objectives, each)) for each in shown]
    bands = [panels[at : at + in_a_row] for at in range(0, len(panels), in_a_row)]
    return [band(7, *each, widths=(COLUMNS // in_a_row,) * len(each)) for each in bands]


def _numbered(objectives: Objectives, objective: Objective, panel: Json) -> Json:
    return {"id": panel_id(objectives, objective)} | panel


def _figure(objectives: Objectives, objective: Objective) -> Json:
    return _numbered(objectives, objective, judged.figure(objectives, objective))


def _budget(objective: Objective) -> Json:
    """Of the month: what may fail under the objective, less what did, as a share of what may."""
    spent = f"(1 - ({judged.known(objective)})) / (1 - {number(objective.breach.value)})"
    return stat(
        "Error budget left",
        f"Share of the failures that {objective.breach.limit} allows and that are not used up. At 0 %: no "
        f"risky release until it recovers; {objective.runbook} says what spent it. {judged.SOURCE}",
        "percentunit",
        Query(f"clamp_min(1 - {spent}, 0)", "{{target}}"),
        no_value=f"UNKNOWN below {objective.minimum_samples:,} samples",
        decimals=1,
        limits=(Step(UNKNOWN_COLOUR, None), Step("red", 0), Step("green", 1e-6)),
    )


def _counts(objectives: Objectives) -> Json:
    """Without anybody who judges it is empty: 0 would be a promise that nobody keeps."""
    watched = f"0 * group({RULES}) or 0 * group({AGENT})"
    loudest_first = sorted(SEVERITIES, key=lambda name: -SEVERITIES[name][0])
    counts = [Query(f"count({firing(objectives, name)}) or {watched}", name) for name in loudest_first]
    panel = stat(
        "Alerts firing",
        "Page: somebody has been woken, help them. Ticket: for working hours. Info: advice. No number: "
        "nobody judges, see Who judges.",
        "none",
        *counts,
        no_value="nobody judges",
        limits=(Step(UNKNOWN_COLOUR, None), Step("green", 0), Step("red", 1)),
    )
    panel["fieldConfig"]["overrides"] = [_coloured_from_one(name) for name in SEVERITIES]
    return panel


def _coloured_from_one(severity: str) -> Json:
    steps = [{"color": "green", "value": None}, {"color": SEVERITIES[severity][1], "value": 1}]
    return override(severity, thresholds={"mode": "absolute", "steps": steps})


def _evaluators() -> Json:
    return stat(
        "Who judges",
        "Silent Prometheus rules: is alerts/rules.yml loaded? Silent agent: docs/runbooks/monitor-down.md. "
        "Both silent: nothing here means anything.",
        "none",
        Query(f"group({RULES}) or vector(0)", "Prometheus' rules"),
        Query(f"group({AGENT}) or vector(0)", "the agent"),
        mappings=[mapping((0, "silent", UNKNOWN_COLOUR), (1, "judges", "green"))],
    )


def _verdicts(objectives: Objectives) -> Json:
    return states(
        "Verdict of each objective",
        "Red: follow its runbook, docs/runbooks. Orange: a warning, or time to scale out. Purple: nobody "
        f"knows, see why its check brings nothing (Probes). Gap: nobody judges. {judged.SOURCE}",
        *(Query(judged.verdict(each), f"{{{{target}}}} {each.name}") for each in objectives),
        mapping=VERDICTS,
    )


def _table(objectives: Objectives) -> Json:
    ranked = " or on (alertname, target, check) ".join(
        f"{rank} * ({firing(objectives, name)})" for name, (rank, _) in reversed(SEVERITIES.items())
    )
    names = mapping(*((rank, name, colour) for name, (rank, colour) in SEVERITIES.items()))
    cell = {"type": "color-background", "mode": "basic"}
    return table(
        "Firing now",
        "Open docs/runbooks/ALERT.md; the notification says value, threshold and reason. Seen by the agent: "
        "Prometheus' rules do not see it.",
        {
            "Value": "Severity",
            "alertname": "Alert",
            "target": "Target",
            "check": "Check",
            "evaluator": "Seen by",
        },
        Query(ranked),
        sorted_by="Severity",
        no_value="Nothing fires, as far as anybody judges",
        overrides=[
            override(
                "Severity", mappings=[names], custom__cellOptions=cell, custom__width=80, custom__align="left"
            ),
            *(override(name, custom__width=width) for name, width in WIDTHS.items()),
        ],
    )
