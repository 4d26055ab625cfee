from __future__ import annotations

import io
from decimal import Decimal

import pytest

from app.analysis import AbnormalBalance, Diagnosis, TrialBalanceError, analyse, parse_amount


def diagnose(text: str, encoding: str = "utf-8") -> Diagnosis:
    return analyse(io.BytesIO(text.encode(encoding)))


def complaint(content: str | bytes) -> str:
    raw = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(TrialBalanceError) as caught:
        analyse(io.BytesIO(raw))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234.5", "1234.5"),
        (" 1,234,567.8901 ", "1234567.8901"),
        ("$12", "12"),
        ("(1,000.50)", "-1000.50"),
        ("-3", "-3"),
        ("", "0"),
        ("-", "0"),
        ("999999999999999", "999999999999999"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert parse_amount(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "1e9",
        "12x",
        "1.2.3",
        "1,23",
        "1.234,56",
        "1234567890123456",
        "0.12345",
        "٣",
        "(-1)(",
        "=1+1",
    ],
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an amount like 1234\.50"):
        parse_amount(text)


def test_totals_are_exact() -> None:
    rows = "".join("1000 Cash,0.10,\n4000 Sales,,0.1\n" for _ in range(1000))
    diagnosis = diagnose("Account,Debit,Credit\n" + rows)
    assert (diagnosis.row_count, diagnosis.total_debits, diagnosis.total_credits) == (
        2000,
        Decimal(100),
        Decimal(100),
    )
    assert (diagnosis.difference, diagnosis.balanced) == (Decimal(0), True)


@pytest.mark.parametrize(("credit", "balanced"), [("99.995", True), ("99.99", False), ("100.01", False)])
def test_balanced_means_to_the_cent(credit: str, balanced: bool) -> None:
    assert diagnose(f"account,debit,credit\nCash,100,\nSales,,{credit}\n").balanced is balanced


@pytest.mark.parametrize(
    "header",
    [
        "Account,Debit,Credit",
        "credit_amount\tACCOUNT NO.\tDr",
        "GL Account;Cr;Debit-Balance;Note",
        '"Account Name","Debits","Credits"',
    ],
)
def test_headers_by_any_usual_name(header: str) -> None:
    separator = max(",;\t", key=header.count)
    names = [name.strip('"').lower() for name in header.split(separator)]
    row = ["Cash" if "account" in name else "" if name[:2] in ("cr", "no") else "5" for name in names]
    diagnosis = diagnose(f"{header}\n{separator.join(row)}\n")
    assert (diagnosis.total_debits, diagnosis.total_credits) == (Decimal(5), Decimal(0))


def test_byte_order_marks_blank_lines_and_short_rows() -> None:
    diagnosis = diagnose("account,debit,credit\r\n\r\n ,,\r\nCash,5\r\nSales,,5\r\n", "utf-8-sig")
    assert (diagnosis.row_count, diagnosis.balanced) == (2, True)


def test_abnormal_balances_by_account_over_all_of_its_rows() -> None:
    diagnosis = diagnose(
        "account,debit,credit\n"
        "1000 Cash,5,\n1000 Cash,,8\n2000 Loans,,1\n4000 Sales,2,\n5000 Rent,1,\nOther,,1\n"
    )
    assert diagnosis.abnormal == (
        AbnormalBalance("1000 Cash", Decimal(-3), "debit"),
        AbnormalBalance("4000 Sales", Decimal(2), "credit"),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty, or its first line is"),
        ("\n\n", "the file is empty, or its first line is"),
        ("account,debit,credit\n", "the file has a header but no rows"),
        (
            "Konto;Soll;Haben\n1;2;3\n",
            'no column for account and debit and credit; the header has "Konto", "Soll", "Haben"',
        ),
        ("account,debit,dr,credit\n", "several columns could be debit"),
        (
            "account,debit,credit\nCash,5,\nSales,,abc\n",
            'row 3, column "credit": "abc" is not an amount like 1234.50',
        ),
        ("account,debit,credit\nCash,nan,\n", 'row 2, column "debit": "nan" is not an amount like 1234.50'),
        ("account,debit,credit\n,5,\n", 'row 2, column "account": no account'),
        ("account,debit,credit\nCash,1,234,\n", "row 2 has 4 columns, the header has 3"),
        (
            "account,debit,credit\nK\u00f6ln,1,\n".encode("latin-1"),
            "the file is not UTF-8 text; save it as CSV UTF-8",
        ),
        ("account,debit,credit\n".encode("utf-16"), "the file is not UTF-8 text; save it as CSV UTF-8"),
        (bytes(range(256)), "the file is not UTF-8 text; save it as CSV UTF-8"),
        (
            'account,debit,credit\nA,1,\n"Cash,5,\n',
            "after row 2: not valid CSV (unexpected end of data)",
        ),
    ],
)
def test_each_mistake_is_named(content: str | bytes, said: str) -> None:
    assert complaint(content) == said


def test_a_huge_field_is_refused() -> None:
    assert "field larger than field limit" in complaint("account,debit,credit\n" + "x" * 200_000 + ",1,\n")


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.analysis.MOST_ROWS", 3)
    assert complaint("account,debit,credit\n" + "a,1,1\n" * 9) == "more than 3 rows"
