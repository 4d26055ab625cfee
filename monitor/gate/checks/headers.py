"""What every answer tells a browser, those to strangers and to mistakes too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from monitor.gate.found import Found, all_held
from monitor.gate.model import Asked

if TYPE_CHECKING:
    from monitor.gate.asking import Answer
    from monitor.gate.run import Run

PATHS = ("/health", "/auth/me", "/gate-asks-for-what-is-not-there")
"""200, 401 and 404."""
FRAMES = re.compile(r"frame-ancestors\s+'(none|self)'")

Holds = Callable[[Mapping[str, str]], bool]
WANTED: dict[str, Holds] = {
    "X-Content-Type-Options: nosniff": lambda said: said.get("x-content-type-options", "") == "nosniff",
    "X-Frame-Options or frame-ancestors": lambda said: (
        said.get("x-frame-options", "").upper() in ("DENY", "SAMEORIGIN")
        or FRAMES.search(said.get("content-security-policy", "")) is not None
    ),
    "Content-Security-Policy": lambda said: bool(said.get("content-security-policy")),
    "Referrer-Policy": lambda said: bool(said.get("referrer-policy")),
    "Cache-Control: no-store": lambda said: "no-store" in said.get("cache-control", ""),
}
TELLING = ("server", "x-powered-by")
VERSION = re.compile(r"\d+\.\d")


async def hsts(run: Run) -> Found:
    faults: list[tuple[str, Asked]] = []
    for path in PATHS:
        answer = await run.asker.ask("GET", path)
        said = answer.headers.get("strict-transport-security", "")
        found = re.search(r"max-age=\"?(\d+)", said, re.IGNORECASE)
        if found is None:
            faults.append((f"no Strict-Transport-Security on {path}", answer.asked))
        elif not run.claim.is_kept_by(float(found[1])):
            faults.append((f"max-age={found[1]} on {path}", answer.asked))
    return all_held(faults, f"on {', '.join(PATHS)}")


async def all_there(run: Run) -> Found:
    faults: list[tuple[str, Asked]] = []
    for path in PATHS:
        answer = await run.asker.ask("GET", path)
        faults += [(f"{name} is missing on {path}", answer.asked) for name in _missing(answer)]
        faults += [(f"{told} on {path} tells a version", answer.asked) for told in _versions(answer)]
    return all_held(faults, f"{', '.join(WANTED)}, no versions, on {', '.join(PATHS)}")


def _versions(answer: Answer) -> list[str]:
    """What somebody would look up the known holes of."""
    told = {name: answer.headers.get(name, "") for name in TELLING}
    return [f"{name}: {value[:80]}" for name, value in told.items() if VERSION.search(value)]


def _missing(answer: Answer) -> list[str]:
    return [name for name, holds in WANTED.items() if not holds(answer.headers)]
