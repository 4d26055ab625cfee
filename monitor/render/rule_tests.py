"""alerts/rules_test.yml and alerts/rules_slow_test.yml: what every alert must do, for `promtool test rules`.

For each objective three short lives of one target: broken, and then without data; just within the limit, with
a restart in between (counters begin anew); restarted while broken, and then gone from Prometheus. Then a
target that is well in every way, and one that is down.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from exporters.sample import Sample
from monitor.alerting import NO_DATA
from monitor.expressions import duration
from monitor.links import panel_link
from monitor.objectives import Objective, Objectives
from monitor.quantity import Threshold
from monitor.render.feeds import FEEDS, TARGET, Line, Run, outage
from monitor.render.rules import HEAD, HELD_FOR, SHIPPED, human, probed, words
from monitor.render.watchers import TARGET_ABSENT
from monitor.render.yaml_text import readable_yaml
from monitor.series import TargetSeries

STEP, SLOW_STEP = 60.0, 600.0
"""Seconds between two evaluations. The slow file is for windows of hours and days: evaluated so seldom, no
alert fires on through no data."""
MOST_SAMPLES = 10_000
"""That promtool takes into one query: what is judged from more can't be tested by it."""
LONGEST_WINDOW = 3600.0
AGENT = {"instance": "agent:9464", "job": "monitor"}
API = {"instance": "api:8000", "job": "api", "target": TARGET}
PROBE = "probe_success"
RESTART = ("stale", "_x2")
"""What becomes of a series while its process starts anew."""

Test = dict[str, Any]
Check = tuple[str, dict[str, Any]]
"""The list of a promtool test that it belongs to, and the check."""


def rules_test(objectives: Objectives) -> str:
    quick = [each for each in objectives if each.window <= LONGEST_WINDOW]
    lives = [test for each in quick for test in Life(each, objectives, STEP).tests()]
    return _file(objectives, STEP, [*lives, _well(objectives), _down(objectives)])


def rules_slow_test(objectives: Objectives) -> str:
    slow = [each for each in objectives if each.window > LONGEST_WINDOW and testable(each)]
    lives = [test for each in slow for test in Life(each, objectives, SLOW_STEP).tests()]
    return _file(objectives, SLOW_STEP, lives)


def testable(objective: Objective) -> bool:
    return objective.minimum_samples < MOST_SAMPLES


def _file(objectives: Objectives, step: float, tests: list[Test]) -> str:
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": duration(step),
        "group_eval_order": ["targets", *(each.name for each in objectives), NO_DATA, "watchers"],
        "tests": tests,
    }
    return HEAD + readable_yaml(content)


@dataclass
class Story:
    """A series, and what becomes of it, in promtool's notation."""

    name: str
    labels: dict[str, str]
    runs: list[Run]
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.text or [run.text for run in self.runs]

    def then(self, *more: str) -> Story:
        return Story(self.name, self.labels, self.runs, [*self.text, *more])

    def samples(self, every: float) -> Iterator[tuple[float, Sample]]:
        pairs, at = tuple(sorted(self.labels.items())), 0.0
        for run in self.runs:
            for number in range(run.length):
                yield at, Sample(self.name, pairs, run.start + number * run.step)
                at += every

    @property
    def yaml(self) -> dict[str, str]:
        inside = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(self.labels.items()))
        return {"series": f"{self.name}{{{inside}}}", "values": " ".join(self.text)}


def beyond(limit: Threshold) -> float:
    """A value that breaks the limit, and that people can read."""
    if limit.unit == "ratio":
        return (limit.value + 1) / 2
    if limit.unit == "number":
        return limit.value if limit.operator == "at least" else limit.value + 1
    return limit.value * 1.25


def within(limit: Threshold) -> float:
    """The last value that does not: of whole numbers the one before, of others one per cent less."""
    if limit.unit == "number":
        return limit.value - 1 if limit.operator == "at least" else limit.value
    return limit.value * 0.99


@dataclass
class Life:
    """One objective on one target; moments are seconds from a test's start, on the grid of evaluations."""

    objective: Objective
    objectives: Objectives
    step: float

    @property
    def every(self) -> float:
        return SHIPPED.probe if probed(self.objective) else SHIPPED.scrape

    @property
    def steady(self) -> bool:
        """Whether a value that stays the same breaks it, and not a number of failures at the right time."""
        return type(self.objective.sli) in FEEDS

    @property
    def holds(self) -> bool:
        return self.step < HELD_FOR * SHIPPED.evaluate

    def on_grid(self, seconds: float) -> float:
        return math.ceil(seconds / self.step) * self.step

    @property
    def fires_from(self) -> float:
        """When what is broken fires at the latest."""
        if self.steady:
            return self.objective.window + self.objective.for_ + self.step
        good, failed = outage(self.objective, self.every, bad=True)
        return (good + failed) * self.every + self.objective.for_ + self.step

    @property
    def first(self) -> float:
        return self.on_grid(self.fires_from)

    def tests(self) -> Iterator[Test]:
        name, first = self.objective.name, self.first
        stories = self.stories(first, bad=True)
        blind = self.after_no_data(first)
        checks = [fires(name, first), self.says(first, stories), fires(NO_DATA, blind)]
        if self.holds:
            checks.append(fires(name, blind))
        yield self.test("broken, then no data", [story.then("stale") for story in stories], checks)

        again = self.on_grid((2 * first if self.steady else self.fires_from) + 4 * self.every)
        within = [self.restarted(story, again) for story in self.stories(first, bad=False)]
        yield self.test("restarted, and always within its limit", within, [never(name, again)])

        broken = [self.restarted(story, again).then("stale") for story in stories]
        gone = self.after_no_data(again)
        checks = [fires(name, again), fires(TARGET_ABSENT, gone)]
        if self.holds:
            checks.append(fires(name, gone))
        yield self.test("restarted while broken, then gone", broken, checks, gone_at=again)

    def after_no_data(self, since: float) -> float:
        return self.on_grid(since + self.objective.no_data.after + 3 * self.step)

    def restarted(self, story: Story, until: float) -> Story:
        """The target, whose counters begin anew; or the agent, just before the probes that fail."""
        if self.steady:
            text = [*story.text, *RESTART, *story.text]
        else:
            text = [story.text[0], *RESTART, *story.text[1:]]
        last = story.runs[-1]
        slots = math.ceil(until / self.every) + 1 - len(RESTART) - 1
        missing = slots - sum(run.length for run in story.runs) * (2 if self.steady else 1)
        rest = Run(last.start + last.length * last.step, last.step, max(missing, 1))
        return Story(story.name, story.labels, story.runs, [*text, rest.text])

    def stories(self, until: float, *, bad: bool) -> list[Story]:
        slots = math.ceil(until / self.every) + 1
        if not self.steady:
            return [self.probes(slots, bad=bad)]
        limit = self.objective.breach
        lines: Iterable[Line] = FEEDS[type(self.objective.sli)](
            self.objective.sli, beyond(limit) if bad else within(limit), self.every
        )
        place = AGENT if probed(self.objective) else {}
        return [
            Story(line.selector.name, {**line.labels, **place}, [Run(line.start, line.step, slots)])
            for line in lines
        ]

    def probes(self, slots: int, *, bad: bool) -> Story:
        good, failed = outage(self.objective, self.every, bad=bad)
        runs = [Run(1, 0, good), Run(0, 0, failed), Run(1, 0, slots - good - failed)]
        labels = {"check": self.objective.check, "target": TARGET, **AGENT}
        return Story(PROBE, labels, [run for run in runs if run.length > 0])

    def test(
        self, name: str, stories: list[Story], checks: list[Check], gone_at: float | None = None
    ) -> Test:
        """What `stories` leave open goes well, for longer than anybody looks."""
        forever = 4 * math.ceil(self.first / self.every) + 200
        up = Story("up", API, [Run(1, 0, math.ceil(gone_at / self.every) if gone_at else forever)])
        around = [
            up.then("stale"),
            Story("up", AGENT, [Run(1, 0, forever)]),
            Story("monitor_last_success_timestamp_seconds", AGENT, [Run(0, self.every, forever)]),
        ]
        if probed(self.objective) and all(story.name != PROBE for story in stories):
            labels = {"check": self.objective.check, "target": TARGET, **AGENT}
            around.append(Story(PROBE, labels, [], [_success(part) for part in stories[0].text]))
        return promtool_test(f"{self.objective.name}: {name}", self.every, [*around, *stories], checks)

    def says(self, at: float, stories: list[Story]) -> Check:
        objective = self.objective
        said = words(objective, human(self.measured(stories, at), objective.breach), TARGET)
        alert = {
            "exp_labels": {"target": TARGET, "check": objective.check, "severity": objective.severity},
            "exp_annotations": {**said, "dashboard": panel_link(self.objectives, objective)},
        }
        return "alert_rule_test", {
            "eval_time": duration(at),
            "alertname": objective.name,
            "exp_alerts": [alert],
        }

    def measured(self, stories: list[Story], at: float) -> float:
        """What the agent would say of the same series."""
        memory = TargetSeries({story.name: 1e9 for story in stories})
        for moment, sample in sorted(each for story in stories for each in story.samples(self.every)):
            if moment <= at:
                memory.remember(moment, [sample])
        value = self.objective.sli.measure(memory, self.objective.window, at).value
        if value is None:
            raise ValueError(f"{self.objective.name}: its feed gives it no value")
        return value


def _success(part: str) -> str:
    """Successful probes instead of what `part` of a story says; what is missing there is missing here."""
    return part if part in ("stale", *RESTART) else re.sub(r"^[^x]+(x\d+)?$", r"1\1", part)


def promtool_test(name: str, every: float, stories: list[Story], checks: list[Check]) -> Test:
    test: Test = {
        "name": name,
        "interval": duration(every),
        "input_series": [story.yaml for story in stories],
    }
    for kind, check in checks:
        test.setdefault(kind, []).append(check)
    return test


def fires(alert: str, at: float, target: str = TARGET) -> Check:
    """Of whatever check and severity."""
    query = f'group by (alertname, target) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    sample = {"labels": f'{{alertname="{alert}", target="{target}"}}', "value": 1}
    return "promql_expr_test", {"expr": query, "eval_time": duration(at), "exp_samples": [sample]}


def never(alerts: str, until: float) -> Check:
    """`alerts` is a regular expression of their names."""
    fired = f'ALERTS{{alertname=~"{alerts}", alertstate="firing"}}'
    query = f"count by (alertname) (count_over_time({fired}[{duration(until)}]))"
    return "promql_expr_test", {"expr": query, "eval_time": duration(until), "exp_samples": []}


def _together(chosen: Iterable[Objective], objectives: Objectives, until: float, *, bad: bool) -> list[Story]:
    """The stories of several objectives; where two read one metric, only the first one's."""
    stories: dict[str, list[Story]] = {}
    for objective in chosen:
        life = Life(objective, objectives, STEP)
        if life.steady:
            told = life.stories(until, bad=bad)
            stories.setdefault(told[0].name, told)
    return [story for told in stories.values() for story in told]


def _well(objectives: Objectives) -> Test:
    """All of them at half their limits: nobody hears of anything."""
    until = 1800.0
    quick = [_at_half(each) for each in objectives if each.window <= LONGEST_WINDOW]
    stories = [*_around(until), *_together(quick, objectives, until, bad=False)]
    everything = "|".join(each.name for each in objectives) + "|target-absent|monitor-down|monitor-stuck"
    return promtool_test("all is well", SHIPPED.scrape, stories, [never(everything, until)])


def _at_half(objective: Objective) -> Objective:
    limit = objective.breach
    return replace(
        objective, breach=replace(limit, value=limit.value / 2 if limit.high_is_bad else limit.value)
    )


def _down(objectives: Objectives) -> Test:
    """One root cause, one page."""
    until = 1800.0
    silent = [each for each in objectives if each.inhibited_by and each.window <= LONGEST_WINDOW]
    causes = {each.inhibited_by for each in silent} - {each.name for each in silent}
    (cause,) = (each for each in objectives if each.name in causes)
    stories = [*_around(until), *_together([cause, *silent], objectives, until, bad=True)]
    checks = [fires(cause.name, until), never("|".join(each.name for each in silent), until)]
    return promtool_test(f"{cause.name} silences what it explains", SHIPPED.scrape, stories, checks)


def _around(until: float) -> list[Story]:
    """API and agent answer, and the agent measures."""
    slots = math.ceil(until / SHIPPED.scrape) + 1
    probe = {"check": "health", "target": TARGET, **AGENT}
    alive = Story("monitor_last_success_timestamp_seconds", AGENT, [Run(0, SHIPPED.scrape, slots)])
    ups = [
        Story(name, labels, [Run(1, 0, slots)])
        for name, labels in (("up", API), ("up", AGENT), (PROBE, probe))
    ]
    return [*ups, alive]
