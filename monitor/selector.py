"""Series selectors, written and matched as in PromQL: `name{label="value", other=~"regex"}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*')


_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_TO_ESCAPE = str.maketrans({character: f"\\{letter}" for letter, character in _ESCAPES.items()})


class Matcher(NamedTuple):
    label: str
    operator: str
    value: str

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """As in Prometheus: a missing label is "", and a regular expression must match all of the value."""
        actual = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (actual == self.value) == (self.operator == "=")
        return bool(_compiled(self.value).fullmatch(actual)) == (self.operator == "=~")

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value.translate(_TO_ESCAPE)}"'


@dataclass(frozen=True, slots=True)
class Selector:
    name: str
    matchers: tuple[Matcher, ...] = ()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.accepts(labels) for matcher in self.matchers)

    def named(self, name: str) -> Selector:
        return replace(self, name=name)

    def having(self, matcher: Matcher) -> Selector:
        return replace(self, matchers=(*self.matchers, matcher))

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.matchers))
        return f"{self.name}{{{inside}}}" if inside else self.name


def parse_selector(text: object) -> Selector:
    """`http_requests_total{status=~"5.."}` as a Selector; ValueError says what was expected where."""
    if isinstance(text, Selector):
        return text
    if not isinstance(text, str) or not (name := NAME.match(text.strip())):
        raise ValueError(f'expected a metric name such as db_pool_size{{pool="main"}}, got {text!r}')
    rest = text.strip()[name.end() :].strip()
    if not rest:
        return Selector(name.group())
    if not (rest.startswith("{") and rest.endswith("}")):
        raise ValueError(f'expected {{label="value", …}} after {name.group()}, got {rest!r}')
    return Selector(name.group(), tuple(_matchers(rest[1:-1])))


def _matchers(text: str) -> list[Matcher]:
    found: list[Matcher] = []
    position = 0
    while text[position:].strip():
        match = MATCHER.match(text, position)
        if not match:
            raise ValueError(f'expected label="value", got {text[position:].strip()!r}')
        label, operator, value = match.groups()
        found.append(Matcher(label, operator, _unescaped(value)))
        if operator in ("=~", "!~"):
            _checked(label, found[-1].value)
        position = match.end()
        if position < len(text) and text[position] != ",":
            raise ValueError(f"expected a comma before {text[position:].strip()!r}")
        position += 1
    return found


def _checked(label: str, pattern: str) -> None:
    try:
        _compiled(pattern)
    except re.error as error:
        raise ValueError(f"{label}: not a regular expression: {error}") from None


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", _unescape, value)


def _unescape(match: re.Match[str]) -> str:
    """PromQL refuses unknown escapes too; one backslash before a regular expression's `d` is a usual slip."""
    if (character := _ESCAPES.get(match[1])) is None:
        raise ValueError(f"no such escape as {match[0]} in a label value; did you mean '\\{match[0]}'?")
    return character


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


SelectorField = Annotated[Selector, BeforeValidator(parse_selector)]
