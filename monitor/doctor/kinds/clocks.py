"""Clocks, of which the life of a token is a matter: this machine's, the servers', that of whoever signs."""

from __future__ import annotations

from monitor.doctor import account, facts
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.tokens import NoTokenError, read
from monitor.doctor.visit import Answer, Visit
from monitor.quantity import format_duration

TOLERATED = 30.0
"""Seconds: as much as the API takes a token from the future for (CLOCKS_DIFFER in app/security.py)."""
DATE_STEP = 1.0
"""Seconds: a Date header has no parts of them."""
SECTION = "§17.1"
SYNCHRONISE = Step(
    "Let it follow a time server, and look at what it says:", "timedatectl set-ntp true && timedatectl"
)


async def here(visit: Visit) -> Outcome:
    offsets = await _offsets(visit)
    nearest = min(offsets, key=abs)
    if abs(nearest) <= TOLERATED:
        return Fine("this machine's clock and the server's agree")
    return trouble(
        f"Date of {len(offsets)} answers: {_apart(nearest)} this machine's clock",
        "This machine and the server have different times, and one of them is wrong. If it is the server, "
        "tokens end too early or too late; if it is this machine, what the doctor says of times is off as "
        "much.",
        Step("Which of them is wrong?", "date -u; curl -sI https://www.debian.org | grep -i ^date"),
        SYNCHRONISE,
        section=SECTION,
    )


async def instances(visit: Visit) -> Outcome:
    offsets = await _offsets(visit)
    apart = max(offsets) - min(offsets)
    if apart <= TOLERATED + DATE_STEP:
        return None
    return trouble(
        f"Date of {len(offsets)} answers: from {_apart(min(offsets))} to {_apart(max(offsets))} this "
        "machine's clock",
        f"Instances behind this address have clocks {format_duration(round(apart))} apart: a token that "
        "one of them makes is from the future to another, which refuses it.",
        SYNCHRONISE,
        section=SECTION,
    )


async def signer(visit: Visit) -> Outcome:
    """`iat` of a fresh token against our clock: a proxy has a Date of its own, a token has the API's time."""
    answer = await account.logged_in(visit)
    await account.token(visit)
    try:
        issued = read(str(answer.field("access_token"))).moment("iat")
    except NoTokenError:
        issued = None
    if issued is None:
        raise NotLookedError("the token of a log-in does not say when it was made")
    ahead = issued - answer.at
    server = min(await _offsets(visit), key=abs)
    if abs(ahead - server) <= TOLERATED + answer.result.duration + DATE_STEP:
        return Fine("whoever signs tokens has the server's time")
    return trouble(
        f"iat of a fresh token: {_apart(ahead)} this machine's clock; Date of the answers: "
        f"{_apart(server)} it",
        "The process that signs tokens has another time than what stands in front of it.",
        SYNCHRONISE,
        section=SECTION,
    )


async def _offsets(visit: Visit) -> list[float]:
    """Seconds by which the Dates of answers are ahead of our clock; what a request's own time explains is
    left out. Raises NotLookedError."""
    found = [_offset(each) for each in await facts.healths(visit) if not each.broken]
    offsets = [each for each in found if each is not None]
    if not offsets:
        raise NotLookedError("the answers have no Date")
    return offsets


def _offset(answer: Answer) -> float | None:
    if answer.date is None:
        return None
    ahead = answer.date + DATE_STEP / 2 - answer.at
    unsure = DATE_STEP / 2 + answer.result.duration / 2
    return 0.0 if abs(ahead) <= unsure else ahead


def _apart(seconds: float) -> str:
    if not round(seconds):
        return "with"
    return f"{format_duration(abs(round(seconds)))} {'ahead of' if seconds > 0 else 'behind'}"
