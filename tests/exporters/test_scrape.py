from __future__ import annotations

import asyncio
import gzip
import math
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporters.http import Prober, Reason, Request
from exporters.sample import Sample, labels
from exporters.scrape import MAX_PAGE, Scrape, ScrapeError, parse, scrape
from tests.exporters.loopback import Conversation, is_silent, repeats, says, serving

PAGE = """\
# HELP http_requests_total Requests, \\n and more.
# TYPE http_requests_total counter
http_requests_total{method="GET",status="200"} 1027 1395066363000
http_requests_total{status="500", method="GET",} 3
# A comment, and an empty line.

up 1
\tspaced  {a = "b" , c="d"}\t2.5e3\r
nothing{} 0
temperature -Inf
ratio NaN
latency_bucket{le="+Inf"} 12 # {trace_id="a b # c"} 0.67 1520879607.789
escaped{path="C:\\\\dir\\n\\"quoted\\" \\d { } , = #"} +Inf
{"quoted.name", a="b"} 7
# EOF
"""


def test_both_formats_are_read() -> None:
    *samples, ratio = sorted(parse(PAGE), key=lambda sample: sample.name == "ratio")
    assert samples == [
        Sample("http_requests_total", labels(method="GET", status="200"), 1027.0),
        Sample("http_requests_total", labels(method="GET", status="500"), 3.0),
        Sample("up", (), 1.0),
        Sample("spaced", labels(a="b", c="d"), 2500.0),
        Sample("nothing", (), 0.0),
        Sample("temperature", (), -math.inf),
        Sample("latency_bucket", labels(le="+Inf"), 12.0),
        Sample("escaped", labels(path='C:\\dir\n"quoted" \\d { } , = #'), math.inf),
    ]
    assert math.isnan(ratio.value)


def test_only_what_is_wanted_is_read() -> None:
    page = 'broken{a=" 1\nup 1\nbroken{} x\nother{a="b"} 2\nother{a="c"} 3\n'
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name == "other"

    assert [sample.value for sample in parse(page, wanted)] == [2.0, 3.0]
    assert sorted(set(asked)) == sorted(asked) == ["broken", "other", "up"]
    assert parse(page, lambda name: name == "absent") == []


def test_of_a_series_that_is_there_twice_the_first_counts() -> None:
    assert parse('a{x="1",y="2"} 1\na{y="2",x="1"} 2\na{x="1",y="2"} 3\n') == [
        Sample("a", labels(x="1", y="2"), 1.0)
    ]


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("", "line 1: no samples on the page"),
        ("# HELP a b\n# EOF\n", "line 2: no samples on the page"),
        ("\n \n\t\r\n", "line 3: no samples on the page"),
        ("up 1\nup 12", "line 2: the page is torn, no line feed after 'up 12'"),
        (
            "<!DOCTYPE html>\n<p>Not Found",
            "line 1: HTML or XML instead of metrics: '<!DOCTYPE html>\\n<p>Not Found'",
        ),
        ('{"status": "ok"}\n', "line 1: no samples on the page"),
        ("OK\n", "line 1: number expected after the name: 'OK'"),
        ("up 1\n5xx 1\n", "line 2: metric name expected: '5xx 1'"),
        ("up\n", "line 1: number expected after the name: 'up'"),
        ("up down\n", "line 1: 'down' is no number: 'up down'"),
        ("up 1_0\n", "line 1: number expected after the name: 'up 1_0'"),
        ("up \u0661\n", "line 1: number expected after the name: 'up \u0661'"),
        ("up 1 2 3\n", "line 1: only a timestamp or an exemplar may follow the value: 'up 1 2 3'"),
        ("up{} \n", "line 1: number expected after the labels: 'up{} '"),
        ("up{ 1\n", "line 1: label name expected: 'up{ 1'"),
        ('up{1="a"} 1\n', "line 1: label name expected: 'up{1=\"a\"} 1'"),
        ('up{a="b",,} 1\n', "line 1: label name expected: 'up{a=\"b\",,} 1'"),
        ("up{a} 1\n", "line 1: '=' expected after the label name: 'up{a} 1'"),
        ("up{a=b} 1\n", "line 1: label value not quoted: 'up{a=b} 1'"),
        ('up{a="b} 1\n', "line 1: label value not closed: 'up{a=\"b} 1'"),
        ('up{a="b\\"} 1\n', "line 1: label value not closed: 'up{a=\"b\\\\\"} 1'"),
        ('up{a="b" c="d"} 1\n', "line 1: ',' or '}' expected after the label value: 'up{a=\"b\" c=\"d\"} 1'"),
        ('up{a="b",a="c"} 1\n', 'line 1: a label name is there twice: \'up{a="b",a="c"} 1\''),
    ],
)
def test_what_is_broken_is_said_precisely(page: str, error: str) -> None:
    with pytest.raises(ScrapeError) as raised:
        parse(page)
    assert str(raised.value) == error
    assert f"line {raised.value.line}:" in error


def test_bounds() -> None:
    with pytest.raises(ScrapeError, match="line 4: more than 3 samples"):
        parse("".join(f"a_{i} 1\n" for i in range(9)), max_samples=3)
    with pytest.raises(ScrapeError, match="line 1000001: more than 1000000 lines"):
        parse("\n" * 1_000_001)


@pytest.mark.parametrize(
    "line",
    [
        'a{b="' + "\\\\" * 500_000,
        "a{" + 'b="c",' * 100_000,
        "a{" + " " * 1_000_000,
        "a" * 1_000_000,
        "a 1 " + " " * 1_000_000 + "x",
        "a 1" + " # " * 300_000 + "\x00",
        "{" * 1_000_000,
    ],
    ids=lambda line: str(line[:8]),
)
def test_huge_lines_take_linear_time_and_give_short_messages(line: str) -> None:
    began = time.perf_counter()
    message = complaint(line + "\n")
    assert time.perf_counter() - began < 5
    assert len(message) < 300


def complaint(text: str) -> str:
    try:
        parse(text)
    except ScrapeError as error:
        return str(error)
    return ""


LABEL_VALUES = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def registries(draw: st.DrawFn) -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("g", "A \\ gauge\nof two lines", ["x", "y"], registry=registry)
    for x, y, value in draw(st.lists(st.tuples(LABEL_VALUES, LABEL_VALUES, VALUES), max_size=4)):
        gauge.labels(x, y).set(value)
    counter = Counter("c", "", registry=registry)
    counter.inc(draw(st.floats(min_value=0, allow_nan=False)))
    histogram = Histogram("h_seconds", "", ["route"], registry=registry)
    histogram.labels(draw(LABEL_VALUES)).observe(draw(VALUES), {"trace_id": "a b"})
    return registry


def exposed(registry: CollectorRegistry) -> list[str]:
    return sorted(
        repr(Sample(sample.name, labels(**sample.labels), float(sample.value)))
        for family in registry.collect()
        for sample in family.samples
    )


@settings(max_examples=40, deadline=None)
@given(registries())
def test_what_prometheus_client_writes_is_read_back(registry: CollectorRegistry) -> None:
    for page in (generate_latest(registry), generate_openmetrics(registry)):  # type: ignore[no-untyped-call]
        assert sorted(map(repr, parse(page.decode()))) == exposed(registry)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_broken_page_raises_nothing_else(data: st.DataObject) -> None:
    page = PAGE
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(page)))
        end = data.draw(st.integers(begin, min(begin + 9, len(page))))
        page = page[:begin] + data.draw(st.text(max_size=3)) + page[end:]
    message = complaint(page)
    assert message == "" or 1 <= int(message.split()[1].rstrip(":")) <= page.count("\n") + 1


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    async with Prober() as prober:
        yield prober


async def read(prober: Prober, converse: Conversation, timeout_: float = 5.0) -> Scrape:
    async with serving(converse) as url:
        return await scrape(prober, Request(url + "metrics", timeout=timeout_))


def page(body: bytes, content_type: str = "text/plain; version=0.0.4", *headers: str) -> Conversation:
    lines = ("HTTP/1.1 200 OK", f"Content-Type: {content_type}", *headers, "", "")
    return says("\r\n".join(lines).encode() + body)


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def test_a_scrape_asks_for_a_compressed_page_and_reads_it(prober: Prober) -> None:
    heard: list[bytes] = []
    zipped = page(gzip.compress(b'up{a="b"} 1\n'), "text/plain", "Content-Encoding: gzip")

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        reader.feed_data(heard[0])
        await zipped(reader, writer)

    got = await read(prober, converse)
    assert got.error is None
    assert got.result.success
    assert got.samples == [Sample("up", labels(a="b"), 1.0)]
    assert b"GET /metrics HTTP/1.1\r\n" in heard[0]
    assert b"Accept-Encoding: gzip\r\n" in heard[0]
    assert b"Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5" in heard[0]


async def test_a_large_page(prober: Prober) -> None:
    lines = "".join(f'a_bucket{{le="{i}"}} {i}\n' for i in range(100_000)).encode()
    assert 1_048_576 < len(lines) < MAX_PAGE
    got = await read(prober, page(lines))
    assert len(got.samples) == 100_000
    assert got.result.body == b""


@pytest.mark.parametrize(
    ("converse", "reason", "error"),
    [
        (page(b""), Reason.BODY, "line 1: no samples on the page"),
        (page(b"<html>Sign in</html>", "text/html"), Reason.BODY, "line 1: HTML or XML"),
        (page(b"up 1\nup 12"), Reason.BODY, "line 2: the page is torn"),
        (
            page(b"up 1\n", OPENMETRICS),
            Reason.BODY,
            "line 2: the page is torn: OpenMetrics ends with '# EOF'",
        ),
        (page(b"up 1\n# EOF\nup 2\n", OPENMETRICS), Reason.BODY, "line 4: the page is torn"),
        (page(b'up 1\nup{a="\xff"} 1\n'), Reason.BODY, "line 2: not UTF-8: byte 0xff"),
        (page(b"\x00\x01\x02\n"), Reason.BODY, "line 1: metric name expected"),
        (page(b"up 1\n", "text/plain", "Content-Length: 99"), Reason.BODY, "94 bytes missing"),
        (says(b"HTTP/1.1 404 Nothing here\r\n\r\n"), Reason.STATUS, "status 404"),
        (is_silent, Reason.TIMEOUT, "no answer within 1 s"),
        (
            repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"up 1\n" * 20_000),
            Reason.TOO_LARGE,
            "body larger than 16777216 bytes",
        ),
    ],
)
async def test_each_failure_has_its_reason(
    prober: Prober, converse: Conversation, reason: Reason, error: str
) -> None:
    got = await read(prober, converse, timeout_=1.0 if converse is is_silent else 5.0)
    assert got.samples == []
    assert got.result.reason is reason
    assert error in (got.error or "")
    assert got.result.detail == got.error
    assert got.result.body == b""


@pytest.mark.parametrize("ending", [b"# EOF\n", b"# EOF"])
async def test_openmetrics_may_end_without_a_line_feed(prober: Prober, ending: bytes) -> None:
    got = await read(prober, page(b"up 1\n" + ending, OPENMETRICS))
    assert got.samples == [Sample("up", (), 1.0)]
