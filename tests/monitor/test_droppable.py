"""Metrics that drop many series at once, and nothing else."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from monitor.droppable import Counter, Gauge, Histogram


def test_what_has_all_the_labels_goes_and_all_else_stays() -> None:
    gauge = Gauge("state", "Of an alert.", ("target", "check", "state"), registry=None)
    for target in ("api", "db"):
        for check in ("health", "metrics"):
            for state in ("pending", "firing"):
                gauge.labels(target, check, state).set(1)
    dropped = gauge.drop({("target", "check"): {("api", "health")}, ("state",): {("pending",)}})
    assert len(dropped) == 2 + 3
    left = [tuple(each.labels.values()) for metric in gauge.collect() for each in metric.samples]
    assert left == [("api", "metrics", "firing"), ("db", "health", "firing"), ("db", "metrics", "firing")]


def test_labels_that_a_metric_has_not_are_none_of_its_business() -> None:
    gauge = Gauge("state", "Of an alert.", ("target",), registry=None)
    gauge.labels("api").set(1)
    assert gauge.drop({("target", "check"): {("api", "health")}, ("gone",): {("api",)}}) == []
    assert gauge.drop({}) == []


def test_each_kind_is_the_library_s_own_and_begins_anew() -> None:
    registry = CollectorRegistry()
    counter = Counter("runs", "Left out.", ("target",), registry=registry)
    histogram = Histogram("took_seconds", "Each.", ("target",), buckets=(1.0,), registry=registry)
    counter.labels("api").inc(3)
    histogram.labels("api").observe(0.5)
    for metric in (counter, histogram):
        assert len(metric.drop({("target",): {("api",)}})) == 1
    assert b'target="api"' not in generate_latest(registry)
    counter.labels("api").inc()
    assert registry.get_sample_value("runs_total", {"target": "api"}) == 1
