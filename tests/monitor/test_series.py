from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sample import Sample, labels
from monitor import series
from monitor.selector import parse_selector
from monitor.series import Memory, Series, TargetSeries


def filled(*times: float, retention: float = 1000.0) -> Series:
    kept = Series((), retention)
    for at in times:
        kept.add(at, at * 10)
    return kept


def times(kept: Series, start: float = -1e9, end: float = 1e9) -> list[float]:
    return list(kept.between(start, end)[0])


def test_a_range_is_closed_at_both_ends() -> None:
    kept = filled(1, 2, 3, 4)
    assert kept.between(2, 3) == (kept.between(0, 9)[0][1:3], kept.between(0, 9)[1][1:3])
    assert list(kept.between(2, 3)[1]) == [20, 30]
    assert times(kept, 2.5, 2.9) == []
    assert times(kept, 5, 9) == []
    assert times(filled()) == []


@pytest.mark.parametrize("late", [5.0, 4.0, -1.0])
def test_a_sample_that_comes_twice_or_late_is_dropped(late: float) -> None:
    kept = filled(1, 5)
    kept.add(late, 99.0)
    assert list(kept.between(0, 9)[1]) == [10, 50]


def test_what_nobody_looks_back_at_is_forgotten() -> None:
    kept = filled(*range(100), retention=10)
    assert times(kept) == list(range(89, 100))
    assert len(kept) == 11


def test_memory_follows_the_window_and_not_the_age() -> None:
    kept = filled(*range(50_000), retention=100)
    assert len(kept) == 101
    assert len(kept._times) <= 2 * len(kept) + 64
    assert len(kept._times) == len(kept._values)


def test_a_series_is_bounded_whatever_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_SAMPLES", 100)
    kept = filled(*range(1000), retention=1e9)
    assert times(kept) == list(range(900, 1000))


def test_only_the_metrics_that_an_objective_reads_are_kept() -> None:
    target = TargetSeries({"wanted": 60.0})
    target.remember(1.0, [Sample("wanted", (), 1.0), Sample("python_gc_total", (), 2.0)])
    assert len(target) == 1
    assert list(target.select(parse_selector("python_gc_total"))) == []


def test_select_goes_by_labels() -> None:
    target = TargetSeries({"m": 60.0})
    target.remember(1.0, [Sample("m", labels(status=status), 1.0) for status in ("200", "500", "503")])
    found = target.select(parse_selector('m{status=~"5.."}'))
    assert [each.labels["status"] for each in found] == ["500", "503"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        pytest.param(
            lambda kept: kept.remember(3.0, [Sample("up", labels(check="c"), 1.0)]), "abc", id="new"
        ),
        pytest.param(lambda kept: kept.restore("up", labels(check="c"), [0.5], [1.0]), "abc", id="restored"),
        pytest.param(lambda kept: kept.forget_check("a"), "b", id="a check is gone"),
        pytest.param(lambda kept: kept.forget_after(1.5), "a", id="the clock was set back"),
        pytest.param(lambda kept: kept.forget_dead(11.5), "b", id="one is of the past"),
        pytest.param(lambda kept: kept.configure({"down": 10.0}), "", id="not wanted any more"),
    ],
)
def test_a_selector_finds_what_is_there_by_now(change: Callable[[TargetSeries], None], left: str) -> None:
    kept = TargetSeries({"up": 10.0})
    for at, check in ((1.0, "a"), (2.0, "b")):
        kept.remember(at, [Sample("up", labels(check=check), 1.0)])
    selector = parse_selector("up")
    assert [each.labels["check"] for each in kept.select(selector)] == ["a", "b"]
    change(kept)
    assert [each.labels["check"] for each in kept.select(selector)] == list(left)


def test_made_up_label_values_cannot_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_SERIES", 10)
    target = TargetSeries({"m": 60.0})
    for at in (1.0, 2.0):
        target.remember(at, [Sample("m", labels(user=str(number)), at) for number in range(15)])
    assert len(target) == 10
    assert target.refused == 2 * 5
    assert all(len(each) == 2 for each in target.select(parse_selector("m")))


def test_series_of_the_past_make_room() -> None:
    memory = Memory({"m": 60.0, "long": 600.0})
    memory.remember("api", "metrics", 0.0, [Sample("m", labels(pid="1"), 1.0), Sample("long", (), 1.0)])
    memory.remember("api", "metrics", 50.0, [Sample("m", labels(pid="2"), 1.0)])
    memory.forget_dead(60.0)
    assert len(memory) == 3
    memory.forget_dead(61.0)
    assert [each.labels["pid"] for each in memory.of("api").select(parse_selector("m"))] == ["2"]
    memory.forget_dead(1000.0)
    assert len(memory) == 0


def test_no_samples_are_no_sign_of_life() -> None:
    memory = Memory({"m": 60.0})
    memory.remember("api", "metrics", 10.0, [])
    assert memory.last_good("api", "metrics") is None
    memory.remember("api", "metrics", 20.0, iter([Sample("m", (), 1.0)]))
    memory.remember("api", "metrics", 30.0, [])
    assert memory.last_good("api", "metrics") == 20.0
    assert memory.last_good("api", "health") is None
    assert memory.last_good("web", "metrics") is None


def test_targets_share_nothing() -> None:
    memory = Memory({"m": 60.0})
    memory.remember("api", "metrics", 10.0, [Sample("m", (), 1.0)])
    assert len(memory.of("web")) == 0
    assert len(memory) == 1


def test_it_says_what_it_wants_and_for_how_long() -> None:
    memory = Memory({"m": 60.0, "long": 600.0})
    assert memory.wanted("long")
    assert not memory.wanted("other")
    assert memory.longest == 600.0
    assert Memory({}).longest == 0.0


def test_a_past_in_which_the_clock_was_set_back_is_the_one_that_came_later() -> None:
    series = Series((), 1000.0)
    series.extend([10.0, 20.0, 30.0, 15.0, 25.0], [1.0, 1.0, 1.0, 0.0, 0.0])
    assert [list(each) for each in series.between(0.0, 100.0)] == [[10.0, 15.0, 25.0], [1.0, 0.0, 0.0]]


def test_a_past_is_forgotten_as_the_present_is() -> None:
    at_once, one_by_one = Series((), 50.0), Series((), 50.0)
    times = [float(at) for at in range(200)]
    at_once.extend(times, times)
    for at in times:
        one_by_one.add(at, at)
    assert at_once.between(0.0, 200.0) == one_by_one.between(0.0, 200.0)
    assert len(at_once) == len(one_by_one) == 51


PROBES = st.sampled_from([0.0, 1.0])
ANYTHING = st.one_of(
    PROBES,
    st.floats(-1e6, 1e6),
    st.just(math.nan),
    st.just(math.inf),
    st.integers(-(2**54), 2**54).map(float),
)


@given(
    values=st.one_of(st.lists(PROBES, max_size=200), st.lists(ANYTHING, max_size=40)),
    asked_at=st.sets(st.integers(0, 200)),
    retention=st.integers(1, 250),
    spans=st.lists(st.tuples(st.integers(-10, 210), st.integers(-10, 210)), min_size=1, max_size=5),
    set_back=st.integers(0, 200),
)
def test_a_total_is_what_summing_up_says(
    values: list[float], asked_at: set[int], retention: int, spans: list[tuple[int, int]], set_back: int
) -> None:
    """Whenever it is asked, and whatever was forgotten before and after."""
    kept = Series((), retention)
    for at, value in enumerate(values):
        kept.add(at, value)
        if at in asked_at:
            assert_totals(kept, spans)
    assert_totals(kept, spans)
    kept.forget_after(set_back)
    kept.extend(range(set_back + 1, set_back + 4), [1.0, 0.0, 1.0])
    assert_totals(kept, [*spans, (0, set_back + 9)])


def assert_totals(kept: Series, spans: list[tuple[int, int]]) -> None:
    for start, end in spans:
        within = list(kept.between(start, end)[1])
        count, total = kept.total(start, end)
        assert count == len(within)
        assert total == sum(within) or (math.isnan(total) and math.isnan(sum(within)))
