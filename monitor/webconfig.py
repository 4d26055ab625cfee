"""The `web` section of monitor.yml: who may look at the page from elsewhere, and who may change things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import AfterValidator, BeforeValidator, Field

from monitor.fields import BaseUrl, Name

SHORTEST_TOKEN = 16
MOST_MEMORY = 262_144
"""KiB for one verification of a password: a hash may not ask for more than the agent has."""


def _parse_hash(written: object) -> str:
    """Says nothing of what is there: somebody may have written the password itself."""
    cure = "make one with `paciolus-monitor web hash-password`"
    try:
        parameters = extract_parameters(str(written))
    except InvalidHashError:
        raise ValueError(f"expected an argon2 hash; {cure}") from None
    if parameters.memory_cost > MOST_MEMORY or parameters.time_cost > 10:
        raise ValueError(
            f"expected an argon2 hash of at most {MOST_MEMORY // 1024} MiB and 10 rounds; {cure}"
        )
    return str(written)


def _parse_token(written: object) -> str:
    """Says nothing of what is there, either. An empty one is a variable that was not set."""
    if written == "":
        return ""
    token = written if isinstance(written, str) else ""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"expected at least {SHORTEST_TOKEN} letters, digits and signs; `openssl rand -hex 24` makes one"
        )
    return token


def _without_empty(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, tokens))


PasswordHash = Annotated[str, BeforeValidator(_parse_hash)]
Token = Annotated[str, BeforeValidator(_parse_token)]


@dataclass(frozen=True, slots=True)
class WebConfig:
    """`url` is where people reach the page, without a slash at its end; None: nowhere but here.

    `users` holds argon2 hashes by name. `open_metrics` opens /metrics and /-/healthy, and `public_status` the
    status view and the badges, to everybody who reaches the port.
    """

    url: BaseUrl | None = None
    users: Annotated[dict[Name, PasswordHash], Field(max_length=1000)] = field(
        default_factory=dict, repr=False
    )
    tokens: Annotated[tuple[Token, ...], Field(max_length=100), AfterValidator(_without_empty)] = field(
        default=(), repr=False
    )
    public_status: bool = False
    open_metrics: bool = False
