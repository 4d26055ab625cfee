"""Who gets in: with no token, one that was tampered with, unsigned, expired, or signed with what all know.

The forged ones are made of the account's own valid token, so that nothing but the forgery is wrong with them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import jwt

from exporters.http import Request
from monitor.gate.asking import new_request_id
from monitor.gate.found import Found, all_held, failed, not_configured, passed, unknown
from monitor.gate.model import Asked, Cause

if TYPE_CHECKING:
    from monitor.gate.run import Run

WHO = "/auth/me"
REFUSED = (401, 403)
INSTANCES_TRIED = 20
"""Fresh connections: a load balancer of two that forgets an instance so often is one in a million."""
PUBLIC_SECRETS = (
    "development-only-secret-0123456789abcdef",
    "e4a2b1c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6c7d8e9f0a1",
    "your-256-bit-secret",
    "your-secret-key",
    "changeme",
    "secret",
    "",
)
"""Of this project, its handbook, and of everybody's examples."""


async def routes_protected(run: Run) -> Found:
    routes = await run.routes.protected()
    if not routes:
        return not_configured("nobody says which routes are protected: list them in gate.yml")
    faults: list[tuple[str, Asked]] = []
    for route in routes:
        answer = await run.asker.ask(route.method, route.filled)
        if answer.status not in REFUSED:
            faults.append((f"{route} answers {answer.status} without a token", answer.asked))
    return all_held(faults, f"{len(routes)} routes refuse, known from {' and '.join(run.routes.sources)}")


async def tampered(run: Run) -> Found:
    token = await run.journey.token()
    if (parts := _parts(token)) is None:
        return _no_jwt()
    header, claims, signature = parts
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    longer = _encoded({**claims, "exp": claims.get("exp", 0) + 60})
    signed = ".".join(token.split(".")[:2])
    foreign = jwt.encode(claims, secrets.token_hex(32), "HS256", {"kid": header.get("kid")})
    return await _refused(
        run,
        {
            "a longer life under the old signature": f"{_encoded(header)}.{longer}.{signature}",
            "another signature": f"{signed}.{signature[:middle]}{other}{signature[middle + 1 :]}",
            "no signature": f"{signed}.",
            "another key's signature": foreign,
        },
    )


async def unsigned(run: Run) -> Found:
    if (parts := _parts(await run.journey.token())) is None:
        return _no_jwt()
    header, claims, signature = parts
    forged = {
        f"alg {name}{' with a signature' if end else ''}": (
            f"{_encoded({**header, 'alg': name})}.{_encoded(claims)}.{end}"
        )
        for name in ("none", "None", "NONE", "nOnE")
        for end in ("", signature)
    }
    return await _refused(run, forged)


async def public_secret(run: Run) -> Found:
    if (parts := _parts(await run.journey.token())) is None:
        return _no_jwt()
    header, claims, _ = parts
    forged = {
        f"signed with {secret[:8] + '…' if secret else 'an empty secret'!r}": _signed(header, claims, secret)
        for secret in PUBLIC_SECRETS
    }
    return await _refused(run, forged)


async def expired(run: Run) -> Found:
    if (parts := _parts(await run.journey.token())) is None:
        return _no_jwt()
    header, claims, _ = parts
    lives = claims.get("exp")
    if not isinstance(lives, int | float):
        return failed("the token never expires: it has no exp")
    if not run.config.jwt_secret:
        return not_configured("`jwt_secret` is not set in gate.yml, so no expired token can be signed")
    now = int(time.time())
    good = _signed(header, {**claims, "exp": now + 60}, run.config.jwt_secret)
    if (await run.asker.ask("GET", WHO, token=good)).status in REFUSED:
        return unknown(Cause.SOURCE_ERROR, "`jwt_secret` in gate.yml is not the target's own")
    old = {**claims, "iat": now - 120, "exp": now - 60}
    return await _refused(run, {"expired a minute ago": _signed(header, old, run.config.jwt_secret)})


async def good_everywhere(run: Run) -> Found:
    """Else instances behind one address have different secrets (§17.1): by turns users are logged out."""
    headers = (("Authorization", f"Bearer {await run.journey.token()}"),)
    refused: list[Asked] = []
    for _ in range(INSTANCES_TRIED):
        run.asker.spend()
        request_id = new_request_id()
        said = await run.prober.probe(
            Request(
                f"{run.target}{WHO}",
                headers=(*headers, ("X-Request-ID", request_id)),
                ca_file=run.ca_file,
            )
        )
        if said.status in REFUSED:
            refused.append(Asked(f"GET {WHO}", said.status, said.duration, request_id))
    if refused:
        return failed(
            f"{len(refused)} of {INSTANCES_TRIED} times a good token is refused: is JWT_SECRET_KEY the same "
            "on every instance?",
            *refused,
        )
    return passed(f"good on {INSTANCES_TRIED} connections")


async def _refused(run: Run, tokens: dict[str, str]) -> Found:
    faults: list[tuple[str, Asked]] = []
    for name, token in tokens.items():
        answer = await run.asker.ask("GET", WHO, token=token)
        if answer.status not in REFUSED:
            faults.append((f"accepted ({answer.status}): {name}", answer.asked))
    return all_held(faults, f"refused: {', '.join(tokens)}")


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str] | None:
    """Header, claims and signature; None for what is no JWT."""
    try:
        header, claims, signature = token.split(".")
        decoded = [json.loads(_decoded(each)) for each in (header, claims)]
    except ValueError:
        return None
    return (decoded[0], decoded[1], signature) if all(isinstance(each, dict) for each in decoded) else None


def _no_jwt() -> Found:
    return not_configured("the token is no JWT")


def _signed(header: dict[str, Any], claims: dict[str, Any], secret: str) -> str:
    """By hand: libraries refuse an empty secret, which is what is tried."""
    text = f"{_encoded({**header, 'alg': 'HS256'})}.{_encoded(claims)}"
    return f"{text}.{_base64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
