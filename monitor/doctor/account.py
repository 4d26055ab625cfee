"""A fresh token: of an account that was given, or of one that is registered and deleted again.

A doctor writes nothing into the patient's database unless it is told to.
"""

from __future__ import annotations

from functools import partial

from monitor.doctor import facts
from monitor.doctor.model import NotLookedError
from monitor.doctor.visit import Answer, Made, Visit
from monitor.gate.journey import Login, credentials, new_login

LOGIN, REGISTER, DELETE = "/auth/login", "/auth/register", "/auth/delete"
CLEANING_TRIES = 4
"""Each instance of several with different secrets refuses the other's token."""


async def logged_in(visit: Visit) -> Answer:
    """The answer to a log-in, good or not. Raises NotLookedError where there is no account."""
    await facts.healthy(visit)
    return await visit.once("login", partial(_log_in, visit))


async def token(visit: Visit) -> str:
    """A fresh one. Raises NotLookedError."""
    answer = await logged_in(visit)
    found = answer.field("access_token")
    if answer.status != 200 or not isinstance(found, str):
        raise NotLookedError(f"the log-in gave no token ({answer.said()})")
    return found


async def _log_in(visit: Visit) -> Answer:
    patient = visit.patient
    if patient.email:
        login = Login(patient.email, patient.password, made=False)
    else:
        login = await visit.once("register", partial(_register, visit))
    return await visit.ask("POST", LOGIN, json_body=credentials(login))


async def _register(visit: Visit) -> Login:
    if not visit.patient.register:
        raise NotLookedError("there is no account to log in with", facts.TO_LOG_IN)
    login = new_login()
    visit.made = Made(login, sure=False)
    answer = await visit.ask("POST", REGISTER, json_body=credentials(login))
    visit.made = Made(login, sure=True) if answer.status == 201 else None if answer.status else visit.made
    if answer.status != 201:
        raise NotLookedError(f"no account could be registered ({answer.said()})")
    return login


async def clean_up(visit: Visit) -> str:
    """Deletes what was made. Returns what is left, "" for nothing; spends nothing of the budget."""
    if visit.made is None:
        return ""
    made, said = visit.made, "not tried"
    for _ in range(CLEANING_TRIES):
        entered = await _post(visit, LOGIN, credentials(made.login))
        if entered.status == 401 and not made.sure:
            break
        said = entered.said()
        if entered.status == 200 and not (said := await _deleted(visit, made.login, entered)):
            break
    else:
        return f"{made.login.email} ({said})"
    visit.made = None
    return ""


async def _deleted(visit: Visit, login: Login, entered: Answer) -> str:
    """ "" when it is, else what was said. Twice: by turns another instance answers, and by luck the same."""
    own, said = str(entered.field("access_token")), ""
    for _ in range(2):
        gone = await _post(visit, DELETE, {"password": login.password}, own)
        if gone.status == 204:
            return ""
        said = gone.said()
    return said


async def _post(visit: Visit, path: str, content: dict[str, str], own: str = "") -> Answer:
    return await visit.ask("POST", path, json_body=content, token=own, spend=False)
