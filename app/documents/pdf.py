"""A report as PDF on A4."""

from __future__ import annotations

import io
from functools import partial
from importlib.resources import files
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer

from app.documents.report import Cell, Report, Section, text_of

MEDIA_TYPE = "application/pdf"

# Fonts that every PDF reader has know Latin-1 only, and clients are called Żubr or Άλφα.
for _name in ("FiraSans-Regular", "FiraSans-Bold"):
    _file = files("fontpkg_fira_sans") / "files" / f"{_name}.ttf"
    pdfmetrics.registerFont(TTFont(_name, io.BytesIO(_file.read_bytes())))

# Words without a space are broken where the column ends.
_style = partial(ParagraphStyle, splitLongWords=1)
_TEXT = _style("text", fontName="FiraSans-Regular", fontSize=9, leading=11)
_HEADER = _style("header", parent=_TEXT, fontName="FiraSans-Bold")
_NUMBER_HEADER = _style("number header", parent=_HEADER, alignment=2)
_HEADING = _style("heading", fontName="FiraSans-Bold", fontSize=12, leading=20)
_TITLE = _style("title", fontName="FiraSans-Bold", fontSize=18, leading=26)
_MARGINS: Any = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 20 * mm)
_NOT_ALONE = 30 * mm  # for a heading and the rows below it
_PADDING = 12  # points, left and right together
_LINES: Any = [
    ("FONT", (0, 0), (-1, -1), _TEXT.fontName, _TEXT.fontSize, _TEXT.leading),
    ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]


def make(report: Report) -> bytes:
    """Not for two threads at once: they would share the fonts' state. 2,000 rows take a core about 0.6 s."""
    out = io.BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4, title=report.title, author="Paciolus", **_MARGINS)
    story: list[Flowable] = [_paragraph(report.title, _TITLE)]
    for section in report.sections:
        heading = _paragraph(section.title, _HEADING)
        story += [Spacer(0, 4 * mm), CondPageBreak(_NOT_ALONE), heading, _table(section, document.width)]
    document.build(story, onFirstPage=_page_number, onLaterPages=_page_number)
    return out.getvalue()


def _table(section: Section, width: float) -> Flowable:
    """The first column is twice as wide. Without a header: names and values, on half the page."""
    named = any(section.header)
    shares = [2, *[1] * (len(section.header) - 1)] if named else [1] * len(section.header)
    widths = [width * share / sum(shares) / (1 if named else 2) for share in shares]
    rows = [[_cell(cell, column) for cell, column in zip(row, widths, strict=True)] for row in section.rows]
    if named:
        first = section.rows[0]
        rows.insert(0, [_heading(name, cell) for name, cell in zip(section.header, first, strict=True)])
    style = [*_LINES, *_to_the_right(section, below=int(named))]
    return LongTable(rows, colWidths=widths, repeatRows=int(named), hAlign="LEFT", style=style)


def _heading(name: str, below: Cell) -> Flowable:
    return _paragraph(name, _HEADER if isinstance(below, str | bool | None) else _NUMBER_HEADER)


def _to_the_right(section: Section, below: int) -> list[Any]:
    """Numbers, and all values that follow their names."""
    listed = len(section.header) == 2 and not any(section.header)
    return [
        ("ALIGN", (x, y), (x, y), "RIGHT")
        for y, row in enumerate(section.rows, start=below)
        for x, cell in enumerate(row)
        if not isinstance(cell, str | bool | None) or (listed and x == 1)
    ]


def _cell(cell: Cell, width: float) -> Flowable | str:
    """A paragraph only where a line has to be broken: it costs ten times as much."""
    text = text_of(cell)
    fits = pdfmetrics.stringWidth(text, _TEXT.fontName, _TEXT.fontSize) < width - _PADDING
    return text if fits else _paragraph(text, _TEXT)


def _paragraph(text: str, style: ParagraphStyle) -> Flowable:
    # A paragraph is markup: an <img> in the name of an account would be fetched.
    return Paragraph(escape(text), style)


def _page_number(canvas: Canvas, _document: object) -> None:
    canvas.setFont("FiraSans-Regular", 8)
    canvas.drawRightString(A4[0] - 20 * mm, 12 * mm, f"{canvas.getPageNumber()}")
