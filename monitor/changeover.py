"""From one configuration to the next, in one step of the event loop: no cycle sees half of each.

A name is what makes a target: its series, alerts and conversations stay while it stays, whatever else of it
changes. What is no longer watched ends, for those who were told of it, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from monitor.alerting import NO_DATA, OWN, UNSENT, Key
from monitor.config import Config, Target
from monitor.cycle import Condition, Cycle
from monitor.objectives import Objectives
from monitor.recall import retention


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of targets, and of the objectives that are not as they were."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    objectives: tuple[str, ...]

    def __str__(self) -> str:
        parts = (
            ("new", self.added),
            ("removed", self.removed),
            ("changed", self.changed),
            ("objectives", self.objectives),
        )
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)


def difference(cycle: Cycle, config: Config, objectives: Objectives) -> Difference:
    before, after = _by_name(cycle.config.targets), _by_name(config.targets)
    rules = {each.name: each for each in cycle.objectives}, {each.name: each for each in objectives}
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and before[name] != after[name]),
        objectives=tuple(
            name for name in {**rules[0], **rules[1]} if rules[0].get(name) != rules[1].get(name)
        ),
    )


def change(cycle: Cycle, config: Config, objectives: Objectives) -> Difference:
    """The cycle goes on with these; what they don't watch any more has ended, and its end is on its way."""
    found, now = difference(cycle, config, objectives), cycle.clock()
    unwatched = defaultdict(list)
    for alert in cycle.alerting.keep(_watched(config, objectives)):
        unwatched[alert.key.target].append(alert)
    for target, alerts in unwatched.items():
        cycle.end(target, alerts, now)
    gone = [*_forget_checks(cycle, config), *_forget_objectives(cycle, objectives)]
    for name in found.removed:
        _forget(cycle, name)
    cycle.memory.forget(found.removed)
    cycle.metrics.forget([*gone, *({"target": name} for name in found.removed)])
    cycle.conditions |= {name: Condition() for name in found.added}
    cycle.config, cycle.objectives = config, objectives
    cycle.memory.configure(retention(objectives))
    cycle.alerting.restate(objectives)
    cycle.dispatch.configure(config, objectives)
    cycle.facts.links = replace(config.links, page=config.web.url or "")
    return found


def _by_name(targets: Iterable[Target]) -> Mapping[str, Target]:
    return {each.name: each for each in targets}


def _watched(config: Config, objectives: Objectives) -> Callable[[Key], bool]:
    fed: dict[str, set[str]] = defaultdict(set)
    for each in objectives:
        fed[each.check] |= {each.name, NO_DATA}
    keys = {
        Key(name, target.name, check.name)
        for target in config.targets
        for check in target.checks
        for name in fed.get(check.name, ())
    }
    receivers = {each.name for each in config.notify}
    return lambda key: key in keys or (key.target == OWN and (key.name != UNSENT or key.check in receivers))


def _forget(cycle: Cycle, target: str) -> None:
    del cycle.conditions[target]
    cycle.facts.forget(target)


def _forget_checks(cycle: Cycle, config: Config) -> Iterator[dict[str, str]]:
    """Of targets that stay; the labels of each that is gone."""
    after = _by_name(config.targets)
    for target in cycle.config.targets:
        if target.name not in after or after[target.name].checks == target.checks:
            continue
        kept = {check.name for check in after[target.name].checks}
        for check in [each.name for each in target.checks if each.name not in kept]:
            cycle.conditions[target.name].forget(check)
            cycle.memory.forget_check(target.name, check)
            cycle.facts.forget_check(target.name, check)
            yield {"target": target.name, "check": check}


def _forget_objectives(cycle: Cycle, objectives: Objectives) -> Iterator[dict[str, str]]:
    """Also one that another check feeds now: it is judged anew. The labels of each."""
    kept = {(each.name, each.check) for each in objectives}
    for name in [each.name for each in cycle.objectives if (each.name, each.check) not in kept]:
        for condition in cycle.conditions.values():
            condition.readings = [each for each in condition.readings if each.objective.name != name]
        cycle.facts.forget_objective(name)
        yield {"objective": name}
        yield {"alert": name}
