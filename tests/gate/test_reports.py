"""Every form of a report: complete, valid, and proof against what targets say."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright
from rich.console import Console

from monitor.gate.model import Asked, Cause, Evidence, Exit, Report, Result
from monitor.gate.reports import REPORTS, github, load_report, read_report, write
from monitor.gate.reports.live import watched
from monitor.gate.sequential import Verdict
from monitor.yamlfile import ConfigError
from tests.gate.reporting import (
    CASES,
    CORS,
    ERRORS,
    EVERYTHING,
    GOOD,
    HOSTILE,
    LOG_IN,
    NOT_JUDGED,
    P95,
    WAIVER,
    report,
)

HOUSE = Path(__file__).parents[2]
SCHEMA = json.loads((HOUSE / "docs/gate-report.schema.json").read_text())


def closed(schema: Any) -> Any:
    """As the published schema, but with no keys that it does not describe."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    extra = {"additionalProperties": False} if "properties" in schema and "required" in schema else {}
    return {**{key: closed(value) for key, value in schema.items()}, **extra}


VALID = jsonschema_rs.validator_for(closed(SCHEMA), validate_formats=True)

texts = st.text(max_size=30)
shares = st.none() | st.floats(0, 1)
numbers = st.none() | st.integers(0, 10**6)
results = st.builds(
    Result,
    check=texts.filter(bool),
    group=st.sampled_from(["functional", "security", "performance", "state"]),
    claim=texts,
    verdict=st.none() | st.sampled_from(Verdict),
    said=texts,
    cause=st.none() | st.sampled_from(Cause),
    evidence=st.builds(Evidence, texts, numbers, numbers, shares, shares, texts, texts),
    where=texts,
    missing=st.integers(0, 10**6),
    asked=st.lists(
        st.builds(
            Asked,
            texts,
            st.none() | st.integers(100, 599),
            st.floats(0, 1e4),
            texts,
            texts,
            st.dictionaries(st.sampled_from(["dns", "tls", "odd"]), st.floats(0, 10)),
        ),
        max_size=2,
    ).map(tuple),
    waiver=st.none() | st.just(WAIVER),
    seconds=st.floats(0, 1e5),
)
reports = st.lists(results, max_size=4).map(lambda found: report(*found))


@given(reports)
@settings(max_examples=25, deadline=None)
def test_any_report_has_all_forms_and_comes_back_from_json(made: Report) -> None:
    written = {name: form(made) for name, form in REPORTS.items()}
    VALID.validate(json.loads(written["json"]))
    assert load_report(written["json"]) == made
    check_junit(written["junit"])
    check_sarif(json.loads(written["sarif"]))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", written["text"] + written["md"])


def test_json_says_what_follows_and_comes_back() -> None:
    said = json.loads(REPORTS["json"](EVERYTHING))
    VALID.validate(said)
    assert load_report(json.dumps(said)) == EVERYTHING
    assert (said["version"], said["outcome"], said["exit"]) == (1, "fail", 1)
    assert said["counts"] == {"pass": 2, "fail": 3, "inconclusive": 2, "waived": 1, "not_configured": 1}
    assert [each["expired"] for each in said["waivers"]] == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not "),
        ("[]", "not a report of a gate"),
        ('{"version": 2}', "version 2; this program reads version 1"),
        ('{"version": 1, "results": 3}', "waivers: expected a list"),
        (REPORTS["json"](GOOD).replace('"pass"', '"perhaps"'), r"results\[0\].verdict: "),
        (REPORTS["json"](GOOD).replace("2026-11-27T", "noon "), "expected a time such as"),
    ],
)
def test_what_is_no_report(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_report(text)


def test_files_are_written_and_read_with_their_names_in_mistakes(tmp_path: Path) -> None:
    write(EVERYTHING, "json", tmp_path / "new" / "gate.json")
    assert read_report(tmp_path / "new" / "gate.json") == EVERYTHING
    with pytest.raises(ConfigError, match=r"can't be written: Is a directory"):
        write(EVERYTHING, "md", tmp_path)
    with pytest.raises(ConfigError, match=r"missing.json: can't be read: No such file"):
        read_report(tmp_path / "missing.json")


EVERYWHERE = (
    "p95 below 3 s",
    "14 of 60 bad",
    "share above 14.9 % with 95 % confidence, limit 5 %",
    "1.3 MB/min, bad is above 1 MB/min",
    "from prometheus, over 10 min",
    "needs 34 more requests, about 17 s",
    "first_byte 3.3 s",
    "request id 4f1c9d",
    "objectives.yml:69",
    "§9.2: p95 above 3 s",
    "frontend is not configured",
    "waived by ann until Sat 2026-11-28 12:00 UTC: fixed in 2.4, issue 12",
    "the waiver of bob expired on Thu 2026-11-26 12:00 UTC and does not count",
)


@pytest.mark.parametrize("form", ["text", "md", "junit"])
def test_what_people_need_is_in_every_form(form: str) -> None:
    said = REPORTS[form](EVERYTHING).replace("\\", "")
    one_line = " ".join(said.split())
    assert [each for each in EVERYWHERE if each not in one_line] == []


def test_the_terminal_fits_80_columns_and_needs_no_colours() -> None:
    said = REPORTS["text"](EVERYTHING)
    assert max(map(len, said.splitlines())) <= 80
    assert said.isascii() or set(re.findall(r"[^\x00-\x7f]", said)) <= set("§…")
    for standing, count in (("FAIL", 3), ("INCONCLUSIVE", 2), ("WAIVED", 1), ("NOT CONFIGURED", 1)):
        assert len(re.findall(rf"^{standing} +\S", said, re.MULTILINE)) == count
    assert "must not go out: 2 passed, 3 failed" in " ".join(said.split())


def test_the_last_line_says_the_exit_status() -> None:
    assert REPORTS["text"](GOOD).splitlines()[-2:] == [
        " PASS  https://api.paciolus.com may go out: 2 passed, 1 not configured (exit",
        "status 0)",
    ]


@pytest.mark.parametrize("number", CASES)
def test_every_end_has_its_word_in_every_form(number: Exit) -> None:
    made = CASES[number]
    assert made.exit() == number
    said = {name: form(made) for name, form in REPORTS.items()}
    VALID.validate(json.loads(said["json"]))
    assert json.loads(said["json"])["exit"] == number
    assert f"(exit status {int(number)})" in " ".join(said["text"].split())
    assert number.name in said["md"].splitlines()[0]
    assert json.loads(said["sarif"])["runs"][0]["invocations"][0]["exitCode"] == number


def test_nothing_checked_is_not_good() -> None:
    assert report().exit() is Exit.INCONCLUSIVE
    assert "may go out: no check ran" in " ".join(REPORTS["text"](report()).split())


def test_what_was_not_judged_is_an_error_and_no_good_news() -> None:
    assert NOT_JUDGED.exit("pass") is Exit.INCONCLUSIVE
    assert "no check of this profile was judged" in " ".join(REPORTS["text"](NOT_JUDGED).split())
    assert len(list(check_junit(REPORTS["junit"](NOT_JUDGED)).iter("error"))) == 1


def test_what_is_lenient_about_the_inconclusive() -> None:
    made = report(LOG_IN, ERRORS, on_inconclusive="pass")
    assert made.exit() is Exit.PASS
    assert made.exit("fail") is Exit.INCONCLUSIVE
    assert json.loads(REPORTS["json"](made))["exit"] == 0
    assert load_report(REPORTS["json"](made)).exit() is Exit.PASS


ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
ORDER = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*",
    "properties": r"(property )*",
    "testcase": r"(skipped |error |failure )?system-out ",
}


def check_junit(text: str) -> Xml.Element:
    """What the XSD of Jenkins and GitLab asks for: order, attributes, types; and that counts agree."""
    whole = Xml.fromstring(text)
    assert whole.tag == "testsuites"
    for each in whole.iter():
        assert set(each.attrib) == ATTRIBUTES.get(each.tag, set())
        assert re.fullmatch(ORDER.get(each.tag, ""), "".join(f"{child.tag} " for child in each))
        assert re.fullmatch(r"\d+\.\d{3}", each.get("time", "0.000"))
        if "tests" in each.attrib:
            cases = list(each.iter("testcase"))
            found = Counter(child.tag for case in cases for child in case)
            assert int(each.attrib["tests"]) == len(cases)
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(each.get(name, found[tag])) == found[tag]
    return whole


def test_junit_has_failures_errors_and_what_was_left_out() -> None:
    whole = check_junit(REPORTS["junit"](EVERYTHING))
    ends = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in whole.iter("testcase")
    }
    assert ends == {
        "log-in": [],
        "cors-origins": ["failure"],
        "tls-version": ["error"],
        "hsts": [],
        "latency-p95": ["failure"],
        "error-rate": ["error"],
        "memory-leak": ["skipped"],
        "home-page": ["skipped"],
        "pool-usage": ["failure"],
    }
    assert next(suite.get("timestamp") for suite in whole) == "2026-11-27T12:00:00"


def check_sarif(log: Any) -> None:
    """The structure that SARIF 2.1.0 demands, and what code scanning needs beyond it."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["id"]
        assert rule["shortDescription"]["text"]
        assert rule["helpUri"].startswith("https://")
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["level"] in ("none", "note", "warning", "error")
        assert each["message"]["text"]
        assert each["locations"]
        for location in each["locations"]:
            physical = location["physicalLocation"]
            assert not physical["artifactLocation"]["uri"].startswith("/")
            assert physical["region"]["startLine"] >= 1
        assert all(how["kind"] in ("inSource", "external") for how in each.get("suppressions", []))


def test_sarif_is_about_security_alone() -> None:
    waived = dataclasses.replace(CORS, check="token-alg", waiver=WAIVER)
    log = json.loads(REPORTS["sarif"](report(P95, CORS, waived, *EVERYTHING.results)))
    check_sarif(log)
    [run] = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        "cors-origins",
        "token-alg",
        "tls-version",
        "hsts",
    ]
    found = [(each["ruleId"], each["level"], "suppressions" in each) for each in run["results"]]
    assert found[:2] == [("cors-origins", "error", False), ("token-alg", "error", True)]
    assert found[-1] == ("tls-version", "warning", False)
    [place] = run["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "alerts/gate.yml"},
        "region": {"startLine": 77},
    }


def test_nothing_that_a_target_says_breaks_out() -> None:
    said = {name: form(EVERYTHING) for name, form in REPORTS.items()}
    assert "\x1b" not in said["text"] + said["md"] + said["junit"]
    assert r"\<script\>" in said["md"]
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(said["md"])
    assert "<script" not in rendered
    assert 'href="http://evil' not in rendered
    assert "<h1>heading" not in rendered
    assert HOSTILE[:5] in said["text"]


def test_links_lead_to_the_line() -> None:
    assert "[alerts/objectives.yml:69](alerts/objectives.yml#L69)" in REPORTS["md"](EVERYTHING)
    environ = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "paciolus/app",
        "GITHUB_SHA": "c0ffee",
    }
    said = github.summary(EVERYTHING, environ)
    assert "(https://github.com/paciolus/app/blob/c0ffee/alerts/objectives.yml#L69)" in said
    packaged = dataclasses.replace(P95, where="/opt/x/monitor/_resources/alerts/objectives.yml:69")
    assert "[alerts/objectives.yml:69](alerts/" in REPORTS["md"](report(packaged))
    elsewhere = dataclasses.replace(P95, where="/etc/objectives.yml:7")
    assert "\n/etc/objectives.yml:7 (§9.2" in REPORTS["md"](report(elsewhere))


def test_annotations_are_escaped_and_at_the_line() -> None:
    said = list(github.annotated(EVERYTHING))
    assert all(re.match(r"::(error|warning) (file=[^,]+,line=\d+,)?title=[^,]*::", each) for each in said)
    assert not any("\n" in each or "\r" in each for each in said)
    [p95] = [each for each in said if "latency-p95" in each]
    assert p95.startswith(
        "::error file=alerts/objectives.yml,line=69,title=gate%3A latency-p95 fail::p95 below 3 s%0A"
    )
    assert "14.9 %25 with 95 %25 confidence" in p95
    [leak] = [each for each in said if "memory-leak" in each]
    assert leak.startswith("::warning title=")


def test_annotations_stop_where_github_does() -> None:
    many = [dataclasses.replace(CORS, check=f"check-{number}") for number in range(14)]
    few = [dataclasses.replace(ERRORS, check=f"check-{number}") for number in range(10)]
    said = list(github.annotated(report(*many, *few)))
    assert sum(each.startswith("::error ") for each in said) == 10
    assert sum(each.startswith("::warning ") for each in said) == 10
    [rest] = [each for each in said if "more, in the summary" in each]
    assert "and 5 more, in the summary: check-9, check-10, check-11, check-12, check-13" in rest


def test_a_step_gets_summary_outputs_and_annotations(tmp_path: Path) -> None:
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    (tmp_path / "summary").write_text("x" * (github.LARGEST_SUMMARY - 3000))
    said: list[str] = []
    github.publish(report(*EVERYTHING.results * 3), environ, said.append)
    assert len(said) > 5
    whole = (tmp_path / "summary").read_bytes()
    assert github.LARGEST_SUMMARY - 1000 < len(whole) <= github.LARGEST_SUMMARY
    assert whole.decode().endswith(github.CUT)
    assert (tmp_path / "output").read_text() == "outcome=fail\nexit=1\n"
    (tmp_path / "summary").write_text("x" * github.LARGEST_SUMMARY)
    assert github.summary(EVERYTHING, environ, github.LARGEST_SUMMARY) == ""


def test_what_is_printed_on_the_way_is_no_command() -> None:
    said: list[str] = []
    with github.quoted(said.append):
        said.append("::error::from a target")
    token = said[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert said[-1] == f"::{token}::"


def test_a_log_gets_a_line_a_check_and_a_terminal_gets_bars() -> None:
    log, screen = io.StringIO(), io.StringIO()
    consoles = (
        Console(file=log, width=80),
        Console(file=screen, width=80, force_terminal=True, color_system=None, legacy_windows=False),
    )
    for console in consoles:
        with watched(console) as progress:
            progress.began("latency-p95", 188)
            progress.asked("latency-p95", 3, 94)
            if console.is_terminal:
                progress._bars.refresh()  # type: ignore[attr-defined]
            progress.ended("latency-p95", [P95, ERRORS])
            progress.asked("latency-p95", 3, 95)
            progress.began("log-in")
            progress.ended("log-in", [LOG_IN])
    assert log.getvalue().splitlines() == [
        "FAIL           latency-p95: 14 of 60 requests took 3 s or more",
        "INCONCLUSIVE   error-rate: too few requests",
        "PASS           log-in: logged in",
    ]
    assert "3 of 94 bad" in screen.getvalue()
    assert "━" in screen.getvalue()


STYLE = """body { font: 16px/1.5 sans-serif; margin: 16px; overflow-wrap: break-word }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse }
td, th { padding: 6px 13px; border: 1px solid #d0d7de }"""


@pytest.mark.parametrize("width", [375])
def test_markdown_can_be_read_on_a_phone(width: int, chromium: Path) -> None:
    body = MarkdownIt("gfm-like", {"linkify": False}).render(REPORTS["md"](EVERYTHING))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.set_content(f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{body}')
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").inner_text() == "FAIL: https://api.paciolus.com must not go out"
        assert page.locator("table").count() == 4
        assert page.locator("script").count() == 0
        cell = page.locator("td", has_text="from prometheus, over 5 min").bounding_box()
        assert cell is not None
        assert cell["width"] >= 150, "no column of a word a line"
        browser.close()
