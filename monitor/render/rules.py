"""alerts/rules.yml: the objectives as Prometheus recording and alerting rules.

One group an objective, evaluated from top to bottom:

    objective:<part>      numerator and denominator, apart: a ratio of sums, never an average of ratios
    objective:value       the SLI; no series where it has no value: NaN (0 of 0) would poison what reads it
    objective:samples     what it rests on: requests, probes or samples
    objective:threshold   the documented limit
    objective:judged      the value again, but only while it can be judged: fresh, and of enough samples
    objective:good        the same while it is good, where it takes several good results to end the alert
    the alert             under the objective's name, with just the labels that the agent's own alert has

The alert is what monitor/judge.py and monitor/alerting.py decide: UNKNOWN neither fires nor resolves, and an
inhibitor holds back what has not begun to fire. tests/differential compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from monitor.alerting import LOUDNESS, NO_DATA, NO_DATA_RUNBOOK
from monitor.expressions import duration, number
from monitor.judge import STALE_AFTER_INTERVALS
from monitor.links import PROBES, panel_link
from monitor.objectives import Objective, Objectives
from monitor.quantity import Operator, Threshold, Unit, format_duration
from monitor.render.watchers import watchers
from monitor.render.yaml_text import readable_yaml
from monitor.words import description, nobody_knows

HEAD = """\
# Written by `paciolus-monitor render` from alerts/objectives.yml, the only file with thresholds: change that.
# monitor/render/rules.py says what each series is for.
"""
COMPARISONS: dict[Operator, str] = {"above": ">", "below": "<", "at least": ">=", "at most": "<="}
PROBED = "probe_"
"""Metrics that the agent makes begin with this; all others are the target's own."""
NAN_IS_NO_VALUE = ">= -Inf"
HELD_FOR = 6
"""Evaluations. An alert that fired longer ago than that is none that could fire on: a Prometheus that was
killed leaves ALERTS as they were, and meanwhile the agent may have said that all is over."""
REMEMBERED = "1d"
"""For how long a target that Prometheus no longer knows is still missed."""
HUMAN: dict[Unit, tuple[str, str]] = {
    "seconds": ("", "humanizeDuration"),
    "ratio": ("100 * ", 'printf "%.5g %%"'),
    "per_minute": ("", 'printf "%.4g/min"'),
    "number": ("", 'printf "%.4g"'),
}
"""For each unit what the value is multiplied with, as templates can't calculate, and how it is written."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two scrapes of a target, two probes of the agent, and two evaluations of the rules."""

    scrape: float = 15.0
    probe: float = 30.0
    evaluate: float = 15.0

    def stale_after(self, objective: Objective) -> float:
        return STALE_AFTER_INTERVALS * (self.probe if probed(objective) else self.scrape)


SHIPPED = Pace()
"""As in prometheus.yml and alerts/monitor.example.yml."""


def rules_file(objectives: Objectives, pace: Pace = SHIPPED) -> str:
    groups = [
        _targets(objectives, pace),
        *(Group(objective, objectives, pace).rules() for objective in objectives),
        {"name": "no-data", "rules": list(_no_data(objectives))},
        watchers(pace.probe),
    ]
    return HEAD + readable_yaml({"groups": groups})


def probed(objective: Objective) -> bool:
    """Whether its numbers come from the agent's probes, and not from the target's own metrics."""
    return all(selector.name.startswith(PROBED) for selector in objective.sli.reads)


@dataclass
class Group:
    """The rules of one objective."""

    objective: Objective
    objectives: Objectives
    pace: Pace
    parts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        return {"objective": self.objective.name, "check": self.objective.check}

    def series(self, what: str) -> str:
        return f'objective:{what}{{objective="{self.objective.name}"}}'

    def record(self, what: str, expression: str) -> dict[str, Any]:
        return {"record": f"objective:{what}", "expr": expression, "labels": self.labels}

    def part(self, name: str, expression: str) -> str:
        self.parts.append(self.record(name, expression))
        return self.series(name)

    def rules(self) -> dict[str, Any]:
        objective = self.objective
        sli = objective.sli.promql(objective.window, self.part)
        enough = f"{self.series('samples')} >= {objective.minimum_samples}"
        rules = [
            *self.parts,
            self.record("value", f"({sli.value}) {NAN_IS_NO_VALUE}"),
            self.record("samples", sli.samples),
            self.record("threshold", f"vector({number(objective.breach.value)})"),
            self.record("judged", f"{self.series('value')} and {enough} and on (target) {fresh(objective)}"),
            *self.good(sli.alertable),
            self.alert(sli.alertable),
        ]
        return {"name": objective.name, "rules": rules}

    def good(self, alertable: str) -> Iterator[dict[str, Any]]:
        objective, judged = self.objective, self.series("judged")
        if objective.good_results == 1:
            return
        if objective.clear:
            yield self.record("good", held_against(judged, objective.clear))
        else:
            yield self.record("good", f"{judged} unless on (target) ({self.broken(alertable)})")

    def broken(self, alertable: str) -> str:
        broken = held_against(self.series("judged"), self.objective.breach)
        return f"{broken} and on (target) {alertable}" if alertable else broken

    def not_good_yet(self) -> str:
        """What is judged, and not broken any more, but not good enough to end the alert."""
        objective, judged = self.objective, self.series("judged")
        if objective.good_results > 1:
            back = (objective.good_results - 0.5) * self.pace.evaluate
            good = f"count_over_time({self.series('good')}[{duration(back)}])"
            return f"{judged} unless on (target) {good} >= {objective.good_results}"
        return f"{judged} unless {held_against(judged, objective.clear)}" if objective.clear else ""

    def alert(self, alertable: str) -> dict[str, Any]:
        objective = self.objective
        rule = {"alert": objective.name, "expr": self.condition(alertable)}
        if objective.for_:
            rule["for"] = duration(objective.for_)
        if objective.keep_firing_for:
            rule["keep_firing_for"] = duration(objective.keep_firing_for)
        labels = {"check": objective.check, "severity": objective.severity}
        said = words(objective, value_template(objective), "{{ $labels.target }}")
        return rule | {
            "labels": labels,
            "annotations": {**said, "dashboard": panel_link(self.objectives, objective)},
        }

    def condition(self, alertable: str) -> str:
        """Broken and not held back by the inhibitor; or firing, and unknown now or not good enough yet."""
        objective, judged = self.objective, self.series("judged")
        firing = f'ALERTS{{alertname="{objective.name}", alertstate="firing"}}'
        lines = [f"max by (target) ({self.broken(alertable)})"]
        if objective.inhibited_by:
            lines.append(f"  unless on (target) ({self.inhibitor()} unless on (target) {firing})")
        known = f'check:target{{check="{objective.check}"}}'
        just_now = f"timestamp({firing}) >= time() - {number(HELD_FOR * self.pace.evaluate)}"
        for going_on in (f"{known} unless on (target) {judged}", self.not_good_yet()):
            if going_on:
                lines += ["or", f"max by (target) ({going_on}) and on (target) ({just_now})"]
        return "\n".join(lines)

    def inhibitor(self) -> str:
        """Pending or firing; and afterwards, for as long as its fault lingers in this SLI."""
        names = "|".join(self.objectives.inhibitors(self.objective))
        standing = f'ALERTS{{alertname=~"{names}"}}'
        lingers = self.objective.sli.lingers
        return f"max_over_time({standing}[{duration(lingers)}])" if lingers else standing


def held_against(value: str, limit: Threshold) -> str:
    return f"{value} {COMPARISONS[limit.operator]} {number(limit.value)}"


def fresh(objective: Objective) -> str:
    return f'check:fresh{{check="{objective.check}"}}'


def _targets(objectives: Objectives, pace: Pace) -> dict[str, Any]:
    """Which targets each check has, and of which of them it has brought something lately."""
    first = {objective.check: objective for objective in reversed(objectives.entries)}
    rules = []
    for check, objective in sorted(first.items()):
        stale = pace.stale_after(objective)
        if probed(objective):
            seen = f'probe_success{{check="{check}", target!=""}}'
            alive = f"time() - monitor_last_success_timestamp_seconds < {number(stale)}"
            known = f"present_over_time({seen}[{REMEMBERED}])"
            lately = f"present_over_time({seen}[{duration(stale)}]) and on (job, instance) ({alive})"
        else:
            known = f'present_over_time(up{{target!=""}}[{REMEMBERED}])'
            lately = f'max_over_time(up{{target!=""}}[{duration(stale)}]) == 1'
        for record, expression in (("check:target", known), ("check:fresh", lately)):
            rule = {"record": record, "expr": f"group by (target) ({expression})", "labels": {"check": check}}
            rules.append(rule)
    return {"name": "targets", "rules": rules}


def words(objective: Objective, value: str, target: str) -> dict[str, str]:
    """The words of the agent's own message, so that it matters little which of the two is read."""
    title, limit = objective.title, str(objective.breach)
    return {
        "summary": f"{target}: {title}: {value} (alert when {limit})",
        "description": description(objective, target, value),
        "value": value,
        "threshold": limit,
        "runbook": objective.runbook,
    }


def value_template(objective: Objective) -> str:
    """Asks for the value anew: an alert that fires on although nothing is known has none of its own."""
    judged = f'objective:judged{{objective="{objective.name}"'
    scale, form = HUMAN[objective.breach.unit]
    return (
        f"{{{{ with printf `{scale}{judged}, target=%q}}` $labels.target | query }}}}"
        f"{{{{ . | first | value | {form} }}}}{{{{ else }}}}unknown{{{{ end }}}}"
    )


def human(value: float, limit: Threshold) -> str:
    """What the template makes of a value."""
    if limit.unit == "seconds":
        return f"{value * 1000:.4g}ms" if value < 1 else f"{value:.4g}s"
    text = f"{100 * value:.5g} %" if limit.unit == "ratio" else f"{value:.4g}"
    return text + ("/min" if limit.unit == "per_minute" else "")


def _no_data(objectives: Objectives) -> Iterator[dict[str, Any]]:
    """One alert per check, as loud as the loudest objective that it blinds; quieter ones give way to it."""
    groups: dict[tuple[str, str], list[Objective]] = {}
    for each in objectives:
        groups.setdefault((each.check, each.no_data.severity), []).append(each)
    for check, severity in sorted(groups, key=lambda key: (key[0], -LOUDNESS.index(key[1]))):
        yield _no_data_rule(check, severity, groups[check, severity])


def _no_data_rule(check: str, severity: str, blinded: list[Objective]) -> dict[str, Any]:
    after = min(each.no_data.after for each in blinded)
    names = "|".join(objective.name for objective in blinded)
    seen = f'objective:samples{{objective=~"{names}"}} and on (target) check:fresh{{check="{check}"}}'
    lines = [
        f'max by (target) (check:target{{check="{check}"}})',
        f"  unless on (target) (count by (target) ({seen}) >= {len(blinded)})",
    ]
    explained = {each.inhibited_by for each in blinded}
    if len(explained) == 1 and (inhibitor := explained.pop()):
        lines.append(f'  unless on (target) ALERTS{{alertname="{inhibitor}"}}')
    for louder in LOUDNESS[LOUDNESS.index(severity) + 1 :]:
        already = f'alertname="{NO_DATA}", check="{check}", severity="{louder}"'
        lines.append(f"  unless on (target) ALERTS{{{already}}}")
    limit = f"none for {format_duration(after)}"
    return {
        "alert": NO_DATA,
        "expr": "\n".join(lines),
        "for": duration(after),
        "labels": {"check": check, "severity": severity},
        "annotations": {
            "summary": f"{{{{ $labels.target }}}}: No data from the {check} check ({limit})",
            "description": nobody_knows(blinded),
            "value": "no data",
            "threshold": limit,
            "runbook": NO_DATA_RUNBOOK,
            "dashboard": f"d/{PROBES}",
        },
    }
