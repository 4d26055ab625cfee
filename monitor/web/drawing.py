"""Renders templates in threads: measuring never waits for drawing, and a crowd of readers costs as one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from monitor.web.forms import Forms
from monitor.web.page import Page
from monitor.web.threads import CrowdedError, Threads
from monitor.web.words import plain, tied, timed

Content = Callable[[], dict[str, Any]]
"""What a template is given, made in the thread."""

WITHIN = 10.0
FRESH = 1.0
MOST_KEPT = 50

_templates = Environment(
    loader=PackageLoader("monitor.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["plain"] = plain
_templates.filters["tied"] = tied
_templates.filters["timed"] = timed


class Drawing:
    def __init__(self, page: Page, forms: Forms, said: dict[str, str]) -> None:
        self._page = page
        self._forms = forms
        self._said = said
        self._threads = Threads("page", 2, most_waiting=50)
        self._kept: OrderedDict[tuple[object, ...], tuple[float, asyncio.Future[str]]] = OrderedDict()

    async def page(
        self, request: Request, template: str, content: Callable[[], Awaitable[Content]], status: int = 200
    ) -> Response:
        """`content` gathers on the event loop what a thread then makes a page of."""
        caller = request.scope["caller"]
        common = {
            "caller": caller,
            "path": request.url.path,
            "token": self._forms.token(caller, self._page.clock()),
            "done": self._said.get(request.query_params.get("done", ""), ""),
            "anybody": bool(self._page.config.web.users or self._page.config.web.tokens),
        }
        try:
            text = await self._once(request, lambda: self._drawn(template, common, content))
        except (TimeoutError, CrowdedError):
            return PlainTextResponse("the agent is too busy to draw this page\n", 503, {"retry-after": "5"})
        return HTMLResponse(text, status)

    async def _drawn(
        self, template: str, common: dict[str, Any], content: Callable[[], Awaitable[Content]]
    ) -> str:
        made = await content()
        return await self._threads.run(lambda: _rendered(template, {**common, **made()}), WITHIN)

    async def _once(self, request: Request, draw: Callable[[], Awaitable[str]]) -> str:
        """Who asks for the same page within a second gets the same drawing, unless something was changed."""
        if request.method != "GET":
            return await draw()
        key = (str(request.url), request.scope["caller"], self._page.changes.number)
        now = asyncio.get_running_loop().time()
        at, drawn = self._kept.get(key, (0.0, None))
        if drawn is None or now - at > FRESH or (drawn.done() and drawn.exception()):
            drawn = asyncio.ensure_future(draw())
            self._kept[key] = now, drawn
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return await asyncio.shield(drawn)


def ready(content: dict[str, Any]) -> Callable[[], Awaitable[Content]]:
    """What was gathered already."""

    async def gathered() -> Content:
        return lambda: content

    return gathered


def _rendered(template: str, content: dict[str, Any]) -> str:
    return _templates.get_template(template).render(content)
