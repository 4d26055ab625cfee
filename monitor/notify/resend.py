"""Says to an Alertmanager, again and again, what fires: it forgets what nobody repeats, and all when it
restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from monitor.alerting import Alert, State
from monitor.metrics import AgentMetrics
from monitor.notify.alertmanager import Alertmanager, Standing
from monitor.notify.delivery import DeliveryError
from monitor.notify.facts import Facts
from monitor.notify.message import alert_body, dedup_key
from monitor.objectives import Objectives

log = logging.getLogger(__name__)

ROUND_DEADLINE = 30.0


class Resends:
    """One for each Alertmanager of the configuration; `made` makes those of the present one."""

    def __init__(self, made: Callable[[], Iterable[Resend]]) -> None:
        self._made = made
        self._changed = asyncio.Event()

    def renew(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as rounds:
                tasks = [rounds.create_task(each.run(), name="resend") for each in self._made()]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()


class Resend:
    """`alerts` gives those that stand now."""

    def __init__(
        self,
        notifier: Alertmanager,
        alerts: Callable[[], Iterable[Alert]],
        objectives: Objectives,
        metrics: AgentMetrics,
        facts: Callable[[Alert], Facts],
    ) -> None:
        self._facts = facts
        self._notifier = notifier
        self._alerts = alerts
        self._objectives = objectives
        self._count = metrics.resends
        self._failing = False
        for outcome in ("done", "failed"):
            self._count.labels(notifier.name, outcome)

    async def run(self) -> None:
        """Until cancelled; the first round at once."""
        while True:
            await self.once()
            await asyncio.sleep(self._notifier.resend_every)

    async def once(self) -> None:
        try:
            async with asyncio.timeout(ROUND_DEADLINE):
                await self._notifier.resend(self._standing)
        except (DeliveryError, TimeoutError) as error:
            self._failed(str(error) or f"not done within {ROUND_DEADLINE:g} s")
        except Exception as error:
            # A mistake of ours about one round must not end the watch.
            log.exception("%s: can't resend", self._notifier.name)
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._done()

    def _standing(self) -> list[Standing]:
        return [
            Standing(
                alert_body(alert, self._objectives, self._facts(alert)),
                dedup_key(alert),
                alert.last_broken,
                good=alert.good_since is not None,
            )
            for alert in self._alerts()
            if alert.state is State.FIRING and alert.severity in self._notifier.severities
        ]

    def _failed(self, why: str) -> None:
        self._count.labels(self._notifier.name, "failed").inc()
        if not self._failing:
            log.warning(
                "%s: can't be told again what fires, each further try unlogged: %s", self._notifier.name, why
            )
        self._failing = True

    def _done(self) -> None:
        self._count.labels(self._notifier.name, "done").inc()
        if self._failing:
            log.info("%s: is told again what fires", self._notifier.name)
        self._failing = False
