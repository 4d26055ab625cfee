"""Reads YAML that people write, and tells them every mistake at once, with its line, in one line each.

A small and predictable YAML: plain values follow the core schema of YAML 1.2 (`no` and `12:30` are text), and
anchors, aliases, tags and tabs are refused: nothing in our files needs them, and each has bitten somebody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from monitor.mistakes import explained

MAX_BYTES = 1_048_576
MAX_DEPTH = 20
MAX_KEY = 100
MAX_SHOWN = 100

Loc = tuple[str | int, ...]
T = TypeVar("T")
C = TypeVar("C", list[Any], dict[str, Any])

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{)")


class Mistake(NamedTuple):
    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


class ConfigError(Exception):
    """Everything that is wrong with a file; as text, one line for each mistake."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        shown = [str(mistake) for mistake in self.mistakes[:MAX_SHOWN]]
        if more := len(self.mistakes) - len(shown):
            shown.append(f"... and {more} more mistakes")
        super().__init__("\n".join(shown))

    @classmethod
    def at(cls, file: Path, message: str, line: int | None = None) -> Self:
        return cls([Mistake(file, line, message)])


@dataclass(slots=True)
class Document:
    """A file's content as plain Python values, where each of them stands, and what is wrong so far."""

    path: Path
    root: object = None
    lines: dict[Loc, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    _reported: set[Loc] = field(default_factory=set)
    _expansions: dict[Loc, tuple[str, str]] = field(default_factory=dict)

    def under(self, key: str, kind: type[C]) -> C:
        """The list or dict under this key of the root; an empty one when there is none."""
        found = self.root.get(key) if isinstance(self.root, dict) else None
        return found if isinstance(found, kind) else kind()

    def wrong(self, loc: Loc, message: str) -> None:
        """Notes a mistake at `loc`; only the first one counts where several are made in one place."""
        if loc in self._reported:
            return
        self._reported.add(loc)
        message = self._without_secrets(loc, message)
        said = f"{dotted(loc)}: {message}" if loc else message
        self.mistakes.append(Mistake(self.path, self._line(loc), said))

    def read(self, adapter: TypeAdapter[T], value: object, loc: Loc = ()) -> T | None:
        """The value that stands at `loc` as the adapter's type, or None after its mistakes were noted."""
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            for inner, message in explained(error):
                self.wrong((*loc, *inner), message)
            return None

    def leave_out(self, keys: Collection[str]) -> None:
        """Forgets what is under these keys of the root."""
        if isinstance(self.root, dict):
            self.root = {key: value for key, value in self.root.items() if key not in keys}

    def raise_mistakes(self) -> None:
        if self.mistakes:
            raise ConfigError(self.mistakes)

    def expand(self, environ: Mapping[str, str]) -> None:
        """Replaces `${NAME}`, `${NAME:-default}` and `$$` in text values, after parsing: none adds keys."""
        self.root = self._expanded(self.root, (), environ)

    def _expanded(self, value: object, loc: Loc, environ: Mapping[str, str]) -> object:
        if isinstance(value, dict):
            return {key: self._expanded(each, (*loc, key), environ) for key, each in value.items()}
        if isinstance(value, list):
            return [self._expanded(each, (*loc, index), environ) for index, each in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        expanded = _VARIABLE.sub(lambda match: self._variable(match, loc, environ), value)
        self._expansions[loc] = (value, expanded)
        return expanded

    def _variable(self, match: re.Match[str], loc: Loc, environ: Mapping[str, str]) -> str:
        dollar, name, default = match.groups()
        if dollar:
            return "$"
        if name is None:
            self.wrong(loc, "expected ${NAME} or ${NAME:-default}, or $${ for the two characters themselves")
            return ""
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            cure = f"set it, or write ${{{name}:-default}}"
            self.wrong(loc, f"the environment variable {name} is not set; {cure}")
        return environ.get(name, "")

    def _without_secrets(self, loc: Loc, message: str) -> str:
        """What came from the environment is shown as it was written: `${NAME}`, never its value."""
        for place, (written, expanded) in self._expansions.items():
            here = place == loc[: len(place)]
            if here:
                message = message.split(", got ")[0]
            if expanded and (here or len(expanded) > 3):
                message = message.replace(expanded, written)
            if here:
                message += f", got {written!r}"
        return message

    def _line(self, loc: Loc) -> int:
        """Of the value itself, else of the innermost thing around it that exists."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def dotted(loc: Loc) -> str:
    """`objectives[2].window`"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".")


def load_yaml(path: Path) -> Document:
    """Raises ConfigError when the file can't be read as YAML at all; lesser mistakes are in the document."""
    text = _text(path)
    for number, row in enumerate(text.split("\n"), start=1):
        if "\t" in row[: len(row) - len(row.lstrip())]:
            raise ConfigError.at(path, "indented with a tab; use spaces", number)
    composer = _Composer(path, text)
    try:
        return composer.document()
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise ConfigError.at(path, f"a character that YAML does not allow: {error.reason}", line) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, text, error) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError.at(path, f"can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError.at(path, f"larger than {MAX_BYTES // 1024} KiB; is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError.at(path, "not UTF-8; save the file as UTF-8", line) from None


def _syntax_error(path: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    lines = text.split("\n")
    line = lines[number - 1] if number <= len(lines) else ""
    cure = '; put quotes around "${…}" inside braces' if re.search(r"\{.*(?<!\")\$\{", line) else ""
    return ConfigError.at(
        path, f"not YAML: {' '.join(filter(None, (error.context, error.problem)))}{cure}", number
    )


class _Composer:
    """Turns parser events into a document; refuses what could grow without bound or surprise."""

    def __init__(self, path: Path, text: str) -> None:
        self._found = Document(path)
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def document(self) -> Document:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise ConfigError.at(self._found.path, "the file is empty", 1)
        self._found.root = self._value(next(self._events), ())
        next(self._events)
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            raise self._refused(event, "a second document starts here; write one document a file")
        return self._found

    def _value(self, event: Any, loc: Loc) -> object:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(event, "anchors and aliases (& and *) are not read here; write the value out")
        if getattr(event, "tag", None):
            raise self._refused(event, "tags (!) are not read here; write the plain value")
        if len(loc) > MAX_DEPTH:
            raise self._refused(event, f"nested more than {MAX_DEPTH} levels deep")
        self._found.lines.setdefault(loc, event.start_mark.line + 1)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(loc)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(loc)
        return event.value if event.style else _plain(event.value)

    def _mapping(self, loc: Loc) -> dict[str, object]:
        made: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, line = self._key(event), event.start_mark.line + 1
            place = (*loc, key)
            if key in made:
                first = self._found.lines[place]
                self._found.mistakes.append(
                    Mistake(self._found.path, line, f"{dotted(place)}: given twice; first on line {first}")
                )
                self._value(next(self._events), (*place, "again"))
                continue
            self._found.lines[place] = line
            made[key] = self._value(next(self._events), place)
        return made

    def _sequence(self, loc: Loc) -> list[object]:
        made: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            made.append(self._value(event, (*loc, len(made))))
        return made

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
            raise self._refused(event, "expected a plain word as the key")
        if len(event.value) > MAX_KEY:
            raise self._refused(event, f"a key of more than {MAX_KEY} characters")
        return str(event.value)

    def _refused(self, event: Any, message: str) -> ConfigError:
        return ConfigError.at(self._found.path, message, event.start_mark.line + 1)


def _plain(text: str) -> object:
    if text.lower() in _WORDS and len(text) < 6:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text) and len(text) <= 18:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
