"""Alerts over simulated time. A history is a line of verdicts, one a cycle, and a line of what it tells.

. OK    w WARN    B BREACH    ? UNKNOWN for want of traffic    x UNKNOWN for want of data
F firing    R resolved
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerting import NO_DATA, Alert, Alerting, Key, State, count_by_state
from monitor.judge import Reading, Verdict
from monitor.objectives import Objective
from monitor.quantity import parse_threshold
from monitor.selector import parse_selector
from monitor.slis import BurnRate
from tests.monitor.making import objective

CYCLE = 30.0
BEGAN = 1_700_000_000.0
VERDICTS = {
    ".": Verdict.OK,
    "w": Verdict.WARN,
    "B": Verdict.BREACH,
    "?": Verdict.UNKNOWN,
    "x": Verdict.UNKNOWN,
}

PATIENT = objective("slow", for_=60.0, keep_firing_for=60.0)
SUDDEN = objective("target-down", check="health", for_=0.0, keep_firing_for=0.0)
CHILD = replace(PATIENT, inhibited_by="target-down")


def reading(of: Objective, verdict: str, at: float, target: str = "api") -> Reading:
    why = "no such series" if verdict == "x" else "because"
    return Reading(of, target, at, VERDICTS[verdict], None if verdict in "?x" else 7.0, why, verdict == "x")


def play(rows: dict[Objective, str], alerting: Alerting | None = None) -> list[tuple[int, Alert]]:
    """Every transition with the number of the cycle that it came in."""
    alerting = alerting or Alerting()
    told = []
    for number, verdicts in enumerate(zip(*rows.values(), strict=True)):
        now = BEGAN + number * CYCLE
        readings = [reading(of, verdict, now) for of, verdict in zip(rows, verdicts, strict=True)]
        told += [(number, alert) for alert in alerting.advance(readings, now)]
    return told


def line(told: Iterable[tuple[int, Alert]], name: str) -> str:
    """What was told about one alert, each letter below its cycle."""
    written: dict[int, str] = {}
    for number, alert in told:
        if alert.key.name == name:
            assert number not in written
            written[number] = {State.FIRING: "F", State.RESOLVED: "R"}[alert.state]
    return "".join(written.get(number, " ") for number in range(max(written, default=-1) + 1))


def letters(told: Iterable[tuple[int, Alert]], name: str) -> str:
    return line(told, name).replace(" ", "")


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        pytest.param("..........", "          ", id="all is well"),
        pytest.param("wwwwwwwwww", "          ", id="a warning notifies nobody"),
        pytest.param("..B.......", "          ", id="one bad cycle"),
        pytest.param("..BB......", "          ", id="gone within `for`"),
        pytest.param("..BBB.....", "    F  R  ", id="fires after `for`, resolves after keep_firing_for"),
        pytest.param("..BBBBBBBB", "    F     ", id="fires once, however long it lasts"),
        pytest.param("..BB.BB.BB", "          ", id="`for` begins anew after each good cycle"),
        pytest.param("..BBB.B.B.", "    F     ", id="flapping within keep_firing_for is one alert"),
        pytest.param("BBB...BBB...", "  F  R  F  R", id="the next one is another alert"),
        pytest.param("BBBwww....", "  F  R    ", id="WARN is no breach"),
        pytest.param("??????????", "          ", id="UNKNOWN does not fire"),
        pytest.param("BBB???????", "  F       ", id="UNKNOWN does not resolve"),
        pytest.param("BBBxxxxxxx", "  F       ", id="no data does not resolve either"),
        pytest.param("BBB??.....", "  F    R  ", id="good again after UNKNOWN"),
        pytest.param("BBB.?..?...", "  F       R", id="UNKNOWN is no part of keep_firing_for"),
        pytest.param("BB?BB?BB?.", "          ", id="UNKNOWN is no part of `for`"),
    ],
)
def test_one_objective(verdicts: str, told: str) -> None:
    assert line(play({PATIENT: verdicts}), "slow") == told.rstrip()


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        pytest.param(".B........", " FR       ", id="no patience at all"),
        pytest.param("B.B.B.", "FRFRFR", id="flapping is the price of it"),
        pytest.param("B?.", "F R", id="UNKNOWN in between"),
    ],
)
def test_without_for_and_keep_firing_for(verdicts: str, told: str) -> None:
    assert line(play({SUDDEN: verdicts}), "target-down") == told.rstrip()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param([4, 6, 4, 4], " F", id="within the limit is not clear"),
        pytest.param([6, 4, 2, 4, 4], "F R", id="past it, it is over: then the limit counts again"),
        pytest.param([6, 4, 2, 6], "F RF", id="the next one"),
        pytest.param([4, 4, 4], "", id="between the two nothing begins"),
        pytest.param([6, None, 4, 2], "F  R", id="UNKNOWN in between"),
    ],
)
def test_what_fires_ends_past_a_limit_of_its_own(values: list[float | None], told: str) -> None:
    assert line(play_values(replace(SUDDEN, clear=parse_threshold("below 3")), values), "target-down") == told


def play_values(of: Objective, values: Iterable[float | None]) -> list[tuple[int, Alert]]:
    alerting, told = Alerting(), []
    for number, value in enumerate(values):
        now = BEGAN + number * CYCLE
        verdict = "x" if value is None else "B" if of.breach.broken_by(value) else "."
        told += [
            (number, each)
            for each in alerting.advance([replace(reading(of, verdict, now), value=value)], now)
        ]
    return told


def test_a_value_between_the_limits_says_what_it_waits_for() -> None:
    alerting = Alerting()
    of = replace(SUDDEN, clear=parse_threshold("below 3"))
    for value, verdict in ((6.0, "B"), (4.0, ".")):
        alerting.advance([replace(reading(of, verdict, BEGAN), value=value)], BEGAN)
    [alert] = alerting.of("api")
    assert (alert.value, alert.reason) == ("4", "because; it ends below 3")


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        pytest.param("B..B...", "F     R", id="three in a row"),
        pytest.param("B..?...", "F     R", id="UNKNOWN is none of them"),
        pytest.param("..B.B..B.B...", "  F         R", id="flapping is one alert"),
        pytest.param("w.w.w", "", id="nothing fires"),
    ],
)
def test_it_takes_several_good_results(verdicts: str, told: str) -> None:
    assert line(play({replace(SUDDEN, good_results=3): verdicts}), "target-down") == told


def test_keep_firing_for_counts_from_the_last_of_them() -> None:
    assert line(play({replace(PATIENT, good_results=2): "BBB......"}), "slow") == "  F   R"


def test_a_good_result_that_was_seen_before_is_none() -> None:
    """The check was left alone: its numbers are those of the last look."""
    alerting, of = Alerting(), replace(SUDDEN, good_results=2)
    steps = [("B", True), (".", True), (".", False), (".", False), (".", True)]
    told = [
        len(alerting.advance([replace(reading(of, verdict, now), fresh=fresh)], now))
        for now, (verdict, fresh) in zip((BEGAN + CYCLE * n for n in range(5)), steps, strict=True)
    ]
    assert told == [1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("down", "slow", "down_told", "slow_told"),
    [
        pytest.param("..BBBBB..", "..BBBBB..", "  F    R", "", id="one root cause, one page"),
        pytest.param("....BBB..", "..BBBBB..", "    F  R", "", id="pending when it went down"),
        pytest.param(".....BB...", "BBBBBBB...", "     F R", "  F      R", id="was firing already"),
        pytest.param("BBB......", "BBBBBBBB.", "F  R", "    F", id="still bad afterwards: `for` begins then"),
        pytest.param("BBB??BB.", "BBBBBBBB", "F      R", "", id="while down is UNKNOWN it still holds"),
    ],
)
def test_everything_else_is_silent_while_the_target_is_down(
    down: str, slow: str, down_told: str, slow_told: str
) -> None:
    told = play({CHILD: slow, SUDDEN: down})
    assert line(told, "target-down") == down_told
    assert line(told, "slow") == slow_told


def test_an_inhibitors_inhibitor_silences_what_the_inhibitor_alone_would_not() -> None:
    """p95 is between the two limits when the target goes down: slow, but not slow enough to be broken."""
    pool = replace(CHILD, name="pool", for_=0.0)
    slow = replace(CHILD, inhibited_by="pool", for_=0.0)
    told = play({slow: "BB..", pool: "....", SUDDEN: "BB.."})
    assert line(told, "slow") == ""
    assert line(told, "target-down") == "F R"


def test_inhibitors_are_decided_first_along_the_whole_chain() -> None:
    """All three break in the same cycle, and are listed the wrong way round."""
    pool = replace(CHILD, name="pool", for_=0.0)
    slow = replace(CHILD, inhibited_by="pool", for_=0.0)
    told = play({slow: "B...", pool: "B...", SUDDEN: "B..."})
    assert [(number, alert.key.name) for number, alert in told] == [(0, "target-down"), (1, "target-down")]


def test_other_targets_are_not_silenced() -> None:
    alerting = Alerting()
    fired = alerting.advance(
        [reading(SUDDEN, "B", BEGAN, "api"), reading(replace(CHILD, for_=0.0), "B", BEGAN, "web")], BEGAN
    )
    assert {alert.key.target for alert in fired} == {"api", "web"}


@pytest.mark.parametrize("after", range(1, 20))
def test_a_burn_that_only_remembers_the_outage_stays_silent(after: int) -> None:
    """The short window (300 s, ten cycles) still holds the failed probes after the target is back."""
    probes = parse_selector("probe_success")
    burn = BurnRate(probes, slo=0.999, short_window=300.0, minimum_failures=4)
    of = objective("burn", for_=60.0, inhibited_by="target-down", sli=burn)
    told = play({SUDDEN: "BBBB" + "." * 20, of: "BBBB" + "B" * after + "." * (20 - after)})
    assert line(told, "target-down") == "F   R"
    assert bool(line(told, "burn")) is (after >= 12)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param(["xxxxxxxxxxxxx"], "          F", id="after `no_data.after`: 300 s"),
        pytest.param(["xxxxxxxxx...."], "", id="it came just in time"),
        pytest.param(["xxxxx.xxxxxxx"], "", id="the time begins anew"),
        pytest.param(["?????????????"], "", id="no traffic is data"),
        pytest.param(["xxxxxxxxxxx.."], "          FR", id="resolved by the first data"),
        pytest.param(["xxxxxxxxxxx.", "xxxxxxxxxxx."], "          FR", id="one notice for all objectives"),
        pytest.param(["xxxxxxxxxxx.", "xxxxxxxxxxxx"], "          F", id="not good while one is blind"),
        pytest.param(["xxxxxxxxxxxx", "............"], "          F", id="one blind objective is enough"),
        pytest.param(["xxxxxxxxxxx.x.", ".............."], "          FR", id="a short relapse says nothing"),
        pytest.param(["xxxxxxxxxxx.xxxxxxxxxxx.", "." * 24], " " * 10 + "FR" + " " * 10 + "FR", id="twice"),
    ],
)
def test_the_no_data_notice(rows: list[str], told: str) -> None:
    objectives = [objective(f"objective {number}") for number in range(len(rows))]
    happened = play(dict(zip(objectives, rows, strict=True)))
    assert line(happened, NO_DATA) == told
    assert {alert.key.name for _, alert in happened} <= {NO_DATA}


def test_each_check_has_its_own_no_data_notice() -> None:
    told = play({PATIENT: "x" * 12, objective("latency", check="health"): "x" * 12})
    assert {alert.key for _, alert in told} == {Key(NO_DATA, "api", "metrics"), Key(NO_DATA, "api", "health")}


def test_no_data_is_as_loud_as_the_loudest_that_it_blinds() -> None:
    quiet = objective("quiet", no_data=replace(PATIENT.no_data, severity="ticket"))
    loud = objective("loud", no_data=replace(PATIENT.no_data, severity="page"))
    [(_, alert)] = play({quiet: "x" * 12, loud: "x" * 12})
    assert alert.severity == "page"
    assert alert.value == "2 of 2 objectives unknown"
    [(_, alert)] = play({quiet: "x" * 12, loud: "." * 12})
    assert alert.severity == "ticket"
    assert alert.value == "1 of 2 objectives unknown"


@pytest.mark.parametrize(
    ("down", "slow", "no_data"),
    [
        pytest.param("BBBBBBBBBBBBBBBB", "xxxxxxxxxxxxxxxx", "", id="down explains it"),
        pytest.param("BB..............", "xxxxxxxxxxxxxxxx", " " * 12 + "F", id="back, but without data"),
        pytest.param("............BBBB", "xxxxxxxxxxxxxxxx", " " * 10 + "F", id="without data, then down"),
    ],
)
def test_no_data_while_the_target_is_down(down: str, slow: str, no_data: str) -> None:
    assert line(play({SUDDEN: down, CHILD: slow}), NO_DATA) == no_data


def test_an_alert_says_what_on_call_needs() -> None:
    told = play({PATIENT: "BBB..."})
    fired, resolved = (alert for _, alert in told)
    assert (fired.since, fired.fired_at, fired.resolved_at) == (BEGAN, BEGAN + 60, None)
    assert (fired.value, fired.threshold) == (PATIENT.breach.shown(7.0), str(PATIENT.breach))
    assert (fired.reason, fired.runbook, fired.severity) == ("because", PATIENT.runbook, PATIENT.severity)
    assert (resolved.since, resolved.fired_at) == (fired.since, fired.fired_at)
    assert (resolved.last_broken, resolved.resolved_at) == (BEGAN + 60, BEGAN + 150)


def test_a_restart_does_not_fire_again_and_resolves_what_it_found() -> None:
    before = Alerting()
    assert letters(play({PATIENT: "BBBB"}, before), "slow") == "F"
    after = Alerting(alerts=before.alerts.values())
    assert count_by_state(after.alerts)[State.FIRING] == 1
    assert letters(play({PATIENT: "??BB" + "." * 4}, after), "slow") == "R"
    assert not after.alerts


def test_a_restart_does_not_repeat_a_no_data_notice() -> None:
    before = Alerting()
    assert letters(play({PATIENT: "x" * 12}, before), NO_DATA) == "F"
    assert letters(play({PATIENT: "x" * 12 + "."}, Alerting(before.alerts.values())), NO_DATA) == "R"


histories = st.text(alphabet=".wB?x", max_size=60)
patience = st.sampled_from([0.0, 30.0, 60.0, 300.0])


@given(slow=histories, down=histories, for_=patience, keep=patience, restart=st.integers(0, 60))
def test_firing_and_resolved_take_turns(slow: str, down: str, for_: float, keep: float, restart: int) -> None:
    """For any verdicts, any patience and a restart anywhere: never two of a kind in a row, for any alert."""
    length = min(len(slow), len(down))
    child = replace(CHILD, for_=for_, keep_firing_for=keep)
    alerting, told = Alerting(), []
    for number in range(length):
        if number == restart:
            alerting = Alerting(alerting.alerts.values())
        now = BEGAN + number * CYCLE
        readings = [reading(child, slow[number], now), reading(SUDDEN, down[number], now)]
        told += [(alert.key, alert.state) for alert in alerting.advance(readings, now)]
    for key in {key for key, _ in told}:
        told_of_it = "".join("F" if state is State.FIRING else "R" for each, state in told if each == key)
        assert re.fullmatch("(FR)*F?", told_of_it)
        assert (key in alerting.alerts) or told_of_it.endswith("R")


@given(verdicts=histories)
def test_nothing_fires_without_a_breach(verdicts: str) -> None:
    told = play({SUDDEN: verdicts.replace("B", "w"), PATIENT: verdicts.replace("B", ".")})
    assert {alert.key.name for _, alert in told} <= {NO_DATA}
