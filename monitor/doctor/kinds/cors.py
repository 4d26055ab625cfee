"""§17.1, CORS errors in browsers: whom the API lets in, and who answers in its place.

The origin is tried in the spellings that people take for it: the one that is let in tells what CORS_ORIGINS
says.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from urllib.parse import urlsplit

from monitor.doctor import facts
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Answer, Visit, quoted, short
from monitor.gate.checks.cors import ALLOWED, FOREIGN
from monitor.gate.checks.tokens import WHO

SECTION = "§17.1"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
ALLOW_METHODS = "Access-Control-Allow-Methods"
ALLOW_HEADERS = "Access-Control-Allow-Headers"
METHODS = ("GET", "POST", "PUT", "DELETE")
"""What the frontend sends: reads, uploads, edits and deletes."""
NEED_NO_LEAVE = ("GET", "POST")
"""Of their own, once the answer is a good one (Fetch standard, CORS-safelisted methods)."""
HEADERS = ("authorization", "content-type")
RESTART = Step("Restart the backend: it reads its environment once, when it starts.")


class Standing(StrEnum):
    """Of the frontend's origin."""

    IN = "let in"
    SLASH = "let in with a slash"
    SCHEME = "let in with the other scheme"
    WWW = "let in with the other host"
    ELSEWHERE = "let in, but somebody else answers OPTIONS"
    REDIRECTED = "redirected"
    OUT = "kept out"


async def slash(visit: Visit) -> Outcome:
    return await _misspelt(
        visit,
        Standing.SLASH,
        "CORS_ORIGINS has the origin with a slash at its end. Browsers send it without one, and the two are "
        "compared letter by letter.",
    )


async def scheme(visit: Visit) -> Outcome:
    return await _misspelt(
        visit,
        Standing.SCHEME,
        "CORS_ORIGINS has the origin with http in place of https, or the other way round. To a browser these "
        "are two origins.",
    )


async def www(visit: Visit) -> Outcome:
    return await _misspelt(
        visit,
        Standing.WWW,
        "CORS_ORIGINS has only one of the two hosts, with www. and without. To a browser these are two "
        "origins: list each one that people reach the frontend by.",
        both=True,
    )


async def missing(visit: Visit) -> Outcome:
    own, standing = facts.origin(visit), await _standing(visit)
    if standing is Standing.IN:
        return Fine(f"{own} is let in")
    if standing is not Standing.OUT:
        return None
    answer = await facts.preflight(visit, own)
    return trouble(
        _without_origin(answer, own),
        f"CORS_ORIGINS does not have {own}, in none of the spellings that were tried.",
        Step("Set in the backend's environment, beside the origins that are there:", f"CORS_ORIGINS={own}"),
        RESTART,
        section=SECTION,
    )


async def everybody(visit: Visit) -> Outcome:
    answer = await facts.simple(visit, FOREIGN)
    said = answer.header(ALLOWED)
    if said not in ("*", FOREIGN):
        return Fine("other origins are kept out")
    how = "CORS_ORIGINS is *" if said == "*" else "Whatever origin asks is repeated in the answer"
    cookies = answer.header("access-control-allow-credentials") == "true"
    own = facts.origin(visit) if visit.patient.origin else "https://paciolus.com"
    return trouble(
        f"from {FOREIGN}, {answer.said(ALLOW_ORIGIN, 'Access-Control-Allow-Credentials')}",
        f"{how}: pages of every origin may call the API from a visitor's browser and read the answer"
        f"{', with his cookies' if cookies else ''}.",
        Step("Name the frontend's origins, and nobody else:", f"CORS_ORIGINS={own}"),
        RESTART,
        section="§16.2",
    )


async def options_elsewhere(visit: Visit) -> Outcome:
    if await _standing(visit) is not Standing.ELSEWHERE:
        return None
    own = facts.origin(visit)
    answer, simple = await facts.preflight(visit, own), await facts.simple(visit, own)
    return trouble(
        (answer.said(ALLOW_ORIGIN, "Server", "Via", "Allow", "WWW-Authenticate"), simple.said(ALLOW_ORIGIN)),
        "Asked itself, the API lets the frontend in. But what a browser asks beforehand (OPTIONS) is "
        "answered by something else: a proxy, a CDN, a log-in wall, or an API without CORS middleware "
        "behind a proxy that adds the header.",
        Step(
            "Let what stands in front pass OPTIONS on. In nginx, remove rules such as:",
            "if ($request_method = OPTIONS) { return 204; }",
        ),
        Step("Then ask as a browser does:", _curl(visit, own)),
        section=SECTION,
    )


async def redirected(visit: Visit) -> Outcome:
    if await _standing(visit) is not Standing.REDIRECTED:
        return None
    answer = await facts.preflight(visit, facts.origin(visit))
    where = urlsplit(answer.header("location"))
    base = f"{where.scheme}://{where.netloc}" if where.netloc else "https://api.paciolus.com"
    return trouble(
        answer.said("Location"),
        "What a browser asks beforehand (OPTIONS) is redirected. Browsers do not follow that, and call it a "
        "CORS error.",
        Step(
            "Give the frontend the address that it leads to, and build it again:",
            f"NEXT_PUBLIC_API_URL={quoted(base)}",
        ),
        section=SECTION,
    )


async def methods(visit: Visit) -> Outcome:
    own = facts.origin(visit)
    if await _standing(visit) is not Standing.IN:
        return None
    answers = {each: await facts.preflight(visit, own, each) for each in METHODS}
    lacking = [each for each, answer in answers.items() if not _allows(answer, each)]
    if not lacking:
        return Fine(f"{', '.join(METHODS)} are allowed")
    return trouble(
        tuple(f"for {each}, {answers[each].said(ALLOW_METHODS)}" for each in lacking),
        f"{', '.join(lacking)} may not be sent from {own}, though others may: reading works, and saving is "
        "a CORS error.",
        Step(
            "Allow in the API's CORS middleware (METHODS in app/main.py), or in the proxy that answers "
            "for it:",
            ", ".join(METHODS),
        ),
        section=SECTION,
    )


async def headers(visit: Visit) -> Outcome:
    if await _standing(visit) is not Standing.IN:
        return None
    answer = await facts.preflight(visit, facts.origin(visit))
    allowed = _listed(answer, ALLOW_HEADERS)
    lacking = [each for each in HEADERS if each not in allowed and (each == HEADERS[0] or "*" not in allowed)]
    if not lacking:
        return Fine("the Authorization header is allowed")
    star = " `*` does not stand for it: browsers want it named." if "*" in allowed else ""
    return trouble(
        answer.said(ALLOW_HEADERS),
        f"Browsers may not send {' and '.join(each.title() for each in lacking)}, so no request that needs a "
        f"token gets as far as the API.{star}",
        Step(
            "Allow in the API's CORS middleware (app/main.py), or in the proxy that answers for it:",
            "Authorization, Content-Type",
        ),
        section=SECTION,
    )


async def twice(visit: Visit) -> Outcome:
    answer = await facts.simple(visit, facts.origin(visit))
    if "," not in answer.header(ALLOWED):
        return None
    return trouble(
        tuple(f"{answer.what}: {ALLOW_ORIGIN}: {short(each)}" for each in answer.headers(ALLOWED)),
        "The header is there more than once, most likely from the API and from a proxy in front of it. "
        "Browsers refuse that, whatever it says.",
        Step("Let the API answer alone. In nginx, remove:", "add_header Access-Control-Allow-Origin ...;"),
        section=SECTION,
    )


async def errors_without(visit: Visit) -> Outcome:
    own = facts.origin(visit)
    if await _standing(visit) is not Standing.IN:
        return None
    answer = await visit.once("refusal", partial(visit.ask, "GET", WHO, headers={"Origin": own}))
    if answer.status < 400 or answer.broken or answer.header(ALLOWED):
        return Fine("errors carry the CORS headers, too")
    return trouble(
        answer.said(ALLOW_ORIGIN, "Server"),
        f"Errors come without the CORS headers. Browsers then report a CORS error in place of what went "
        f"wrong, here a {answer.status}: look at the status, not at the word CORS.",
        Step(
            "Let the CORS middleware wrap the error handlers, as app/main.py does, or add the headers to "
            "the errors of the proxy. Then:",
            _curl(visit, own, f"GET {WHO}"),
        ),
        section=SECTION,
    )


async def mixed_content(visit: Visit) -> Outcome:
    if visit.patient.secure or not visit.patient.has_edge:
        return None
    own = facts.origin(visit)
    if not own.startswith("https:"):
        return None
    return trouble(
        f"the frontend is {own}, the API {visit.patient.target}",
        "A page that came by https may ask nothing by http (mixed content): browsers never send it.",
        Step(
            "Give the frontend the API's https address, and build it again:",
            f"NEXT_PUBLIC_API_URL=https://{visit.patient.host}",
        ),
        section="§3.2",
    )


async def _standing(visit: Visit) -> Standing:
    return await visit.once("standing", partial(_tried, visit, facts.origin(visit)))


async def _tried(visit: Visit, own: str) -> Standing:
    answer = await facts.preflight(visit, own)
    if not answer.status:
        raise NotLookedError(f"what browsers ask beforehand is not answered ({answer.said()})")
    if 300 <= answer.status < 400:
        return Standing.REDIRECTED
    if _names(answer, own) and (answer.status < 300 or answer.header(ALLOW_METHODS.lower())):
        return Standing.IN
    if _names(await facts.simple(visit, own), own):
        return Standing.ELSEWHERE
    for standing, other in _spellings(own).items():
        if _names(await facts.preflight(visit, other), other):
            return standing
    return Standing.OUT


def _spellings(own: str) -> dict[Standing, str]:
    scheme, _, host = own.partition("://")
    return {
        Standing.SLASH: f"{own}/",
        Standing.SCHEME: f"{'http' if scheme == 'https' else 'https'}://{host}",
        Standing.WWW: f"{scheme}://{host[4:] if host.startswith('www.') else f'www.{host}'}",
    }


def _names(answer: Answer, origin: str) -> bool:
    return any(each in answer.headers(ALLOWED) for each in (origin, "*"))


async def _misspelt(visit: Visit, standing: Standing, cause: str, *, both: bool = False) -> Outcome:
    if await _standing(visit) is not standing:
        return None
    own = facts.origin(visit)
    other = _spellings(own)[standing]
    refused, accepted = await facts.preflight(visit, own), await facts.preflight(visit, other)
    setting = f"CORS_ORIGINS={own},{other}" if both else f"CORS_ORIGINS={own}"
    return trouble(
        (_without_origin(refused, own), f"from {other}, {accepted.said(ALLOW_ORIGIN)}"),
        cause,
        Step("Set in the backend's environment:", setting),
        RESTART,
        section=SECTION,
    )


def _without_origin(answer: Answer, own: str) -> str:
    there = "" if answer.header(ALLOWED) else f", no {ALLOW_ORIGIN}"
    return f"from {own}, {answer.said(ALLOW_ORIGIN)}{there}"


def _listed(answer: Answer, name: str) -> set[str]:
    return {each.strip().lower() for each in answer.header(name.lower()).split(",")}


def _allows(answer: Answer, method: str) -> bool:
    allowed = _listed(answer, ALLOW_METHODS)
    return method.lower() in allowed or "*" in allowed or (method in NEED_NO_LEAVE and answer.status < 300)


def _curl(visit: Visit, own: str, asked: str = f"OPTIONS {facts.PROTECTED}") -> str:
    method, _, path = asked.partition(" ")
    return "\n".join(
        [
            f"curl -si -X {method} {visit.patient.target}{path} \\",
            f"  -H 'Origin: {own}' \\",
            "  -H 'Access-Control-Request-Method: GET'",
        ]
    )
