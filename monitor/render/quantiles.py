"""Queries about histograms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monitor.render.panels import Json, Query, coloured, lines

QUANTILES = {0.5: "light-blue", 0.95: "blue", 0.99: "purple"}
"""p95 is what the objectives are about. None is green or red: they are no verdicts."""
RANGE = "$__rate_interval"


def quantile(q: float, histogram: str, where: str, by: Iterable[str] = (), function: str = "rate") -> str:
    """Nothing, and not NaN, where nothing was observed. With `increase` it is about all the time shown."""
    window = RANGE if function == "rate" else "$__range"
    buckets = f"{function}({histogram}_bucket{{{where}}}[{window}])"
    return f"histogram_quantile({q}, sum by ({', '.join((*by, 'le'))}) ({buckets})) >= 0"


def quantile_lines(title: str, description: str, histogram: str, where: str, **look: Any) -> Json:
    queries = [Query(quantile(q, histogram, where), _name(q)) for q in QUANTILES]
    panel = lines(title, description, "s", *queries, **look)
    return coloured(panel, **{_name(q): colour for q, colour in QUANTILES.items()})


def _name(q: float) -> str:
    return f"p{q * 100:g}"
