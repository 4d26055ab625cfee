from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import httpx
import openpyxl
import pytest
from openpyxl.cell.cell import Cell
from pypdf import PdfReader

from app import exports
from app.documents import excel, pdf
from app.documents.report import LONGEST_TEXT, Report, Section, text_of
from app.exports import MOST_ROWS
from tests.app.conftest import log_in, samples, upload

UNBALANCED = "Account,Debit,Credit\n1000 Kasa Żółw,,100.00\n4000 Sales,99.50,\n".encode()


def export(client: httpx.Client, kind: str, body: dict[str, Any]) -> httpx.Response:
    return client.post(f"/export/{kind}", json=body)


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def cells(content: bytes) -> list[Cell]:
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    return [cell for sheet in workbook for row in sheet.iter_rows() for cell in row if isinstance(cell, Cell)]


def values(content: bytes) -> list[object]:
    return [cell.value for cell in cells(content)]


def test_a_diagnosis_becomes_a_pdf(user: httpx.Client) -> None:
    answer = export(user, "pdf", {"diagnostic": upload(user, UNBALANCED).json()})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="trial-balance-diagnostics.pdf"'
    text = pdf_text(answer.content)
    for told in ("Trial balance diagnostics", "Total debits", "99.50", "-0.50", "1000 Kasa Żółw", "Balanced"):
        assert told in text


def test_a_diagnosis_becomes_a_workbook(user: httpx.Client) -> None:
    answer = export(user, "excel", {"diagnostic": upload(user, UNBALANCED).json()})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, excel.MEDIA_TYPE)
    found = values(answer.content)
    for told in ("Total debits", 99.5, -0.5, "1000 Kasa Żółw", False):
        assert told in found


@pytest.mark.parametrize("kind", ["pdf", "excel"])
def test_a_stored_summary_becomes_totals_only(user: httpx.Client, kind: str) -> None:
    client_id = user.post("/clients", json={"name": "Analytical Engines Ltd"}).json()["id"]
    summary_id = upload(user, UNBALANCED, client_id=str(client_id)).json()["summary_id"]
    answer = export(user, kind, {"summary_id": summary_id})
    text = pdf_text(answer.content) if kind == "pdf" else str(values(answer.content))
    for told in ("Analytical Engines Ltd", "Total credits", "Difference", "-0.5"):
        assert told in text
    assert "Kasa" not in text


def test_only_ones_own_summaries(user: httpx.Client) -> None:
    summary_id = upload(user).json()["summary_id"]
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    for wanted in (summary_id, 999):
        answer = export(user, "pdf", {"summary_id": wanted})
        assert (answer.status_code, answer.json()["detail"]) == (404, "No such summary")
    del user.headers["Authorization"]
    assert export(user, "excel", {"summary_id": summary_id}).status_code == 401


@pytest.mark.parametrize("kind", ["pdf", "excel"])
def test_no_byte_of_it_is_written(user: httpx.Client, kind: str) -> None:
    diagnosis = upload(user, many_findings()).json()
    assert diagnosis["abnormal_balances"] == 200
    assert export(user, kind, {"diagnostic": diagnosis}).status_code == 200
    page = samples(user.get("/metrics").text)
    violations = {
        name: value for name, value in page.items() if name.startswith("zero_storage_violations_total")
    }
    assert violations
    assert set(violations.values()) == {0}


def many_findings() -> bytes:
    rows = [f"{1000 + n} Account {n},,{n + 1}.25" for n in range(200)]
    return "\n".join(["account,debit,credit", *rows]).encode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "\uff1d", "\ufeff=", "|"])
def test_text_never_starts_like_a_formula(user: httpx.Client, start: str) -> None:
    diagnosis = upload(user, UNBALANCED).json()
    attack = f"{start}cmd|'/C calc'!A0"
    diagnosis["abnormal"][0]["account"] = attack
    answer = export(user, "excel", {"diagnostic": diagnosis})
    assert answer.status_code == 200
    found = [cell for cell in cells(answer.content) if "calc" in str(cell.value)]
    assert [cell.data_type for cell in found] == ["s"]
    assert str(found[0].value).startswith("'")
    assert {cell.data_type for cell in cells(answer.content)} <= {"s", "n", "b"}, "none is a formula"


def test_what_a_user_calls_a_client_is_neutralised_too(user: httpx.Client) -> None:
    client_id = user.post("/clients", json={"name": '=HYPERLINK("http://evil.example")'}).json()["id"]
    summary_id = upload(user, client_id=str(client_id)).json()["summary_id"]
    found = values(export(user, "excel", {"summary_id": summary_id}).content)
    assert '\'=HYPERLINK("http://evil.example")' in found


def test_markup_in_names_stays_text(user: httpx.Client) -> None:
    diagnosis = upload(user, UNBALANCED).json()
    attack = '<img src="http://127.0.0.1:1/x.png"/><b>bold</b> & co'
    diagnosis["abnormal"][0]["account"] = attack
    answer = export(user, "pdf", {"diagnostic": diagnosis})
    assert answer.status_code == 200
    assert "<b>bold</b>&co" in "".join(pdf_text(answer.content).split())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("total_debits", "NaN", "finite"),
        ("total_debits", "1E+999999", "digits"),
        ("total_debits", "0E-999999", "digits"),
        ("total_debits", "1." + "1" * 5_000, "digits"),
        ("row_count", 10**40, "digits"),
        ("missing", ["cash"] * (MOST_ROWS + 1), "rows"),
        ("abnormal", "all of them", "list"),
    ],
)
def test_impossible_diagnoses_are_refused(user: httpx.Client, field: str, value: object, said: str) -> None:
    diagnosis = {**upload(user).json(), field: value}
    answer = export(user, "pdf", {"diagnostic": diagnosis})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"summary_id": 0}, {"summary_id": 1, "diagnostic": {}}, {"summary_id": None}]
)
def test_either_a_summary_or_a_diagnosis(user: httpx.Client, body: dict[str, Any]) -> None:
    assert export(user, "excel", body).status_code == 422


def test_nobody_waits_long_for_the_documents_of_others(
    user: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary_id = upload(user).json()["summary_id"]
    monkeypatch.setattr(exports, "MAKING_PATIENCE", 0.05)
    with exports._one_at_a_time:
        answer = export(user, "pdf", {"summary_id": summary_id})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert export(user, "pdf", {"summary_id": summary_id}).status_code == 200


def test_long_words_are_cut_and_long_reports_have_pages() -> None:
    rows = [("x" * 5_000, Decimal("1234567.89"), None, True)] * 200
    report = Report("Long", [Section("All [of] them?", ("a", "b", "c", "d"), rows)])
    assert len(PdfReader(io.BytesIO(pdf.make(report))).pages) > 5
    found = values(excel.make(report))
    assert max(len(str(value)) for value in found) == LONGEST_TEXT


def test_numbers_are_exact_or_text() -> None:
    exact, long = Decimal("123456789012.25"), Decimal("-12345678901234567890.1234")
    found = values(excel.make(Report("Numbers", [Section("n", ("",), [(exact,), (long,)])])))
    assert [value for value in found if value is not None] == [float(exact), f"'{long}"]


def test_text_as_people_write_it() -> None:
    cells = [None, True, False, 1234567, Decimal("-1234.50"), 0.25, " a\tb\n"]
    assert [text_of(cell) for cell in cells] == ["", "yes", "no", "1,234,567", "-1,234.50", "0.25", "a b"]
