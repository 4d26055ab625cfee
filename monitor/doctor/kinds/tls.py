"""The handshake: whose certificate it is, until when, who vouches for it, and which TLS is spoken."""

from __future__ import annotations

import ssl
import time
from functools import partial

from exporters.http import Reason
from monitor.doctor import facts
from monitor.doctor.handshaking import Handshake, shake_hands
from monitor.doctor.model import Fine, NotLooked, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Visit, short
from monitor.quantity import format_duration

DAY = 86400.0
EXPIRED, NOT_YET = (10,), (9,)
OTHER_NAME = (62, 64)
UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's X509_V_ERR codes."""
OLD_VERSION = (
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "WRONG_SSL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "DH_KEY_TOO_SMALL",
    "EE_KEY_TOO_SMALL",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
)
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
SECTION = "§16.2"
RENEW = Step("Let the platform renew it: its custom domain must be verified, and the record must lead there.")


async def expired(visit: Visit) -> Outcome:
    if (found := await _handshake(visit)).code not in (*EXPIRED, *NOT_YET):
        return None
    ends = (await facts.arrival(visit)).last.result.certificate_expires
    ended = f"it ended on {time.strftime('%Y-%m-%d at %H:%M UTC', time.gmtime(ends))}" if ends else ""
    early = found.code in NOT_YET
    return trouble(
        ", ".join(
            each for each in (f"{visit.patient.host}: {short(found.detail)}", "" if early else ended) if each
        ),
        "The certificate is not good yet, or this machine's clock is slow."
        if early
        else "The certificate has expired: its renewal failed, or this machine's clock is fast.",
        Step("Is it the clock of this machine?", "date -u"),
        Step("If not, see which certificate is served:", _openssl(visit, "-dates -subject")),
        RENEW,
        section=SECTION,
    )


async def other_name(visit: Visit) -> Outcome:
    if (found := await _handshake(visit)).code not in OTHER_NAME:
        return None
    return trouble(
        f"{visit.patient.host}: {short(found.detail, 160)}",
        f"The certificate is for other names than {visit.patient.host}: the custom domain is not set up at "
        "the platform, or the name leads to another service, or the address is wrong.",
        Step("See for which names it is:", _openssl(visit, "-ext subjectAltName")),
        Step(f"Add {visit.patient.host} as a custom domain of the service, or use a name that is in there."),
        section="§6.1",
    )


async def unknown_issuer(visit: Visit) -> Outcome:
    if (found := await _handshake(visit)).code not in UNKNOWN_ISSUER:
        return None
    return trouble(
        f"{visit.patient.host}: {short(found.detail, 160)}",
        "Nobody whom this machine trusts vouches for the certificate: it is self-signed, its intermediate "
        "certificate is not sent, a proxy on the way makes its own, or this machine's list is old.",
        Step(
            "See who issued what is served, and how many are sent:",
            f"openssl s_client -connect {_place(visit)} -showcerts </dev/null",
        ),
        Step("Intermediate missing: let the server send the full chain (fullchain.pem, not cert.pem)."),
        Step("Your own issuer: name its file, and here alone:", "GATE_CA_FILE=/path/to/ca.pem"),
        section=SECTION,
    )


async def old_version(visit: Visit) -> Outcome:
    if (found := await _handshake(visit)).reason not in OLD_VERSION:
        return None
    return trouble(
        f"{_place(visit)}: {short(found.detail, 160)}",
        "The two sides find no TLS version and cipher in common: the server speaks only old ones (before "
        "TLS 1.2), which browsers refuse as well.",
        Step("Let it speak TLS 1.2 and 1.3. In nginx:", "ssl_protocols TLSv1.2 TLSv1.3;"),
        Step("Then see what is agreed on:", f"openssl s_client -connect {_place(visit)} -brief </dev/null"),
        section=SECTION,
    )


async def no_tls(visit: Visit) -> Outcome:
    if (found := await _handshake(visit)).reason not in NO_TLS:
        return None
    return trouble(
        f"{_place(visit)}: {short(found.detail, 160)}",
        "What listens there does not speak TLS: the port is that of plain HTTP, or the proxy that should "
        "end TLS passes it on.",
        Step("Does it answer without?", f"curl -si http://{_place(visit)}/health"),
        Step("Then ask the port with TLS (443), or set up the certificate on this one."),
        section=SECTION,
    )


async def other_failure(visit: Visit) -> Outcome:
    found = await _handshake(visit)
    if found.version:
        return Fine(f"{found.version.replace('v', ' ')}, and the certificate is trusted")
    known = (*EXPIRED, *NOT_YET, *OTHER_NAME, *UNKNOWN_ISSUER)
    if found.code in known or found.reason in (*OLD_VERSION, *NO_TLS):
        return None
    if (await facts.arrival(visit)).last.result.reason is not Reason.TLS:
        return NotLooked(f"TLS by hand failed where libcurl's did not: {short(found.detail)}")
    return trouble(
        f"{_place(visit)}: {short(found.detail, 160)}",
        "The handshake fails in a way that has no name here.",
        Step("See it whole:", f"openssl s_client -connect {_place(visit)} </dev/null"),
        section=SECTION,
    )


async def ends_soon(visit: Visit) -> Outcome:
    """As the gate judges it, with the gate's limit."""
    ends = (await facts.arrival(visit)).last.result.certificate_expires
    if ends is None or not (await _handshake(visit)).version:
        return None
    left, claim = ends - visit.clock(), visit.patient.config.claims.get("certificate")
    if claim is None or claim.is_kept_by(left):
        return Fine(f"the certificate is good for {left / DAY:.0f} days")
    return trouble(
        f"the certificate ends in {format_duration(max(0.0, left // 3600 * 3600))}",
        f"It should be good for {claim.limit}, so its renewal has failed already, perhaps several times.",
        RENEW,
        Step("See what is served:", _openssl(visit, "-dates -subject")),
        section=SECTION,
    )


async def _handshake(visit: Visit) -> Handshake:
    """Raises NotLookedError where there is no TLS to look at, or no connection."""
    result = (await facts.arrival(visit)).last.result
    if not visit.patient.secure:
        raise NotLookedError("TLS: the target is asked by http")
    if not result.status and result.reason is not Reason.TLS:
        raise NotLookedError("the target does not answer")
    return await visit.once("handshake", partial(_tried, visit))


async def _tried(visit: Visit) -> Handshake:
    visit.spend()
    context = ssl.create_default_context(cafile=visit.patient.config.ca_file or None)
    address = (await facts.arrival(visit)).last.result.address
    return await shake_hands(visit.patient.host, address, visit.patient.port, context)


def _place(visit: Visit) -> str:
    return f"{visit.patient.host}:{visit.patient.port}"


def _openssl(visit: Visit, what: str) -> str:
    return (
        f"openssl s_client -connect {_place(visit)} -servername {visit.patient.host} \\\n"
        f"  </dev/null | openssl x509 -noout {what}"
    )
