"""A SQLAlchemy connection pool: how full it is, who waits for it, and for how long.

    watch_pool(engine)

SQLAlchemy has events for checkout and checkin, but none for waiting. So the pool's own `connect` and
`_do_return_conn` are shadowed on the instance, and again on the one that `engine.dispose()` puts there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection, QueuePool

from exporters.histogram import addable

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Seconds, up to SQLAlchemy's default pool_timeout."""


def watch_pool(engine: Engine, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Register the pool's gauges, its wait histogram and its timeouts; a registry takes one engine.

    `db_pool_size` and `db_pool_overflow_limit` read +Inf where SQLAlchemy means "no limit". In multiprocess
    mode gauges are sums over the live workers: call this in the worker, or a preloading parent's pool counts.

    Raises TypeError when the engine has no QueuePool: there is nothing to run out of.
    """
    _require_queue_pool(engine.pool)
    metrics = _PoolMetrics(registry)
    metrics.watch(engine.pool)

    @event.listens_for(engine, "engine_disposed")
    def _(disposed: Engine) -> None:
        metrics.watch(disposed.pool)


def _require_queue_pool(pool: Pool) -> QueuePool:
    if not isinstance(pool, QueuePool):
        raise TypeError(
            f"watch_pool needs an engine with a QueuePool, and this one has a {type(pool).__name__}: "
            "create it with create_engine(..., poolclass=sqlalchemy.pool.QueuePool)"
        )
    return pool


class _PoolMetrics:
    _pool: QueuePool  # the engine's present one; connections of a disposed one may still come back

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, registry=registry, multiprocess_mode="livesum")

        self._size = gauge("db_pool_size", "Connections that the pool keeps, without overflow.")
        self._overflow_limit = gauge(
            "db_pool_overflow_limit", "Connections that it may open beyond its size."
        )
        self._checked_out = gauge("db_pool_checked_out", "Connections in use.")
        self._waiters = gauge("db_pool_waiters", "Callers waiting because all connections are in use.")
        self._wait = Histogram(
            "db_pool_checkout_wait_seconds",
            "Time from asking for a connection to having it or giving up; opening and pinging it included.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._timeouts = Counter("db_pool_timeouts", "Callers that gave up waiting.", registry=registry)
        self._publishing = Lock()

    def watch(self, watched: Pool) -> None:
        pool = _require_queue_pool(watched)
        connect, return_connection = pool.connect, pool._do_return_conn  # noqa: SLF001 - see the module's docstring

        def timed_connect() -> PoolProxiedConnection:
            with self._waiting(pool):
                return connect()

        def published_return(record: ConnectionPoolEntry) -> None:
            try:
                return_connection(record)
            finally:
                self._publish()

        pool.connect = timed_connect  # type: ignore[method-assign]
        pool._do_return_conn = published_return  # type: ignore[method-assign]  # noqa: SLF001
        self._pool = pool
        self._publish()

    @contextmanager
    def _waiting(self, pool: QueuePool) -> Iterator[None]:
        exhausted = pool.checkedout() >= _size(pool) + _overflow_limit(pool)
        if exhausted:
            self._waiters.inc()
        started = perf_counter()
        try:
            yield
        except PoolTimeoutError:
            self._timeouts.inc()
            raise
        finally:
            self._wait.observe(addable(perf_counter() - started))
            if exhausted:
                self._waiters.dec()
            self._publish()

    def _publish(self) -> None:
        # What the pool says now, not the sum of what events said: that drifts with the first lost one.
        with self._publishing:
            pool = self._pool
            self._size.set(_size(pool))
            self._overflow_limit.set(_overflow_limit(pool))
            self._checked_out.set(pool.checkedout())


def _size(pool: QueuePool) -> float:
    return pool.size() or math.inf


def _overflow_limit(pool: QueuePool) -> float:
    limit = pool._max_overflow  # noqa: SLF001 - not to be had otherwise
    return math.inf if limit < 0 else limit
