"""A report as an Excel workbook, one worksheet per section.

Text never becomes a formula: not here, where cells of text are text, nor when somebody saves the sheet as CSV
and opens that. What a spreadsheet could take for the beginning of a formula gets an apostrophe before it.
"""

from __future__ import annotations

import io
import re
import unicodedata
from decimal import Decimal
from typing import Any

from xlsxwriter import Workbook

from app.documents.report import Cell, Report, Section, text_of

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_IN_MEMORY = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
_FORMULA = tuple("=+-@\t\r\n|")
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\']")
_LONGEST_SHEET_NAME = 31
_WIDEST = 60
"""Characters."""


def make(report: Report) -> bytes:
    """2,000 rows take a core about 0.1 s."""
    out = io.BytesIO()
    with Workbook(out, _IN_MEMORY) as workbook:
        workbook.set_properties({"title": report.title, "author": "Paciolus"})
        bold = workbook.add_format({"bold": True})
        for number, section in enumerate(report.sections, start=1):
            _write(workbook.add_worksheet(_sheet_name(number, section.title)), section, bold)
    return out.getvalue()


def harmless(text: str) -> str:
    """What starts like a formula, full-width or after spaces too, starts with an apostrophe instead."""
    # CSV readers trim; text that begins with an invisible character is nothing but suspicious.
    start = unicodedata.normalize("NFKC", text[:20]).lstrip(" \u200b\ufeff")
    return f"'{text}" if text.startswith(_FORMULA) or start.startswith(_FORMULA) else text


def _sheet_name(number: int, title: str) -> str:
    return f"{number} {_NOT_IN_SHEET_NAMES.sub(' ', title)}"[:_LONGEST_SHEET_NAME].strip()


def _write(sheet: Any, section: Section, bold: Any) -> None:
    rows: list[tuple[Any, Any]] = [(row, None) for row in section.rows]
    if any(section.header):
        rows.insert(0, (section.header, bold))
        sheet.freeze_panes(1, 0)
    widths = [8] * len(section.header)
    for row, (cells, style) in enumerate(rows):
        for column, cell in enumerate(cells):
            widths[column] = max(widths[column], _put(sheet, row, column, cell, style))
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(width + 2, _WIDEST))


def _put(sheet: Any, row: int, column: int, cell: Cell, style: Any) -> int:
    """Returns how many characters wide it is."""
    text = text_of(cell)
    if isinstance(cell, bool):
        sheet.write_boolean(row, column, cell, style)
    elif isinstance(cell, int | float | Decimal) and _survives(cell):
        sheet.write_number(row, column, float(cell), style)
    elif text:
        sheet.write_string(row, column, harmless(text if isinstance(cell, str) else str(cell)), style)
    return len(text)


def _survives(number: float | Decimal) -> bool:
    """Excel calculates with 15 digits; longer numbers are written as text, to stay exact."""
    return len(Decimal(str(number)).normalize().as_tuple().digits) <= 15
