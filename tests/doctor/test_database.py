"""The database as it is tried from here, phase by phase, on a real PostgreSQL; and DATABASE_URL at sight."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

import psycopg2
import pytest

from monitor.doctor import database, dialling, handshaking
from monitor.doctor.dialling import Dialled, Line
from monitor.doctor.model import Trouble
from tests.doctor.conftest import PASSWORD, SLOTS, Guarded
from tests.doctor.serving import CONFIG, Api, Findings, commands, said, seen, seen_of, serving
from tests.servers import free_port


async def tried(url: str) -> Findings:
    return await seen_of(Api(), database=url)


async def test_health(guarded: Guarded) -> None:
    found = await tried(guarded.url())
    assert found.names == []
    assert found.fine["tried"] == (
        f"postgresql://app:***@127.0.0.1:{guarded.server.port}/paciolus is reached from here, and lets the "
        "user in"
    )
    assert found.fine["tried-permissions"].startswith("its user may read and write the tables (0 of 4")
    assert found.fine["tried-room"].startswith("1 of 5 connections")


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("tried-password", lambda guarded: guarded.url(password="wrong")),
        ("tried-password", lambda guarded: guarded.url(user="nobody")),
        ("tried-database", lambda guarded: guarded.url(database="paciolus_prod")),
        ("tried-user", lambda guarded: f"postgresql://stranger@127.0.0.1:{guarded.server.port}/postgres"),
        ("tried-not-allowed", lambda guarded: guarded.url(user="kept_out")),
        ("tried-tls", lambda guarded: f"{guarded.url()}?sslmode=require"),
        ("tried-refused", lambda _: f"postgresql://app:{PASSWORD[:8]}@127.0.0.1:{free_port()}/paciolus"),
        ("tried-name", lambda _: f"postgresql://app:{PASSWORD[:8]}@dpg-abc-a.invalid/paciolus"),
    ],
)
async def test_wrong(kind: str, url: Callable[[Guarded], str], guarded: Guarded) -> None:
    trouble = (await tried(url(guarded))).only(kind)
    assert ":***@" in trouble.saw[0] or "stranger@" in trouble.saw[0]
    assert trouble.section == "§17.1"


async def test_passwords_are_not_shown(guarded: Guarded) -> None:
    found = await tried(f"{guarded.url(password='s3cr3t-of-ours')}?password=s3cr3t-too")
    assert "tried-password" in found.names
    assert "s3cr3t" not in repr(found.report)


async def test_full(guarded: Guarded) -> None:
    with contextlib.ExitStack() as holding:
        for _ in range(SLOTS):
            holding.enter_context(contextlib.closing(psycopg2.connect(guarded.url())))
        trouble = (await tried(guarded.url())).only("tried-full")
    assert "pg_stat_activity" in commands(trouble)


async def test_nearly_full(guarded: Guarded) -> None:
    with contextlib.ExitStack() as holding:
        for _ in range(SLOTS - 1):
            holding.enter_context(contextlib.closing(psycopg2.connect(guarded.url())))
        trouble = (await tried(guarded.url())).only("tried-room")
    assert trouble.saw == ("5 of 5 connections of the server are in use",)


async def test_its_user_may_not_use_the_tables(guarded: Guarded) -> None:
    """As after a restore under another name."""
    with contextlib.closing(psycopg2.connect(guarded.url())) as owner, owner, owner.cursor() as cursor:
        cursor.execute("CREATE TABLE users (id int)")
    guarded.server.execute(f"CREATE ROLE second LOGIN PASSWORD '{PASSWORD}'")
    try:
        trouble = (await tried(guarded.url(user="second"))).only("tried-permissions")
    finally:
        guarded.server.execute("DROP ROLE second")
        with contextlib.closing(psycopg2.connect(guarded.url())) as owner, owner, owner.cursor() as cursor:
            cursor.execute("DROP TABLE users")
    assert trouble.saw[0].endswith("may not read and write users")
    assert 'TO "second"' in commands(trouble)


async def test_it_can_only_be_read(guarded: Guarded) -> None:
    guarded.server.execute("ALTER ROLE app SET default_transaction_read_only = on")
    try:
        (await tried(guarded.url())).only("tried-read-only")
    finally:
        guarded.server.execute("ALTER ROLE app RESET default_transaction_read_only")


async def test_something_else_listens_there() -> None:
    async with serving() as (_, port):
        (await tried(f"postgresql://app:{PASSWORD[:8]}@127.0.0.1:{port}/paciolus")).only("tried")


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TIMEOUT", 2)
    monkeypatch.setattr(handshaking, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        trouble = (await tried(f"postgresql://app:x@127.0.0.1:{port}/paciolus")).only("tried")
    assert any(each in trouble.saw[0] for each in ("timeout expired", "no answer within"))


async def test_it_is_starting() -> None:
    """A server that says so to everybody, in PostgreSQL's protocol."""
    fields = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == 80877103:
            writer.write(b"N")
            length, _ = struct.unpack("!ii", await reader.readexactly(8))
        await reader.read(length - 8)
        writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port := free_port())
    try:
        trouble = (await tried(f"postgresql://app:x@127.0.0.1:{port}/paciolus")).only("tried-starting")
    finally:
        server.close()
    assert "is starting up" in trouble.saw[0]


async def test_a_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(host: str, port: int) -> Dialled:
        return Dialled(Line.SILENT, host)

    monkeypatch.setattr(database, "dial", dial)
    assert (
        "Trusted Sources"
        in (await tried("postgresql://app:x@db.example/paciolus")).only("tried-firewall").cure[0].said
    )


async def test_dialling() -> None:
    assert (await dialling.dial("127.0.0.1", free_port())).line is Line.REFUSED
    assert (await dialling.dial("x" * 70 + ".invalid", 80)).line is Line.NO_NAME


READABLE = "postgresql://app:x@db.example/paciolus"


async def test_what_a_url_hides_moves_no_cursor() -> None:
    """Percent notation may be of anything."""
    trouble = (await tried("mysql://a%1b[2J%0A:x@db.example/b%1b[31m")).only("url-scheme")
    assert "\x1b" not in commands(trouble)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f'"{READABLE}"', "quotes or spaces"),
        (f"{READABLE}\n", "quotes or spaces"),
        ("${db.DATABASE_URL}", "placeholder"),
        ("<internal-database-url-from-step-2>", "placeholder"),
        ("postgresql://app:pa@ss@db.example/paciolus", "an @ in it"),
        ("postgresql://app:x@db.example:port/paciolus", "it is no URL"),
        ("db.example/paciolus", "it is no URL"),
        ("postgresql://app:x@db.example/", "names no database"),
        ("postgresql:///paciolus", "names no host"),
        ("\x00\x1b[31m", "it is no URL"),
        ("x" * 100_000, "it is no URL"),
    ],
)
async def test_a_url_that_cannot_be_read(url: str, why: str) -> None:
    trouble = (await tried(url)).only("url-unreadable")
    assert why in trouble.saw[0]
    assert url not in repr(trouble)


async def test_an_old_scheme_is_told_and_tried(guarded: Guarded) -> None:
    trouble = (await tried(guarded.url().replace("postgresql", "postgres"))).only("url-scheme")
    assert commands(trouble) == f"DATABASE_URL=postgresql://app:***@127.0.0.1:{guarded.server.port}/paciolus"


async def test_another_kind_of_database() -> None:
    assert "and not to mysql" in (await tried("mysql://app:x@db.example/paciolus")).only("url-scheme").cause


async def test_sqlite_is_for_development() -> None:
    assert (await tried("sqlite:///paciolus.db")).fine["url-sqlite"]
    async with serving() as (target, _):
        config = replace(CONFIG, edge="always", plain=target)
        found = await seen(target, database="sqlite:///paciolus.db", config=config)
    assert "url-sqlite" in found.names


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("database: Connection refused", "database-refused"),
        ("database: too many clients", "database-full"),
        ("database: is starting up", "database-starting"),
        ("database: is shutting down", "database-starting"),
        ("database: no free connection within 1 s", "pool-exhausted"),
        ("database: no answer within 1 s", "database-silent"),
        ("database: its tables are not made yet", "database-tables"),
        ("database: OperationalError", "database-unready"),
        ("shutting down", "draining"),
        ({"odd": 1}, "database-unready"),
        (None, "database-unready"),
    ],
)
async def test_what_the_api_says(reason: object, kind: str) -> None:
    api = Api(paths={"/health/ready": lambda _: said(503, {"status": "unavailable", "reason": reason})})
    trouble: Trouble = (await seen_of(api)).only(kind)
    assert trouble.saw[0].startswith("GET /health/ready: 503")


@pytest.mark.parametrize("status", [404, 405])
async def test_an_api_that_says_nothing_of_its_database(status: int) -> None:
    found = await seen_of(Api(paths={"/health/ready": lambda _: said(status, {})}))
    assert "no /health/ready" in found.not_looked["database-unready"].why


async def test_metrics_that_are_not_to_be_had() -> None:
    found = await seen_of(Api())
    assert "--metrics" in found.not_looked["pool-usage"].allow


async def test_a_pool_that_is_nearly_full() -> None:
    page = b"db_pool_size 10\ndb_pool_checked_out 9\ndb_pool_waiters 0\n"
    trouble = (await seen_of(Api(paths={"/metrics": lambda _: said(200, page)}))).only("pool-usage")
    assert trouble.saw[0].startswith("9 of 10 connections of the pool are in use (90 %)")
