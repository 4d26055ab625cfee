"""The lines of a story's history. Times are seconds since it began."""

from __future__ import annotations

from collections.abc import Callable

from monitor.conversations import Kind
from tests.scenarios.receivers import Outage
from tests.scenarios.simulation import Simulation
from tests.scenarios.stories import Event, clock
from tests.scenarios.worlds import HANGING, REFUSED, Answer, Fault, Flow, Level, failing
from tests.scenarios.worlds import traffic as flows


def broken(
    start: float, end: float, answer: Answer, how: str, target: str, path: str = "", every: int = 1
) -> Event:
    fault = Fault(start, end, answer, path, every)
    text = f"{target} {how} from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.services[target].faults.append(fault))


def refuses(start: float, end: float, target: str = "api") -> Event:
    return broken(start, end, REFUSED, "refuses connections", target)


def hangs(start: float, end: float, target: str = "api") -> Event:
    return broken(start, end, HANGING, "hangs", target)


def answers(status: int, start: float, end: float, target: str = "api", path: str = "/health") -> Event:
    return broken(start, end, failing(status), f"answers {status}", target, path)


def drips(seconds: float, start: float, end: float, target: str = "api", path: str = "") -> Event:
    slow = Answer(takes=seconds, said=f"answered after {seconds:g} s")
    return broken(start, end, slow, f"takes {seconds:g} s to answer", target, path)


def throttles(start: float, end: float, retry_after: float | None = None, target: str = "api") -> Event:
    answer = failing(429)._replace(retry_after=retry_after)
    return broken(start, end, answer, f"answers 429 (Retry-After: {retry_after})", target)


def one_worker_fails(
    of: int, start: float, end: float, answer: Answer = REFUSED, target: str = "api"
) -> Event:
    return broken(start, end, answer, f"has one of {of} workers broken", target, every=of)


def traffic(
    start: float,
    end: float,
    per_second: float,
    *,
    bad: float = 0.0,
    slow: float = 0.0,
    target: str = "api",
) -> Event:
    def apply(sim: Simulation) -> None:
        for name, flow in flows(start, end, per_second, bad=bad, slow=slow):
            sim.services[target].flows.setdefault(name, []).append(flow)

    shares = f", {bad:.0%} fail" * (bad > 0) + f", {slow:.0%} are slow" * (slow > 0)
    return Event(f"{per_second:g} requests/s from {clock(start)} to {clock(end)}{shares}", apply)


def flow(name: str, start: float, end: float, per_second: float, target: str = "api") -> Event:
    made = Flow(start, end, per_second)
    text = f"{name} of {target}: {per_second:g}/s from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.services[target].flows.setdefault(name, []).append(made))


def level(name: str, start: float, value: float, rising: float = 0.0, target: str = "api") -> Event:
    made = Level(start, value, rising)
    text = f"{name} of {target} is {value:g} from {clock(start)} on"
    return Event(text, lambda sim: sim.services[target].levels.setdefault(name, []).append(made))


def torn_page(start: float, end: float, target: str = "api") -> Event:
    text = f"{target}'s /metrics is torn from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.services[target].broken_page.append((start, end)))


def deploys(at: float, gap: float = 1.5, version: str = "2.0.0", target: str = "api") -> Event:
    """Connections are refused while it restarts; its counters begin anew."""

    def apply(sim: Simulation) -> None:
        sim.services[target].faults.append(Fault(at, at + gap, REFUSED))
        sim.services[target].starts.append((at + gap, version))

    return Event(f"{target} is deployed at {clock(at)} (away for {gap:g} s)", apply)


def _act(at: float, text: str, act: Callable[[Simulation], object]) -> Event:
    return Event(f"{text} at {clock(at)}", lambda sim: sim.acts.append((at, lambda: act(sim))))


def agent_restarts(at: float, gap: float = 2.0) -> Event:
    return _act(at, f"the agent is stopped for {gap:g} s", lambda sim: sim.restart(gap))


def agent_killed(at: float, gap: float = 2.0) -> Event:
    return _act(
        at, f"the agent is killed, and starts {gap:g} s later", lambda sim: sim.restart(gap, kill=True)
    )


def suspended(at: float, seconds: float) -> Event:
    return _act(at, f"the machine sleeps for {seconds:g} s", lambda sim: sim.suspend(seconds))


def blocked(at: float, seconds: float) -> Event:
    """In the middle of whatever is under way."""
    return Event(
        f"the agent's event loop is blocked for {seconds:g} s at {clock(at)}",
        lambda sim: sim.acts.append((at, lambda: sim.block(seconds))),
    )


def clock_set(at: float, by: float) -> Event:
    return _act(at, f"the agent's clock is set by {by:+g} s", lambda sim: sim.set_clock(by))


def store_locked(start: float, end: float) -> Event:
    text = f"the store is locked from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.locked.append((start, end)))


def receiver_down(
    name: str,
    start: float,
    end: float,
    status: int | None = None,
    *,
    retry_after: int | None = None,
    takes_it: bool = False,
) -> Event:
    outage = Outage(name, start, end, status, retry_after, takes_it)
    how = {None: "is down", 0: "hangs"}.get(status, f"answers {status}")
    text = f"{name} {how} from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.receivers.outages.append(outage))


def silenced(at: float, lasts: float, target: str = "api", name: str = "") -> Event:
    def act(sim: Simulation) -> None:
        now = sim.clock()
        with sim.people() as quiet:
            quiet.add_silence(
                author="ann", reason="I know", ends_at=now + lasts, now=now, target=target, name=name
            )

    return _act(at, f"ann silences {target} {name} for {lasts:g} s".replace("  ", " "), act)


def silence_ended(at: float) -> Event:
    def act(sim: Simulation) -> None:
        with sim.people() as quiet:
            quiet.refresh(sim.clock())
            for each in quiet.silences(sim.clock()):
                quiet.expire_silence(each.id, sim.clock())

    return _act(at, "ann ends the silence", act)


def _last_key(sim: Simulation, name: str, target: str) -> str:
    return next(
        each.page.dedup_key
        for each in reversed(sim.receivers.heard)
        if (each.page.alert, each.page.target) == (name, target) and each.kind is not Kind.RESOLVED
    )


def acknowledged(at: float, name: str = "target-down", target: str = "api") -> Event:
    def act(sim: Simulation) -> None:
        with sim.people() as quiet:
            key = _last_key(sim, name, target)
            quiet.acknowledge(key, author="ann", reason="on it", now=sim.clock())

    return _act(at, f"ann acknowledges {name}", act)


def taken_back(at: float, name: str = "target-down", target: str = "api") -> Event:
    def act(sim: Simulation) -> None:
        with sim.people() as quiet:
            quiet.unacknowledge(_last_key(sim, name, target), sim.clock())

    return _act(at, f"ann takes back that she looks after {name}", act)


def maintenance_entered(at: float, lasts: float, *targets: str) -> Event:
    def act(sim: Simulation) -> None:
        now = sim.clock()
        with sim.people() as quiet:
            quiet.add_maintenance(
                author="ann", reason="new disks", start=now, end=now + lasts, now=now, targets=targets
            )

    return _act(at, f"ann enters maintenance of {', '.join(targets) or 'all'} for {lasts:g} s", act)


def store_silent(start: float, end: float) -> Event:
    text = f"the store says nothing from {clock(start)} to {clock(end)}"
    return Event(text, lambda sim: sim.silent.append((start, end)))
