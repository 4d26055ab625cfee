"""From what a router leaves in the ASGI scope to the route's template, prefixes of mounts included.

Starlette and FastAPI disagree on `scope["route"]` (FastAPI sets it for its own routes only, and without the
prefix of an included router), but both leave the `endpoint` of the innermost match, also for a 405. So the
templates are read from the app's routes beforehand, by endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from starlette.routing import BaseRoute, Host, Mount, compile_path
from starlette.types import Scope

UNMATCHED = "unmatched"

# An unknown endpoint makes us look for routes added since. This bounds what that may cost in an app with a
# router of its own kind, whose endpoints are never found.
_LOOKS_FOR_NEW_ROUTES = 64

_NO_PATH = re.compile("(?!)")


class Leaf(NamedTuple):
    """A route that ends the search: endpoint, template, and the pattern of all paths that it takes."""

    endpoint: object
    template: str
    pattern: re.Pattern[str]
    methods: frozenset[str]


class RouteTable:
    """The templates of an app's HTTP routes, by endpoint; later routes are found when first asked for."""

    def __init__(self, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._routes = routes
        self._leaves: list[Leaf] = []
        self._by_endpoint: dict[int, list[Leaf]] = {}
        self._known_methods: set[str] = set()
        self._looks_left = _LOOKS_FOR_NEW_ROUTES
        self._read()

    def methods(self) -> list[tuple[str, str]]:
        """(template, method) of every route, without the HEAD that comes with a GET."""
        return sorted(
            {(leaf.template, method) for leaf in self._leaves for method in leaf.methods - {"HEAD"}}
        )

    def knows(self, method: str) -> bool:
        return method in self._known_methods

    def template(self, scope: Scope) -> tuple[str, bool]:
        """The template for a routed request, and whether its endpoint always means this one."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return UNMATCHED, True
        if id(endpoint) not in self._by_endpoint and self._looks_left:
            self._looks_left -= 1
            self._read()
        leaves = self._by_endpoint.get(id(endpoint), [])
        if len({leaf.template for leaf in leaves}) == 1:
            return leaves[0].template, True
        # One endpoint on several routes, or an endpoint inside of an opaque mount: the path decides.
        path = _path_within_app(scope)
        taken = (leaf.template for leaf in leaves or self._leaves if leaf.pattern.fullmatch(path))
        return next(taken, UNMATCHED), False

    def allowed(self, scope: Scope) -> list[str]:
        """All methods of the requested path, for a 405's Allow header; Starlette names one route's only."""
        path = _path_within_app(scope)
        return sorted(
            {method for leaf in self._leaves if leaf.pattern.fullmatch(path) for method in leaf.methods}
        )

    def _read(self) -> None:
        leaves = list(_leaves(self._routes(), "", ""))
        by_endpoint: dict[int, list[Leaf]] = {}
        for leaf in leaves:
            by_endpoint.setdefault(id(leaf.endpoint), []).append(leaf)
            self._known_methods |= leaf.methods
        self._leaves, self._by_endpoint = leaves, by_endpoint


def _leaves(routes: Iterable[BaseRoute], prefix: str, pattern: str) -> Iterator[Leaf]:
    for route in _with_included(routes):
        path: str = getattr(route, "path", "")
        template, within = prefix + _template(path), pattern + _pattern(path)
        if isinstance(route, Mount | Host) and route.routes:
            yield Leaf(route.app, UNMATCHED, _NO_PATH, frozenset())
            yield from _leaves(route.routes, template, within)
        elif isinstance(route, Mount):
            yield Leaf(route.app, template + "/{path}", re.compile(within + "/.*"), frozenset({"GET"}))
        elif hasattr(route, "methods") and hasattr(route, "endpoint"):
            yield Leaf(route.endpoint, template, re.compile(within), frozenset(route.methods or ()))


def _with_included(routes: Iterable[BaseRoute]) -> Iterator[Any]:
    for route in routes:
        # FastAPI keeps an included router as one route; this method tells its routes with all prefixes.
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (context.starlette_route or context for context in contexts())


def _template(path: str) -> str:
    return compile_path(path)[1] if path else ""


def _pattern(path: str) -> str:
    # Without the groups' names: a mount and its routes may use the same one.
    return re.sub(r"\(\?P<\w+>", "(?:", compile_path(path)[0].pattern[1:-1]) if path else ""


def _path_within_app(scope: Scope) -> str:
    """The path without a proxy's prefix (`--root-path`); a mount leaves that prefix under another name."""
    path: str = scope["path"]
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path
