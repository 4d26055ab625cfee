"""How old the secret is that tokens are signed with. Without the date of its making there is no series."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


def watch_secret_age(made: date | None, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Register `auth_jwt_secret_age_seconds`, counted from the beginning (UTC) of the day `made`."""
    if made is not None:
        registry.register(_SecretAge(datetime.combine(made, time(), UTC)))


class _SecretAge(Collector):
    def __init__(self, made: datetime) -> None:
        self._made = made

    def collect(self) -> Iterator[Metric]:
        age = (datetime.now(UTC) - self._made).total_seconds()
        yield GaugeMetricFamily(
            "auth_jwt_secret_age_seconds", "Since JWT_SECRET_KEY was last rotated.", value=max(age, 0.0)
        )
