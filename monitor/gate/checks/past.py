"""What probes of a few minutes cannot show: 30 days of availability, the error budget, and what fires now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.model import Cause, Evidence
from monitor.objectives import Objective
from monitor.quantity import format_value
from monitor.slis import Availability

if TYPE_CHECKING:
    from monitor.gate.config import Claim, GateConfig
    from monitor.gate.source import Source

NOT_CONFIGURED = "a few minutes of probes can't show it: set `history` in gate.yml, or --from prometheus=URL"


Ask = Callable[["Judged"], Awaitable[Found]]


class Judged(Protocol):
    """What these checks need of a Run; a replay has no more."""

    @property
    def past(self) -> Source | None: ...
    @property
    def claim(self) -> Claim: ...
    @property
    def config(self) -> GateConfig: ...


async def objective(run: Judged) -> Found:
    """Of the check's objective, as the source last judged it."""
    if run.past is None:
        return not_configured(NOT_CONFIGURED)
    wanted = run.claim.objective
    assert wanted is not None  # noqa: S101 (the kind of these checks says so)
    seen = await run.past.seen(wanted)
    if seen is None:
        return _nothing(run.past, wanted.name)
    evidence = Evidence(
        run.past.name,
        value=f"{wanted.breach.shown(seen.value)} ({seen.basis})",
        threshold=str(wanted.breach),
        window=seen.window,
    )
    if run.claim.is_kept_by(seen.value):
        return passed("", evidence)
    return failed(f"alert when {wanted.breach}", evidence=evidence)


async def error_budget(run: Judged) -> Found:
    """What is left of the failures that the availability objective allows in its window."""
    promised = _availability(run)
    if run.past is None or promised is None:
        return not_configured(NOT_CONFIGURED if promised else "there is no objective of kind availability")
    seen = await run.past.seen(promised)
    if seen is None:
        return _nothing(run.past, promised.name)
    left = 1 - (1 - seen.value) / (1 - promised.breach.value)
    said = f"{format_value(left, 'ratio')} left ({seen.basis})"
    evidence = Evidence(run.past.name, value=said, threshold=run.claim.breach, window=seen.window)
    return passed("", evidence) if run.claim.is_kept_by(left) else failed(said, evidence=evidence)


async def firing(run: Judged) -> Found:
    if run.past is None:
        return not_configured(NOT_CONFIGURED)
    alerts = await run.past.firing()
    if alerts is None:
        return _nothing(run.past, "what fires")
    return failed(f"firing: {'; '.join(alerts)}") if alerts else passed("nothing fires")


def _availability(run: Judged) -> Objective | None:
    return next((each for each in run.config.objectives if isinstance(each.sli, Availability)), None)


def _nothing(source: Source, what: str) -> Found:
    return unknown(Cause.NO_SAMPLES, f"{source.name} knows nothing of {what}: no data lately, or too little")
