"""How often one may try to log in, in memory that is bounded. Time is an argument, in monotonic seconds.

Three kinds of buckets stand between a guesser and a password (docs/adr/0008): one per address, answered 429
when empty; one per account and address, and a large one per account, which look like a wrong password when
empty.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from app.settings import Settings

T = TypeVar("T")

ACCOUNT_FAILURES = 300
ACCOUNT_REGAIN = 12.0
"""Seconds: 300 failures an hour for one account, from whatever addresses."""
MOST_WAITING = 64
"""Passwords waiting to be hashed: some two seconds of work for two cores."""

_ROUNDING = 1e-6


class ThrottledError(Exception):
    """Too many attempts; `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"next attempt in {retry_after:.1f} s")
        self.retry_after = retry_after


class Buckets:
    """A bucket per key holds `burst` tries and regains one every `regain` seconds.

    A bucket is one number (the generic cell rate algorithm): when it will be full again. Of more than `most`
    keys the one that is longest unused is forgotten.
    """

    def __init__(self, burst: int, regain: float, most: int) -> None:
        self._regain = regain
        self._depth = burst * regain
        self._most = most
        self._full_at: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: bytes, now: float) -> float:
        """0 when a try was taken, else the seconds until there is one; refused tries cost nothing."""
        full_at = max(self._full_at.pop(key, now), now)
        wait = full_at + self._regain - now - self._depth
        refused = wait > _ROUNDING
        self._full_at[key] = full_at if refused else full_at + self._regain
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return wait if refused else 0.0

    def give_back(self, key: bytes) -> None:
        if key in self._full_at:
            self._full_at[key] -= self._regain

    def refill(self, key: bytes) -> None:
        self._full_at.pop(key, None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Let in as far as the password. `locked`: refuse it, right or wrong, and let nobody see why."""

    address: bytes
    account: bytes
    pair: bytes
    trusted: bool
    locked: bool


class LoginLimits:
    """A try is taken before the password is looked at, so that simultaneous attempts can't share one."""

    def __init__(self, settings: Settings) -> None:
        most = settings.login_addresses_remembered
        per_address, seconds = settings.login_address_attempts, settings.login_address_seconds
        self._addresses = Buckets(per_address, seconds / per_address, most)
        self._registrations = Buckets(per_address, seconds / per_address, most)
        self._pairs = Buckets(settings.login_lock_failures, settings.login_lock_seconds, most)
        self._accounts = Buckets(ACCOUNT_FAILURES, ACCOUNT_REGAIN, most)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._most = most
        # Keyed hashes: addresses and e-mails of any length cost the same, and none of them lies in memory.
        self._salt = secrets.token_bytes(16)

    def admit(self, address: str, email: str, now: float) -> Attempt:
        """Raises ThrottledError. Tell `succeeded` when the password was right."""
        source, account = self._key(_network(address)), self._key(email)
        pair = source + account
        has_try = self._pairs.take(pair, now) == 0
        # Who has logged in from here before isn't kept out by a storm around him, or on his account.
        trusted = has_try and pair in self._known
        if not trusted and (wait := self._addresses.take(source, now)):
            if has_try:
                self._pairs.give_back(pair)
            raise ThrottledError(wait)
        locked = not has_try or not (trusted or self._accounts.take(account, now) == 0)
        if locked and has_try:
            self._pairs.give_back(pair)
        return Attempt(source, account, pair, trusted, locked)

    def succeeded(self, attempt: Attempt) -> None:
        self._withdraw(attempt)
        self._pairs.refill(attempt.pair)
        self._known[attempt.pair] = None
        self._known.move_to_end(attempt.pair)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def unanswered(self, attempt: Attempt) -> None:
        """Nobody looked at the password, because the database or the cores were not to be had."""
        self._withdraw(attempt)
        if not attempt.locked:
            self._pairs.give_back(attempt.pair)

    def admit_registration(self, address: str, now: float) -> None:
        """Raises ThrottledError. The answer tells who has an account, so not everybody may be asked about."""
        if wait := self._registrations.take(self._key(_network(address)), now):
            raise ThrottledError(wait)

    def _withdraw(self, attempt: Attempt) -> None:
        if not attempt.trusted:
            self._addresses.give_back(attempt.address)
            if not attempt.locked:
                self._accounts.give_back(attempt.account)

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=16, key=self._salt).digest()


def _network(address: str) -> str:
    """IPv6 by its /64, since one customer has all of that; anything else as it is."""
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed[:8] + bytes(8), 64)))


class Hashing:
    """Passwords are hashed by `at_once` threads (30 ms and 19 MiB each); a bounded number waits in line.

    A storm takes no thread that another request needs, and the line costs next to no memory.
    """

    def __init__(self, at_once: int, most_waiting: int = MOST_WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="hashing")
        self._room = at_once + most_waiting

    async def run(self, call: Callable[[], T]) -> T:
        """Raises ThrottledError when the line is full."""
        if self._room == 0:
            raise ThrottledError(1.0)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self._room += 1
