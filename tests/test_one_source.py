"""Each threshold stands in alerts/objectives.yml, in what is rendered from it, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from exporters.asgi import BUCKETS
from monitor.objectives import Objective, Objectives, load_objectives
from monitor.quantity import Threshold, parse_threshold
from monitor.render import RENDERED
from monitor.slis import Quantile
from tests.test_repository import HOUSE, project_files

OBJECTIVES = load_objectives(HOUSE / "alerts" / "objectives.yml")
ODD = {"seconds": "{} 17.25s", "ratio": "{} 37.25%", "per_minute": "{} 1725/min", "number": "{} 1725"}
"""Thresholds that nobody would choose."""
EXAMPLES_OF_NOTATION = {"monitor/objectives.py", "monitor/quantity.py"}
HISTORY = {"CHANGELOG.md"}


@cache
def before() -> dict[str, str]:
    return {path: render(OBJECTIVES) for path, render in RENDERED.items()}


def odd(limit: Threshold) -> Threshold:
    return parse_threshold(ODD[limit.unit].format(limit.operator))


def changed(name: str) -> Objectives:
    """All objectives, with another threshold for this one."""
    entries = (
        replace(each, breach=odd(each.breach)) if each.name == name else each for each in OBJECTIVES.entries
    )
    return replace(OBJECTIVES, entries=tuple(entries))


@pytest.mark.parametrize("objective", OBJECTIVES.entries, ids=lambda each: each.name)
def test_a_changed_threshold_is_in_every_file_that_follows(objective: Objective) -> None:
    after = {path: render(changed(objective.name)) for path, render in RENDERED.items()}
    follow = {path for path in RENDERED if before()[path] != after[path]}
    tested = {"alerts/rules_test.yml", "alerts/rules_slow_test.yml"}
    always = {
        "alerts/rules.yml",
        "alerts/grafana/rules.yml",
        "docs/thresholds.md",
        "dashboards/overview.json",
    }
    assert follow >= always
    assert follow & tested or objective.name == "availability"  # which promtool can't test
    new = odd(objective.breach)
    assert str(new) in after["docs/thresholds.md"]
    assert f"{new.value:g}" in after["alerts/rules.yml"]
    assert f"alert when {new}" in after["alerts/rules.yml"]
    assert f"alert when {objective.breach})" not in "".join(about(objective, after["alerts/rules.yml"]))


def about(objective: Objective, rules: str) -> Iterator[str]:
    return (line for line in rules.splitlines(keepends=True) if f'objective="{objective.name}"' in line)


def told(limit: Threshold) -> Iterator[str]:
    """As people write it: `above 5 %`, `above 5%`, `> 5 %`; a share or a rate also without the word before.

    "At least one" is said of many things: bare numbers below ten are not looked for.
    """
    if limit.unit == "number" and limit.value < 10:
        return
    number = re.escape(limit.limit).replace(r"\ ", " ?")
    words = {"above": "above|over|more than|>", "below": "below|under|less than|<"}
    yield rf"(?:{words.get(limit.operator, limit.operator)}) {number}(?![\w.%]| %)"
    if limit.unit in ("ratio", "per_minute"):
        yield rf"(?<![\w.]){number}(?![\w.])"


def test_nothing_else_holds_a_threshold() -> None:
    """But for tests, which make up objectives of their own, and decisions, which are history."""
    left_out = {*RENDERED, *EXAMPLES_OF_NOTATION, *HISTORY, "alerts/objectives.yml"}
    patterns = {re.compile(pattern) for each in OBJECTIVES for pattern in told(each.breach)}
    found = [
        f"{name}:{number}: {line.strip()[:90]}"
        for path in project_files()
        if (name := path.relative_to(HOUSE).as_posix()) not in left_out
        and not name.startswith(("tests/", "docs/adr/", "docs/pictures/"))
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if any(pattern.search(line) for pattern in patterns)
    ]
    assert found == []


def test_a_bucket_edge_lies_on_every_threshold_of_a_quantile() -> None:
    """Else interpolation decides which side a p95 is on. Who changes the threshold is told here."""
    own = [each for each in OBJECTIVES if isinstance(each.sli, Quantile)]
    assert {each.breach.value for each in own} <= set(BUCKETS)
