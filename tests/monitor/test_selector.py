from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import pytest

from monitor.selector import Matcher, Selector, parse_selector
from tests.oracle import MadeUp, Oracle, run_oracle

VALUES = (
    "",
    "500",
    "5xx",
    "/health",
    "/health/ready",
    "/healthy",
    "/metrics",
    'a "quoted" word',
    "back\\slash",
    "two\nlines",
)
SERIES = [
    MadeUp(case, "m", {"status": status, "route": route}, [(1000.0, 1.0)])
    for case, (status, route) in enumerate(product(("", "200", "500", "503"), VALUES))
]
SELECTORS = (
    "m",
    "m{}",
    'm{status="500"}',
    'm{status!="500"}',
    'm{status=""}',
    'm{status=~"5.."}',
    'm{status!~"5.."}',
    'm{status=~"500|503", route!="/metrics"}',
    'm{route!~"/health.*|/metrics",status=~"5..",}',
    'm{route=~"/health"}',
    'm{route=~""}',
    'm{route=~".*"}',
    'm{route=~".+"}',
    'm{absent=""}',
    'm{absent!=""}',
    'm{absent=~".+"}',
    'm{route="a \\"quoted\\" word"}',
    'm{route="back\\\\slash"}',
    'm{route=~"back\\\\\\\\s.*"}',
    'm{route="two\\nlines"}',
    'm{route=~"two.lines"}',
    'm{status=~"\\\\d+"}',
    '  m { status = "500" , route != "" } ',
)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with run_oracle(SERIES, tmp_path_factory.mktemp("oracle")) as running:
        yield running


@pytest.mark.parametrize("text", SELECTORS)
def test_it_selects_what_prometheus_selects(oracle: Oracle, text: str) -> None:
    selector = parse_selector(text)
    ours = {series.case for series in SERIES if selector.accepts(series.labels)}
    assert ours == oracle.ask(text, 1000.0).keys()
    assert ours == oracle.ask(str(selector), 1000.0).keys()


@pytest.mark.parametrize("text", SELECTORS)
def test_what_it_writes_it_reads_back(text: str) -> None:
    selector = parse_selector(text)
    assert parse_selector(str(selector)) == selector
    assert parse_selector(selector) is selector


def test_its_parts() -> None:
    selector = parse_selector('http_requests{route!~"/health.*", status=~"5.."}')
    assert selector == Selector(
        "http_requests", (Matcher("route", "!~", "/health.*"), Matcher("status", "=~", "5.."))
    )
    assert str(selector.named("http_requests_count")).startswith("http_requests_count{")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a metric name"),
        ("5xx", "expected a metric name"),
        (math.pi, "expected a metric name"),
        (None, "expected a metric name"),
        ("m[5m]", "expected {label=\"value\", …} after m, got '[5m]'"),
        ('m{a="b"', 'expected {label="value", …} after m'),
        ("m{a=b}", "expected label=\"value\", got 'a=b'"),
        ("m{a='b'}", 'expected label="value"'),
        ('m{a="b" c="d"}', "expected a comma before 'c=\"d\"'"),
        ('m{a="b",,c="d"}', 'expected label="value"'),
        ('m{a=~"5.("}', "a: not a regular expression: "),
        ('m{a=~"\\d+"}', "no such escape as \\d in a label value; did you mean '\\\\d'?"),
    ],
)
def test_a_mistake_is_named(text: object, complaint: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is what matters, below)
        parse_selector(text)
    assert complaint in str(raised.value)
