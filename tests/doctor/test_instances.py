"""The shipped API with wrong settings, as processes, and a PostgreSQL that is there, or full."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import httpx
import psycopg2

from monitor.gate.journey import credentials, new_login
from tests.doctor.conftest import OF_INSTANCES, SLOTS, Guarded, Instances
from tests.doctor.serving import ORIGIN, commands, seen
from tests.servers import eventually, free_port


@contextlib.asynccontextmanager
async def balanced(*ports: int) -> AsyncIterator[str]:
    """By connection, in turn."""
    turns, serving = itertools.cycle(ports), set[asyncio.Task[None]]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, there = await asyncio.open_connection("127.0.0.1", next(turns))
        await asyncio.gather(pass_on(reader, there), pass_on(from_there, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    port = free_port()
    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await asyncio.wait(serving, timeout=2)


async def test_health(instances: Instances) -> None:
    found = await seen(
        instances.url("left"), origin=ORIGIN, register=True, metrics=f"{instances.url('left')}/metrics"
    )
    assert found.names == []
    assert {"database-unready", "pool-usage", "cors-missing", "fresh-token", "versions"} <= found.fine.keys()
    assert found.report.left_behind == ""
    assert found.report.exit() == 0
    assert found.report.requests <= 60


async def test_two_secrets_behind_one_address(instances: Instances) -> None:
    async with balanced(instances.ports["left"], instances.ports["right"]) as target:
        found = await seen(target, origin=ORIGIN, register=True)
        trouble = found.only("secrets-differ")
    assert "200: 6, 401: 6" in trouble.saw[0]
    assert found.report.left_behind == ""


async def test_a_token_of_the_other_environment(instances: Instances) -> None:
    """Told by the key's name, which the API writes into each token."""
    login = new_login()
    async with httpx.AsyncClient(base_url=instances.url("right")) as right:
        assert (await right.post("/auth/register", json=credentials(login))).status_code == 201
        foreign = (await right.post("/auth/login", json=credentials(login))).json()["access_token"]
        found = await seen(instances.url("left"), token=foreign, email=login.email, password=login.password)
        assert "another secret than the API has now" in found.only("token-refused").cause
        async with httpx.AsyncClient(base_url=instances.url("left")) as left:
            own = (await left.post("/auth/login", json=credentials(login))).json()["access_token"]
            headers = {"Authorization": f"Bearer {own}"}
            await left.post("/auth/logout", headers=headers)
        found = await seen(instances.url("left"), token=own, email=login.email, password=login.password)
        assert "its user logged out" in found.only("token-refused").cause


async def test_other_settings(instances: Instances) -> None:
    found = await seen(instances.url("other-origin"), origin=ORIGIN)
    assert commands(found.only("cors-www")) == f"CORS_ORIGINS={ORIGIN},https://www.paciolus.com"


async def test_the_api_finds_no_database(instances: Instances) -> None:
    found = await seen(instances.url("no-database"), origin=ORIGIN, register=True)
    trouble = found.only("database-refused")
    assert trouble.saw == ("GET /health/ready: 503: database: Connection refused",)
    assert "POST /auth/register: 503" in found.not_looked["fresh-token"].why


async def test_the_api_has_a_wrong_password(instances: Instances, guarded: Guarded) -> None:
    found = await seen(instances.url("wrong-password"), origin=ORIGIN, database=guarded.url())
    assert found.names == ["database-unready", "tried-elsewhere"]
    assert "OperationalError" in found.troubles["database-unready"].saw[0]


async def test_the_pool_is_exhausted(instances: Instances, guarded: Guarded) -> None:
    """Whoever has the one connection waits for a lock that we hold."""
    target = instances.url("small-pool")
    async with httpx.AsyncClient(base_url=target) as client:
        await eventually(lambda: httpx.get(f"{target}/health/ready").status_code == 200, 20)
        with contextlib.closing(psycopg2.connect(guarded.url(database=OF_INSTANCES))) as holder:
            holder.cursor().execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.create_task(
                client.post("/auth/login", json=credentials(new_login()), timeout=20)
            )
            await asyncio.sleep(1.2)  # the last good answer about readiness is kept for a second
            found = await seen(target, origin=ORIGIN)
        await waiting
    assert found.names == ["pool-exhausted", "pool-usage"]
    assert "no free connection" in found.troubles["pool-exhausted"].saw[0]
    assert "1 of 1 connections of the pool are in use (100 %)" in found.troubles["pool-usage"].saw[0]


async def test_the_server_takes_no_more_connections(instances: Instances, guarded: Guarded) -> None:
    """Last: the API's own connection goes, and does not come again."""
    guarded.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    with contextlib.ExitStack() as holding:
        for _ in range(SLOTS):
            holding.enter_context(contextlib.closing(psycopg2.connect(guarded.url())))
        await asyncio.sleep(1.2)
        found = await seen(instances.url("small-pool"), origin=ORIGIN, database=guarded.url())
    assert "tried-full" in found.names
    assert "max_connections" in found.troubles["tried-full"].cause
    assert {"database-full", "database-unready"} & {*found.names}
