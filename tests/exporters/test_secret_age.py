from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from exporters.secret_age import watch_secret_age

NAME = "auth_jwt_secret_age_seconds"


def age(days: int) -> float | None:
    registry = CollectorRegistry()
    watch_secret_age(datetime.now(UTC).date() - timedelta(days=days), registry=registry)
    return registry.get_sample_value(NAME)


def test_the_age_counts_from_the_day_of_the_rotation() -> None:
    ninety = age(90)
    assert ninety is not None
    assert 90 <= ninety / 86400 < 91.01


def test_a_secret_of_tomorrow_is_new() -> None:
    """Where the date is written in a time zone ahead of UTC."""
    assert age(-1) == 0


def test_without_a_date_there_is_no_series() -> None:
    registry = CollectorRegistry()
    watch_secret_age(None, registry=registry)
    assert list(registry.collect()) == []
