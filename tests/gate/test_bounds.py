"""Against printed tables, and against their definition."""

from __future__ import annotations

import pytest
from scipy.stats import beta, binom

from monitor.gate.bounds import enough, lower, upper

PRINTED = {
    (0, 10): (0.0, 0.2589),
    (1, 10): (0.0051, 0.3942),
    (5, 10): (0.2224, 0.7776),
    (10, 10): (0.7411, 1.0),
}
"""Bounds for n = 10 and 95 % on each side."""


@pytest.mark.parametrize("found", PRINTED, ids=str)
def test_bounds_are_those_of_printed_tables(found: tuple[int, int]) -> None:
    assert (lower(*found), upper(*found)) == pytest.approx(PRINTED[found], abs=5e-5)


@pytest.mark.parametrize(("bad", "of"), [(0, 59), (1, 93), (7, 188), (40, 60), (3, 20_000)])
def test_at_a_bound_what_was_seen_has_a_chance_of_five_percent(bad: int, of: int) -> None:
    assert binom.cdf(bad, of, upper(bad, of)) == pytest.approx(0.05)
    assert bad == 0 or binom.sf(bad - 1, of, lower(bad, of)) == pytest.approx(0.05)


@pytest.mark.parametrize(("bad", "of"), [(0, 59), (3, 153), (60, 60), (5, 2000)])
def test_bounds_are_quantiles_of_beta(bad: int, of: int) -> None:
    if bad < of:
        assert upper(bad, of) == pytest.approx(beta.ppf(0.95, bad + 1, of - bad))
    if bad:
        assert lower(bad, of) == pytest.approx(beta.ppf(0.05, bad, of - bad + 1))


def test_nothing_seen_shows_nothing() -> None:
    assert (lower(0, 0), upper(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("limit", "needed"),
    [(0.05, [59, 93, 124, 153, 181, 208]), (0.01, [299, 473, 628]), (0.001, [2995])],
)
def test_how_many_requests_show_a_share_below_the_limit(limit: float, needed: list[int]) -> None:
    assert [enough(bad, limit) for bad in range(len(needed))] == needed
    assert all(upper(bad, n) < limit <= upper(bad, n - 1) for bad, n in enumerate(needed))
