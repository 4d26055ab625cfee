"""A labelled histogram that takes one lock per observation, in one process and in several."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from math import inf
from threading import Lock

from prometheus_client import CollectorRegistry, Histogram, values
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Observe = Callable[[float], None]
ObserverOf = Callable[..., Observe]
"""From label values, in the order of the label names, to what counts one observation there."""


def histogram(
    name: str,
    documentation: str,
    labels: Sequence[str],
    buckets: Sequence[float],
    registry: CollectorRegistry,
) -> ObserverOf:
    """Register a histogram; an observer's series are at 0 from the moment when it is first asked for.

    In multiprocess mode the values live in prometheus_client's mapped files, so its own Histogram keeps them,
    each amount made `addable`.
    """
    if values.ValueClass is not values.MutexValue:
        shared = Histogram(name, documentation, labels, buckets=buckets, registry=registry)
        return lambda *label_values: _of_addable(shared.labels(*label_values).observe)
    own = _Histogram(name, documentation, labels, buckets)
    registry.register(own)
    return own.observer


def _of_addable(observe: Observe) -> Observe:
    return lambda amount: observe(addable(amount))


def addable(amount: float) -> float:
    """To the nearest multiple of 2**-24 (of a second: 60 ns); sums of such are exact up to 2**29 (17 years).

    So they are the same in whatever order the files of several workers are added. Else a sum may come out
    lower in its last digit than before, when a worker ends, and Prometheus takes that for a restart.
    """
    return amount + _STEPS_OF_2_TO_MINUS_24 - _STEPS_OF_2_TO_MINUS_24


_STEPS_OF_2_TO_MINUS_24 = 2.0**28  # the floats of this size have them


class _Histogram(Collector):
    """Sum and buckets change together under one lock, at less than half the cost of a lock for each."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._head = (name, documentation, tuple(labels))
        self._upper_bounds = (*buckets, inf)
        self._children: dict[tuple[str, ...], _Child] = {}
        self._lock = Lock()

    def observer(self, *label_values: str) -> Observe:
        with self._lock:
            return self._children.setdefault(label_values, _Child(self._upper_bounds)).observe

    def describe(self) -> Iterable[Metric]:
        name, documentation, labels = self._head
        return [HistogramMetricFamily(name, documentation, labels=labels)]

    def collect(self) -> Iterable[Metric]:
        name, documentation, labels = self._head
        family = HistogramMetricFamily(name, documentation, labels=labels)
        with self._lock:
            children = list(self._children.items())
        edges = [*map(str, self._upper_bounds[:-1]), "+Inf"]
        for label_values, child in children:
            counts, total = child.read()
            family.add_metric(label_values, list(zip(edges, accumulate(counts), strict=True)), total)
        return [family]


class _Child:
    __slots__ = ("_counts", "_lock", "_sum", "_upper_bounds")

    def __init__(self, upper_bounds: tuple[float, ...]) -> None:
        self._upper_bounds = upper_bounds
        self._counts = [0] * len(upper_bounds)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, amount: float) -> None:
        bucket = bisect_left(self._upper_bounds, amount)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += amount

    def read(self) -> tuple[list[int], float]:
        with self._lock:
            return self._counts.copy(), self._sum
