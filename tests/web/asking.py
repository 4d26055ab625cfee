"""Asks a page without a port in between."""

from __future__ import annotations

import re
from typing import Any

import httpx

from monitor.web import create_web
from tests.web.scenes import PASSWORD, World

ANN = ("ann", PASSWORD)
ORIGIN = "http://127.0.0.1:9464"


def browser(made: World, peer: str = "127.0.0.1", auth: Any = ANN) -> httpx.AsyncClient:
    """Somebody who has signed in."""
    transport = httpx.ASGITransport(create_web(made.page), client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN, auth=auth)


def anonymous(made: World, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    return browser(made, peer, None)


def token_of(html: str) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', html)
    assert found, "no form on this page"
    return found[1]
