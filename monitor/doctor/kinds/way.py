"""The way to the target: its name, its port, its first word."""

from __future__ import annotations

from functools import partial

from exporters.http import Reason
from monitor.doctor import facts
from monitor.doctor.dialling import Dialled, Line, dial
from monitor.doctor.model import Fine, Outcome, Step, trouble
from monitor.doctor.visit import Visit

FAILURES = "§14.1"
RESTARTING = "§13.3"
LOGS = "render logs --service paciolus-api --tail"
READ_THE_LOG = Step("Read the last lines of its log, before a restart wipes them:", LOGS)
RESTART = Step("Restart it. Render: Settings, Suspend, Resume. DigitalOcean: Force Rebuild and Deploy.")


async def name(visit: Visit) -> Outcome:
    answer, host = (await facts.arrival(visit)).first, visit.patient.host
    if answer.result.reason is not Reason.DNS:
        address = answer.result.address
        return Fine(f"{host} is {address}") if address not in ("", host) else None
    return trouble(
        answer.said(),
        f"The name {host} has no address: mistyped, its domain expired, its record missing, or this "
        "machine's resolver does not answer.",
        Step("See what others know of the name:", f"dig +short {host} @1.1.1.1"),
        Step("No address there: set the record where the domain is registered, and wait 5 to 60 minutes."),
        Step("An address there: the resolver of this machine is at fault:", "cat /etc/resolv.conf"),
        section="§4.2",
    )


async def refused(visit: Visit) -> Outcome:
    if (dialled := await _dialled(visit)) is None or dialled.line is not Line.REFUSED:
        return None
    port = visit.patient.port
    return trouble(
        dialled.said(visit.patient.host, port),
        f"The machine is there, and nothing listens on port {port}: the process crashed, is not up yet, is "
        "suspended, or listens on another port, or on 127.0.0.1 only.",
        READ_THE_LOG,
        Step(
            "It is down: restart it. Render: Settings, Suspend, Resume. DigitalOcean: Force Rebuild and "
            "Deploy."
        ),
        Step(
            "It runs: let it listen on all addresses, on the port that requests are sent to:",
            "API_HOST=0.0.0.0",
        ),
        section=RESTARTING,
    )


async def filtered(visit: Visit) -> Outcome:
    dialled = await _dialled(visit)
    if dialled is None or dialled.line not in (Line.SILENT, Line.NO_ROUTE):
        return None
    host, port = visit.patient.host, visit.patient.port
    return trouble(
        dialled.said(host, port),
        "Nobody refuses the connection, and nobody accepts it: a firewall drops it, the machine at that "
        "address is gone, or this one has no way there.",
        Step(
            "From another network, too? If it works there, this machine's network is at fault:",
            f"nc -vz -w 5 {host} {port}",
        ),
        Step(
            "Compare the address with the platform's, and look at its firewall rules:", f"dig +short {host}"
        ),
        section=FAILURES,
    )


async def cut_off(visit: Visit) -> Outcome:
    if (dialled := await _dialled(visit)) is None or dialled.line is not Line.OPEN:
        return None
    answer = (await facts.arrival(visit)).last
    if answer.result.reason is not Reason.CONNECT:
        return None
    scheme, _, rest = visit.patient.target.partition("://")
    return trouble(
        answer.said(),
        "The connection is accepted, then closed without an answer: the process dies of the request or is "
        "just restarting, or what listens there expects TLS, or speaks no HTTP at all.",
        Step("Try the other scheme:", f"curl -sv {'http' if scheme == 'https' else 'https'}://{rest}/health"),
        READ_THE_LOG,
        section=FAILURES,
    )


async def hangs(visit: Visit) -> Outcome:
    came = await facts.arrival(visit)
    if came.last.status or came.last.result.reason is not Reason.TIMEOUT:
        return None
    if (dialled := await _dialled(visit)) is None or dialled.line is not Line.OPEN:
        return None
    plain = " Or it speaks no TLS, and waits for more." if "TLS" in came.last.result.detail else ""
    return trouble(
        tuple(each.said() for each in (came.first, came.second) if each),
        "The connection is accepted and nobody answers: every worker is busy or blocked, CPU or memory "
        f"are used up, or the process is suspended. It is not the database: /health does not ask it.{plain}",
        Step("See CPU and memory on the platform's dashboard, and the last lines of the log:", LOGS),
        RESTART,
        section=RESTARTING,
    )


async def _dialled(visit: Visit) -> Dialled | None:
    """Of what gave no answer; None of what did."""
    answer = (await facts.arrival(visit)).last
    if answer.status or answer.result.reason not in (Reason.CONNECT, Reason.TIMEOUT):
        return None
    return await visit.once("dialled", partial(dial, visit.patient.host, visit.patient.port))
