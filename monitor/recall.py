"""What the store still knows of a target comes back into the agent's memory."""

from __future__ import annotations

from collections.abc import Iterable

from exporters.sample import labels
from monitor.confirming import RECENT
from monitor.cycle import Cycle
from monitor.deploys import BUILD_INFO
from monitor.history.writing import Outcomes
from monitor.objectives import Objectives


def recall(cycle: Cycle, outcomes: Iterable[Outcomes]) -> None:
    """After a restart: a month's availability, and the failures in a row up to now."""
    for past in recall_samples(cycle, outcomes):
        if past.check not in cycle.conditions[past.target].streaks:
            _follow(cycle, past)


def recall_samples(cycle: Cycle, outcomes: Iterable[Outcomes]) -> list[Outcomes]:
    """Of checks that are watched; nothing is in a row with what comes. Those that there were."""
    known = {(target.name, check.name) for target in cycle.config.targets for check in target.checks}
    found = [past for past in outcomes if past.times and (past.target, past.check) in known]
    for past in found:
        place = labels(target=past.target, check=past.check)
        cycle.memory.of(past.target).restore("probe_success", place, past.times, past.values)
    return found


def _follow(cycle: Cycle, past: Outcomes) -> None:
    """Failures in a row up to now, or the last success; and what went before, as far as it matters."""
    condition = cycle.conditions[past.target]
    condition.looked_at = max(past.times[-1], condition.looked_at or 0.0)
    last = max(past.failures_in_a_row, RECENT) + 1
    for at, value in zip(past.times[-last:], past.values[-last:], strict=True):
        condition.follow(past.check, value == 1, at, at, cycle.spacing)


def retention(objectives: Objectives) -> dict[str, float]:
    """Seconds for which each metric is remembered: the longest window of any objective that reads it.

    Of app_build_info, which deploys are seen from, the last sample.
    """
    longest = {BUILD_INFO: 0.0}
    for objective in objectives:
        for selector in objective.sli.reads:
            longest[selector.name] = max(longest.get(selector.name, 0.0), objective.window)
    return longest
