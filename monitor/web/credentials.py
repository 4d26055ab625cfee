"""Names and passwords, or tokens: verified off the event loop, and slowly for somebody who guesses."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from monitor.webconfig import WebConfig

REMEMBERED = 600.0
MOST_REMEMBERED = 100
MOST_WAITING = 4
TRIES = 10
PER_SECONDS = 300.0
MOST_PEERS = 1000
LONGEST = 1024
TOKEN_HOLDER = "token"  # noqa: S105 (a name, not a secret)


class Busy(Exception):  # noqa: N818 (a state, not a mistake)
    """More passwords are waiting to be verified than is good for the agent."""


class Locked(Exception):  # noqa: N818 (a state, not a mistake)
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Credentials:
    """A right password is remembered as a keyed digest for ten minutes: argon2 is slow on purpose."""

    def __init__(self, web: WebConfig, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._attempts = Attempts(clock)
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._hasher = PasswordHasher()
        self.configure(web)

    def configure(self, web: WebConfig) -> None:
        """Whoever is known with the same password stays known."""
        self._users = web.users
        self._tokens = [_digest(token.encode()) for token in web.tokens]
        self._nobody = next(iter(web.users.values()), "")

    async def name(self, authorization: str, peer: str) -> str | None:
        """Whose credentials these are; None when they are nobody's. Raises Busy or Locked.

        A browser can't send a token by itself: there it goes where the password does, with any name.
        """
        kind, _, written = authorization[:LONGEST].partition(" ")
        if kind.lower() == "bearer":
            name = TOKEN_HOLDER if self._is_token(written.strip()) else None
        else:
            user, password = _basic(written) if kind.lower() == "basic" else ("", "")
            if self._is_token(password):
                return TOKEN_HOLDER
            if self._is_remembered(user, password):
                return user
            self._attempts.check(peer)
            name = user if await self._verified(user, password) else None
        if name is None:
            self._attempts.failed(peer)
        return name

    def _is_token(self, written: str) -> bool:
        given = _digest(written.encode())
        return any(hmac.compare_digest(given, token) for token in self._tokens)

    async def _verified(self, user: str, password: str) -> bool:
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                right = await asyncio.to_thread(self._matches, user, password)
        finally:
            self._waiting -= 1
        if right:
            self._remember(user, password)
        return right

    def _matches(self, user: str, password: str) -> bool:
        """An unknown name takes as long as a wrong password."""
        known = self._users.get(user)
        try:
            self._hasher.verify(known or self._nobody, password)
        except (Argon2Error, InvalidHashError):
            return False
        return known is not None

    def _remember(self, user: str, password: str) -> None:
        self._right[self._fingerprint(user, password)] = self._clock()
        if len(self._right) > MOST_REMEMBERED:
            self._right.popitem(last=False)

    def _is_remembered(self, user: str, password: str) -> bool:
        at = self._right.get(self._fingerprint(user, password))
        return at is not None and self._clock() - at < REMEMBERED

    def _fingerprint(self, user: str, password: str) -> bytes:
        """Another one when the user's hash has changed, or is gone."""
        known = f"{user}\0{self._users.get(user, '')}\0{password}"
        return hmac.digest(self._key, known.encode(errors="replace"), "sha256")


class Attempts:
    """Wrong credentials by address, the last few minutes', for the last thousand addresses."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, peer: str) -> None:
        """Raises Locked."""
        times = self._recent(_network(peer))
        if len(times) >= TRIES:
            raise Locked(max(1.0, times[0] + PER_SECONDS - self._clock()))

    def failed(self, peer: str) -> None:
        network = _network(peer)
        self._failed[network] = [*self._recent(network), self._clock()]
        self._failed.move_to_end(network)
        if len(self._failed) > MOST_PEERS:
            self._failed.popitem(last=False)

    def _recent(self, network: str) -> list[float]:
        since = self._clock() - PER_SECONDS
        return [at for at in self._failed.get(network, []) if at > since]


def _network(peer: str) -> str:
    """Whoever has one IPv6 address has 2^64."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else peer


def _basic(written: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(written.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
