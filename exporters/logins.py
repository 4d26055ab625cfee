"""Failed logins by reason. Never by user or address: neither belongs in a time series."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Counter


class LoginFailures:
    """`auth_login_failures_total{reason}`; all reasons are born at 0, so that rate() sees the first one."""

    def __init__(self, reasons: Iterable[str], registry: CollectorRegistry = REGISTRY) -> None:
        failures = Counter("auth_login_failures", "Refused login attempts.", ["reason"], registry=registry)
        self._by_reason = {reason: failures.labels(reason) for reason in reasons}

    def record(self, reason: str) -> None:
        """Count one refused attempt. Raises ValueError for a reason that was not declared."""
        counter = self._by_reason.get(reason)
        if counter is None:
            raise ValueError(
                f"unknown reason {reason!r}: expected one of {', '.join(sorted(self._by_reason))}"
            )
        counter.inc()
