"""What the agent's /metrics say about alerts that come and go."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry

from monitor.alerting import State
from monitor.metrics import AgentMetrics
from tests.monitor.making import FIRING


def states(registry: CollectorRegistry) -> dict[str, float]:
    samples = [each for family in registry.collect() for each in family.samples if each.name == "alert_state"]
    return {each.labels["state"]: each.value for each in samples}


def test_an_alert_that_ended_goes_to_0_and_not_away() -> None:
    registry = CollectorRegistry()
    metrics = AgentMetrics(registry)
    metrics.alerted("api", [replace(FIRING, state=State.PENDING)])
    assert states(registry) == {"pending": 1, "firing": 0}
    metrics.alerted("api", [FIRING])
    assert states(registry) == {"pending": 0, "firing": 1}
    metrics.alerted("api", [])
    assert states(registry) == {"pending": 0, "firing": 0}


def test_the_alerts_of_another_target_stay_as_they_are() -> None:
    registry = CollectorRegistry()
    metrics = AgentMetrics(registry)
    metrics.alerted("api", [FIRING])
    metrics.alerted("other", [])
    assert states(registry) == {"pending": 0, "firing": 1}
