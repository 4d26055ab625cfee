from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from exporters.logins import LoginFailures
from tests.exporters.pages import value


def test_all_reasons_are_born_at_0_and_counted_apart() -> None:
    registry = CollectorRegistry()
    failures = LoginFailures(["bad_password", "locked"], registry)
    assert value(registry, "auth_login_failures_total", reason="locked") == 0
    for _ in range(3):
        failures.record("bad_password")
    assert value(registry, "auth_login_failures_total", reason="bad_password") == 3
    assert value(registry, "auth_login_failures_total", reason="locked") == 0


def test_an_undeclared_reason_is_refused_and_makes_no_series() -> None:
    registry = CollectorRegistry()
    failures = LoginFailures(["locked", "bad_password"], registry)
    with pytest.raises(
        ValueError, match=r"unknown reason 'a@b\.example': expected one of bad_password, locked"
    ):
        failures.record("a@b.example")
    assert value(registry, "auth_login_failures_total", reason="a@b.example") is None
