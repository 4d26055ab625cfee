"""Operations document, §16.1: what a user does, done once, and the answers looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.http import Request
from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.journey import DONE, GONE
from monitor.gate.model import Asked, Cause

if TYPE_CHECKING:
    from monitor.gate.asking import Answer
    from monitor.gate.run import Run

PAGES = ("/", "/register", "/login")
RENAMED = "Gate, renamed"
MAGIC = {"pdf": b"%PDF-", "excel": b"PK\x03\x04"}
"""How the files begin; an .xlsx is a zip."""
ACTION = "trial_balance_analysed"


async def registers(run: Run) -> Found:
    if not run.journey.registers:
        return not_configured("an account is given, so none is registered")
    await run.journey.account()
    return passed("registered a synthetic account")


async def logs_in(run: Run) -> Found:
    await run.journey.token()
    return passed("logged in")


async def uploads(run: Run) -> Found:
    analysed = await run.journey.analysed()
    return passed(f"analysed in {analysed.answer.asked.seconds:.3f} s, balanced")


async def exports_pdf(run: Run) -> Found:
    return await _export(run, "pdf")


async def exports_excel(run: Run) -> Found:
    return await _export(run, "excel")


async def _export(run: Run, form: str) -> Found:
    analysed = await run.journey.analysed()
    token = await run.journey.token()
    answer = await run.asker.ask(
        "POST", f"/export/{form}", token=token, json={"diagnostic": analysed.diagnostic}
    )
    if answer.status != DONE:
        return _wrong(answer, DONE)
    if not answer.body.startswith(MAGIC[form]):
        return failed(f"what came is no {form} file", answer.asked)
    return passed(f"{len(answer.body):,} bytes")


async def shows_history(run: Run) -> Found:
    analysed = await run.journey.analysed()
    answer = await run.asker.ask("GET", "/activity", token=await run.journey.token())
    if answer.status != DONE:
        return _wrong(answer, DONE)
    number = analysed.diagnostic.get("summary_id")
    rows = answer.json()
    shown = isinstance(rows, list) and any(
        isinstance(each, dict) and (each.get("action"), each.get("subject_id")) == (ACTION, number)
        for each in rows
    )
    if not shown:
        return failed(f"the upload (summary {number}) is not among what it shows", answer.asked)
    return passed(f"shows summary {number}")


async def creates_client(run: Run) -> Found:
    await run.journey.client()
    return passed("created")


async def edits_client(run: Run) -> Found:
    number, token = await run.journey.client(), await run.journey.token()
    answer = await run.asker.ask("PUT", f"/clients/{number}", token=token, json={"name": RENAMED})
    if answer.status != DONE:
        return _wrong(answer, DONE)
    read = await run.asker.ask("GET", f"/clients/{number}", token=token)
    if read.field("name") != RENAMED:
        return failed("its old name is still there", answer.asked, read.asked)
    return passed("renamed, and read again")


async def deletes_client(run: Run) -> Found:
    number, token = await run.journey.client(), await run.journey.token()
    answer = await run.asker.ask("DELETE", f"/clients/{number}", token=token)
    if answer.status != GONE:
        return _wrong(answer, GONE)
    read = await run.asker.ask("GET", f"/clients/{number}", token=token)
    if read.status != 404:
        return failed(f"it is still there: {read.status}", answer.asked, read.asked)
    run.journey.client_deleted(number)
    return passed("deleted, and gone")


async def is_ready(run: Run) -> Found:
    answer = await run.asker.ask("GET", "/health/ready")
    if answer.status != DONE:
        return failed(f"{answer.status}: {answer.field('reason') or 'no reason given'}", answer.asked)
    return passed("ready")


async def frontend_loads(run: Run) -> Found:
    if not run.config.frontend:
        return not_configured("`frontend` is not set in gate.yml")
    for page in PAGES:
        run.asker.spend()
        url, ca_file = f"{run.config.frontend}{page}", run.ca_file
        said = await run.prober.probe(Request(url, max_redirects=5, ca_file=ca_file))
        if not said.success:
            return failed(f"{page}: {said.detail}", Asked(f"GET {page}", said.status, said.duration))
    return passed(f"{', '.join(PAGES)} load")


async def is_cleaned(_run: Run) -> Found:
    """Looked at when the run ends."""
    return unknown(Cause.NO_SAMPLES, "the end was not reached")


def _wrong(answer: Answer, expected: int) -> Found:
    return failed(f"{answer.asked.what}: {answer.status} instead of {expected}", answer.asked)
