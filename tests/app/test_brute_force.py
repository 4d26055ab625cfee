"""500 wrong passwords a minute from 50 addresses, against a server in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import psutil
import pytest

from app.auth import LOGIN_FAILURES
from tests.app.conftest import PASSWORD, StartServer, register, samples
from tests.servers import Process, wait_until

pytestmark = pytest.mark.slow

ADDRESSES = [f"127.0.0.{host}" for host in range(1, 51)]
ELSEWHERE = "127.0.0.99"
VICTIM = {"email": "ada@example.com", "password": "guess 12345"}
PER_SECOND = 500 / 60
SECONDS = 6.0

Server = tuple[Process, httpx.Client]


@pytest.fixture
def server(serve: StartServer) -> Iterator[Server]:
    # uvicorn would believe X-Forwarded-For when it comes from 127.0.0.1.
    process, client = serve("app.main:create_app", {"FORWARDED_ALLOW_IPS": "192.0.2.1"})
    with client:
        assert register(client, VICTIM["email"]).status_code == 201
        yield process, client


@asynccontextmanager
async def attackers(url: httpx.URL) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One at each address, with a new connection per attempt: the server may drop an old one any time."""
    alone = httpx.Limits(max_keepalive_connections=0)
    async with AsyncExitStack() as at_end:
        yield [
            await at_end.enter_async_context(
                httpx.AsyncClient(
                    base_url=url,
                    transport=httpx.AsyncHTTPTransport(local_address=address, limits=alone),
                    timeout=20,
                    trust_env=False,
                )
            )
            for address in ADDRESSES
        ]


async def guess(attacker: httpx.AsyncClient) -> int:
    answer = await attacker.post("/auth/login", json=VICTIM)
    return answer.status_code


async def paced(url: httpx.URL, attempts: int, per_second: float) -> list[int]:
    """Statuses, with the addresses taking turns."""
    async with attackers(url) as each, asyncio.TaskGroup() as group:
        start, guesses = time.monotonic(), []
        for turn in range(attempts):
            await asyncio.sleep(start + turn / per_second - time.monotonic())
            guesses.append(group.create_task(guess(each[turn % len(each)])))
    return [task.result() for task in guesses]


async def at_once(each: list[httpx.AsyncClient], times: int) -> list[int]:
    return await asyncio.gather(*(guess(attacker) for _ in range(times) for attacker in each))


async def while_watching(attempts: Awaitable[list[int]], pid: int) -> tuple[list[int], int]:
    """Statuses, and the most resident bytes of the server meanwhile, hashes in the making included."""
    server, task, peak = psutil.Process(pid), asyncio.ensure_future(attempts), 0
    while not task.done():
        peak = max(peak, server.memory_info().rss)
        await asyncio.wait([task], timeout=0.01)
    return task.result(), peak


def failures(client: httpx.Client) -> dict[str, float]:
    page = samples(client.get("/metrics").text)
    return {reason: page[f'auth_login_failures_total{{reason="{reason}"}}'] for reason in LOGIN_FAILURES}


def log_in_elsewhere(base: httpx.URL, headers: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=ELSEWHERE)
    with httpx.Client(base_url=base, transport=transport, timeout=20, trust_env=False) as client:
        return client.post("/auth/login", json={**VICTIM, "password": PASSWORD}, headers=headers)


async def test_a_storm_from_fifty_addresses_on_one_account(server: Server) -> None:
    _, client = server
    storm = asyncio.create_task(paced(client.base_url, int(PER_SECOND * SECONDS), PER_SECOND))
    await asyncio.sleep(SECONDS / 2)
    newcomer = await asyncio.to_thread(log_in_elsewhere, client.base_url)
    statuses = await storm
    assert newcomer.status_code == 200, "the victim, at an address where he has never been"
    assert set(statuses) == {401}
    assert sum(failures(client).values()) == len(statuses)
    assert (await asyncio.to_thread(log_in_elsewhere, client.base_url)).status_code == 200


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.nightly)])
async def test_many_times_as_fast(rounds: int, server: Server) -> None:
    """A minute's worth and more, as fast as it goes: all counted, few reach the account, nobody gets in."""
    process, client = server
    async with attackers(client.base_url) as each:
        first, warm = await while_watching(at_once(each, times=4), process.pid)
        later = [await while_watching(at_once(each, times=2), process.pid) for _ in range(rounds)]
    statuses = first + [status for said, _ in later for status in said]
    grown = max(peak for _, peak in later) - warm

    told, counted = Counter(statuses), failures(client)
    assert set(told) == {401, 429}
    assert sum(counted.values()) == len(statuses) == 50 * (4 + 2 * rounds)
    assert counted["throttled"] == told[429] > 0
    assert counted["bad_password"] <= 50 * 5, "five guesses for each address, in a quarter of an hour"
    assert grown < 10_000_000
    wait_until(lambda: log_in_elsewhere(client.base_url).status_code == 200, 5, "the victim logs in")


@pytest.mark.parametrize(
    ("trusted", "statuses"),
    [("192.0.2.1", {401, 429}), ("127.0.0.0/8", {401})],
    ids=["nobody chooses the address that he is throttled by", "a trusted proxy tells the address"],
)
def test_forwarded_addresses(trusted: str, statuses: set[int], serve: StartServer) -> None:
    _, client = serve("tests.app.quick_hashing:create", {"FORWARDED_ALLOW_IPS": trusted})
    with client:
        answers = [
            client.post(
                "/auth/login",
                json={"email": f"{turn}@example.com", "password": "wrong"},
                headers={"X-Forwarded-For": f"203.0.113.{turn}"},
            )
            for turn in range(30)
        ]
    assert {answer.status_code for answer in answers} == statuses
