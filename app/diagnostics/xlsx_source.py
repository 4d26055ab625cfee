"""XLSX, streamed: nothing of it is ever whole in memory but the shared strings.

The zip's directory is not believed: every part is bounded again while it is read. XML may not declare
anything (no entities, so no bombs), nest deeply, or hold one endless tag.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Generator, Iterator
from typing import BinaryIO
from xml.parsers import expat

from app.diagnostics.amounts import Number
from app.diagnostics.header import MOST_COLUMNS, Block
from app.diagnostics.mistakes import Deadline, TrialBalanceError

LARGEST_PART = 400_000_000
"""Bytes after decompression, of all parts that are read; a million rows take about 150 MB."""
HIGHEST_RATIO = 150
"""Decompressed to compressed, of parts above a megabyte; worksheets reach about 30."""
MOST_PARTS = 2_000
LARGEST_STRINGS = 100_000_000
LONGEST_TAG = 1_000_000
LONGEST_CELL = 32_767
"""Characters; the spreadsheets' own limit."""
DEEPEST = 1_000
"""Tags within tags at the end of a chunk."""

_CHUNK = 64 * 1024
_CENTRAL_DIRECTORY_ENTRY = b"PK\x01\x02"
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)
_COLUMN = re.compile(r"[A-Z]{1,3}")

_AFTER_CELLS = {
    "sheetProtection",
    "autoFilter",
    "mergeCells",
    "phoneticPr",
    "pageMargins",
    "hyperlinks",
    "extLst",
}


class XlsxSource:
    """The first visible worksheet. `blocks()` may be read several times."""

    format = "xlsx"
    encoding = "utf-8"
    separator = ""
    exact_width = False

    def __init__(self, content: BinaryIO, deadline: Deadline) -> None:
        """Raises TrialBalanceError."""
        _refuse_huge_directory(content)
        self._deadline = deadline
        try:
            self._zip = zipfile.ZipFile(content)
        except _BAD_ZIP:
            raise TrialBalanceError(
                "the XLSX is damaged or cut off: its zip directory cannot be read"
            ) from None
        self._names = {info.filename.lower(): info for info in self._zip.infolist()}
        self._refuse_other_formats()
        self._sheet = self._first_visible_sheet()
        self._strings = self._shared_strings()

    def blocks(self) -> Generator[Block, None, None]:
        """Raises TrialBalanceError."""
        sheet = _Sheet(self._strings)
        for _ in self._parse(self._sheet, sheet):
            yield sheet.take()
        sheet.finish()
        yield sheet.take()

    def _refuse_other_formats(self) -> None:
        if "xl/workbook.bin" in self._names:
            raise TrialBalanceError("the file is an XLSB; save it as XLSX")
        if "mimetype" in self._names:
            raise TrialBalanceError("the file is an OpenDocument spreadsheet; save it as XLSX")
        if any(name.endswith("vbaproject.bin") for name in self._names):
            raise TrialBalanceError("the file contains macros; save it as XLSX without macros")
        for needed in ("[content_types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
            if needed not in self._names:
                raise TrialBalanceError(f"the file is a zip but no XLSX: it has no {needed}")

    def _first_visible_sheet(self) -> str:
        book, relations = _Elements("sheet"), _Elements("Relationship")
        self._read_through("xl/workbook.xml", book)
        self._read_through("xl/_rels/workbook.xml.rels", relations)
        targets = {
            each.get("Id"): each.get("Target", "")
            for each in relations.found
            if each.get("Type", "").endswith("/worksheet")
        }
        for sheet in book.found:
            if sheet.get("state", "visible") == "visible" and sheet.get("id") in targets:
                return posixpath.normpath(posixpath.join("/xl", targets[sheet["id"]])).lstrip("/")
        raise TrialBalanceError("the XLSX has no visible worksheet")

    def _shared_strings(self) -> list[str]:
        strings = _Strings()
        if "xl/sharedstrings.xml" in self._names:
            self._read_through("xl/sharedStrings.xml", strings, LARGEST_STRINGS)
            strings.finish()
        return strings.found

    def _read_through(self, part: str, tags: _Tags, at_most: int = LARGEST_PART) -> None:
        for _ in self._parse(part, tags, at_most):
            pass

    def _parse(self, part: str, tags: _Tags, at_most: int = LARGEST_PART) -> Iterator[None]:
        """Yields after each chunk."""
        parser = _parser(part, tags)
        read = 0
        try:
            for chunk in self._chunks(part, at_most):
                parser.Parse(chunk)
                read += len(chunk)
                if read - parser.CurrentByteIndex > LONGEST_TAG:
                    raise TrialBalanceError(f"{part} has a tag of more than {LONGEST_TAG:,} bytes")
                tags.check(part)
                self._deadline.check()
                yield
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise TrialBalanceError(f"{part} is not valid XML: {error}") from None

    def _chunks(self, part: str, at_most: int) -> Iterator[bytes]:
        info = self._names.get(part.lower())
        if info is None:
            raise TrialBalanceError(f"the XLSX is damaged: it has no {part}")
        if info.flag_bits & 1:
            raise TrialBalanceError("the XLSX is encrypted; save it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise TrialBalanceError(f"the XLSX is damaged: {part} is compressed in an unusual way")
        _refuse_bomb(part, info.file_size, info.compress_size, at_most)
        read = 0
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    read += len(chunk)
                    _refuse_bomb(part, read, info.compress_size, at_most)
                    yield chunk
        except _BAD_ZIP as error:
            if isinstance(error, TrialBalanceError):
                raise
            raise TrialBalanceError(f"the XLSX is damaged or cut off: {part} cannot be unpacked") from None


def _refuse_huge_directory(content: BinaryIO) -> None:
    # zipfile makes an object of half a kilobyte for each entry, and 50 MB have room for a million entries.
    content.seek(0)
    entries, rest = 0, b""
    while chunk := content.read(1024 * 1024):
        entries += (rest + chunk).count(_CENTRAL_DIRECTORY_ENTRY)
        rest = chunk[-3:]
    if entries > MOST_PARTS:
        raise TrialBalanceError(f"the XLSX has more than {MOST_PARTS:,} parts")


def _refuse_bomb(part: str, size: int, compressed: int, at_most: int) -> None:
    if size > at_most:
        raise TrialBalanceError(f"{part} is larger than {at_most:,} bytes when unpacked")
    if size > 1_000_000 and size > HIGHEST_RATIO * max(compressed, 1):
        raise TrialBalanceError(
            f"{part} unpacks to more than {HIGHEST_RATIO} times its size, like a zip bomb"
        )


def _parser(part: str, tags: _Tags) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise TrialBalanceError(f"{part} declares a document type or an entity, which no XLSX does")

    parser.StartElementHandler = tags.start
    # Methods of lists are C: half as dear as any function of ours, and all that ends need is to be counted.
    parser.EndElementHandler, parser.CharacterDataHandler = tags.ended.append, tags.texts.append
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    return parser


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Tags:
    """What a part's tags mean. `start` sees each; what was between two starts is in `texts`."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.texts: list[str] = []
        self._started = self._ended = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def check(self, part: str) -> None:
        """After each chunk: raises TrialBalanceError for what could grow without end."""
        self._ended += len(self.ended)
        self.ended.clear()
        if self._started - self._ended > DEEPEST:
            raise TrialBalanceError(f"{part} is nested more than {DEEPEST:,} deep")
        if len(self.texts) > 1:
            self.texts[:] = ["".join(self.texts)]
        if self.texts and len(self.texts[0]) > LONGEST_CELL + _CHUNK:
            raise TrialBalanceError(f"{part} has a text of more than {LONGEST_CELL:,} characters")


class _Elements(_Tags):
    """The attributes of all elements called `name`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.found: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if _local(name) == self._name and len(self.found) < MOST_PARTS:
            self.found.append({_local(key): value for key, value in attributes.items()})


class _Strings(_Tags):
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
        elif self._length is None and _local(name) == "rPh":
            self._length = sum(map(len, self.texts))

    def finish(self) -> None:
        if self._open:
            self.found.append("".join(self.texts)[: self._length])
            self._length = None
        self.texts.clear()


class _Sheet(_Tags):
    """Rows of text. A cell is complete when the next one starts."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__()
        self._strings = strings
        self._numbers: list[int] = []
        self._rows: list[list[str]] = []
        self._row = 0
        self._cells: list[str] = []
        self._place = -1
        self._type = "n"
        self._valued = self._formula = False
        self._places: dict[str, int] = {}

    def take(self) -> Block:
        """The rows that are complete, once."""
        block = self._numbers, self._rows
        self._numbers, self._rows = [], []
        return block

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if name == "c":
            if self._valued or self._formula:
                self._finish_cell()
            self._place = self._place_of(attributes["r"]) if "r" in attributes else self._place + 1
            self._type = attributes.get("t", "n")
            self.texts.clear()
        elif name == "v":
            self._valued = True
            self.texts.clear()  # a formula's own text
        elif name == "t":
            self._valued = True
        elif name == "f":
            self._formula = True
        elif name == "row":
            self._start_row(attributes.get("r"))
        elif ":" in name:
            self._started -= 1
            self.start(_local(name), attributes)
        elif name in _AFTER_CELLS:
            self.finish()

    def finish(self) -> None:
        """After the last row."""
        if self._valued or self._formula:
            self._finish_cell()
        if self._row and not self._finished:
            self._numbers.append(self._row)
            self._rows.append(self._cells)
        self._finished = True

    _finished = True

    def _finish_cell(self) -> None:
        content = self._content()
        self._valued = self._formula = False
        cells, place = self._cells, self._place
        if len(cells) != place:
            if place >= MOST_COLUMNS:
                raise TrialBalanceError(f"{self._where()}: at most {MOST_COLUMNS} columns are read")
            cells += [""] * (place - len(cells))
            del cells[place:]
        cells.append(content)

    def _start_row(self, number: str | None) -> None:
        self.finish()
        row = (
            self._row + 1 if number is None else int(number) if number.isdecimal() and len(number) < 8 else 0
        )
        if row <= self._row:
            raise self._damaged(f"after row {self._row} comes row {number}"[:60])
        self._row, self._cells, self._place, self._finished = row, [], -1, False

    def _place_of(self, reference: str) -> int:
        letters = reference.rstrip("0123456789")
        place = self._places.get(letters)
        if place is None:
            if not _COLUMN.fullmatch(letters):
                raise self._damaged(f'a cell is called "{reference[:20]}"')
            place = self._places[letters] = _place(letters)
        return place

    def _content(self) -> str:
        if not self._valued:
            raise TrialBalanceError(
                f"{self._where()}: a formula without a stored value; open and save it in a spreadsheet"
            )
        texts, kind = self.texts, self._type
        value = texts[0] if len(texts) == 1 else "".join(texts)
        if len(value) > LONGEST_CELL:
            raise TrialBalanceError(f"{self._where()} is longer than {LONGEST_CELL:,} characters")
        if kind == "n":
            return Number(value.strip())
        if kind == "s":
            place = value.strip()
            if not (place.isdecimal() and len(place) < 9 and int(place) < len(self._strings)):
                raise self._damaged(f"{self._where()} points to a text that is not there")
            return self._strings[int(place)]
        if kind == "e":
            raise TrialBalanceError(f"{self._where()} has the error {value.strip()[:20]}")
        return value

    def _where(self) -> str:
        return f"row {self._row}, column {_letters(self._place)}"

    def _damaged(self, how: str) -> TrialBalanceError:
        return TrialBalanceError(f"the worksheet is damaged: {how}")


def _place(letters: str) -> int:
    """ "C" is 2."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return place - 1


def _letters(place: int) -> str:
    letters = ""
    while place >= 0:
        place, letter = divmod(place, 26)
        letters = chr(65 + letter) + letters
        place -= 1
    return letters
