"""What the target says of itself: objectives by the numbers of its /metrics page, as the agent reads it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.model import Cause, Evidence
from monitor.gate.scraping import SECRET_AGE
from monitor.quantity import format_duration

if TYPE_CHECKING:
    from monitor.gate.run import Run

LOOKS = 2
"""At least: a rate takes two."""
DAY = 86400.0


async def objective(run: Run) -> Found:
    wanted = run.claim.objective
    assert wanted is not None  # noqa: S101 (the kind of these checks says so)
    if (missing := await _missing(run)) is not None:
        return missing
    now = run.scraping.times[-1]
    # A window that is longer than what was seen would spread few events over it.
    window = min(now - run.scraping.times[0], wanted.window)
    measured = wanted.sli.measure(run.scraping.series, window, now)
    if not measured.present or measured.value is None:
        series = " and ".join(map(str, wanted.sli.reads))
        return unknown(Cause.NO_SAMPLES, f"the page has no {series}")
    evidence = Evidence(
        "/metrics",
        value=f"{wanted.breach.shown(measured.value)} ({measured.basis})",
        threshold=str(wanted.breach),
        window=round(window, 1),
    )
    if measured.samples < wanted.minimum_samples:
        few = f"{measured.basis}; at least {wanted.minimum_samples} needed"
        return dataclasses.replace(unknown(Cause.TOO_FEW, few), evidence=evidence)
    if run.claim.is_kept_by(measured.value):
        return passed("", evidence)
    return failed(f"alert when {wanted.breach}", evidence=evidence)


async def secret_age(run: Run) -> Found:
    if (missing := await _missing(run)) is not None:
        return missing
    ages = [each.value for each in run.scraping.newest(SECRET_AGE)]
    if not ages:
        return not_configured("the API does not know when: set JWT_SECRET_ROTATED_AT")
    said = f"{format_duration(max(ages) // DAY * DAY)} old"
    evidence = Evidence("/metrics", value=said, threshold=run.claim.breach)
    return passed("", evidence) if run.claim.is_kept_by(max(ages)) else failed(said, evidence=evidence)


async def _missing(run: Run) -> Found | None:
    """A page that nobody promised may be closed; one that the file names must be there."""
    page = run.scraping
    await page.look()
    if await page.at_least(LOOKS):
        return None
    why = f"{page.url}: {page.fault or 'too few looks'}"
    if page.given or page.times:
        return unknown(Cause.SOURCE_ERROR, why)
    return not_configured(f"{why}; set `metrics` in gate.yml to a page that the gate may read")
