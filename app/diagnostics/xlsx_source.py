"""XLSX, streamed: nothing of it is ever whole in memory but the shared strings.

The zip's directory is not believed: every part is bounded again while it is read. XML may not declare
anything (no entities, so no bombs), nest deeply, or hold one endless tag.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Generator, Iterator
from typing import BinaryIO
from xml.parsers import expat

from app.diagnostics.header import Block
from app.diagnostics.mistakes import Deadline, TrialBalanceError
from app.diagnostics.xlsx_sheet import Sheet
from app.diagnostics.xlsx_tags import CHUNK, Elements, Strings, Tags, make_parser

LARGEST_PART = 400_000_000
"""Bytes after decompression, of all parts that are read; a million rows take about 150 MB."""
HIGHEST_RATIO = 150
"""Decompressed to compressed, of parts above a megabyte; worksheets reach about 30."""
MOST_PARTS = 2_000
LARGEST_STRINGS = 100_000_000

_CENTRAL_DIRECTORY_ENTRY = b"PK\x01\x02"
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)


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
        sheet = Sheet(self._strings)
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
        book, relations = Elements("sheet"), Elements("Relationship")
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
        strings = Strings()
        if "xl/sharedstrings.xml" in self._names:
            self._read_through("xl/sharedStrings.xml", strings, LARGEST_STRINGS)
            strings.finish()
        return strings.found

    def _read_through(self, part: str, tags: Tags, at_most: int = LARGEST_PART) -> None:
        for _ in self._parse(part, tags, at_most):
            pass

    def _parse(self, part: str, tags: Tags, at_most: int = LARGEST_PART) -> Iterator[None]:
        """Yields after each chunk."""
        parser = make_parser(part, tags)
        try:
            for chunk in self._chunks(part, at_most):
                tags.feed(parser, chunk)
                tags.check(part, parser)
                self._deadline.check()
                yield
            tags.feed_rest(parser)
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
                while chunk := member.read(CHUNK):
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
