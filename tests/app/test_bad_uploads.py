"""A hundred uploads that are none: each gets a 4xx that says what is wrong, soon, with nothing on a disk."""

from __future__ import annotations

import gzip
import io
import random
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.settings import Settings
from tests.app.conftest import BALANCED, log_in, served
from tests.app.spreadsheets import MAIN, PARTS, SHEET, archive, cell, sheet, with_row, worksheet, xlsx
from tests.app.test_trial_balance import watched_disk

SLOWEST = 15.0
"""Seconds on a busy machine; most take milliseconds."""
MOST_GROWTH = 250
"""Megabytes of the tests' own process, which also makes the uploads and serves the API."""

HEAD = "account,debit,credit\n"
noise = random.Random(7).randbytes


def csv(rows: str) -> bytes:
    return (HEAD + rows).encode()


def deflated(part: str, name: str = SHEET) -> bytes:
    return archive({**PARTS, SHEET: sheet([("account", "debit", "credit")]), name: part})


def flagged(content: bytes, offset: int, value: int) -> bytes:
    """`content` with a 16-bit field of every central directory entry set."""
    changed, at = bytearray(content), -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        changed[at + offset : at + offset + 2] = struct.pack("<H", value)
    return bytes(changed)


def lying_size(content: bytes) -> bytes:
    """Every part claims to have ten bytes."""
    changed, at = bytearray(content), -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        changed[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(changed)


def tarball() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as made:
        made.addfile(tarfile.TarInfo("tb.csv"), io.BytesIO())
    return content.getvalue()


def many_parts() -> bytes:
    return archive({**PARTS, **{f"xl/{number}": "" for number in range(3_000)}})


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
NO_XLSX = "the file is a zip but no XLSX"
ENDLESS = "longer than 20,000 characters"

AMOUNTS = {
    text: f'row 2, column "debit": "{text}" is not an amount like 1234.50'
    for text in (
        "NaN", "nan", "inf", "-Infinity", "1e9", "12x", "0x1F", "1.2.3", "--5", "((5))", "(5", "5)", "1_000",
        "12.34.56", "1 2", "٣", "twelve", "TRUE", "#REF!", "=1+1", "=SUM(B1:B9)", "+1+cmd|' /C calc'!A0",
        "@SUM(1)", "2026-01-31", "9" * 16, "0.12345", "5%", "$", "1/2", "½",
    )
}  # fmt: skip
FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1+1", "-2+3+cmd|' /C calc'!A0", "-(1)", '=HYPERLINK("x")']

BAD: dict[str, tuple[str, bytes | Callable[[], bytes], str]] = {
    **{f"amount {text[:20]}": ("tb.csv", csv(f'Cash,"{text}",\n'), said) for text, said in AMOUNTS.items()},
    **{
        f"formula {text}": ("tb.csv", csv('"' + text.replace('"', '""') + '",1,\n'), "begins like a formula")
        for text in FORMULAS
    },
    "empty": ("tb.csv", b"", "the file is empty"),
    "only blank lines": ("tb.csv", b"\n\n\r\n", "the file is empty"),
    "only spaces": ("tb.csv", b"   \n \n", "the file is empty"),
    "only a byte order mark": ("tb.csv", b"\xef\xbb\xbf", "the file is empty"),
    "only a header": ("tb.csv", HEAD.encode(), "a header but no rows"),
    "header and blank rows": ("tb.csv", csv(",,\n,,\n"), "a header but no rows"),
    "only a total": ("tb.csv", csv("Total,0,0\n"), "a header but no rows"),
    "no header": ("tb.csv", b"1000 Cash,5,\n4000 Sales,,5\n", "no column for account and debit and credit"),
    "other columns": ("tb.csv", b"colour,size\nred,5\n", "no column for account and debit and credit"),
    "no credit": ("tb.csv", b"account,debit\nCash,5\n", "no column for credit"),
    "no account": ("tb.csv", b"debit,credit\n5,\n", "no column for account"),
    "two debits": ("tb.csv", b"account,debit,dr,credit\nCash,1,2,3\n", "several columns could be debit"),
    "header too deep": ("tb.csv", b"x,y,z\n" * 30 + BALANCED, "no column for"),
    "200 columns": ("tb.csv", csv("").strip() + b",x" * 197 + b"\nCash,1,2\n", "200 columns"),
    "row of 300 columns": ("tb.csv", csv("Cash,1," + "," * 297 + "\n"), "row 2 has 300 columns"),
    "a million columns": ("tb.csv", b"," * 1_000_000, ENDLESS),
    "a million columns below": ("tb.csv", csv("," * 1_000_000), ENDLESS),
    "one endless line": ("tb.csv", b"x" * 5_000_000, ENDLESS),
    "one endless cell": ("tb.csv", csv('"' + "x" * 5_000_000 + '",1,\n'), ENDLESS),
    "endless without a line feed": ("tb.csv", b"account,debit,credit " * 100_000, ENDLESS),
    "an unquoted thousand": ("tb.csv", csv("Cash,1,234,\n"), "row 2 has 4 columns, the header has 3"),
    "row without account": ("tb.csv", csv("Cash,5,\n,6,\n"), 'row 3, column "account": no account'),
    "account of 400 characters": ("tb.csv", csv("x" * 400 + ",5,\n"), "longer than 300 characters"),
    "two decimal marks": ("tb.csv", csv('Cash,1.50,\nSales,,"1,50"\n'), 'row 3, column "credit": "1,50"'),
    "unbalanced quote": ("tb.csv", csv('Cash,5,\n"Sales,,5\n'), "row 3: not valid CSV"),
    "quote that swallows": ("tb.csv", csv('"Cash,5,\n' + "Sales,,5\n" * 200_000), "row 2: not valid CSV"),
    "many quoted lines": ("tb.csv", csv('"a\n","' * 300_000), "not valid CSV"),
    "letters after a quote": ("tb.csv", csv('"Cash"x,5,\n'), "row 2: not valid CSV"),
    "quote in the header": ("tb.csv", b'"account,debit,credit\nCash,5,\n', "row 1: not valid CSV"),
    "NUL in a cell": ("tb.csv", csv("Ca\0sh,5,\n"), "line 2 has a control character (0x00)"),
    "NULs only": ("tb.csv", bytes(1_000_000), "line 1 has a control character (0x00)"),
    "escape sequence": ("tb.csv", csv("\x1b[31mCash,5,\n"), "line 2 has a control character (0x1b)"),
    "UTF-16 without mark": (
        "tb.csv",
        BALANCED.decode().encode("utf-16-le"),
        "UTF-16 needs its byte order mark",
    ),
    "UTF-16 cut off": (
        "tb.csv",
        BALANCED.decode().encode("utf-16")[:-1],
        "not text in UTF-8, UTF-16 or Latin-1",
    ),
    "UTF-32": ("tb.csv", BALANCED.decode().encode("utf-32"), "the file is UTF-32"),
    "wrong encoding": (
        "tb.csv",
        csv("").strip() + b"\nK\x81\xff,1,\n",
        "not text in UTF-8, UTF-16 or Latin-1",
    ),
    "EBCDIC": ("tb.csv", BALANCED.decode().encode("cp500"), "not text in UTF-8"),
    "binary": ("tb.csv", b"\x01" + noise(100_000), "not text in UTF-8"),
    "all bytes": ("tb.csv", bytes(range(256)), "not text in UTF-8"),
    "PDF": ("tb.csv", b"%PDF-1.7\n", "the file is a PDF"),
    "PNG": ("tb.csv", b"\x89PNG\r\n\x1a\n" + bytes(99), "the file is a picture"),
    "JPEG": ("tb.csv", b"\xff\xd8\xff\xe0" + bytes(99), "the file is a picture"),
    "program": ("tb.csv", b"\x7fELF" + bytes(99), "the file is a program"),
    "gzip": ("tb.csv", gzip.compress(BALANCED), "compressed with gzip"),
    "zstd": ("tb.csv", b"\x28\xb5\x2f\xfd" + bytes(99), "compressed with zstd"),
    "7z": ("tb.csv", b"7z\xbc\xaf\x27\x1c" + bytes(99), "a 7z archive"),
    "RAR": ("tb.csv", b"Rar!\x1a\x07" + bytes(99), "a RAR archive"),
    "tar": ("tb.csv", tarball(), "control character"),
    "HTML": ("tb.csv", b"<!DOCTYPE html><table>", "the file is HTML"),
    "XML": ("tb.csv", b"<?xml version='1.0'?><x/>", "the file is XML"),
    "JSON": ("tb.csv", b'{"account": "Cash", "debit": 5}', "no column for"),
    "SQLite": ("tb.csv", b"SQLite format 3\0" + bytes(99), "the file is a database"),
    "CSV called XLSX": ("tb.xlsx", BALANCED, "called .xlsx but is none"),
    "XLSX called CSV": ("tb.csv", xlsx(), "called .csv but is a zip or an XLSX"),
    "CSV called EXE": ("tb.exe", BALANCED, "files called .exe are not read"),
    "XLS": ("tb.xls", OLD_OFFICE, "an old XLS"),
    "encrypted XLSX": (
        "tb.xlsx",
        OLD_OFFICE + "EncryptedPackage".encode("utf-16-le"),
        "the XLSX is encrypted",
    ),
    "encrypted parts": ("tb.xlsx", flagged(xlsx(), 8, 1), "the XLSX is encrypted"),
    "unknown compression": ("tb.xlsx", flagged(xlsx(), 10, 97), "compressed in an unusual way"),
    "LZMA": (
        "tb.xlsx",
        archive({**PARTS, SHEET: sheet([])}, zipfile.ZIP_LZMA),
        "compressed in an unusual way",
    ),
    "XLSX cut in half": ("tb.xlsx", xlsx()[: len(xlsx()) // 2], "damaged or cut off"),
    "XLSX without its end": ("tb.xlsx", xlsx()[:-10], "damaged or cut off"),
    "XLSX with a wrong byte": ("tb.xlsx", xlsx().replace(b"\xb3", b"\xb4", 9), "damaged"),
    "XLSX of noise": ("tb.xlsx", b"PK\x03\x04" + noise(50_000), "damaged or cut off"),
    "empty zip": ("tb.xlsx", archive({}), NO_XLSX),
    "zip of a CSV": ("tb.xlsx", archive({"tb.csv": BALANCED}), NO_XLSX),
    "DOCX": ("tb.xlsx", archive({"[Content_Types].xml": "", "word/document.xml": ""}), NO_XLSX),
    "XLSB": ("tb.xlsx", archive({"xl/workbook.bin": b""}), "the file is an XLSB"),
    "ODS": ("tb.xlsx", archive({"mimetype": "application/vnd.oasis"}), "an OpenDocument spreadsheet"),
    "macros": ("tb.xlsx", archive({**PARTS, "xl/vbaProject.bin": b""}), "contains macros"),
    "no content types": ("tb.xlsx", xlsx(types=None), "it has no [content_types].xml"),
    "no workbook": ("tb.xlsx", xlsx(workbook=None), "it has no xl/workbook.xml"),
    "no relations": ("tb.xlsx", xlsx(rels=None), "it has no xl/_rels/workbook.xml.rels"),
    "no sheet": ("tb.xlsx", xlsx(sheet1=None), "it has no xl/worksheets/sheet1.xml"),
    "way out of the zip": (
        "tb.xlsx",
        xlsx(
            rels=PARTS["xl/_rels/workbook.xml.rels"].replace("worksheets/sheet1.xml", "../../../etc/passwd")
        ),
        "it has no etc/passwd",
    ),
    "sheets all hidden": (
        "tb.xlsx",
        xlsx(workbook=PARTS["xl/workbook.xml"].replace("sheetId", 'state="hidden" sheetId')),
        "no visible worksheet",
    ),
    "workbook is no XML": ("tb.xlsx", xlsx(workbook="<workbook"), "xl/workbook.xml is not valid XML"),
    "sheet is no XML": ("tb.xlsx", xlsx(sheet1="<worksheet><sheetData>"), "is not valid XML"),
    "sheet is empty": ("tb.xlsx", xlsx(sheet1=""), "is not valid XML"),
    "sheet without rows": ("tb.xlsx", xlsx([]), "the file is empty"),
    "XLSX with only a header": ("tb.xlsx", with_row(""), "a header but no rows"),
    "entity bomb": (
        "tb.xlsx",
        xlsx(sheet1=ENTITIES + worksheet(f"<row>{cell('A1', 'x').replace('x', '&b;')}</row>")),
        "declares a document type or an entity",
    ),
    "external entity": ("tb.xlsx", xlsx(workbook=EXTERNAL + "<x>&a;</x>"), "declares a document type"),
    "undeclared entity": ("tb.xlsx", with_row("<row><c><v>&x;</v></c></row>"), "is not valid XML"),
    "zip bomb": ("tb.xlsx", lambda: deflated(worksheet(" " * 50_000_000)), "like a zip bomb"),
    "zip bomb of strings": (
        "tb.xlsx",
        lambda: deflated("<sst>" + "<si/>" * 9_000_000, "xl/sharedStrings.xml"),
        "zip bomb",
    ),
    "zip bomb that lies": ("tb.xlsx", lambda: lying_size(deflated(worksheet(" " * 50_000_000))), "damaged"),
    "3,000 parts": ("tb.xlsx", many_parts, "more than 2,000 parts"),
    "nested a million times": ("tb.xlsx", xlsx(sheet1="<a>" * 300_000), "nested more than 1,000 deep"),
    "one endless tag": (
        "tb.xlsx",
        xlsx(sheet1=f'<worksheet xmlns="{MAIN}" x="{noise(1_500_000).hex()}">'),
        "has a tag of more than 1,000,000 bytes",
    ),
    "one endless text": (
        "tb.xlsx",
        with_row(f'<row r="2"><c r="A2" t="inlineStr"><is><t>{noise(300_000).hex()}</t></is></c></row>'),
        "more than 32,767 characters",
    ),
    "cell in the last column": (
        "tb.xlsx",
        with_row(f'<row r="2">{cell("XFD2", 5)}</row>'),
        "row 2, column XFD: at most 100 columns",
    ),
    "cell nowhere": ("tb.xlsx", with_row('<row r="2"><c r="7"><v>5</v></c></row>'), 'a cell is called "7"'),
    "rows backwards": ("tb.xlsx", with_row('<row r="3"/><row r="2"/>'), "after row 3 comes row 2"),
    "row minus one": ("tb.xlsx", with_row('<row r="-1"/>'), "after row 1 comes row -1"),
    "missing string": (
        "tb.xlsx",
        with_row('<row r="2"><c r="A2" t="s"><v>7</v></c></row>'),
        "row 2, column A points",
    ),
    "error in a cell": (
        "tb.xlsx",
        with_row('<row r="2"><c r="B2" t="e"><v>#REF!</v></c></row>'),
        "row 2, column B has the error #REF!",
    ),
    "formula without value": (
        "tb.xlsx",
        with_row('<row r="2"><c r="B2"><f>SUM(A1)</f></c></row>'),
        "a formula without a stored value",
    ),
    "formula as account": (
        "tb.xlsx",
        with_row(f'<row r="2">{cell("A2", "=1+1")}{cell("B2", 5)}</row>'),
        "begins like a formula",
    ),
    "huge number": (
        "tb.xlsx",
        with_row(f'<row r="2">{cell("A2", "Cash")}{cell("B2", 1e300)}</row>'),
        "is not an amount",
    ),
    "number that is none": (
        "tb.xlsx",
        with_row(f'<row r="2">{cell("A2", "Cash")}{cell("B2", float("nan"))}</row>'),
        "is not an amount",
    ),
    "date in a cell": (
        "tb.xlsx",
        with_row(f'<row r="2">{cell("A2", "Cash")}{cell("B2", "31.01.2026")}</row>'),
        "is not an amount",
    ),
}


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One API for all of them: whatever an upload does to it, the next one finds."""
    database = tmp_path_factory.mktemp("bad-uploads") / "api.db"
    app: FastAPI = create_app(Settings.load(database_url=f"sqlite:///{database}"), CollectorRegistry())
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        client.post("/audit/trial-balance", files={"file": ("tb.csv", BALANCED)}).raise_for_status()
        yield client
    app.state.engine.dispose()


def test_there_are_a_hundred() -> None:
    assert len(BAD) >= 100


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_upload_is_told_what_is_wrong(auditor: httpx.Client, kind: str) -> None:
    name, made, said = BAD[kind]
    content = made if isinstance(made, bytes) else made()
    with watched_disk() as written:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = auditor.post("/audit/trial-balance", files={"file": (name, content)}, timeout=60)
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 1_500
    assert written == []
    assert growth < MOST_GROWTH
    assert answer.elapsed.total_seconds() < SLOWEST
