"""What the agent's /metrics say about alerts that come and go."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry

from exporters.http import Result
from monitor.alerting import State
from monitor.metrics import AgentMetrics
from monitor.probes import OK, Outcome
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


def test_when_the_certificate_ends_is_shown_where_there_is_one() -> None:
    registry = CollectorRegistry()
    metrics = AgentMetrics(registry)
    for check, expires in (("health", 2e9), ("plain", None)):
        metrics.probed("api", Outcome(check, OK, "", Result(None, "", certificate_expires=expires), []), 0)
    [family] = [f for f in registry.collect() if f.name == "probe_certificate_expiry_timestamp_seconds"]
    assert [(s.labels["check"], s.value) for s in family.samples] == [("health", 2e9)]
