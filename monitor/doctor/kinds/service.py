"""Who answers on /health, and how: the API, something in front of it, or something else."""

from __future__ import annotations

import statistics
from collections import Counter
from functools import partial
from urllib.parse import urlsplit

from exporters.http import Reason
from monitor.doctor import facts
from monitor.doctor.kinds.way import LOGS, READ_THE_LOG, RESTART
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Answer, Visit, short
from monitor.gate.checks.exposure import DOCUMENTATION
from monitor.gate.explain import POINTS_TO
from monitor.quantity import format_duration
from monitor.words import PHASES

WHO_ANSWERS = ("Server", "Via", "CF-Ray", "X-Render-Origin-Server", "Retry-After")
BASES = ("/api", "/v1", "/api/v1")
COLD = 2.0
"""Seconds that a first answer takes when somebody had to be started for it; a busy one answers sooner."""
SHARE_OF_A_COLD_START = 0.2
"""What later answers take of the first one's time at most."""
GATEWAY = {
    502: "The proxy reaches nobody behind it: the process is down, is starting, or listens on another port, "
    "or on 127.0.0.1 only.",
    503: "The platform has no instance to send requests to: all are down, unhealthy, suspended, or being "
    "deployed.",
    504: "The proxy waited for an answer and gave up: the process hangs, or is overloaded.",
}


async def gateway(visit: Visit) -> Outcome:
    """What only a proxy answers, for /health of the API itself asks nobody."""
    answer = (await facts.arrival(visit)).last
    if answer.status not in GATEWAY:
        return None
    return trouble(
        answer.said(*WHO_ANSWERS),
        GATEWAY[answer.status],
        READ_THE_LOG,
        Step(
            "It starts, and listens elsewhere? Then set, with the port that the platform sends to:",
            "API_HOST=0.0.0.0",
        ),
        RESTART,
        section="§13.3",
    )


async def server_error(visit: Visit) -> Outcome:
    answer = (await facts.arrival(visit)).last
    if answer.status < 500 or answer.status in GATEWAY or answer.broken:
        return None
    return trouble(
        answer.said(*WHO_ANSWERS),
        "The API itself fails at the simplest of its routes: a bad release, or its settings. From 520 on "
        "it is Cloudflare's word for a server behind it that is not there or not understood.",
        READ_THE_LOG,
        Step("Released lately? Roll back. Render: Events, the last good deploy, Rollback."),
        section="§13.2",
    )


async def kept_out(visit: Visit) -> Outcome:
    answer = (await facts.arrival(visit)).last
    if answer.status not in (401, 403, 407, 451) or answer.broken:
        return None
    return trouble(
        answer.said("WWW-Authenticate", *WHO_ANSWERS),
        "/health needs no log-in, so something in front of the API asks for one: basic authentication, the "
        "protection of a preview, a firewall that does not like this address or this client.",
        Step("Open /health at least: the platform's own health checks and the monitor need it."),
        Step("See who says it:", f"curl -si {visit.patient.target}/health"),
        section="§5.2",
    )


async def wrong_path(visit: Visit) -> Outcome:
    answer = (await facts.arrival(visit)).last
    if answer.status not in (404, 405, 410) or answer.broken:
        return None
    found = await visit.once("bases", partial(_found_elsewhere, visit))
    if found:
        cure = Step("Ask there, and let the frontend do so:", f"NEXT_PUBLIC_API_URL={found}")
        return trouble(
            (answer.said("Server"), f"GET {found}/health: 200"),
            "The API is there, under another path.",
            cure,
            section="§3.2",
        )
    return trouble(
        answer.said(*WHO_ANSWERS),
        "Something answers, and knows no /health: the path before it is wrong or missing, the name leads to "
        f"another service, or an older release has no such route. Tried as well: {', '.join(BASES)}.",
        Step(
            "Which address does the platform show for the API? The frontend needs the same:",
            "NEXT_PUBLIC_API_URL=https://api.paciolus.com",
        ),
        section="§3.2",
    )


async def other_service(visit: Visit) -> Outcome:
    answer = (await facts.arrival(visit)).last
    if not 200 <= answer.status < 300 or answer.broken or facts.is_good(answer):
        return None
    begins = short(answer.result.body[:60].decode(errors="replace"), 48)
    what = (
        "A web page answers in place of the API: the frontend (which shows its start page for every "
        "path), the platform's page of an instance that is waking up, or a page of the place where the "
        "domain is parked."
        if answer.is_html
        else "Something answers that is not the API, whose /health is a JSON object."
    )
    begins = short(answer.result.body[:60].decode(errors="replace"), 48)
    what = (
        "A web page answers in place of the API: the frontend (which shows its start page for every "
        "path), the platform's page of an instance that is waking up, or a page of the place where the "
        "domain is parked."
        if answer.is_html
        else "Something answers that is not the API: its /health is a JSON object."
    )
    return trouble(
        f"{answer.said('Content-Type', *WHO_ANSWERS)}, begins {begins!r}",
        what,
        Step(
            "Is this the address of the API, and not of the frontend? In the frontend's environment:",
            "NEXT_PUBLIC_API_URL=https://api.paciolus.com",
        ),
        Step("Does the name lead to the API's platform?", f"dig +short {visit.patient.host}"),
        section="§3.2",
    )


async def broken_answer(visit: Visit) -> Outcome:
    answer = (await facts.arrival(visit)).last
    if not _is_broken(answer):
        return Fine(f"/health answers {answer.status}") if facts.is_good(answer) else None
    return trouble(
        answer.said(*WHO_ANSWERS),
        "Something answers, and not in a way that can be read: it speaks no HTTP, breaks off, or sends "
        "without end. Another service listens there, or a proxy spoils the answer.",
        Step("Look at it yourself:", f"curl -sv -m 10 {visit.patient.target}/health | head -c 300"),
        READ_THE_LOG,
        section="§14.1",
    )


async def asleep(visit: Visit) -> Outcome:
    came = await facts.arrival(visit)
    if not facts.is_good(came.last):
        return None
    later = statistics.median(each.result.duration for each in await facts.healths(visit))
    first = came.first.result.duration
    woken = came.second is not None
    if not woken and (first < COLD or later > SHARE_OF_A_COLD_START * first):
        return None
    took = (
        f"the first after {format_duration(round(first, 1))}, later ones {format_duration(round(later, 3))}"
    )
    return trouble(
        (f"first answer {came.first.said(*WHO_ANSWERS)}", took),
        "It was asleep, and the first request woke it: a free plan stops an instance that nobody asks for "
        "a while. Or it was just restarted.",
        Step(
            "Take a plan that does not sleep, or ask it often enough that it never does, such as every 30 s."
        ),
        Step("Restarted by itself? The log says why:", LOGS),
        section="§5.2",
    )


async def slow(visit: Visit) -> Outcome:
    """By the objective that pages, over the answers of this visit."""
    answers = [each for each in await facts.healths(visit) if not each.broken and not each.result.stalled]
    if not answers:
        raise NotLookedError("how quick /health is: this machine itself stood still")
    objective = visit.patient.config.objectives.by_name("health-latency")
    median = statistics.median(each.result.duration for each in answers)
    if not objective.breach.broken_by(median):
        return Fine(f"/health takes {format_duration(round(median, 3))} (median of {len(answers)})")
    phase = max(PHASES, key=lambda name: sum(getattr(each.result.phases, name) for each in answers))
    return trouble(
        f"/health takes {objective.breach.shown(median)} (median of {len(answers)}, on fresh connections)",
        f"Most of it goes into {PHASES[phase]}. That points to {POINTS_TO[phase]}.",
        Step("Follow the runbook:", objective.runbook),
        section="§16.3",
    )


async def unsteady(visit: Visit) -> Outcome:
    answers = await facts.healths(visit)
    bad = [each for each in answers if not facts.is_good(each) and each.status != 429]
    if not bad:
        return None
    counted = Counter(each.said() for each in bad)
    return trouble(
        tuple(f"{count} of {len(answers)} times {said}" for said, count in counted.most_common(3)),
        "Some requests are answered well and others are not: one instance of several is down or sick, and "
        "still gets requests; or it is restarting at this moment.",
        Step("Look at each instance on the platform's dashboard, and restart the one that is not healthy."),
        READ_THE_LOG,
        section="§13.3",
    )


async def versions(visit: Visit) -> Outcome:
    answers = [each for each in await facts.healths(visit) if facts.is_good(each)]
    counted = Counter(short(str(each.field("version"))) for each in answers if each.field("version"))
    if len(counted) < 2:
        return Fine(f"version {next(iter(counted))}") if counted else None
    return trouble(
        ", ".join(f"version {name}: {count} times" for name, count in sorted(counted.items())),
        "Two releases answer behind this address: a deploy is under way, or it stopped half way.",
        Step(
            "Wait for the deploy to end (2 to 5 minutes). If it does not: deploy the newer one again, or "
            "roll back."
        ),
        section="§13.1",
    )


async def rate_limited(visit: Visit) -> Outcome:
    """By whatever was asked so far."""
    refused = [each for each in visit.answers if each.status == 429]
    if not refused:
        return None
    first = refused[0]
    cause = (
        "Log-ins from this address are throttled, after too many attempts. Behind a proxy that the API "
        "does not know, all users share one address."
        if "/auth/" in first.what
        else "A proxy or firewall limits how often one address may ask. An office full of users is one, too."
    )
    return trouble(
        f"{len(refused)} of {len(visit.answers)} answers; the first: {first.said('Retry-After', 'Server')}",
        cause,
        Step(f"Wait {short(first.header('retry-after') or '60', 20)} seconds, and ask again."),
        Step("All users at once? Tell the API which proxy to believe:", "FORWARDED_ALLOW_IPS=10.0.0.0/8"),
        section="§12.1",
    )


async def unanswered(visit: Visit) -> Outcome:
    """Beside /health: what hangs there is not known, and no reason to find nothing."""
    if not (await facts.arrival(visit)).last.status:
        return None
    hung = [each for each in visit.answers[1:] if each.result.reason is Reason.TIMEOUT and not each.status]
    if not hung:
        return None
    counted = Counter(each.said() for each in hung)
    return trouble(
        tuple(f"{said}{f' ({count} times)' if count > 1 else ''}" for said, count in counted.most_common(3)),
        "Some requests are never answered, though the process lives: it waits for its database or for "
        "another service, or all its threads do.",
        Step("Does the API find its database?", f"curl -si -m 5 {visit.patient.target}{facts.READY}"),
        READ_THE_LOG,
        RESTART,
        section="§13.3",
    )


async def draining(visit: Visit) -> Outcome:
    answer = await facts.ready(visit)
    if answer.field("reason") != "shutting down":
        return None
    return trouble(
        answer.said(),
        "This instance was told to end and takes no new work: a deploy or a restart, which is over in "
        "seconds.",
        Step("Ask again in 30 seconds. Still so: it does not end by itself. Restart it."),
        section="§13.1",
    )


async def docs_open(visit: Visit) -> Outcome:
    await facts.healthy(visit)
    if not visit.patient.has_edge:
        raise NotLookedError(
            "docs and plain http: a process on this machine is not what strangers see",
            "set `edge: always` in a gate.yml of your own, and give --config",
        )
    answers = [await visit.once(path, partial(visit.ask, "GET", path)) for path in DOCUMENTATION]
    open_ = [each for each in answers if each.status and each.status < 300]
    if not open_:
        return Fine("no documentation in production")
    return trouble(
        tuple(each.said() for each in open_),
        "The API shows its documentation to everybody, so it does not know that it is in production; then "
        "it is lenient in other things, too.",
        Step("Set in the backend's environment, and restart it:", "ENV_MODE=production"),
        section="§3.1",
    )


async def _found_elsewhere(visit: Visit) -> str:
    """The base URL under which /health is the API's; "" for none."""
    root = "{0.scheme}://{0.netloc}".format(urlsplit(visit.patient.target))
    bases = dict.fromkeys(["", *BASES])
    for base in bases:
        if f"{root}{base}" == visit.patient.target:
            continue
        if facts.is_good(await visit.ask("GET", f"{root}{base}{facts.HEALTH}")):
            return f"{root}{base}"
    return ""


def _is_broken(answer: Answer) -> bool:
    unreadable = (Reason.BODY, Reason.TOO_LARGE, Reason.STATUS)
    if answer.status:
        return answer.broken
    return answer.result.reason in unreadable
