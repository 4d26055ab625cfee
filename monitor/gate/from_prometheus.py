"""Evidence from a Prometheus that has our rules: what they judged, by the same code that pages."""

from __future__ import annotations

import math
from typing import Any

import httpx

from monitor.gate.source import PROMETHEUS, Seen, SourceError
from monitor.objectives import Objective

TIMEOUT = 10.0
ADVICE = "info"


class FromPrometheus:
    """`target` is the value of the label `target`, "" for the only one."""

    name = PROMETHEUS

    def __init__(self, url: str, target: str) -> None:
        self._url = url
        self._target = target

    async def seen(self, objective: Objective) -> Seen | None:
        """The worst of all instances; None also while the rules hold it for UNKNOWN."""
        values = self._of_target(await self._ask(f'objective:judged{{objective="{objective.name}"}}'))
        known = [value for value in values if math.isfinite(value)]
        if not known:
            return None
        worst = max(known) if objective.breach.high_is_bad else min(known)
        return Seen(worst, "as the recording rules judge it", objective.window)

    async def firing(self) -> list[str] | None:
        if not self._of_target(await self._ask("check:fresh")):
            return None
        found = await self._ask(f'ALERTS{{alertstate="firing", severity!="{ADVICE}", target!=""}}')
        return sorted({each["metric"].get("alertname", "?") for each in found if self._is_ours(each)})

    def _of_target(self, found: list[dict[str, Any]]) -> list[float]:
        targets = {each["metric"].get("target", "") for each in found}
        if not self._target and len(targets) > 1:
            raise SourceError(f"Prometheus: which of {', '.join(sorted(targets))}? Say `history.target`")
        return [float(each["value"][1]) for each in found if self._is_ours(each)]

    def _is_ours(self, series: dict[str, Any]) -> bool:
        return not self._target or series["metric"].get("target") == self._target

    async def _ask(self, query: str) -> list[dict[str, Any]]:
        """An instant query's vector."""
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
                answer = await client.post(f"{self._url}/api/v1/query", data={"query": query})
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
        except httpx.HTTPError as error:
            raise SourceError(f"Prometheus: {self._url}: {str(error) or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise SourceError(f"Prometheus: {self._url} answers {answer.status_code}, not a result") from None
        return found
