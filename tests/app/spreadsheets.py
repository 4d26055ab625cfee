"""XLSX files made by hand, so that each of their parts can be wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
SHEET = "xl/worksheets/sheet1.xml"

PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
    "xl/workbook.xml": (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="TB" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
HEADER = ("Account", "Debit", "Credit")
ROWS: Sequence[Sequence[str | float]] = (HEADER, ("1000 Cash", 100, ""), ("4000 Sales", "", 100))


def cell(reference: str, value: str | float) -> str:
    if isinstance(value, str):
        return f'<c r="{reference}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else ""
    return f'<c r="{reference}"><v>{value}</v></c>'


def sheet(rows: Sequence[Sequence[str | float]]) -> str:
    made = []
    for row, values in enumerate(rows, start=1):
        cells = [cell(f"{chr(65 + place)}{row}", value) for place, value in enumerate(values)]
        made.append(f'<row r="{row}">{"".join(cells)}</row>')
    return worksheet("".join(made))


def worksheet(rows: str) -> str:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'


def archive(parts: Mapping[str, str | bytes | None], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A part that is None is left out."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        for name, part in parts.items():
            if part is not None:
                made.writestr(name, part)
    return content.getvalue()


def xlsx(rows: Sequence[Sequence[str | float]] = ROWS, **parts: str | bytes | None) -> bytes:
    """`parts` replace others: types, workbook, rels, sheet1, sharedStrings."""
    names = {
        "types": "[Content_Types].xml",
        "workbook": "xl/workbook.xml",
        "rels": "xl/_rels/workbook.xml.rels",
        "sheet1": SHEET,
        "sharedStrings": "xl/sharedStrings.xml",
    }
    return archive({**PARTS, SHEET: sheet(rows), **{names[name]: part for name, part in parts.items()}})


def with_row(row: str) -> bytes:
    """A header by the book, then `row` as XML."""
    header = "".join(cell(f"{letter}1", name) for letter, name in zip("ABC", HEADER, strict=True))
    return xlsx(sheet1=worksheet(f'<row r="1">{header}</row>{row}'))
