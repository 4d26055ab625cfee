"""What a check makes of a probe's result."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import trustme

from exporters.http import Prober
from monitor.probes import http
from tests.exporters.loopback import OK, says, serving
from tests.monitor.making import target

ENDS = "probe_certificate_expiry_timestamp_seconds"


async def test_a_certificates_end_is_a_sample_whether_it_is_trusted_or_not(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Prober() as prober, serving(says(OK), context) as url:
        there = replace(target(checks=("health",)), url=url)
        [check] = there.checks
        trusting = replace(check, request=replace(check.request, ca_file=str(tmp_path / "ca.pem")))
        trusted = await http(prober, there, trusting, lambda _: True)
        untrusted = await http(prober, there, check, lambda _: True)
    assert (trusted.reason, untrusted.reason) == ("ok", "tls")
    for outcome in (trusted, untrusted):
        [end] = [sample for sample in outcome.samples if sample.name == ENDS]
        assert end.value == outcome.result.certificate_expires
        assert dict(end.labels) == {"target": "api", "check": "health"}
