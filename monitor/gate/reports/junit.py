"""JUnit XML, which every CI server shows: a suite for each group, a case for each check.

A failed check is a failure, and what nobody knows is an error, as nothing was shown to be wrong. Waived and
not configured is skipped, with the reason. Order and names of elements are those that Jenkins' schema takes.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from monitor.gate.model import Report, Result, by_group
from monitor.gate.reports import words
from monitor.gate.reports.words import Standing

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold, not even escaped."""


def junit(report: Report) -> str:
    word, said = words.outcome(report)
    whole = Xml.Element("testsuites", name=_text(f"gate {report.profile}: {word}, {said}"))
    _count(whole, report, report.results, report.ended - report.began)
    for group, results in by_group(report.results).items():
        suite = Xml.SubElement(whole, "testsuite", name=_text(f"gate.{group}"))
        _count(suite, report, results, sum(each.seconds for each in results))
        suite.set("skipped", str(sum(_kind(report, each) == "skipped" for each in results)))
        began = datetime.fromtimestamp(report.began, UTC)
        suite.set("timestamp", began.replace(tzinfo=None).isoformat(timespec="seconds"))
        _properties(suite, report)
        for each in results:
            _case(suite, report, each)
    Xml.indent(whole)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(whole, encoding="unicode")}\n'


def _count(to: Xml.Element, report: Report, results: tuple[Result, ...] | list[Result], took: float) -> None:
    kinds = Counter(_kind(report, each) for each in results)
    to.set("tests", str(len(results)))
    to.set("failures", str(kinds["failure"]))
    to.set("errors", str(kinds["error"]))
    to.set("time", f"{took:.3f}")


def _kind(report: Report, result: Result) -> str:
    """The element that says how it went; "" for a case that passed."""
    lenient = report.on_inconclusive == "pass" and result.cause is None
    return {
        Standing.PASS: "",
        Standing.FAIL: "failure",
        Standing.INCONCLUSIVE: "skipped" if lenient else "error",
        Standing.WAIVED: "skipped",
        Standing.NOT_CONFIGURED: "skipped",
    }[words.standing(result)]


def _properties(suite: Xml.Element, report: Report) -> None:
    found = {
        "target": report.target,
        "profile": report.profile,
        "versions": ", ".join(report.versions),
        "waivers": "\n".join(words.waivers(report)),
    }
    properties = Xml.SubElement(suite, "properties")
    for name, value in found.items():
        Xml.SubElement(properties, "property", name=name, value=_text(value))


def _case(suite: Xml.Element, report: Report, result: Result) -> None:
    case = Xml.SubElement(suite, "testcase", name=_text(result.check))
    case.set("classname", _text(f"gate.{result.group}"))
    case.set("time", f"{result.seconds:.3f}")
    told = "\n".join(_told(result))
    standing = words.standing(result)
    if kind := _kind(report, result):
        element = Xml.SubElement(case, kind, message=_text(f"{standing}: {words.plain(result.said)}"))
        if kind != "skipped":
            element.set("type", _text(result.cause or result.group))
            element.text = _text(told)
    Xml.SubElement(case, "system-out").text = _text(told)


def _told(result: Result) -> list[str]:
    return [*words.told(result), *map(words.asked, result.asked), words.sources(result)]


def _text(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
