"""What a user may learn of another one, and do in that one's name: nothing.

The gate makes a second account with a client and a summary of its own, and asks for them as the first one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.gate.checks.functional import ACTION
from monitor.gate.found import Found, all_held, failed, not_configured, passed
from monitor.gate.journey import DONE, UPLOAD, Journey, Login, credentials, new_login, trial_balance, upload
from monitor.gate.model import Asked

if TYPE_CHECKING:
    from monitor.gate.asking import Answer
    from monitor.gate.run import Run

ONE_ALONE = "an account is given, so no second one is registered"
TAKEN_OVER = "Gate, taken over"
REFUSED = range(400, 500)
Fault = tuple[str, Asked]


class Attempt(NamedTuple):
    what: str
    method: str
    path: str
    content: dict[str, Any]


async def kept_apart(run: Run) -> Found:
    """A refusal must also be one: the owner looks whether everything is as it was."""
    if not run.journey.registers:
        return not_configured(ONE_ALONE)
    token, owner = await run.journey.token(), run.journey.another()
    number, summary = await owner.client(), (await owner.analysed()).diagnostic.get("summary_id")
    before = await _read(run, owner, number)
    faults: list[Fault] = []
    tried = list(_attempts(number, summary))
    for attempt in tried:
        answer = await run.asker.ask(attempt.method, attempt.path, token=token, **attempt.content)
        if answer.status not in REFUSED:
            faults.append((f"{attempt.what}: {answer.status} instead of a refusal", answer.asked))
    faults += [fault async for fault in _listed(run, token, number, summary)]
    after = await _read(run, owner, number)
    if after.status != before.status or after.field("name") != before.field("name"):
        faults.append(("the other account's client is not as it was", after.asked))
    return all_held(faults, f"{len(tried)} attempts on another account are refused; no list shows it")


async def _read(run: Run, owner: Journey, number: int) -> Answer:
    return await run.asker.ask("GET", f"/clients/{number}", token=await owner.token())


def _attempts(number: int, summary: object) -> Iterator[Attempt]:
    """What deletes comes last, so that it does not hide the rest."""
    client, whose = f"/clients/{number}", "another account's client"
    yield Attempt(f"{whose} can be read", "GET", client, {})
    yield Attempt(f"{whose} can be edited", "PUT", client, {"json": {"name": TAKEN_OVER}})
    balance = {"files": upload(trial_balance([100])), "data": {"client_id": str(number)}}
    yield Attempt(f"an upload can be filed under {whose}", "POST", UPLOAD, balance)
    if isinstance(summary, int):
        wanted = {"json": {"summary_id": summary}}
        yield Attempt("another account's summary comes as a PDF", "POST", "/export/pdf", wanted)
        yield Attempt("another account's summary comes as an Excel file", "POST", "/export/excel", wanted)
    yield Attempt(f"{whose} can be deleted", "DELETE", client, {})


async def _listed(run: Run, token: str, number: int, summary: object) -> AsyncIterator[Fault]:
    clients = await run.asker.ask("GET", "/clients", token=token)
    if number in [each.get("id") for each in _rows(clients)]:
        yield "the list of clients shows another account's", clients.asked
    activity = await run.asker.ask("GET", "/activity", token=token)
    if (ACTION, summary) in [(each.get("action"), each.get("subject_id")) for each in _rows(activity)]:
        yield "the activity history shows another account's", activity.asked


def _rows(answer: Answer) -> list[dict[str, Any]]:
    rows = answer.json()
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []


async def not_told(run: Run) -> Found:
    """Whether an address has an account: a log-in that fails must say the same in both cases."""
    known, wrong = await run.journey.account(), new_login()
    taken = await _log_in(run, Login(known.email, wrong.password, made=False))
    free = await _log_in(run, wrong)
    if DONE in (taken.status, free.status):
        return failed("a wrong password lets one in", taken.asked, free.asked)
    if _said(taken) != _said(free):
        return failed(
            f"{_told(taken)} to a wrong password, {_told(free)} to an unknown address",
            taken.asked,
            free.asked,
        )
    return passed(f"a wrong password and an unknown address are answered alike, with {taken.status}")


async def _log_in(run: Run, login: Login) -> Answer:
    return await run.asker.ask("POST", "/auth/login", json=credentials(login))


def _said(answer: Answer) -> tuple[int, bytes]:
    """Without what is different in every answer."""
    return answer.status, answer.body.replace(answer.asked.request_id.encode(), b"")


def _told(answer: Answer) -> str:
    return f"{answer.status} {str(answer.field('detail') or '')[:80]!r}"
