"""Reads a Prometheus /metrics page, in the text format 0.0.4 or in OpenMetrics 1.0.

Only samples are kept: help, types, units, comments, timestamps and exemplars are passed over. A page that
is torn or broken anywhere (in a line that is wanted) gives no samples at all, and says where it broke: half
a page would look like counters that vanished. Of a series that is there twice the first counts, as for
Prometheus.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from exporters.http import Prober, Reason, Request, Result
from exporters.sample import Labels, Sample

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
Series = tuple[str, Labels]

MAX_PAGE = 16 * 1024 * 1024
"""Bytes after decompression, for requests that leave `max_body` at its default."""

_THREAD_FROM = 128 * 1024
_MAX_LINES = 1_000_000
_CACHED_LENGTH = 256
_EXCERPT = 60

_NAME = re.compile(r"[ \t]*+([a-zA-Z_:][a-zA-Z0-9_:]*+)")
_LABEL = r'[ \t]*+[a-zA-Z_][a-zA-Z0-9_]*+[ \t]*+=[ \t]*+"(?:[^"\\]++|\\.)*+"[ \t]*+'
_SERIES = re.compile(rf"{_NAME.pattern}(?:[ \t]*+\{{((?:{_LABEL}(?:,{_LABEL})*+,?+)?+[ \t]*+)\}})?+")
_VALUE = re.compile(r"[ \t]*+([-+.0-9A-Za-z]++)(?=[ \t\r]|\Z)")
_TIME_AND_EXEMPLAR = re.compile(r"(?:[ \t]++[-+.0-9eE]++)?+(?:[ \t]++#.*+)?+[ \t\r]*+")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"')
_ESCAPE = re.compile(r'\\([\\"n])')

_LABELS_END = re.compile(r"[ \t]*+\}")
_LABEL_STEPS = (
    (re.compile(r"[ \t]*+[a-zA-Z_][a-zA-Z0-9_]*+"), "label name expected"),
    (re.compile(r"[ \t]*+="), "'=' expected after the label name"),
    (re.compile(r'[ \t]*+"'), "label value not quoted"),
    (re.compile(r'(?:[^"\\]++|\\.)*+"'), "label value not closed"),
    (re.compile(r"[ \t]*+(?:,|(?=\}))"), "',' or '}' expected after the label value"),
)


class ScrapeError(ValueError):
    """What is wrong with the page, and in which line of it (counted from 1)."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Scrape:
    """`error` says why there are no samples; the result then has a reason, too ("body" for a broken page).
    The result has no body: it was read, or was not worth reading."""

    result: Result
    samples: list[Sample]
    error: str | None


async def scrape(prober: Prober, request: Request, wanted: Callable[[str], bool] | None = None) -> Scrape:
    """Never raises, whatever the target answers. Asks for OpenMetrics, compressed."""
    result = await prober.probe(_page_request(request))
    if not result.success:
        return Scrape(replace(result, body=b""), [], result.detail)
    try:
        if len(result.body) < _THREAD_FROM:
            samples = _read(result, wanted)
        else:
            samples = await asyncio.to_thread(_read, result, wanted)
    except ScrapeError as error:
        return Scrape(replace(result, reason=Reason.BODY, detail=str(error), body=b""), [], str(error))
    return Scrape(replace(result, body=b""), samples, None)


def _page_request(request: Request) -> Request:
    headers = request.headers
    if not any(name.lower() == "accept" for name, _ in headers):
        headers = (*headers, ("Accept", ACCEPT))
    default = Request.__dataclass_fields__["max_body"].default
    max_body = MAX_PAGE if request.max_body == default else request.max_body
    return replace(request, headers=headers, max_body=max_body, compressed=True)


def _read(result: Result, wanted: Callable[[str], bool] | None) -> list[Sample]:
    try:
        text = result.body.decode()
    except UnicodeDecodeError as error:
        line = result.body.count(b"\n", 0, error.start) + 1
        raise ScrapeError(line, f"not UTF-8: byte 0x{result.body[error.start]:02x}") from None
    if result.content_type.startswith("application/openmetrics-text") and not text.endswith(
        ("# EOF\n", "# EOF")
    ):
        raise ScrapeError(text.count("\n") + 1, "the page is torn: OpenMetrics ends with '# EOF'")
    return parse(text, wanted)


def parse(text: str, wanted: Callable[[str], bool] | None = None, max_samples: int = 200_000) -> list[Sample]:
    """The samples whose name is wanted, in the order of the page. Raises ScrapeError.

    Of other lines only the name is looked at. A page without any sample is an error; one without any that is
    wanted is not."""
    lines = _lines(text)
    values: dict[Series, float] = {}
    names: dict[str, bool] = {}
    for number, line in enumerate(lines, 1):
        if not line or line[0] == "#":
            continue
        keep = names.get(line.partition("{")[0])
        if keep is None:
            if (name := _name(number, line)) is None:
                continue
            if (keep := names.get(name)) is None:
                keep = names[name] = wanted is None or wanted(name)
        if keep:
            series, value = _split(number, line)
            values.setdefault(series, value)
            if len(values) > max_samples:
                raise ScrapeError(number, f"more than {max_samples} samples")
    if not names:
        raise ScrapeError(max(len(lines), 1), "no samples on the page")
    return [Sample(name, labels, value) for (name, labels), value in values.items()]


def _lines(text: str) -> list[str]:
    if text[:200].lstrip().startswith("<"):
        raise ScrapeError(1, f"HTML or XML instead of metrics: {_excerpt(text.lstrip())}")
    if text.count("\n") > _MAX_LINES:
        raise ScrapeError(_MAX_LINES + 1, f"more than {_MAX_LINES} lines")
    lines = text.split("\n")
    if (unfinished := lines.pop()) not in ("", "# EOF"):
        raise ScrapeError(len(lines) + 1, f"the page is torn, no line feed after {_excerpt(unfinished)}")
    return lines


def _name(number: int, line: str) -> str | None:
    """None for a line that is no sample, and for names in the quoted syntax that we never ask for."""
    if match := _NAME.match(line):
        return match[1]
    if line.lstrip(" \t\r")[:1] in ("", "#") or line.startswith('{"'):
        return None
    raise ScrapeError(number, f"metric name expected: {_excerpt(line)}")


def _split(number: int, line: str) -> tuple[Series, float]:
    """The short way is for lines as exporters write them: a series, mostly one that was seen in an earlier
    scrape, one space, the value."""
    text, _, value = line.rpartition(" ")
    if len(text) <= _CACHED_LENGTH and value.isascii() and "_" not in value:
        try:
            if series := _series(text):
                return series, float(value)
        except ValueError:
            pass
    return _split_any(number, line)


def _split_any(number: int, line: str) -> tuple[Series, float]:
    series = _SERIES.match(line)
    value = _VALUE.match(line, series.end()) if series else None
    if series is None or value is None:
        raise ScrapeError(number, f"{_problem(line)}: {_excerpt(line)}")
    if _TIME_AND_EXEMPLAR.fullmatch(line, value.end()) is None:
        raise ScrapeError(number, f"only a timestamp or an exemplar may follow the value: {_excerpt(line)}")
    try:
        return (series[1], _labels(series[2])), _number(value[1])
    except ValueError as error:
        raise ScrapeError(number, f"{error}: {_excerpt(line)}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text[:20]!r} is no number") from None


@lru_cache(maxsize=32_768)
def _series(text: str) -> Series | None:
    match = _SERIES.fullmatch(text)
    return (match[1], _labels(match[2])) if match else None


def _labels(block: str | None) -> Labels:
    if not block:
        return ()
    pairs = _PAIR.findall(block)
    if "\\" in block:
        pairs = [(name, _ESCAPE.sub(_unescape, value)) for name, value in pairs]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a label name is there twice")
    return tuple(sorted(pairs))


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _problem(line: str) -> str:
    """Why a line that starts with a name has no value where one should be."""
    name = _NAME.match(line)
    at = name.end() if name else 0
    opening = re.compile(r"[ \t]*+\{").match(line, at)
    if opening is None:
        return "number expected after the name"
    at = opening.end()
    while not _LABELS_END.match(line, at):
        for step, problem in _LABEL_STEPS:
            if (match := step.match(line, at)) is None:
                return problem
            at = match.end()
    return "number expected after the labels"


def _excerpt(line: str) -> str:
    return repr(line if len(line) <= _EXCERPT else line[:_EXCERPT] + "...")
