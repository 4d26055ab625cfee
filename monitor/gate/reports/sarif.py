"""SARIF 2.1.0 (OASIS) of the posture: the rules of the security group, and a result for each not kept.

What passed is no result, for code scanning shows each one as an alert. A waiver is a suppression with its
justification.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from monitor.gate.model import Report, Result
from monitor.gate.reports import words
from monitor.gate.reports.words import Place, Standing

GROUP = "security"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
DEFAULT_HELP = "https://owasp.org/API-Security/editions/2023/en/0xa8-security-misconfiguration/"
HELP = {
    "certificate": "https://www.rfc-editor.org/rfc/rfc9325",
    "tls": "https://www.rfc-editor.org/rfc/rfc9325",
    "hsts": "https://www.rfc-editor.org/rfc/rfc6797",
    "https": "https://www.rfc-editor.org/rfc/rfc6797",
    "header": "https://owasp.org/www-project-secure-headers/",
    "accounts": "https://owasp.org/API-Security/editions/2023/en/0xa1-broken-object-level-authorization/",
    "enumeration": "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/",
    "cors": "https://fetch.spec.whatwg.org/#http-cors-protocol",
    "token": "https://www.rfc-editor.org/rfc/rfc8725",
    "jwt": "https://www.rfc-editor.org/rfc/rfc8725",
    "alg": "https://www.rfc-editor.org/rfc/rfc8725",
    "password": "https://pages.nist.gov/800-63-4/sp800-63b.html",
    "secret": "https://pages.nist.gov/800-63-4/sp800-63b.html",
    "route": "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/",
    "protect": "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/",
}
"""What to read on a check whose name has the word; the first that fits."""
LEVELS = {Standing.FAIL: "error", Standing.INCONCLUSIVE: "warning", Standing.WAIVED: "error"}
ELSEWHERE = Place("alerts/gate.yml", 1)


def sarif(report: Report) -> str:
    checked = [each for each in report.results if each.group == GROUP]
    rules = {each.check: each for each in checked}
    numbers = {name: number for number, name in enumerate(rules)}
    run = {
        "tool": {"driver": _driver(rules.values())},
        "automationDetails": {"id": f"paciolus-gate/{report.profile}/"},
        "invocations": [
            {
                "executionSuccessful": not report.interrupted,
                "exitCode": int(report.exit()),
                "startTimeUtc": _time(report.began),
                "endTimeUtc": _time(report.ended),
            }
        ],
        "results": [
            _result(report, each, numbers[each.check]) for each in checked if words.standing(each) in LEVELS
        ],
        "columnKind": "unicodeCodePoints",
    }
    shown = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _driver(rules: Any) -> dict[str, Any]:
    return {
        "name": "paciolus-monitor gate",
        "informationUri": "https://owasp.org/API-Security/",
        "rules": [_rule(each) for each in rules],
    }


def _rule(result: Result) -> dict[str, Any]:
    help_ = "\n".join(filter(None, [words.plain(result.claim), words.sources(result)]))
    return {
        "id": result.check,
        "name": "".join(part.capitalize() for part in result.check.replace(".", "-").split("-")),
        "shortDescription": {"text": words.plain(result.claim) or result.check},
        "fullDescription": {"text": help_ or result.check},
        "help": {"text": help_ or result.check},
        "helpUri": next((uri for word, uri in HELP.items() if word in result.check), DEFAULT_HELP),
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["security", "posture"]},
    }


def _result(report: Report, result: Result, number: int) -> dict[str, Any]:
    found = words.standing(result)
    made: dict[str, Any] = {
        "ruleId": result.check,
        "ruleIndex": number,
        "level": LEVELS[found],
        "message": {"text": "\n".join(_told(report, result, found))},
        "locations": [_location(words.where(result) or ELSEWHERE)],
        "partialFingerprints": {"check/v1": f"{report.profile}/{result.check}"},
    }
    if result.waiver is not None:
        waived = {"kind": "external", "status": "accepted", "justification": words.waived(result.waiver)}
        made["suppressions"] = [waived]
    return made


def _told(report: Report, result: Result, found: Standing) -> Iterator[str]:
    nobody = "nobody knows whether it is so: " if found is Standing.INCONCLUSIVE else ""
    yield f"{words.plain(report.target)}: {nobody}{words.plain(result.claim)}"
    yield from words.evidence(result)
    yield from map(words.asked, result.asked)


def _location(place: Place) -> dict[str, Any]:
    artifact = {"uri": place.path.lstrip("/").replace(" ", "%20")}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": place.line or 1}}}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
