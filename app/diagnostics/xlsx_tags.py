"""What the tags of an XLSX's parts mean to a trial balance, and what of them may not grow without end."""

from __future__ import annotations

from xml.parsers import expat

from app.diagnostics.mistakes import TrialBalanceError

LONGEST_TAG = 1_000_000
LONGEST_CELL = 32_767
"""Characters; the spreadsheets' own limit."""
DEEPEST = 1_000
"""Tags within tags at the end of a chunk."""
MOST_ELEMENTS = 2_000
CHUNK = 64 * 1024
"""Bytes that the parser gets at a time."""


def make_parser(part: str, tags: Tags) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise TrialBalanceError(f"{part} declares a document type or an entity, which no XLSX does")

    parser.StartElementHandler = tags.start
    # Methods of lists are C: half as dear as any function of ours, and all that ends need is to be counted.
    parser.EndElementHandler, parser.CharacterDataHandler = tags.ended.append, tags.texts.append
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.XmlDeclHandler = tags.declare
    return parser


def local_name(name: str) -> str:
    return name.rpartition(":")[2]


def joined(texts: list[str]) -> str:
    """Without the line breaks and indents that some programs write between tags."""
    return "".join(text for text in texts if not (text.isspace() and "\n" in text))


class Tags:
    """What a part's tags mean. `start` sees each; what was between two starts is in `texts`."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.texts: list[str] = []
        self._started = self._ended = 0
        self._fed = 0
        self._utf8 = True

    def feed(self, parser: expat.XMLParserType, chunk: bytes) -> None:
        """A part of the part, not ending between two tags."""
        parser.Parse(chunk)
        self._fed += len(chunk)

    def feed_rest(self, parser: expat.XMLParserType) -> None:
        """What `feed` may have kept."""

    def declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._utf8 = encoding is None or encoding.lower() == "utf-8"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    @property
    def _depth(self) -> int:
        return self._started - self._ended - len(self.ended)

    def check(self, part: str, parser: expat.XMLParserType) -> None:
        """After each chunk: raises TrialBalanceError for what could grow without end."""
        self._ended += len(self.ended)
        self.ended.clear()
        if self._depth > DEEPEST:
            raise TrialBalanceError(f"{part} is nested more than {DEEPEST:,} deep")
        if self._fed - parser.CurrentByteIndex > LONGEST_TAG:
            raise TrialBalanceError(f"{part} has a tag of more than {LONGEST_TAG:,} bytes")
        if len(self.texts) > 1:
            self.texts[:] = [joined(self.texts)]
        if self.texts and len(self.texts[0]) > LONGEST_CELL + CHUNK:
            raise TrialBalanceError(f"{part} has a text of more than {LONGEST_CELL:,} characters")


class Elements(Tags):
    """The attributes of all elements called `name`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.found: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if local_name(name) == self._name and len(self.found) < MOST_ELEMENTS:
            self.found.append({local_name(key): value for key, value in attributes.items()})


class Strings(Tags):
    """The shared strings; phonetic readings (`rPh`) are no part of them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = False
        self._length: int | None = None

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._started += 1
        if name == "si" or name.endswith(":si"):
            self.finish()
            self._open = True
        elif self._length is None and local_name(name) == "rPh":
            self._length = len(joined(self.texts))

    def finish(self) -> None:
        if self._open:
            self.found.append(joined(self.texts)[: self._length])
            self._length = None
        self.texts.clear()
