"""A user's way through the API, on a synthetic account: each step is walked once, when something needs it.

Whatever was made is deleted in the end, also after failures and Ctrl-C.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from monitor.gate.asking import Answer, Asker, NoAnswerError, UnreachableError
from monitor.gate.config import Account
from monitor.gate.found import Found, failed, not_configured, passed
from monitor.gate.model import Asked

T = TypeVar("T")

DOMAIN = "example.com"
"""Reserved (RFC 2606): nobody gets mail there."""
UPLOAD = "/audit/trial-balance"
MADE, DONE, GONE = 201, 200, 204
NOT_THERE = (404, 405)
REFUSED = 401
TURNS = 8
"""Requests in turn that one of so many instances with different secrets takes, however they are spread."""


class StepFailedError(Exception):
    """What later steps and other checks cannot do without."""

    def __init__(self, step: str, why: str, asked: Asked) -> None:
        super().__init__(why)
        self.step = step
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Login:
    email: str
    password: str
    made: bool
    """By the gate, which deletes it again."""


@dataclass(frozen=True, slots=True)
class Analysed:
    diagnostic: dict[str, Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Made:
    """Accounts that have to go again. `sure`: e-mail addresses whose registration was answered."""

    accounts: list[Login] = field(default_factory=list)
    sure: set[str] = field(default_factory=set)


class Journey:
    def __init__(self, asker: Asker, given: Account, made: Made | None = None) -> None:
        self._asker = asker
        self._given = given
        self._walked: dict[str, Any] = {}
        self._failed: dict[str, StepFailedError] = {}
        self._made = made or Made()
        self._clients: list[int] = []
        self._made_clients = False
        self.uploads = 0

    @property
    def registers(self) -> bool:
        return not self._given.email

    async def account(self) -> Login:
        """Raises StepFailedError, as all steps do."""
        if not self.registers:
            return Login(self._given.email, self._given.password, made=False)
        return await self._once("register", self._register)

    async def token(self) -> str:
        return await self._once("log-in", self._log_in)

    async def analysed(self) -> Analysed:
        return await self._once("upload", self._upload)

    async def client(self) -> int:
        """The id of one that the gate made; it is there until the end, or until `client-delete`."""
        return await self._once("client-create", self._create_client)

    def another(self) -> Self:
        """The way of a second user, who is deleted with this one."""
        return type(self)(self._asker, Account(), self._made)

    async def _once(self, step: str, walk: Callable[[], Awaitable[T]]) -> T:
        if step in self._failed:
            raise self._failed[step]
        if step not in self._walked:
            try:
                self._walked[step] = await walk()
            except StepFailedError as error:
                self._failed[step] = error
                raise
        walked: T = self._walked[step]
        return walked

    async def _register(self) -> Login:
        login = new_login()
        self._made.accounts.append(login)
        try:
            answer = await self._asker.ask("POST", "/auth/register", json=credentials(login))
        except UnreachableError:
            self._made.accounts.remove(login)
            raise
        self._made.sure.add(login.email)
        if answer.status != MADE:
            self._made.accounts.remove(login)
        return _expected("register", answer, MADE, login)

    async def _log_in(self) -> str:
        login = await self.account()
        answer = await self._asker.ask("POST", "/auth/login", json=credentials(login))
        token = answer.field("access_token")
        _expected("log-in", answer, DONE, token, isinstance(token, str), "no access_token in it")
        return str(token)

    async def _upload(self) -> Analysed:
        token, amount = await self.token(), secrets.randbelow(10**8) + 100
        self.uploads += 1
        content = trial_balance([amount])
        answer = await self._asker.ask("POST", UPLOAD, token=token, files=upload(content))
        said = answer.json()
        right = isinstance(said, dict) and said.get("balanced") is True and said.get("row_count") == 2
        return _expected(
            "upload", answer, DONE, Analysed(said, answer), right, "two balanced rows are not found so"
        )

    async def _create_client(self) -> int:
        token = await self.token()
        name = f"Gate {secrets.token_hex(4)}"
        answer = await self._asker.ask("POST", "/clients", token=token, json={"name": name})
        number = answer.field("id")
        if isinstance(number, int):
            self._clients.append(number)
            self._made_clients = True
        right = isinstance(number, int) and answer.field("name") == name
        _expected("client-create", answer, MADE, number, right, "another name is in it")
        return int(number)

    def client_deleted(self, number: int) -> None:
        """Who needs one later gets another."""
        self._clients.remove(number)
        self._walked.pop("client-create", None)

    def also_made(self, login: Login) -> None:
        """An account that should not have come to be: it is deleted with the others."""
        self._made.accounts.append(login)
        self._made.sure.add(login.email)

    async def clean_up(self) -> Found:
        """Deletes what is left. Never raises, and spends nothing of the budget."""
        left: list[str] = []
        asked: list[Asked] = []
        forever = False
        for login in self._made.accounts or ([await self.account()] if self._clients else []):
            try:
                answer = await self._leave(login)
            except (UnreachableError, NoAnswerError) as error:
                left.append(f"{login.email} ({error})")
                continue
            if answer is not None:
                left.append(f"{login.email} ({answer.status})")
                asked.append(answer.asked)
                forever = forever or answer.status in NOT_THERE
        return self._cleaned(left, asked, forever=forever)

    async def _leave(self, login: Login) -> Answer | None:
        """None when nothing of it is left, else what did not answer as it should."""
        answer = await self._ask("POST", "/auth/login", json=credentials(login))
        if answer.status != DONE:
            # An answer to the registration that never came: there may be no such account.
            unsure = login.made and login.email not in self._made.sure
            return None if answer.status == REFUSED and unsure else answer
        token = str(answer.field("access_token"))
        if login.made:
            gone = await self._by_turns("POST", "/auth/delete", token, json={"password": login.password})
            return None if gone.status == GONE else gone
        for number in self._clients:
            gone = await self._by_turns("DELETE", f"/clients/{number}", token)
            if gone.status not in (GONE, 404):
                return gone
        return None

    async def _by_turns(self, method: str, path: str, token: str, **content: Any) -> Answer:
        """Instances behind one address may have different secrets: the one that made the token takes it."""
        answer = await self._ask(method, path, token=token, **content)
        for _ in range(TURNS - 1):
            if answer.status != REFUSED:
                break
            answer = await self._ask(method, path, token=token, **content)
        return answer

    async def _ask(self, method: str, path: str, **content: Any) -> Answer:
        return await self._asker.ask(method, path, spend=False, **content)

    def _cleaned(self, left: list[str], asked: list[Asked], *, forever: bool) -> Found:
        if left and forever:
            return not_configured(
                f"{', '.join(left)} stays: the API has no POST /auth/delete; give the gate an account"
            )
        if left:
            return failed(f"not deleted: {', '.join(left)}", *asked)
        if not self.registers and self.uploads:
            return not_configured(f"{self.uploads} summaries stay with the account that was given")
        if not self.registers and self._made_clients:
            return passed("its clients are deleted again")
        if not self._made.accounts:
            return not_configured("nothing was made")
        several = len(self._made.accounts) > 1
        return passed("its accounts are deleted again" if several else "the account is deleted again")


def new_login(password: str = "") -> Login:
    return Login(
        f"gate-{secrets.token_hex(8)}@{DOMAIN}", password or f"{secrets.token_urlsafe(18)}-a1", made=True
    )


def credentials(login: Login) -> dict[str, str]:
    return {"email": login.email, "password": login.password}


def trial_balance(cents: list[int]) -> bytes:
    """A balanced one as CSV: an account in debit for each amount, and one in credit for all of them."""
    rows = [f"{1000 + index} Cash {index},{each / 100:.2f}," for index, each in enumerate(cents)]
    total = f"400000 Sales,,{sum(cents) / 100:.2f}"
    return "\n".join(["Account,Debit,Credit", *rows, total, ""]).encode()


def upload(content: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"file": ("trial-balance.csv", content, "text/csv")}


def _expected(step: str, answer: Answer, status: int, value: T, right: bool = True, otherwise: str = "") -> T:
    if answer.status == status and right:
        return value
    why = otherwise if answer.status == status else f"{answer.status} instead of {status}"
    raise StepFailedError(step, f"{answer.asked.what}: {why}", answer.asked)
