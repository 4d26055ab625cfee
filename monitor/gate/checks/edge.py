"""The way in from outside: no plain HTTP, TLS of today, a certificate that lasts.

Asked of https targets, and of http ones that are not on loopback. For a process on this machine they are "not
configured", never passed: `edge: always` in gate.yml asks anyway.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporters.http import Reason, Request
from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.model import Asked, Cause, Evidence
from monitor.quantity import format_duration

if TYPE_CHECKING:
    from monitor.gate.run import Run

TIMEOUT = 10.0
DAY = 86400.0
OUTDATED = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
NOT_ASKED = "http on loopback has no edge to judge; `edge: always` in gate.yml judges it anyway"


async def https_enforced(run: Run) -> Found:
    if not run.judges_edge:
        return not_configured(NOT_ASKED)
    if not run.secure:
        return failed(f"the target itself is asked without TLS: {run.target}")
    plain = run.config.plain or f"http://{urlsplit(run.target).hostname}"
    run.asker.spend()
    said = await run.prober.probe(Request(f"{plain}/health", timeout=TIMEOUT, expect_status=((100, 599),)))
    asked = Asked(f"GET {plain}/health", said.status, said.duration)
    if said.status is None:
        if said.reason is Reason.CONNECT or said.reason is Reason.TIMEOUT:
            return passed(f"nothing answers on {plain}")
        return unknown(Cause.SOURCE_ERROR, said.detail, [asked])
    strict = Request(f"{plain}/health", timeout=TIMEOUT)
    run.asker.spend()
    where = (await run.prober.probe(strict)).detail
    if said.status in (301, 302, 307, 308) and " to https://" in where:
        return passed(f"{plain} leads to https: {where}")
    if said.status in (403, 404, 410, 421, 426):
        return passed(f"{plain} refuses with {said.status}")
    return failed(f"{plain}/health answers {said.status} without TLS", asked)


async def tls_versions(run: Run) -> Found:
    if not run.judges_edge:
        return not_configured(NOT_ASKED)
    if not run.secure:
        return failed(f"no TLS at all: {run.target}")
    spoken = {version: await _speaks(run, version) for version in (*OUTDATED, ssl.TLSVersion.TLSv1_3)}
    if isinstance(modern := spoken.pop(ssl.TLSVersion.TLSv1_3), str):
        return failed(f"TLS 1.3 is not offered: {modern}")
    outdated = [version.name for version, answer in spoken.items() if answer is True]
    if outdated:
        return failed(f"speaks {', '.join(outdated).replace('_', '.')}")
    return passed("TLS 1.3 is offered; 1.0 and 1.1 are refused")


async def _speaks(run: Run, version: ssl.TLSVersion) -> bool | str:
    """True, or why not. Whose certificate it is is another check's affair."""
    run.asker.spend()
    parts, only = urlsplit(run.target), _speaking(version)
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 443, ssl=only, server_hostname=parts.hostname
            )
            writer.close()
    except (OSError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return True


def _speaking(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Nothing but this: also what theirs should refuse."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


async def certificate(run: Run) -> Found:
    if not run.judges_edge:
        return not_configured(NOT_ASKED)
    if not run.secure:
        return failed(f"no certificate without TLS: {run.target}")
    run.asker.spend()
    said = await run.prober.probe(
        Request(
            f"{run.target}/health",
            timeout=TIMEOUT,
            ca_file=run.ca_file,
            expect_status=((100, 599),),
        )
    )
    asked = Asked("GET /health", said.status, said.duration, detail=said.detail)
    if said.reason is Reason.TLS:
        return failed(f"not trusted: {said.detail}", asked)
    if said.certificate_expires is None:
        return unknown(Cause.SOURCE_ERROR, f"no certificate was seen: {said.detail}", [asked])
    left = said.certificate_expires - run.clock()
    evidence = Evidence(value=f"good for {format_duration(left // DAY * DAY)}", threshold=run.claim.breach)
    if not run.claim.is_kept_by(left):
        return failed(f"ends in {format_duration(max(left, 0))}", asked, evidence=evidence)
    return passed(f"good for {left / DAY:.0f} days", evidence)
