"""The story: healthy, broken, paged, healed, resolved. Each act has a deadline, and says what was missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.demo.board import SHOWN, Board
from monitor.demo.faults import FAULTS, Faults

PAGES = {"failed-logins": "logins", "latency-p95": "slow"}
"""Which alert the story waits for, and the fault behind it."""

HEALTHY_WITHIN = 40.0
PAGED_WITHIN = 50.0
RESOLVED_WITHIN = 50.0
LOOK = 3.0
"""Seconds in which a reader can look at a scene before the next act."""

Announce = Callable[[str], None]
Missing = Callable[[float], list[str]]
"""From the seconds that have passed to what has not happened yet, one line each."""


@dataclass
class Story:
    board: Board
    faults: Faults
    announce: Announce
    missing: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    over: bool = False
    seconds: dict[str, dict[str, float]] = field(default_factory=lambda: {name: {} for name in PAGES})

    async def tell(self) -> None:
        """Everything that did not happen is in `missing` afterwards."""
        if await self._healthy():
            await self._paged()
            await self._resolved()
        self.surprises = sorted(self.board.arrived("firing") - PAGES.keys())
        self.over = True

    async def _healthy(self) -> bool:
        self.announce("Waiting until the five documented objectives are known and OK")
        if missing := await self._within(HEALTHY_WITHIN, self._not_healthy):
            self.missing += missing
            return False
        self.announce("Healthy: all five documented objectives are OK")
        await asyncio.sleep(LOOK)
        return True

    async def _paged(self) -> None:
        for fault in PAGES.values():
            if fault not in self.faults.on:  # somebody at another terminal may have a hand in it
                await self.faults.begin(fault)
        said = "; ".join(FAULTS[fault].says for fault in PAGES.values())
        self.announce(f"Broken from outside: {said}")
        self.missing += await self._within(PAGED_WITHIN, self._not_paged, "firing")
        if not self.missing:
            self.announce("Both alerts fire, and both pages are in the inbox")
            await asyncio.sleep(LOOK)

    async def _resolved(self) -> None:
        for fault in PAGES.values():
            if fault in self.faults.on:
                await self.faults.end(fault)
        self.announce("Healed: both faults are gone; the alerts end when their windows are good again")
        self.missing += await self._within(RESOLVED_WITHIN, self._not_resolved, "resolved")

    async def _within(self, seconds: float, missing: Missing, moment: str = "") -> list[str]:
        """What is missing after at most `seconds`; notes when notifications of this `moment` arrived."""
        began = time.monotonic()
        while True:
            passed = time.monotonic() - began
            for name in PAGES.keys() & self.board.arrived(moment):
                self.seconds[name].setdefault(moment, passed)
            still = missing(passed)
            if not still or passed > seconds:
                return still
            await asyncio.sleep(0.1)

    def _not_healthy(self, passed: float) -> list[str]:
        objectives = self.board.objectives()
        if not objectives:
            return [f"the agent said nothing within {passed:.0f} s"]
        return [
            f"{name}: not OK within {passed:.0f} s, but {_standing(objectives.get(name))}"
            for name in SHOWN
            if objectives.get(name, {}).get("verdict") != "OK"
        ]

    def _not_paged(self, passed: float) -> list[str]:
        missing = []
        for name in sorted(PAGES.keys() - self.board.arrived("firing")):
            if name in self.board.firing():
                missing.append(f"{name}: fired, but no firing notification after {passed:.0f} s")
            else:
                standing = _standing(self.board.objectives().get(name))
                missing.append(f"{name}: did not fire within {passed:.0f} s; it is {standing}")
        return missing

    def _not_resolved(self, passed: float) -> list[str]:
        owed = PAGES.keys() & self.board.arrived("firing")
        return [
            f"{name}: fired, but no resolved notification after {passed:.0f} s; "
            f"it is {_standing(self.board.objectives().get(name))}"
            for name in sorted(owed - self.board.arrived("resolved"))
        ]

    def ending(self) -> str:
        if self.missing:
            return f"The story did not happen as it should. Missing: {'; '.join(self.missing)}"
        return "The story is told: both alerts fired, were delivered, and are resolved"

    def summary(self) -> list[str]:
        """For the end of a log: what happened to each alert, what was missing, and what nobody expected."""
        lines = [_course(name, self.seconds[name]) for name in PAGES if "firing" in self.seconds[name]]
        lines += [f"MISSING   {each}" for each in self.missing]
        lines += [f"ALSO      {name} fired, which is not part of the story" for name in self.surprises]
        return lines


def _course(name: str, seconds: dict[str, float]) -> str:
    paged = f"{name}: fired and delivered {seconds['firing']:.0f} s after the break"
    if "resolved" not in seconds:
        return f"PAGED     {paged}"
    return f"RESOLVED  {paged}, resolved and delivered {seconds['resolved']:.0f} s after the healing"


def _standing(objective: dict[str, object] | None) -> str:
    if objective is None:
        return "not judged at all"
    return f"{objective['verdict']} at {objective['value_text']} ({objective['why']})"
