"""Where /health leads to, and whether plain http leads to https."""

from __future__ import annotations

from functools import partial
from urllib.parse import urljoin, urlsplit

from monitor.doctor import facts
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Answer, Visit, quoted

MOST_HOPS = 6


async def loop(visit: Visit) -> Outcome:
    answers = await _trail(visit)
    if not answers or not _leads_somewhere(visit, answers[-1]):
        return None
    return trouble(
        tuple(each.said("Location") for each in answers[:3]),
        "The redirects never end. Most often the proxy ends TLS and asks the API by http, and the API "
        "sends everybody to https, for ever.",
        Step("Let the proxy say how it was asked, and the API believe it:", "X-Forwarded-Proto: https"),
        Step("Cloudflare: SSL/TLS, Overview, Full (strict) in place of Flexible."),
        section="§4.2",
    )


async def leads_elsewhere(visit: Visit) -> Outcome:
    answers = await _trail(visit)
    if not answers or _leads_somewhere(visit, answers[-1]):
        return None
    last = answers[-1]
    saw = (answers[0].said("Location"), last.said())
    if not facts.is_good(last):
        return trouble(
            saw,
            "The address leads away from the API: to a log-in page, to the frontend, or to what is gone.",
            Step("Look where it leads:", f"curl -sIL {visit.patient.target}/health"),
            section="§3.2",
        )
    base = quoted(last.what.partition(" ")[2].removesuffix(facts.HEALTH))
    return trouble(
        saw,
        "The API is at another address than the one that was given. Browsers do not follow a redirect of "
        "what they ask beforehand, and other clients lose the token or turn POST into GET.",
        Step("Use that address, here and in the frontend:", f"NEXT_PUBLIC_API_URL={base}"),
        section="§3.2",
    )


async def plain_http(visit: Visit) -> Outcome:
    """§16.2 wants nothing served without TLS."""
    patient = visit.patient
    await facts.healthy(visit)
    if not patient.has_edge:
        return None
    if not patient.secure:
        return trouble(
            f"the target is {patient.target}",
            "Passwords and tokens go over the network in the open: the API is asked without TLS.",
            Step("Ask by https, and let the frontend do so:", f"NEXT_PUBLIC_API_URL=https://{patient.host}"),
            section="§16.2",
        )
    plain = patient.config.plain or f"http://{patient.host}"
    answer = await visit.once("plain", partial(visit.ask, "GET", f"{plain}{facts.HEALTH}"))
    if not answer.status or answer.status >= 400:
        return Fine("nothing is served by plain http")
    if _leads_on(answer) and answer.header("location").startswith("https://"):
        return Fine("plain http leads to https")
    return trouble(
        answer.said("Location", "Server"),
        "By plain http the API answers, too: whoever mistypes sends his password in the open.",
        Step(
            "Let the platform force https. In nginx:",
            "return 308 https://$host$request_uri;",
        ),
        section="§16.2",
    )


async def _trail(visit: Visit) -> list[Answer]:
    """The answers along the redirects of /health; [] where it is not redirected."""
    return await visit.once("trail", partial(_followed, visit))


async def _followed(visit: Visit) -> list[Answer]:
    answer = (await facts.arrival(visit)).last
    if not answer.status:
        raise NotLookedError("the target does not answer")
    if not _leads_on(answer):
        return []
    found, where = [answer], f"{visit.patient.target}{facts.HEALTH}"
    been = {where}
    while _leads_on(answer) and len(found) < MOST_HOPS:
        where = _next(where, answer)
        if not where or where in been:
            break
        been.add(where)
        answer = await visit.ask("GET", where)
        found.append(answer)
    return found


def _leads_on(answer: Answer) -> bool:
    return answer.status in (301, 302, 303, 307, 308) and bool(answer.header("location"))


def _leads_somewhere(visit: Visit, answer: Answer) -> bool:
    asked = urljoin(visit.patient.target, answer.what.partition(" ")[2])
    return _leads_on(answer) and bool(_next(asked, answer))


def _next(where: str, answer: Answer) -> str:
    """ "" for what is no URL."""
    try:
        found = urljoin(where, answer.header("location"))
        return found if urlsplit(found).scheme in ("http", "https") else ""
    except ValueError:
        return ""
