"""Whatever breaks, heals, is silenced, acknowledged or restarted, in any order: what on-call may rely on.

Two agents live through the same days. One of them is restarted now and then, and knows only what was stored.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitor.alerting import Key, State
from monitor.conversations import Kind
from tests.monitor.dispatching import People, World, receiver, world
from tests.monitor.making import target

MINUTE, HOUR = 60.0, 3600.0
SEVERITIES = {
    Key("target-down", "db", "health"): "page",
    Key("pool-usage", "db", "metrics"): "ticket",
    Key("target-down", "api", "health"): "page",
    Key("latency-p95", "api", "metrics"): "ticket",
}
DATABASE = Key("target-down", "db", "health")
RECEIVERS = (
    receiver("on-call", remind_every=20 * MINUTE, escalate_after=15 * MINUTE, escalate_to="boss"),
    receiver("pager", severities=("page",)),
    receiver("chat", severities=("ticket",), remind_every=4 * HOUR),
    receiver("boss", severities=("info",), escalate_after=30 * MINUTE, escalate_to="pager"),
    receiver("am", kind="alertmanager"),
)
BEGINS = {Kind.FIRING, Kind.FLAPPING}
MOST_IN_AN_HOUR = {Kind.FIRING: 3, Kind.FLAPPING: 4, Kind.RESOLVED: 7, Kind.ESCALATION: 7}
"""Of each kind, about one alert, to one receiver, however it flaps."""
KEYS = st.sampled_from(sorted(SEVERITIES))
TARGETS = st.sampled_from(["db", "api"])


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        family = [target("db"), replace(target("api"), depends_on=("db",))]
        self.people = People()
        self.restarted = world(*RECEIVERS, targets=family, people=self.people)
        self.steady = world(*RECEIVERS, targets=family, people=self.people)
        self.checked = 0

    def both(self, act: Callable[[World], object]) -> None:
        act(self.restarted)
        act(self.steady)

    def stands(self, key: Key) -> bool:
        return key in self.steady.standing.get(key.target, {})

    @rule(key=KEYS, pending=st.booleans())
    def breaks_or_heals(self, key: Key, pending: bool) -> None:
        self.both(lambda each: each.passes(1.0))
        state = State.PENDING if pending and key == DATABASE else State.FIRING
        if self.stands(key):
            self.both(lambda each: each.heals(key))
        else:
            self.both(lambda each: each.breaks(key, SEVERITIES[key], state=state))

    @rule(key=KEYS, times=st.integers(2, 8), pause=st.sampled_from([MINUTE, 4 * MINUTE, 12 * MINUTE]))
    def flaps(self, key: Key, times: int, pause: float) -> None:
        for _ in range(times):
            self.breaks_or_heals(key, pending=False)
            self.passes(pause)

    @rule(name=TARGETS, in_doubt=st.booleans())
    def is_looked_at(self, name: str, in_doubt: bool) -> None:
        self.both(lambda each: each.cycle(name, in_doubt=in_doubt))

    @rule(seconds=st.sampled_from([5.0, MINUTE, 10 * MINUTE, HOUR]))
    def passes(self, seconds: float) -> None:
        self.both(lambda each: each.passes(seconds, step=max(seconds / 8, 5.0)))

    @rule(name=TARGETS)
    def is_silenced_or_no_more(self, name: str) -> None:
        if self.people.silenced.pop(name, None) is None:
            self.people.silenced[name] = "silenced by ann"

    @rule()
    def offices_close_or_open(self) -> None:
        self.people.closed = set() if self.people.closed else {"on-call", "chat", "boss", "am"}

    @precondition(lambda self: self.steady.dispatch.conversations)
    @rule(number=st.integers(0, 9))
    def somebody_acknowledges_or_takes_it_back(self, number: int) -> None:
        keys = sorted(self.steady.dispatch.conversations)
        key = keys[number % len(keys)]
        if self.people.acknowledgements.pop(self.steady.conversation(key).dedup_key, None) is None:
            self.steady.acknowledges(key)

    @rule()
    def restarts(self) -> None:
        self.restarted.restarts()

    @invariant()
    def nobody_is_told_twice_or_told_more_after_the_end(self) -> None:
        for each in (self.restarted, self.steady):
            for kinds in said(each, relay=False).values():
                assert sum(kind in BEGINS for kind in kinds) <= 1, kinds
                assert kinds[0] in {*BEGINS, Kind.ESCALATION}, kinds
                assert Kind.RESOLVED not in kinds[:-1], kinds

    @invariant()
    def an_alertmanager_hears_beginnings_and_ends_in_turn(self) -> None:
        for each in (self.restarted, self.steady):
            for kinds in said(each, relay=True).values():
                assert kinds in ([Kind.FIRING], [Kind.FIRING, Kind.RESOLVED])

    @invariant()
    def a_silence_lets_nothing_through_but_ends_and_answers(self) -> None:
        fresh = self.steady.heard[self.checked :]
        self.checked = len(self.steady.heard)
        for notice in fresh:
            quiet = notice.conversation.withheld == "silenced by ann"
            assert not quiet or notice.kind in {Kind.RESOLVED, Kind.ACKNOWLEDGED}, notice

    @invariant()
    def a_restart_changes_nothing_that_is_said(self) -> None:
        """About the database: of what the other waits for, a new process knows less."""
        assert transcript(self.restarted, "db") == transcript(self.steady, "db")

    @invariant()
    def flapping_alerts_cost_few_messages(self) -> None:
        for each in (self.restarted, self.steady):
            for (_, _, kind), times in when(each).items():
                most = MOST_IN_AN_HOUR.get(kind, len(times))
                close = (later - first for first, later in zip(times, times[most:], strict=False))
                assert all(apart >= HOUR - 2 * MINUTE for apart in close), (kind, times)

    def teardown(self) -> None:
        self.people.silenced.clear()
        self.people.closed = set()
        for _ in range(3):
            self.both(look_at_all)
        self.all_that_fires_is_told()
        for key in SEVERITIES:
            if self.stands(key):
                self.both(lambda each, key=key: each.heals(key))  # type: ignore[misc]
        self.both(lambda each: each.passes(HOUR, step=MINUTE))
        self.everybody_who_was_told_hears_the_end()

    def all_that_fires_is_told(self) -> None:
        """But what a parent explains."""
        for each in (self.restarted, self.steady):
            for key, severity in SEVERITIES.items():
                explained = key.target == "api" and DATABASE in each.standing.get("db", {})
                alert = each.standing.get(key.target, {}).get(key)
                if alert is None or alert.state is not State.FIRING or explained:
                    continue
                told = each.conversation(key).told
                assert all(one.name in told for one in RECEIVERS if severity in one.severities), key

    def everybody_who_was_told_hears_the_end(self) -> None:
        for each in (self.restarted, self.steady):
            assert not any(one.open for one in each.dispatch.conversations.values())
            assert all(kinds[-1] is Kind.RESOLVED for kinds in said(each, relay=False).values())
            assert all(kinds[-1] is Kind.RESOLVED for kinds in said(each, relay=True).values())


def look_at_all(world: World) -> None:
    for name in ("db", "api"):
        world.cycle(name)
    world.passes(10 * MINUTE, step=MINUTE)
    for name in ("db", "api"):
        world.cycle(name)


def said(world: World, *, relay: bool) -> dict[tuple[str, str], list[Kind]]:
    """By receiver and dedup key."""
    found: dict[tuple[str, str], list[Kind]] = defaultdict(list)
    for notice in world.heard:
        if (notice.notifier == "am") is relay:
            found[notice.notifier, notice.dedup_key].append(notice.kind)
    return found


def when(world: World) -> dict[tuple[str, Key, Kind], list[float]]:
    found: dict[tuple[str, Key, Kind], list[float]] = defaultdict(list)
    for notice, at in zip(world.heard, world.heard_at, strict=True):
        if notice.notifier != "am":
            found[notice.notifier, notice.alert.key, notice.kind].append(at)
    return found


def transcript(world: World, target: str) -> Counter[tuple[float, str, Kind, str]]:
    return Counter(
        (at, notice.notifier, notice.kind, notice.dedup_key)
        for notice, at in zip(world.heard, world.heard_at, strict=True)
        if notice.alert.key.target == target
    )


TestDays = Days.TestCase
TestDays.settings = settings(
    max_examples=int(os.environ.get("N", "30")), stateful_step_count=40, deadline=None
)
