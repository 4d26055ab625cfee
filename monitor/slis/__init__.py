"""The kinds of service level indicator: each computes one number from a target's series over a window.

A kind is a frozen dataclass whose fields are its YAML parameters, and an entry in SLI_KINDS. It says itself
twice: `measure` computes the number from series in memory, `promql` is the expression with which Prometheus
computes the same (tests/differential compares them).
"""

from __future__ import annotations

from monitor.slis.base import ABSENT, Measurement, Sli
from monitor.slis.counters import Busy, Quantile, Rate, Ratio, Total
from monitor.slis.gauges import Gauge, GaugeQuantile, Utilisation
from monitor.slis.probes import Availability, BurnRate

SLI_KINDS: dict[str, type[Sli]] = {
    "availability": Availability,
    "burn_rate": BurnRate,
    "busy": Busy,
    "gauge": Gauge,
    "gauge_quantile": GaugeQuantile,
    "quantile": Quantile,
    "rate": Rate,
    "ratio": Ratio,
    "total": Total,
    "utilisation": Utilisation,
}

__all__ = [
    "ABSENT",
    "SLI_KINDS",
    "Availability",
    "BurnRate",
    "Busy",
    "Gauge",
    "GaugeQuantile",
    "Measurement",
    "Quantile",
    "Rate",
    "Ratio",
    "Sli",
    "Total",
    "Utilisation",
]
