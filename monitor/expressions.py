"""How PromQL is put together: one value per `target`, over a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from monitor.selector import Matcher, Selector

BY = "target"
"""The label that tells apart what is watched; whoever aggregates keeps it."""

Part = Callable[[str, str], str]
"""Takes the name and the expression of a numerator or a denominator, and returns what to write for it in a
larger expression: itself, or the series that a recording rule made of it."""


class Promql(NamedTuple):
    """An SLI in PromQL. Prometheus' answers are those of `measure`: no value is no series, or NaN.

    `alertable` is empty where every value may alert.
    """

    value: str
    samples: str
    alertable: str = ""


def inline(_name: str, expression: str) -> str:
    """A `Part` for expressions that are asked as they stand, without recording rules."""
    return f"({expression})"


def duration(seconds: float) -> str:
    """`5m`, `30d`, `90s`, `1500ms`: one unit, the largest that needs no fraction."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0 and milliseconds:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def number(value: float) -> str:
    """As short as it can be told apart from its neighbours; `5`, not `5.0`."""
    return f"{value:.0f}" if value == round(value) else repr(value)


def ranged(selector: Selector, window: float) -> str:
    """`http_requests_total{target!=""}[5m]`: what belongs to no target is the watchers' own."""
    return f"{selector.having(Matcher(BY, '!=', ''))}[{duration(window)}]"


def over(function: str, selector: Selector, window: float) -> str:
    """`rate(http_requests_total{target!=""}[5m])`"""
    return f"{function}({ranged(selector, window)})"


def aggregated(how: str, expression: str, *also: str) -> str:
    """`sum by (target) (…)`, and by the labels in `also`."""
    return f"{how} by ({', '.join((BY, *also))}) ({expression})"


def summed(function: str, selector: Selector, window: float) -> str:
    return aggregated("sum", over(function, selector, window))
