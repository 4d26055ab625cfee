"""The API's users, over real HTTP: they register, log in, add a client, and upload trial balances."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

import httpx

PASSWORD = "correct horse 1 battery"  # noqa: S105 - of accounts that live for a minute on this machine
USERS = 4
PATIENCE = 15.0
"""Seconds until a user gives up on an answer."""
READS_PER_UPLOAD = 2

ACCOUNTS = [
    *((1000 + 10 * place, "debit") for place in range(12)),
    *((2000 + 10 * place, "credit") for place in range(6)),
    *((3000 + 10 * place, "credit") for place in range(3)),
    *((4000 + 10 * place, "credit") for place in range(3)),
]


@dataclass
class Tally:
    """What the users got."""

    answered: int = 0
    failed: int = 0
    unreachable: int = 0


def email(number: int) -> str:
    return f"accountant-{number}@example.com"


def trial_balance(turn: int) -> bytes:
    """A balanced CSV, other bytes each turn."""
    rows = [f"{account} Ledger,{turn + account}.25," for account, side in ACCOUNTS if side == "debit"]
    rows += [f"{account} Ledger,,{turn + account}.25" for account, side in ACCOUNTS if side == "credit"]
    surplus = sum((1 if side == "debit" else -1) * (turn + account + 0.25) for account, side in ACCOUNTS)
    rows.append(f"3900 Rest,{max(-surplus, 0):.2f},{max(surplus, 0):.2f}")
    return "\n".join(["account,debit,credit", *rows, ""]).encode()


class User:
    """`think`: seconds between two requests."""

    def __init__(self, client: httpx.AsyncClient, tally: Tally, number: int, think: float) -> None:
        self._client = client
        self._tally = tally
        self._number = number
        self._think = think
        self._token = ""
        self._client_id = ""

    async def work(self) -> None:
        """Until cancelled, whatever happens to the API."""
        for turn in itertools.count(self._number * 100_000):
            try:
                await self._turn(turn)
            except httpx.TransportError:
                self._tally.unreachable += 1
                await asyncio.sleep(1)

    async def _turn(self, turn: int) -> None:
        if not self._token and not await self._sign_in():
            await asyncio.sleep(1)
            return
        form = {"client_id": self._client_id} if self._client_id else {}
        file = {"file": (f"{turn}.csv", trial_balance(turn), "text/csv")}
        await self._ask("POST", "/audit/trial-balance", data=form, files=file)
        for _ in range(READS_PER_UPLOAD):
            await asyncio.sleep(self._think)
            await self._ask("GET", "/clients")

    async def _sign_in(self) -> bool:
        account = {"email": email(self._number), "password": PASSWORD}
        await self._ask("POST", "/auth/register", json=account)
        answer = await self._ask("POST", "/auth/login", json=account)
        if answer.is_success:
            self._token = answer.json()["access_token"]
            created = await self._ask("POST", "/clients", json={"name": f"Client {self._number}"})
            self._client_id = str(created.json()["id"]) if created.is_success else ""
        return answer.is_success

    async def _ask(self, method: str, path: str, **what: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        answer = await self._client.request(method, path, headers=headers, **what)  # type: ignore[arg-type]
        if answer.is_server_error:
            self._tally.failed += 1
            await asyncio.sleep(0.5)
        else:
            self._tally.answered += 1
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""
        return answer


def new_client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=60, max_keepalive_connections=60)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE, limits=limits)


async def everyday_traffic(client: httpx.AsyncClient, tally: Tally) -> None:
    """Until cancelled. The users' pauses differ, so they don't march in step."""
    users = [User(client, tally, number, think=0.3 + 0.04 * number) for number in range(USERS)]
    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(user.work())
