"""CSV in whatever encoding and with whatever separator; read line by line, bounded in every direction."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from app.diagnostics.header import HEADER_WITHIN, Block, find_columns
from app.diagnostics.mistakes import TrialBalanceError

LONGEST_LINE = 20_000
"""Characters."""
BLOCK = 256
"""Rows that are read at once."""
LARGEST_BLOCK = 1_000_000
"""Characters. A quoted cell may contain line ends; one that is never closed contains all of them."""

_CHUNK = 256 * 1024
_SEPARATORS = ",;\t|"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class CsvSource:
    """`blocks()` may be read several times; cells come as they are written."""

    format = "csv"
    exact_width = True
    """A row wider than the header is a mistake: `Cash,1,234,` is 1,234 without its quotes."""

    def __init__(self, content: BinaryIO) -> None:
        """Raises TrialBalanceError for what is no text, or has no line ends."""
        self._content = content
        self.encoding = _detect_encoding(content)
        self.separator = self._detect_separator()

    def blocks(self) -> Generator[Block, None, None]:
        """Raises TrialBalanceError."""
        self._content.seek(0)
        text = io.TextIOWrapper(self._content, encoding=self.encoding, newline="")
        try:
            yield from _blocks(text, self.separator)
        finally:
            text.detach()

    def _detect_separator(self) -> str:
        self._content.seek(0)
        text = io.TextIOWrapper(self._content, encoding=self.encoding, newline="")
        head = list(islice(text, HEADER_WITHIN))
        text.detach()
        for separator in _SEPARATORS:
            try:
                find_columns(_blocks(head, separator))
            except TrialBalanceError:
                continue
            return separator
        return max(_SEPARATORS, key="".join(head).count)


class _Lines:
    """Lines for csv.reader, which would go on for ever with a single row."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text = text
        self.in_block = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.in_block += len(line)
            if self.in_block > LARGEST_BLOCK:
                raise csv.Error("a quote is never closed, or the rows are far too long")
            yield line


def _blocks(text: Iterable[str], separator: str) -> Iterator[Block]:
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    first = 1
    while True:
        cells: list[list[str]] = []
        lines.in_block = 0
        try:
            cells.extend(islice(reader, BLOCK))
        except csv.Error as error:
            raise TrialBalanceError(f"row {first + len(cells)}: not valid CSV ({error})") from None
        if not cells:
            return
        yield range(first, first + len(cells)), cells
        first += len(cells)


def _detect_encoding(content: BinaryIO) -> str:
    content.seek(0)
    head = content.read(4)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise TrialBalanceError("the file is UTF-32; save it as CSV UTF-8")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    else:
        candidates = ["utf-8-sig", "cp1252"]
    for encoding in candidates:
        try:
            _check_text(content, encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise TrialBalanceError("the file is not text in UTF-8, UTF-16 or Latin-1; save it as CSV UTF-8")


def _check_text(content: BinaryIO, encoding: str) -> None:
    content.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, open_line = 1, 0
    while chunk := content.read(_CHUNK):
        text = decoder.decode(chunk)
        if strange := _CONTROL.search(text):
            line = lines + text.count("\n", 0, strange.start())
            code = ord(strange[0])
            cure = ": is it a CSV at all?" if code else "; UTF-16 needs its byte order mark"
            raise TrialBalanceError(f"line {line} has a control character ({code:#04x}){cure}")
        open_line, longest = _measure(text, open_line)
        if longest > LONGEST_LINE:
            raise TrialBalanceError(f"a line after line {lines:,} is longer than {LONGEST_LINE:,} characters")
        lines += text.count("\n")
    decoder.decode(b"", final=True)


def _measure(text: str, before: int) -> tuple[int, int]:
    """Length of the unfinished last line, and of the longest; `before` belongs to the first."""
    lines = text.replace("\r", "\n").split("\n")
    lengths = [len(line) for line in lines]
    lengths[0] += before
    return lengths[-1], max(lengths)
