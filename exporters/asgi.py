"""Requests of any Starlette or FastAPI service, counted and timed as the client got them.

    instrument(app)

adds `http_request_duration_seconds{method, route, status}` and `http_requests_in_progress`. The labels:

method   as sent, when HTTP or one of the routes knows it, else "OTHER": a client can send any word.
route    the template, mounts included (`/clients/{client_id}`). What no route took shares "unmatched":
         unknown paths, redirects to the path with or without a slash, answers of other middleware.
status   what reached the client. "500" when the app raised, returned without an answer or tore one in the
         middle; "499" when the client left, or the server cancelled the request, before all of it.

The duration ends when the last byte of the body is handed to the server: background tasks don't count, a
stream counts whole, and whoever has read an answer finds it counted.

Every route is born with "500" and "503" at 0, because rate() cannot see the first step of a counter born
at 1. The price is two histograms (32 samples) for each method of each route: about 0.3 ms of a scrape, 0.9 ms
with four workers, and 25 KiB, 100 KiB of a worker. Other server errors (502, 504) appear with their first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from threading import Lock
from time import perf_counter

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, values
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporters.histogram import Observe, ObserverOf, histogram
from exporters.routes import UNMATCHED, RouteTable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Seconds, with an edge on every documented threshold (0.2, 2, 3, 5), where a verdict needs no guess."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_LAST_OF_RESPONSE = ("http.response.body", "http.response.pathsend")
_NO_ANSWER = 500
_CLIENT_LEFT = 499
_BORN_AT_ZERO = (500, 503)
_WRITE_EVERY = 0.01  # seconds
# Seconds; of a client that leaves sooner the server has hardly heard yet, and asking costs 0.1 us.
_WORTH_ASKING = 0.001


def instrument(app: Starlette, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Count and time every HTTP request of `app`, from outside all of its middleware.

    Raises RuntimeError when the app has already served something: its middleware is built by then. A registry
    takes one app.
    """
    if app.middleware_stack is not None:
        raise RuntimeError("instrument(app) comes too late: call it before the app serves its first request")
    build_inner_stack = app.build_middleware_stack
    observer_of = histogram(
        "http_request_duration_seconds",
        "Time from the request to the last byte of its response, as the client got it.",
        ["method", "route", "status"],
        BUCKETS,
        registry,
    )
    in_progress = _InProgress(registry)

    def build_middleware_stack() -> ASGIApp:
        return RequestMetrics(build_inner_stack(), lambda: app.routes, observer_of, in_progress)

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


class RequestMetrics:
    """The outermost ASGI middleware. Anything but HTTP (websocket, lifespan) passes through untouched."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Callable[[], Sequence[BaseRoute]],
        observer_of: ObserverOf,
        in_progress: _InProgress,
    ) -> None:
        self._app = app
        self._observer_of = observer_of
        self._born: set[tuple[str, str]] = set()
        self.observers: dict[tuple[int, str, int], Observe] = {}
        self.enter, self.leave = in_progress.enter, in_progress.leave
        # A server opens with the lifespan, and that builds the middleware: at start-up, all routes are there.
        self._table = RouteTable(routes)
        for template, method in [*self._table.methods(), (UNMATCHED, "GET"), (UNMATCHED, "POST")]:
            self._bear(template, method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        self.enter(exchange)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.client_left = True
            raise
        finally:
            if exchange.open:
                exchange.close(_NO_ANSWER)

    def observer(self, scope: Scope, status: int) -> Observe:
        """Where to count such a request; the slow way, taken once for each key of `observers`."""
        sent_method = scope["method"]
        method = sent_method if sent_method in _METHODS or self._table.knows(sent_method) else "OTHER"
        template, sole = self._table.template(scope)
        self._bear(template, method)
        observe = self._observer_of(method, template, str(int(status)))
        # Remembered where the key is bounded and says it all: a known method, an endpoint with one template.
        if sole and method == sent_method:
            self.observers[id(scope.get("endpoint")), method, status] = observe
        return observe

    def _bear(self, template: str, method: str) -> None:
        if (template, method) not in self._born:
            self._born.add((template, method))
            for status in _BORN_AT_ZERO:
                self._observer_of(method, template, str(status))


class _Exchange:
    """One request and its response, as far as the client saw them."""

    __slots__ = ("_metrics", "_receive", "_scope", "_send", "_started", "_status", "client_left", "open")

    def __init__(self, metrics: RequestMetrics, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = _NO_ANSWER
        self.client_left = False
        self.open = True
        self._started = perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.client_left = True
        return message

    # No coroutine function: handing on the server's own awaitable saves a frame per message.
    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
        elif kind in _LAST_OF_RESPONSE and self.open and not message.get("more_body"):
            self.close(self._status)
        return self._send(message)

    def close(self, status: int) -> None:
        self.open = False
        seconds = perf_counter() - self._started
        if self.client_left or (seconds > _WORTH_ASKING and _has_hung_up(self._send)):
            status = _CLIENT_LEFT
        metrics, scope = self._metrics, self._scope
        observe = metrics.observers.get((id(scope.get("endpoint")), scope["method"], status))
        (observe or metrics.observer(scope, status))(seconds)
        metrics.leave(self)


def _has_hung_up(send: Send) -> bool:
    # uvicorn drops silently what is sent to a client that left, and to ask by receive() would eat the
    # request's body. Its `send` is a method of the object that knows; with other servers this reads False.
    return getattr(getattr(send, "__self__", None), "disconnected", False) is True


class _InProgress:
    """`http_requests_in_progress`: a set of exchanges, because its add and discard are atomic and cheap.

    One process counts them when scraped. Several meet in the gauge's files, and to write there is what costs:
    a busy worker writes every 10 ms, and one with nothing to do has written its 0.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._running: set[_Exchange] = set()
        self._gauge = Gauge(
            "http_requests_in_progress",
            "Requests whose response is not complete yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._writing = Lock()
        self._written = 0
        self._next_write = 0.0
        self._scheduled = False
        self.enter: Callable[[_Exchange], None] = self._enter_and_write
        self.leave: Callable[[_Exchange], None] = self._leave_and_write
        if values.ValueClass is values.MutexValue:
            self._gauge.set_function(lambda: len(self._running))
            self.enter, self.leave = self._running.add, self._running.discard

    def _enter_and_write(self, exchange: _Exchange) -> None:
        self._running.add(exchange)
        self._changed()

    def _leave_and_write(self, exchange: _Exchange) -> None:
        self._running.discard(exchange)
        if self._written:
            self._changed()

    def _changed(self) -> None:
        if not self._running or perf_counter() >= self._next_write:
            self._write()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_WRITE_EVERY, self._write)

    def _write(self) -> None:
        with self._writing:
            self._scheduled = False
            self._written = len(self._running)
            self._gauge.set(self._written)
            self._next_write = perf_counter() + _WRITE_EVERY
