"""§17.1, JWT token invalid: what the API says to tokens, on several fresh connections, and to a log-in.

A token names its key (`kid`) without telling it, so two tokens show whether one secret signed both.
"""

from __future__ import annotations

from collections import Counter

from monitor.doctor import account, facts
from monitor.doctor.kinds.tokens import LOG_IN_AGAIN, SECTION, given
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.tokens import NoTokenError, Token, read
from monitor.doctor.visit import Answer, Visit, short
from monitor.gate.checks.tokens import REFUSED, WHO

SAME_SECRET = Step(
    "Give every instance the same secret (Render: an environment group; DigitalOcean: an app-level "
    "variable), then restart them all. Compare without showing it:",
    'printf %s "$JWT_SECRET_KEY" | sha256sum',
)
OVERLAP = Step(
    "If it is being rotated just now: let the old tokens live on beside the new ones.",
    "JWT_SECRET_KEY_PREVIOUS=<the old one>",
)


async def secrets_differ(visit: Visit) -> Outcome:
    answers = await facts.with_token(visit, await _good_token(visit))
    refused = [each for each in answers if each.status in REFUSED]
    if refused and len(refused) < len(answers):
        return _differing(answers)
    return Fine(f"one token is answered alike on {facts.CONNECTIONS} fresh connections")


async def fresh_refused(visit: Visit) -> Outcome:
    answers = await facts.with_token(visit, await account.token(visit))
    if not _all_refused(answers):
        return Fine("a fresh token is accepted") if _all_accepted(answers) else None
    return trouble(
        f"after a log-in, {len(answers)} times {answers[0].said('WWW-Authenticate', 'Server')}",
        "A token of a moment ago is refused everywhere, so no user's is at fault: a proxy takes the "
        "Authorization header away, the clock jumped, or who signs and who checks have different secrets.",
        Step(
            "Ask an instance itself, past the proxy. Accepted there: let the proxy pass Authorization on. "
            "In nginx:",
            "proxy_set_header Authorization $http_authorization;",
        ),
        SAME_SECRET,
        section=SECTION,
    )


async def refused(visit: Visit) -> Outcome:
    """The one that was given, though nothing about it is wrong at sight."""
    token = given(visit)
    if (token.moment("exp") or 0) <= visit.clock():
        return None
    answers = await facts.with_token(visit, visit.patient.token)
    if not _all_refused(answers):
        return Fine("the token that was given is accepted") if _all_accepted(answers) else None
    fresh = await _fresh(visit)
    if fresh is not None and _all_refused(await facts.with_token(visit, await account.token(visit))):
        return None
    saw, cause = _why_refused(visit, token, fresh)
    return trouble(
        (f"{len(answers)} times {answers[0].said('WWW-Authenticate')}", *saw),
        cause,
        LOG_IN_AGAIN,
        Step(
            "Does the frontend talk to this API, and to no other one?",
            f"NEXT_PUBLIC_API_URL={visit.patient.target}",
        ),
        OVERLAP,
        section=SECTION,
    )


async def log_in(visit: Visit) -> Outcome:
    answer = await account.logged_in(visit)
    if answer.status == 200:
        return Fine("log-in works")
    if answer.status not in (*REFUSED, 404, 405, 422):
        raise NotLookedError(f"the log-in was answered {answer.said()}")
    cause, step = _why_no_log_in(answer.status)
    return trouble(answer.said("WWW-Authenticate", "Server"), cause, step, section=SECTION)


def _why_no_log_in(status: int) -> tuple[str, Step]:
    if status == 422:
        return (
            "The API takes e-mail address and password in another form.",
            Step(
                "Compare with its OpenAPI document; POST /auth/login takes:",
                '{"email": "...", "password": "..."}',
            ),
        )
    if status in (404, 405):
        return (
            "There is no POST /auth/login here: the base path is another, or this is not the API.",
            Step("Give the doctor the address that the frontend has:", "NEXT_PUBLIC_API_URL"),
        )
    why = (
        "E-mail address or password are wrong, the account is not in this environment's database, or it is "
        "locked after too many failures: the API says the same to all three."
    )
    return (
        why,
        Step(
            "Wait 15 minutes for the lock to end, then try the same by hand; or let the doctor make an "
            "account:",
            "paciolus-monitor doctor URL --register",
        ),
    )


def _differing(answers: list[Answer]) -> Outcome:
    counted = Counter(each.status for each in answers)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(counted.items()))
    return trouble(
        f"GET {WHO} with one token, {len(answers)} fresh connections: {told}",
        "The same token is good on some instances and refused on others: JWT_SECRET_KEY is not the same "
        "on all of them, or half of them are still at the secret before a rotation. Users are logged out "
        "by turns.",
        SAME_SECRET,
        OVERLAP,
        section=SECTION,
    )


async def _good_token(visit: Visit) -> str:
    """One that an API in health accepts. Raises NotLookedError where there is none."""
    if visit.patient.email or visit.patient.register:
        return await account.token(visit)
    if (given(visit).moment("exp") or 0) <= visit.clock():
        raise NotLookedError("the token that was given has expired", facts.TO_LOG_IN)
    return visit.patient.token


async def _fresh(visit: Visit) -> Token | None:
    try:
        return read(await account.token(visit))
    except (NotLookedError, NoTokenError):
        return None


def _why_refused(visit: Visit, token: Token, fresh: Token | None) -> tuple[tuple[str, ...], str]:
    """What else was seen, and what it means: by its signature, by its key's name, or by nothing."""
    secret = visit.patient.config.jwt_secret
    if secret and token.is_signed_with(secret):
        return ("its signature is that of GATE_JWT_SECRET",), (
            "The token is genuine, and yet refused: its user logged out, the account is deleted, or this "
            "API has another secret than GATE_JWT_SECRET."
        )
    if fresh is None or not (token.key_id and fresh.key_id):
        return (), (
            "The token has not expired, and is refused on every connection: it was signed with another "
            "secret (of another environment, or before a rotation), its user logged out or was deleted, "
            f"or it was changed on its way. To tell which, {facts.TO_LOG_IN}."
        )
    keys = (f"its key is {short(token.key_id)}, a fresh token's {short(fresh.key_id)}",)
    if token.key_id != fresh.key_id:
        return keys, (
            "The token was signed with another secret than the API has now: it is of another environment "
            "(staging, a preview), or JWT_SECRET_KEY was rotated and the old one is no longer accepted."
        )
    return keys, (
        "The token names the key that the API has now, and is refused: its user logged out or was "
        "deleted, or somebody changed it and the signature no longer fits."
    )


def _all_refused(answers: list[Answer]) -> bool:
    return all(each.status in REFUSED for each in answers)


def _all_accepted(answers: list[Answer]) -> bool:
    return not any(each.status in REFUSED for each in answers)
