"""Passwords that nobody may choose: accounts are asked for with them, and none must come to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.gate.found import Found, all_held
from monitor.gate.journey import MADE, credentials, new_login
from monitor.gate.model import Asked

if TYPE_CHECKING:
    from monitor.gate.run import Run

WEAK = {
    "short": "a1b2c3d",
    "empty": "",
    "without a digit": "correct horse battery",
    "without a letter": "4815162342108",
    "common": "password123",
}


async def rules_enforced(run: Run) -> Found:
    faults: list[tuple[str, Asked]] = []
    for name, password in WEAK.items():
        login = new_login(password)
        login = type(login)(login.email, password, made=True)
        answer = await run.asker.ask("POST", "/auth/register", json=credentials(login))
        if answer.status == MADE:
            run.journey.also_made(login)
        if not 400 <= answer.status < 500 or answer.status == 429:
            faults.append((f"a password that is {name} is answered with {answer.status}", answer.asked))
    return all_held(faults, f"refused: {', '.join(WEAK)}")
