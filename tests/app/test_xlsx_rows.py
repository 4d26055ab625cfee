"""Rows that go past the XML parser must read as if they had gone through it; odd ones must go through it."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import openpyxl
import pytest

from app.diagnostics import xlsx_sheet, xlsx_source
from app.diagnostics.mistakes import Deadline, TrialBalanceError
from app.diagnostics.xlsx_rows import usual_rows
from app.diagnostics.xlsx_source import XlsxSource
from tests.app.spreadsheets import MAIN, xlsx

CASES = 300
STRINGS = f'<sst xmlns="{MAIN}"><si><t>one</t></si><si><t>two</t></si><si><t>three</t></si></sst>'
TEXTS = (
    "Cash",
    "R&amp;D",
    "a &lt; b",
    "&quot;so&quot;",
    "d&apos;Or",
    "Überträge 資産",
    " padded ",
    "tab\there",
)
ODD_TEXTS = ("&#65;", "<![CDATA[x]]>", "a\r\nb", "<!-- x -->", "", "]]&gt;", "x" * 40_000)
ROW_ATTRIBUTES = (
    "",
    ' spans="1:4"',
    ' ht="15.75" customHeight="1"',
    ' spans="1:4" x14ac:dyDescent="0.25"',
    ' hidden="1"',
)
HIDDEN = "".join(f'<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>' for row in range(7000, 7010))
ODD_ROWS = (
    f"<!-- {HIDDEN} -->",
    f"<x>{HIDDEN}</x>",
    f'<row r="6000"><c r="A1" t="str"><v><![CDATA[{HIDDEN}]]></v></c></row>',
    "</row>",
    '<row r="1"></row>',
    "<row><c><v>1</v></c></row>",
    "&amp;",
)


def cell(random: Random, column: str, row: int) -> str:
    place = random.choice((f' r="{column}{row}"',) * 20 + ("", f' s="1" r="{column}{row}"'))
    style = random.choice(("", "", ' s="3"'))
    text = random.choice(TEXTS * 20 + ODD_TEXTS)
    number = random.choice(("1", "-12.5", "0.1", "1E3", "0.30000000000000004"))
    return random.choice(
        (
            *(f"<c{place}{style}><v>{number}</v></c>",) * 6,
            *(f'<c{place}{style} t="inlineStr"><is><t>{text}</t></is></c>',) * 6,
            f'<c{place}{style} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>',
            *(f'<c{place}{style} t="s"><v>{random.randrange(3)}</v></c>',) * 3,
            f"<c{place}{style}/>",
            f"<c{place}{style}></c>",
            f'<c{place}{style} t="str"><f>A1</f><v>{text}</v></c>',
            f'<c{place} t="b"><v>1</v></c>',
        )
    )


def worksheet(random: Random) -> str:
    rows, number = [], 0
    for _ in range(random.randrange(40)):
        number += random.choice((1, 1, 1, 2))
        cells = "".join(cell(random, column, number) for column in "ABCD" if random.random() < 0.9)
        gap = random.choice(("", "", "\n  "))
        rows.append(f'<row r="{number}"{random.choice(ROW_ATTRIBUTES)}>{gap}{cells}{gap}</row>{gap}')
    if random.random() < 0.1:
        rows.insert(random.randrange(len(rows) + 1), random.choice(ODD_ROWS))
    tail = random.choice(("", "", '<mergeCells><row r="9000"><c r="A9000"><v>1</v></c></row></mergeCells>'))
    start = '<worksheet xmlns="urn:main" xmlns:x14ac="urn:x14ac"><sheetData>'
    return f"{start}{''.join(rows)}</sheetData>{tail}</worksheet>"


def read(content: bytes) -> list[Any] | str:
    try:
        source = XlsxSource(io.BytesIO(content), Deadline(60))
        return [
            (number, [(type(text).__name__, str(text)) for text in cells])
            for numbers, rows in source.blocks()
            for number, cells in zip(numbers, rows, strict=True)
        ]
    except TrialBalanceError as error:
        return str(error).partition(": line")[0]  # where: the parser has not seen all lines


@pytest.fixture
def through_the_parser(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[Any] | str]:
    def read_slowly(content: bytes) -> list[Any] | str:
        with monkeypatch.context() as patch:
            patch.setattr(xlsx_sheet, "usual_rows", lambda _: None)
            return read(content)

    return read_slowly


@pytest.mark.parametrize("chunk", [64, 1000, 64 * 1024])
def test_made_up_worksheets_read_the_same_either_way(
    chunk: int, through_the_parser: Callable[[bytes], list[Any] | str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_source, "CHUNK", chunk)
    random = Random(chunk)
    past, errors = 0, 0
    for case in range(CASES):
        sheet = worksheet(random)
        content = xlsx(sheet1=sheet, sharedStrings=STRINGS)
        quickly = read(content)
        assert quickly == through_the_parser(content), f"case {case}: {sheet}"
        errors += isinstance(quickly, str)
        past += not isinstance(quickly, str) and len(quickly) > 3
    assert errors > CASES / 30
    assert past > CASES / 5


def test_what_openpyxl_writes_goes_past_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def watched(rows: bytes) -> Any:
        seen.append((found := usual_rows(rows)) is not None)
        return found

    monkeypatch.setattr(xlsx_sheet, "usual_rows", watched)
    book, content = openpyxl.Workbook(), io.BytesIO()
    rows = [("Account", "Debit", "Credit"), *((f"{1000 + n} R&D <{n}>", n + 0.5, None) for n in range(5000))]
    for row in rows:
        book.active.append(list(row))  # type: ignore[union-attr]
    book.save(content)
    said = read(content.getvalue())
    assert said[1] == (2, [("str", "1000 R&D <0>"), ("Number", "0.5")])
    assert len(said) == len(rows)
    assert seen
    assert all(seen)


@pytest.mark.parametrize(
    ("declared", "encoding", "said"),
    [
        ("iso-8859-1", "iso-8859-1", "Überträge"),
        ("utf-16", "utf-16", "Überträge"),
        ("iso-8859-1", "utf-8", "Überträge".encode().decode("iso-8859-1")),
    ],
)
def test_rows_in_another_encoding_are_the_parsers(declared: str, encoding: str, said: str) -> None:
    rows = "".join(
        f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>Überträge</t></is></c></row>'
        for row in range(1, 3000)
    )
    sheet = f'<?xml version="1.0" encoding="{declared}"?><worksheet><sheetData>{rows}</sheetData></worksheet>'
    rows_read = read(xlsx(sheet1=sheet.encode(encoding)))
    assert [cells for _, cells in rows_read] == [[("str", said)]] * 2999  # type: ignore[str-unpack]


def test_line_breaks_and_indents_between_tags_are_no_part_of_a_text() -> None:
    row = '<row r="1">\n <c r="A1" t="inlineStr">\n  <is>\n   <t>Cash</t>\n  </is>\n </c>\n'
    row += ' <c r="B1" t="s">\n  <v>0</v>\n </c>\n</row>\n'
    strings = f'<sst xmlns="{MAIN}">\n <si>\n  <r><t>two </t></r>\n  <r><t>words</t></r>\n </si>\n</sst>'
    content = xlsx(sheet1=f"<worksheet><sheetData>\n{row}</sheetData></worksheet>", sharedStrings=strings)
    assert read(content) == [(1, [("str", "Cash"), ("str", "two words")])]
