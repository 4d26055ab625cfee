"""For each kind of SLI an objective that its made-up histories break now and then."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from monitor.objectives import Objective, load_objectives
from tests.differential import histories
from tests.differential.histories import Kind

PROBE = 'probe_success{check="health"}'
ENTRY = """
version: 1
objectives:
  - name: {name}
    title: Made up
    document: "none"
    sli: {sli}
    check: {check}
    breach: {breach}
    window: {window}
    for: {wait}
    keep_firing_for: {keep}
{hysteresis}
    severity: page
    minimum_samples: {minimum}
    no_data: {{after: 1h, severity: ticket}}
    runbook: https://example.test/runbook
"""


class Case(NamedTuple):
    kind: str
    histories: Kind
    sli: str
    breach: str
    minimum: int
    check: str = "metrics"
    window: str = "60s"
    wait: str = "30s"
    keep: str = "30s"
    hysteresis: str = ""
    """More keys of the objective, as YAML."""

    def objective(self, folder: Path) -> Objective:
        path = folder / "objectives.yml"
        fields = self._asdict() | {"name": self.kind.replace("_", "-")}
        path.write_text(ENTRY.format(**fields))
        (objective,) = load_objectives(path)
        return objective


CASES = (
    Case(
        *("availability", histories.probes, f"{{kind: availability, metric: '{PROBE}'}}"),
        *("below 90%", 5, "health"),
    ),
    Case(
        "burn_rate",
        histories.probes,
        f"{{kind: burn_rate, metric: '{PROBE}', slo: 90%, short_window: 20s, minimum_failures: 3}}",
        *("at least 2", 8, "health", "100s", "15s", "0s"),
    ),
    Case("busy", histories.busy, "{kind: busy, counter: c_total, capacity: capacity}", "above 70%", 3),
    Case(
        "gauge",
        histories.probes,
        "{kind: gauge, metric: 'probe_consecutive_failures{check=\"health\"}'}",
        *("at least 2", 1, "health", "20s", "15s", "0s"),
    ),
    Case(
        "gauge_quantile",
        histories.probes,
        "{kind: gauge_quantile, metric: 'probe_last_duration_seconds{check=\"health\"}', q: 0.5}",
        *("above 200ms", 3, "health"),
    ),
    Case("quantile", histories.durations, "{kind: quantile, histogram: h, q: 0.95}", "above 3s", 10),
    Case("rate", histories.requests, "{kind: rate, counter: c_total, per: 1m}", "above 100/min", 2),
    Case(
        *("ratio", histories.requests, "{kind: ratio, bad: 'c_total{status=~\"5..\"}', total: c_total}"),
        *("above 5%", 10),
    ),
    Case(
        "total",
        histories.requests,
        "{kind: total, counter: 'c_total{status=\"500\"}'}",
        *("above 20", 1, "metrics", "30s", "15s", "15s"),
    ),
    Case(
        "utilisation",
        histories.fullness,
        "{kind: utilisation, used: used, capacity: capacity}",
        *("above 80%", 1, "metrics", "20s", "30s", "15s"),
    ),
)

HYSTERESIS = (
    Case(
        "gauge",
        histories.probes,
        "{kind: gauge, metric: 'probe_consecutive_failures{check=\"health\"}'}",
        *("at least 2", 1, "health", "20s", "15s", "0s", "    clear: below 1\n    good_results: 3"),
    ),
    Case(
        "ratio",
        histories.requests,
        "{kind: ratio, bad: 'c_total{status=~\"5..\"}', total: c_total}",
        *("above 5%", 10, "metrics", "30s", "15s", "15s", "    good_results: 2"),
    ),
    Case(
        "utilisation",
        histories.fullness,
        "{kind: utilisation, used: used, capacity: capacity}",
        *("above 80%", 1, "metrics", "10s", "15s", "15s", "    clear: below 70%"),
    ),
)
"""Which end only past a limit of their own, or after several good results."""
