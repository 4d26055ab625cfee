"""A worksheet's rows, from the XML parser or past it."""

from __future__ import annotations

import re
from xml.parsers import expat

from app.diagnostics.amounts import Number
from app.diagnostics.header import MOST_COLUMNS, Block
from app.diagnostics.mistakes import TrialBalanceError
from app.diagnostics.xlsx_rows import ROW_END, Token, unescaped, usual_rows
from app.diagnostics.xlsx_tags import LONGEST_CELL, Tags, joined, local_name

_COLUMN = re.compile(r"[A-Z]{1,3}")
NOWHERE = -1
_AFTER_CELLS = {
    "sheetProtection",
    "autoFilter",
    "mergeCells",
    "phoneticPr",
    "pageMargins",
    "hyperlinks",
    "extLst",
}


class Sheet(Tags):
    """Rows of text, from the XML parser or past it. A parsed cell is complete when the next one starts."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__()
        self._strings = strings
        self._numbers: list[int] = []
        self._rows: list[list[str]] = []
        self._row = 0
        self._cells: list[str] = []
        self._column, self._type = "", "n"
        self._valued = self._formula = False
        self._finished = True
        self._places: dict[str, int] = {}
        self._kept = b""
        self._depth_of_rows = NOWHERE

    def take(self) -> Block:
        """The rows that are complete, once."""
        block = self._numbers, self._rows
        self._numbers, self._rows = [], []
        return block

    def feed(self, parser: expat.XMLParserType, chunk: bytes) -> None:
        """Rows that look as usual go past the parser where it expects rows and is in the midst of nothing."""
        rows, end, self._kept = (self._kept + chunk).rpartition(ROW_END)
        if not end:
            self.feed_rest(parser)
            return
        between = self._utf8 and self._depth == self._depth_of_rows and parser.CurrentByteIndex == self._fed
        usual = usual_rows(rows + end) if between else None
        if usual is None:
            super().feed(parser, rows + end)
        else:
            self._add(usual)

    def feed_rest(self, parser: expat.XMLParserType) -> None:
        kept, self._kept = self._kept, b""
        super().feed(parser, kept)

    def _add(self, tokens: list[Token]) -> None:
        for number, column, kind, text in tokens:
            if number:
                self._start_row(number)
            else:
                self._put(column, kind or "n", unescaped(text))

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if name == "c":
            if self._valued or self._formula:
                self._finish_cell()
            reference = attributes.get("r")
            self._column = (
                self._next_column() if reference is None else (reference.rstrip("0123456789") or reference)
            )
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
        elif name == "sheetData":
            self._depth_of_rows = self._depth
        elif ":" in name:
            self._started -= 1
            self.start(local_name(name), attributes)
        elif name in _AFTER_CELLS:
            self._depth_of_rows = NOWHERE
            self.finish()

    def finish(self) -> None:
        """After the last row."""
        if self._valued or self._formula:
            self._finish_cell()
        if not self._finished:
            self._numbers.append(self._row)
            self._rows.append(self._cells)
        self._finished = True

    def _finish_cell(self) -> None:
        if not self._valued:
            where = self._where(self._column)
            raise TrialBalanceError(
                f"{where}: a formula without a stored value; open and save it in a spreadsheet"
            )
        self._valued = self._formula = False
        texts = self.texts
        self._put(self._column, self._type, texts[0] if len(texts) == 1 else joined(texts))

    def _put(self, column: str, kind: str, text: str) -> None:
        place = self._places.get(column)
        if place is None:
            place = self._places[column] = self._place(column)
        if len(text) > LONGEST_CELL:
            raise TrialBalanceError(f"{self._where(column)} is longer than {LONGEST_CELL:,} characters")
        cells = self._cells
        if len(cells) != place:
            cells += [""] * (place - len(cells))
            del cells[place:]
        cells.append(Number(text.strip()) if kind == "n" else self._text(column, kind, text))

    def _text(self, column: str, kind: str, text: str) -> str:
        if kind == "s":
            place = text.strip()
            if not (place.isdecimal() and len(place) < 9 and int(place) < len(self._strings)):
                raise self._damaged(f"{self._where(column)} points to a text that is not there")
            return self._strings[int(place)]
        if kind == "e":
            raise TrialBalanceError(f"{self._where(column)} has the error {text.strip()[:20]}")
        return text

    def _start_row(self, number: str | None) -> None:
        self.finish()
        row = (
            self._row + 1 if number is None else int(number) if number.isdecimal() and len(number) < 8 else 0
        )
        if row <= self._row:
            raise self._damaged(f"after row {self._row} comes row {number}"[:60])
        self._row, self._cells, self._column, self._finished = row, [], "", False

    def _next_column(self) -> str:
        """Where a cell stands that does not say it: right of the last."""
        return _letters(_place(self._column) + 1) if _COLUMN.fullmatch(self._column) else "A"

    def _place(self, column: str) -> int:
        if not _COLUMN.fullmatch(column):
            raise self._damaged(f'a cell is called "{column[:20]}"')
        place = _place(column)
        if place >= MOST_COLUMNS:
            raise TrialBalanceError(f"{self._where(column)}: at most {MOST_COLUMNS} columns are read")
        return place

    def _where(self, column: str) -> str:
        return f"row {self._row}, column {column}"

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
