"""What the gate made is deleted also where instances behind one address refuse each other's tokens."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from monitor.gate.asking import Asker
from monitor.gate.config import Account
from monitor.gate.found import Found
from monitor.gate.journey import TURNS, Journey
from monitor.gate.sequential import Verdict
from tests.gate.shops import Shop, opened


class Instances(Shop):
    """So many by turns of requests, each with a secret of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    async def answer(self, request: Request) -> Response:
        turn = str(len(self.heard) % self.number)
        if request.headers.get("authorization", f"Bearer {turn}") != f"Bearer {turn}":
            self.heard.append(request.url.path)
            return Response(status_code=401)
        said = await super().answer(request)
        return JSONResponse({"access_token": turn}) if request.url.path == "/auth/login" else said


async def cleaned(shop: Shop) -> Found:
    with opened(shop) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            journey = Journey(Asker(client, 10), Account())
            await journey.token()
            return await journey.clean_up()


@pytest.mark.parametrize("number", [1, 2, 3, TURNS])
async def test_one_of_the_instances_takes_the_token(number: int) -> None:
    shop = Instances(number)
    assert (await cleaned(shop)).verdict is Verdict.PASS
    assert (shop.registered, shop.deleted) == (1, 1)


async def test_a_token_that_nobody_takes_is_reported_and_not_tried_forever() -> None:
    shop = Shop(wrong={"/auth/delete": 401})
    found = await cleaned(shop)
    assert found.verdict is Verdict.FAIL
    assert "not deleted: gate-" in found.said
    assert shop.heard.count("/auth/delete") == TURNS
