from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from monitor.objectives import Objectives, load_objectives, shortened
from monitor.resources import resource
from monitor.slis import SLI_KINDS, BurnRate, Quantile

ENTRY = """
  - name: {name}
    title: A title
    document: "§9.2"
    sli: {sli}
    check: metrics
    breach: {breach}
    window: 10m
    for: 1m
    severity: page
    minimum_samples: 1
    no_data: {{after: 5m, severity: ticket}}
    runbook: https://example.test/runbook
"""


@pytest.fixture(scope="module")
def documented() -> Objectives:
    return load_objectives(resource("alerts", "objectives.yml"))


def load(folder: Path, *entries: str) -> Objectives:
    path = folder / "objectives.yml"
    path.write_text("version: 1\nobjectives:\n" + "".join(entries), "utf-8")
    return load_objectives(path)


def test_each_threshold_is_the_one_that_its_document_names(documented: Objectives) -> None:
    """In the same file, so that whoever changes one sees the other."""
    budgets = [each.name for each in documented if isinstance(each.sli, BurnRate)]
    for objective in documented:
        limit = objective.sli.slo if isinstance(objective.sli, BurnRate) else objective.breach.value
        written = {f"{limit:g}", f"{limit * 100:g} %", f"{limit * 1000:g} ms", f"{limit:g} s"}
        if objective.name != "zero-storage":
            assert any(each in objective.document for each in written), objective.name
    assert len(budgets) == 4


def test_an_objective_as_it_is_written(documented: Objectives) -> None:
    p95 = documented.by_name("latency-p95")
    assert isinstance(p95.sli, Quantile)
    assert p95.sli.q == 0.95
    assert p95.sli.histogram.name == "http_request_duration_seconds"
    assert (p95.window, p95.for_, p95.keep_firing_for) == (300.0, 120.0, 60.0)
    assert (p95.severity, p95.minimum_samples, p95.check) == ("page", 20, "metrics")
    assert (p95.no_data.after, p95.no_data.severity) == (300.0, "ticket")
    assert (p95.inhibited_by, p95.runbook) == ("target-down", "docs/runbooks/latency-p95.md")


def test_an_unknown_name(documented: Objectives) -> None:
    with pytest.raises(KeyError, match="nothing"):
        documented.by_name("nothing")


PARAMETERS = {
    "availability": ("{kind: availability, metric: probe_success}", "below 99.9%"),
    "burn_rate": (
        "{kind: burn_rate, metric: probe_success, slo: 99.9%, short_window: 1m, minimum_failures: 4}",
        "at least 6",
    ),
    "busy": ("{kind: busy, counter: x_seconds_total, capacity: x_cores}", "above 70%"),
    "gauge": ("{kind: gauge, metric: probe_consecutive_failures}", "at least 3"),
    "gauge_quantile": ("{kind: gauge_quantile, metric: probe_last_duration_seconds, q: 0.5}", "above 200ms"),
    "quantile": ("{kind: quantile, histogram: http_request_duration_seconds, q: 95%}", "above 3s"),
    "rate": ("{kind: rate, counter: auth_login_failures_total, per: 1m}", "above 100/min"),
    "ratio": ("{kind: ratio, bad: 'x_total{status=~\"5..\"}', total: x_total}", "above 5%"),
    "total": ("{kind: total, counter: zero_storage_violations_total}", "above 0"),
    "utilisation": ("{kind: utilisation, used: db_pool_checked_out, capacity: db_pool_size}", "above 80%"),
}


@pytest.mark.parametrize("kind", SLI_KINDS)
def test_every_kind_of_sli_can_be_written(kind: str, tmp_path: Path) -> None:
    sli, breach = PARAMETERS[kind]
    (objective,) = load(tmp_path, ENTRY.format(name="one", sli=sli, breach=breach))
    assert type(objective.sli) is SLI_KINDS[kind]


def test_a_runbook_may_stand_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.md").touch()
    sli, breach = PARAMETERS["utilisation"]
    entry = ENTRY.format(name="one", sli=sli, breach=breach)
    assert load(tmp_path, entry.replace("https://example.test/runbook", "own.md"))


def test_a_chain_of_inhibitors_that_ends_is_fine(tmp_path: Path) -> None:
    sli, breach = PARAMETERS["utilisation"]
    entries = [ENTRY.format(name=name, sli=sli, breach=breach) for name in ("a", "b", "c")]
    assert (
        len(load(tmp_path, entries[0], *(f"{e.rstrip()}\n    inhibited_by: a\n" for e in entries[1:]))) == 3
    )


def test_shortened_divides_durations_and_nothing_else(documented: Objectives) -> None:
    quick = shortened(documented, 60).by_name("availability-burn-1h")
    slow = documented.by_name("availability-burn-1h")
    assert isinstance(quick.sli, BurnRate)
    assert (quick.window, quick.for_, quick.no_data.after, quick.sli.short_window) == (60.0, 2.0, 5.0, 5.0)
    same = {"name", "breach", "warn", "severity", "minimum_samples", "inhibited_by", "runbook"}
    for field in dataclasses.fields(slow):
        if field.name in same:
            assert getattr(quick, field.name) == getattr(slow, field.name)
    assert (quick.sli.slo, quick.sli.minimum_failures) == (0.999, 4)


def test_not_shortened(documented: Objectives) -> None:
    assert shortened(documented, 1) is documented
