"""What the page's forms are sent to. Each leads back to the page that it came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from monitor.asking import RefusedError
from monitor.web.actions import Actions, AwayError
from monitor.web.drawing import Drawing, ready
from monitor.web.forms import Forms, check_origin, fields_of, own_path
from monitor.web.page import Page

SAID = {
    "silenced": "Silenced. Measuring goes on; nobody is told.",
    "ended": "The silence has ended.",
    "acknowledged": "Acknowledged. No reminders and no escalation while it lasts.",
    "taken-back": "The acknowledgement is taken back.",
}
"""What a page says after something was done, by the word in its address."""

Fields = dict[str, str]


class Posting:
    def __init__(self, page: Page, drawing: Drawing, forms: Forms) -> None:
        self._page = page
        self._drawing = drawing
        self._forms = forms

    async def answer(
        self, request: Request, said: str, do: Callable[[Fields], Awaitable[object]]
    ) -> Response:
        fields = await fields_of(request)
        check_origin(request, self._page.config.web.url)
        if not self._forms.is_right(fields.get("token", ""), request.scope["caller"], self._page.clock()):
            return await self._again(
                request, fields, "", "This form is too old. Look at it, and send it again."
            )
        try:
            await do(fields)
        except RefusedError as error:
            return await self._again(request, fields, error.field, str(error))
        except AwayError as error:
            return await self._again(request, fields, "", f"Not done: {error}.", 503)
        back = own_path(fields.get("back", "/"))
        return RedirectResponse(f"{back.partition('?')[0]}?done={said}", 303)

    async def _again(
        self, request: Request, fields: Fields, field: str, wrong: str, status: int = 422
    ) -> Response:
        kept = {name: fields.get(name, "") for name in ("reason", "lasts", "target", "name", "back")}
        content = {"fields": kept, "field": field, "wrong": wrong}
        return await self._drawing.page(request, "again.html", ready(content), status)


def routes(posting: Posting, actions: Actions) -> APIRouter:
    web = APIRouter()

    @web.post("/silences")
    async def silence(request: Request) -> Response:
        author = request.scope["caller"].name
        return await posting.answer(request, "silenced", lambda fields: actions.silence(fields, author))

    @web.post("/silences/{number:int}/end")
    async def end_silence(request: Request, number: int) -> Response:
        return await posting.answer(request, "ended", lambda _: actions.end_silence(number))

    @web.post("/alerts/{dedup_key}/acknowledge")
    async def acknowledge(request: Request, dedup_key: str) -> Response:
        author = request.scope["caller"].name
        return await posting.answer(
            request, "acknowledged", lambda fields: actions.acknowledge(dedup_key, fields, author)
        )

    @web.post("/alerts/{dedup_key}/take-back")
    async def take_back(request: Request, dedup_key: str) -> Response:
        return await posting.answer(request, "taken-back", lambda _: actions.take_back(dedup_key))

    return web
