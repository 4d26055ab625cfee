"""§17.1, JWT token invalid: what the token that was given says of itself, before anybody is asked."""

from __future__ import annotations

import time

from monitor.doctor import facts
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.tokens import NoTokenError, Token, read
from monitor.doctor.visit import Visit, short
from monitor.quantity import format_duration

SECTION = "§17.1"
ALGORITHM = "HS256"
LIFETIME = 8 * 3600.0
"""Seconds: §17.1."""
MINUTE = 60.0
NO_TOKEN = "no token was given"  # noqa: S105
LOG_IN_AGAIN = Step("Clear the browser's sessionStorage, and log in again:", "sessionStorage.clear()")


async def garbled(visit: Visit) -> Outcome:
    text = _given(visit)
    try:
        read(text)
    except NoTokenError as error:
        return trouble(
            f"the token that was given is no JWT: {error}",
            _how_it_came(text),
            Step(
                "Copy it whole, without quotes and without the word Bearer: three parts, two dots:",
                "GATE_TOKEN=eyJ...  paciolus-monitor doctor ...",
            ),
            LOG_IN_AGAIN,
            section=SECTION,
        )
    return Fine("the token is a JWT")


async def algorithm(visit: Visit) -> Outcome:
    token = given(visit)
    if token.algorithm == ALGORITHM:
        return None
    return trouble(
        f"its header says alg: {short(token.algorithm)}",
        f"The API signs with {ALGORITHM} and takes nothing else: the token is of another service, or forged.",
        LOG_IN_AGAIN,
        Step("The API itself signs otherwise? Then its environment is wrong:", f"JWT_ALGORITHM={ALGORITHM}"),
        section=SECTION,
    )


async def expired(visit: Visit) -> Outcome:
    token, now = given(visit), visit.clock()
    ends = token.moment("exp")
    if ends is None:
        return None
    if ends > now:
        return Fine(f"the token is good for another {_minutes(ends - now)}")
    lived = "" if token.lifetime is None else f", after a life of {_minutes(token.lifetime)}"
    return trouble(
        f"exp: {_moment(ends)}, which is {_minutes(now - ends)} ago{lived}",
        f"The token has expired. It lives {format_duration(LIFETIME)}, so this happens to whoever keeps a "
        "page open overnight.",
        LOG_IN_AGAIN,
        Step("If the frontend shows an error in place of the log-in page, it should go there on a 401."),
        section=SECTION,
    )


async def not_yet(visit: Visit) -> Outcome:
    token, now = given(visit), visit.clock()
    starts = token.moment("nbf")
    if starts is None or starts <= now:
        return None
    return trouble(
        f"nbf: {_moment(starts)}, in {_minutes(starts - now)}",
        "The token is not good yet: whoever made it has a clock that is fast, or this machine's is slow.",
        Step("Compare the clocks, and let both follow a time server:", "timedatectl"),
        section=SECTION,
    )


async def lifetime(visit: Visit) -> Outcome:
    """Of the given token, or of a fresh one."""
    token = given(visit)
    lives = token.lifetime
    if lives is not None and abs(lives - LIFETIME) <= MINUTE:
        return Fine(f"tokens live {format_duration(LIFETIME)}")
    if lives is None:
        saw = "the token has no exp or no iat that is a time in seconds"
        cause = "Such a token is refused by the API, and by others is good for ever: it is not of this API."
        return trouble(saw, cause, LOG_IN_AGAIN, section=SECTION)
    how = "longer" if lives > LIFETIME else "shorter"
    return trouble(
        f"iat: {_moment(token.moment('iat'))}, exp: {_moment(token.moment('exp'))}: a life of "
        f"{_minutes(lives)}",
        f"Tokens live {how} than the documented {format_duration(LIFETIME)}: JWT_EXPIRATION_MINUTES is set "
        "otherwise, or the token is of another environment.",
        Step(
            "Set in the backend's environment, and restart it:",
            f"JWT_EXPIRATION_MINUTES={LIFETIME / MINUTE:.0f}",
        ),
        section="§3.1",
    )


def given(visit: Visit) -> Token:
    """Raises NotLookedError where there is none, or no JWT."""
    try:
        return read(_given(visit))
    except NoTokenError:
        raise NotLookedError("the token that was given is no JWT") from None


def _given(visit: Visit) -> str:
    if not visit.patient.token:
        raise NotLookedError(NO_TOKEN, facts.TO_TRY_A_TOKEN)
    return visit.patient.token


def _how_it_came(text: str) -> str:
    if text[:7].lower() == "bearer ":
        return "The word Bearer is part of it. If the frontend sends it so, the header says Bearer twice."
    if text.strip("\"' \n\t") != text:
        return "Quotes or space are part of it: JSON.stringify() around a text, or the shell's."
    return "It was cut off, changed, or is something else."


def _minutes(seconds: float) -> str:
    """Seconds matter to nobody, unless there are only seconds."""
    return format_duration(seconds // MINUTE * MINUTE if seconds >= MINUTE else round(seconds))


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at or 0))
