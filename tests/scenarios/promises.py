"""What on-call relies on in every story, whatever happens in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from monitor.alerting import State
from monitor.confirming import SPACING
from monitor.conversations import Kind
from tests.scenarios.receivers import Heard
from tests.scenarios.simulation import Simulation

BEGINS = {Kind.FIRING, Kind.FLAPPING, Kind.ESCALATION}


def broken_promises(
    simulation: Simulation, heard: Sequence[Heard], given_up: Collection[str]
) -> Iterator[str]:
    yield from _one_talk_each(heard)
    yield from _every_end_is_told(simulation, heard, given_up)
    yield from _nothing_is_left_out(heard)
    yield from _nobody_is_called_down_that_is_not(simulation)
    if simulation.errors:
        yield f"{simulation.errors} faults of the agent's own"


def _one_talk_each(heard: Sequence[Heard]) -> Iterator[str]:
    """It begins once, nothing comes before or after, and who was told of nothing hears of no end."""
    for (receiver, key), kinds in _talks(heard).items():
        about = f"{receiver}, {key}: {', '.join(kinds)}"
        if kinds[0] not in BEGINS:
            yield f"an end without a beginning: {about}"
        if sum(kind in (Kind.FIRING, Kind.FLAPPING) for kind in kinds) > 1:
            yield f"told twice: {about}"
        if Kind.RESOLVED in kinds[:-1]:
            yield f"something after the end: {about}"


def _every_end_is_told(
    simulation: Simulation, heard: Sequence[Heard], given_up: Collection[str]
) -> Iterator[str]:
    """To those who were told of the beginning; what still fires in the end has none."""
    standing = {key for key, alert in simulation.standing.items() if alert.state is State.FIRING}
    about = {each.page.dedup_key: (each.page.alert, each.page.target, each.page.check) for each in heard}
    for (receiver, key), kinds in _talks(heard).items():
        open_still = about[key] in standing or receiver in (*simulation.waiting, *given_up)
        if kinds[-1] is not Kind.RESOLVED and not open_still:
            yield f"never resolved: {receiver}, {about[key]}: {', '.join(kinds)}"


def _talks(heard: Sequence[Heard]) -> dict[tuple[str, str], list[Kind]]:
    found: dict[tuple[str, str], list[Kind]] = defaultdict(list)
    for each in heard:
        found[each.receiver, each.page.dedup_key].append(each.kind)
    return found


def _nothing_is_left_out(heard: Sequence[Heard]) -> Iterator[str]:
    for each in heard:
        said = each.page
        for name in ("summary", "value", "threshold", "reason", "runbook"):
            if not getattr(said, name):
                yield f"no {name} in {said.kind} {said.alert} to {each.receiver}"
        if said.since > said.at:
            yield f"it began after it was said: {said.kind} {said.alert}"


def _nobody_is_called_down_that_is_not(simulation: Simulation) -> Iterator[str]:
    """A target is called down by three failed probes over three seconds in which it was."""
    for at, entry in simulation.entries:
        for alert in entry.changed:
            if alert.key.name != "target-down" or alert.state is not State.FIRING:
                continue
            failed = [
                each.at
                for each in simulation.asked
                if (each.target, each.path, each.failed) == (alert.key.target, "/health", True)
                and each.at <= at
            ]
            service = simulation.services[alert.key.target]
            if not failed or failed[-1] - service.bad_since(failed[-1]) < 2 * SPACING:
                yield f"{alert.key.target} is called down at {at:.2f}, and was not for three seconds"
