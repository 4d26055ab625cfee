"""Every way in which browsers say "CORS", and the cure with the right value in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doctor.serving import CONFIG, ORIGIN, Api, Asked, commands, said, seen, seen_of, serving

OWN = "Access-Control-Allow-Origin", ORIGIN


async def test_health() -> None:
    found = await seen_of(Api())
    assert found.names == []
    assert found.fine["cors-missing"] == f"{ORIGIN} is let in"
    assert {"cors-methods", "cors-headers", "cors-errors", "cors-everybody"} <= found.fine.keys()
    assert found.report.exit() == 0


@pytest.mark.parametrize(
    ("configured", "kind", "setting"),
    [
        (f"{ORIGIN}/", "cors-slash", f"CORS_ORIGINS={ORIGIN}"),
        ("http://paciolus.com", "cors-scheme", f"CORS_ORIGINS={ORIGIN}"),
        ("https://www.paciolus.com", "cors-www", f"CORS_ORIGINS={ORIGIN},https://www.paciolus.com"),
        ("https://other.example", "cors-missing", f"CORS_ORIGINS={ORIGIN}"),
    ],
)
async def test_the_origin_is_configured_otherwise(configured: str, kind: str, setting: str) -> None:
    trouble = (await seen_of(Api(origins=(configured,)))).only(kind)
    assert commands(trouble) == setting
    assert trouble.section == "§17.1"
    assert trouble.saw[0] == f"from {ORIGIN}, OPTIONS /clients: 400, no Access-Control-Allow-Origin"
    if kind != "cors-missing":
        assert trouble.saw[1].endswith(f"200, Access-Control-Allow-Origin: {configured}")


async def test_the_frontend_may_be_the_one_with_www() -> None:
    found = await seen_of(Api(), origin="https://www.paciolus.com/")
    assert commands(found.only("cors-www")) == "CORS_ORIGINS=https://www.paciolus.com,https://paciolus.com"


async def test_what_the_frontend_is_called_need_not_be_exact() -> None:
    assert (await seen_of(Api(), origin="https://Paciolus.com/login")).names == []


async def test_without_the_frontends_origin_only_what_needs_none_is_looked_at() -> None:
    found = await seen_of(Api(), origin="")
    assert "--origin" in found.not_looked["cors-slash"].allow
    assert found.fine["cors-everybody"] == "other origins are kept out"


async def test_everybody_is_let_in() -> None:
    trouble = (await seen_of(Api(origins=("*",)))).only("cors-everybody")
    assert commands(trouble) == f"CORS_ORIGINS={ORIGIN}"
    assert trouble.cause.startswith("CORS_ORIGINS is *: ")


async def test_whoever_asks_is_let_in() -> None:
    api = Api()

    def reflecting(asked: Asked) -> bytes:
        api.origins = (asked.headers.get("origin", ""),)
        return api.reply(asked)

    trouble = (await seen_of(reflecting)).only("cors-everybody")
    assert trouble.cause.startswith("Whatever origin asks is repeated")


async def test_a_proxy_answers_options_itself() -> None:
    proxy = Api(paths={"OPTIONS": lambda _: said(204, headers=[("Server", "nginx")])})
    trouble = (await seen_of(proxy)).only("cors-options")
    assert trouble.saw == (
        "OPTIONS /clients: 204, Server: nginx",
        f"GET /health: 200, Access-Control-Allow-Origin: {ORIGIN}",
    )
    assert "return 204" in commands(trouble)


async def test_a_proxy_adds_the_header_to_an_api_that_does_not_know_options() -> None:
    proxy = Api(paths={"OPTIONS": lambda _: said(405, headers=[OWN])})
    assert (await seen_of(proxy)).only("cors-options").saw[0].startswith("OPTIONS /clients: 405, ")


async def test_options_is_redirected() -> None:
    api = Api(
        paths={"OPTIONS": lambda _: said(308, headers=[("Location", "https://api.paciolus.com/clients")])}
    )
    assert (
        commands((await seen_of(api)).only("cors-redirect")) == "NEXT_PUBLIC_API_URL=https://api.paciolus.com"
    )


async def test_methods_are_lacking() -> None:
    trouble = (await seen_of(Api(methods="GET, POST"))).only("cors-methods")
    assert trouble.cause.startswith(f"PUT, DELETE may not be sent from {ORIGIN}")
    assert commands(trouble) == "GET, POST, PUT, DELETE"


async def test_the_authorization_header_is_lacking() -> None:
    trouble = (await seen_of(Api(allowed="Content-Type"))).only("cors-headers")
    assert "Authorization" in commands(trouble)
    assert "not stand" not in trouble.cause


async def test_a_star_does_not_stand_for_the_authorization_header() -> None:
    assert "`*` does not stand for it" in (await seen_of(Api(allowed="*"))).only("cors-headers").cause


async def test_the_header_is_there_twice() -> None:
    api = Api()
    api.paths = {
        "GET /health": lambda a: said(200, {"status": "healthy"}, [OWN, OWN] if "origin" in a.headers else [])
    }
    trouble = (await seen_of(api)).only("cors-twice")
    assert len(trouble.saw) == 2


async def test_errors_come_without_cors_headers() -> None:
    api = Api(paths={"/auth/me": lambda _: said(500, headers=[("Server", "nginx")])})
    trouble = (await seen_of(api)).only("cors-errors")
    assert trouble.saw == ("GET /auth/me: 500, Server: nginx",)
    assert "here a 500" in trouble.cause


async def test_an_https_page_asks_by_http() -> None:
    """Not on this machine, where developers do that."""
    async with serving() as (target, _):
        found = await seen(target, origin=ORIGIN, config=replace(CONFIG, edge="always", plain=target))
        assert "cors-mixed" in found.names
        assert "cors-mixed" not in (await seen(target, origin=ORIGIN)).names
