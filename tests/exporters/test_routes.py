from __future__ import annotations

import random
import string
from collections.abc import Iterable

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from exporters.asgi import instrument
from tests.exporters.requests_by_hand import (
    all_counts,
    ask,
    client,
    counts,
    in_progress,
    raises,
    says_ok,
    start_up,
    watched,
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def api(registry: CollectorRegistry) -> FastAPI:
    app = FastAPI()
    clients = APIRouter(prefix="/clients")

    @clients.get("/{client_id}")
    async def one(client_id: int) -> dict[str, int]:
        if client_id == 0:
            raise HTTPException(404)
        return {"id": client_id}

    @clients.post("")
    async def create(name: str) -> str:
        return name

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    @app.get("/busy")
    def busy() -> None:
        raise HTTPException(503)

    app.include_router(clients, prefix="/v1")
    instrument(app, registry=registry)
    return app


async def test_counts_fastapi_routes_by_template_and_status(
    api: FastAPI, registry: CollectorRegistry
) -> None:
    http = client(api)
    for path in (
        "/v1/clients/1",
        "/v1/clients/2",
        "/v1/clients/0",
        "/v1/clients/x",
        "/broken",
        "/busy",
        "/no",
    ):
        await http.get(path)
    await http.post("/v1/clients?name=a")
    await http.delete("/v1/clients/7")
    await http.get("/openapi.json")
    assert counts(registry) == {
        ("GET", "/v1/clients/{client_id}", "200"): 2,
        ("GET", "/v1/clients/{client_id}", "404"): 1,
        ("GET", "/v1/clients/{client_id}", "422"): 1,
        ("DELETE", "/v1/clients/{client_id}", "405"): 1,
        ("POST", "/v1/clients", "200"): 1,
        ("GET", "/broken", "500"): 1,
        ("GET", "/busy", "503"): 1,
        ("GET", "/openapi.json", "200"): 1,
        ("GET", "unmatched", "404"): 1,
    }
    assert in_progress(registry) == 0


async def test_counts_starlette_routes_mounts_and_methods() -> None:
    inner = Starlette(routes=[Route("/items/{item:int}", says_ok), Route("/boom", raises)])
    app, registry = watched(
        Route("/plain/{name}", says_ok, methods=["GET", "PUT"]),
        Mount("/sub", app=inner),
        Mount("/tenants/{tenant}", routes=[Route("/home/{tenant}", says_ok)]),
        Host("api.example", app=Starlette(routes=[Route("/hosted", says_ok)])),
    )
    http = client(app)
    for path in (
        "/plain/a",
        "/plain/b",
        "/sub/items/3",
        "/sub/items/x",
        "/sub/boom",
        "/tenants/t/home/z",
        "/plain/a/",
    ):
        await http.get(path)
    await http.head("/plain/a")
    await http.post("/plain/a")
    await http.get("/hosted", headers={"host": "api.example"})
    assert counts(registry) == {
        ("GET", "/plain/{name}", "200"): 2,
        ("HEAD", "/plain/{name}", "200"): 1,
        ("POST", "/plain/{name}", "405"): 1,
        ("GET", "/sub/items/{item}", "200"): 1,
        ("GET", "/sub/boom", "500"): 1,
        ("GET", "/tenants/{tenant}/home/{tenant}", "200"): 1,
        ("GET", "/hosted", "200"): 1,
        ("GET", "unmatched", "404"): 1,
        ("GET", "unmatched", "307"): 1,
    }


async def test_one_endpoint_on_several_routes_counts_under_the_path_that_was_asked() -> None:
    twice = Starlette(routes=[Route("/x", says_ok)])
    app, registry = watched(
        Route("/a/{number:int}", says_ok), Route("/b", says_ok), Mount("/one", twice), Mount("/two", twice)
    )
    http = client(app, root_path="/proxied")
    for path in ("/proxied/a/1", "/proxied/b", "/proxied/b", "/proxied/one/x", "/proxied/two/x"):
        await http.get(path)
    assert counts(registry) == {
        ("GET", "/a/{number}", "200"): 1,
        ("GET", "/b", "200"): 2,
        ("GET", "/one/x", "200"): 1,
        ("GET", "/two/x", "200"): 1,
    }


async def test_an_opaque_mount_has_one_template() -> None:
    inside = Starlette(routes=[Route("/deep/{n}", says_ok)])
    app, registry = watched(
        Mount("/zipped", app=GZipMiddleware(inside)), Mount("/files", app=PlainTextResponse("f"))
    )
    http = client(app)
    for path in ("/zipped/deep/1", "/zipped/deep/2", "/files/a", "/files/b/c"):
        await http.get(path)
    assert counts(registry) == {("GET", "/zipped/{path}", "200"): 2, ("GET", "/files/{path}", "200"): 2}


async def test_a_route_added_while_serving_is_found() -> None:
    app, registry = watched(Route("/old", says_ok))
    http = client(app)
    await http.get("/old")
    app.add_route("/new/{n}", raises)
    await http.get("/new/1")
    assert counts(registry) == {("GET", "/old", "200"): 1, ("GET", "/new/{n}", "500"): 1}


async def test_server_errors_are_born_at_0_before_the_first_request(
    api: FastAPI, registry: CollectorRegistry
) -> None:
    await start_up(api)
    born = all_counts(registry)
    assert set(born.values()) == {0}
    for method, route in (
        ("GET", "/v1/clients/{client_id}"),
        ("POST", "/v1/clients"),
        ("GET", "/broken"),
        ("GET", "unmatched"),
    ):
        assert {(method, route, "500"), (method, route, "503")} <= set(born)
    assert not any(method == "HEAD" for method, _, _ in born)


async def test_server_errors_of_a_method_seen_late_are_born_with_it() -> None:
    app, registry = watched(Route("/x", says_ok))
    await client(app).head("/x")
    assert all_counts(registry)["HEAD", "/x", "500"] == 0


async def test_neither_paths_nor_methods_of_a_scan_make_series() -> None:
    app, registry = watched(Route("/x", says_ok))
    letters, dice = string.ascii_uppercase, random.Random(4)
    await scan(app, ["".join(dice.choices(letters, k=9)) for _ in range(10_000)])
    assert counts(registry) == {("OTHER", "unmatched", "404"): 10_000}
    assert len(all_counts(registry)) < 12


async def scan(app: Starlette, words: Iterable[str]) -> None:
    for word in words:
        await ask(app, path=f"/{word}", method=word)


async def test_a_method_that_a_route_declares_keeps_its_name() -> None:
    app, registry = watched(Route("/cache", says_ok, methods=["PURGE"]))
    http = client(app)
    await http.request("PURGE", "/cache")
    await http.request("BREW", "/cache")
    assert counts(registry) == {("PURGE", "/cache", "200"): 1, ("OTHER", "/cache", "405"): 1}
