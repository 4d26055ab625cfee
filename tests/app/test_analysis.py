from __future__ import annotations

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.diagnostics import Diagnosis, TrialBalanceError, analyse
from app.diagnostics.amounts import Amounts, Mark, Number, OtherMark, to_decimal
from app.diagnostics.chart import classify, split_account
from app.diagnostics.ledger import Ledger, _Reader
from tests.app.spreadsheets import MAIN, PARTS, worksheet, xlsx

HEAD = "account,debit,credit\n"


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
        ("€ 1,000.50", "1000.5"),
        ("1,000.50 EUR", "1000.5"),
        ("(1,000.50)", "-1000.50"),
        ("($ 7.00)", "-7"),
        ("-3", "-3"),
        ("3-", "-3"),
        ("\u22123.5", "-3.5"),
        ("-$3", "-3"),
        ("1 234 567.00", "1234567"),
        ("1\u202f234.5", "1234.5"),
        ("1'234.50", "1234.5"),
        ("5.00 DR", "5"),
        ("5.00 CR", "-5"),
        ("", "0"),
        ("-", "0"),
        ("$ -", "0"),
        ("  ", "0"),
        ("999999999999999", "999999999999999"),
        (Number("0.30000000000000004"), "0.3"),
        (Number("1E3"), "1000"),
        (Number("-1.45E-11"), "0"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert to_decimal(Amounts(".").parse(text)) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234,5", "1234.5"),
        ("1.234,56", "1234.56"),
        ("1.234", "1234"),
        ("(1.234,5)", "-1234.5"),
        ("7 €", "7"),
    ],
)
def test_amounts_with_a_decimal_comma(text: str, amount: str) -> None:
    assert to_decimal(Amounts(",").parse(text)) == Decimal(amount)


@pytest.mark.parametrize("text", ["1.234,56", "1,5", "1.234.567", "(0,50)"])
def test_a_decimal_comma_is_noticed(text: str) -> None:
    with pytest.raises(OtherMark):
        Amounts(".").parse(text)


@given(
    st.decimals(-(10**14), 10**14, places=4),
    st.sampled_from([".", ","]),
)
def test_amounts_are_exact(amount: Decimal, mark: Mark) -> None:
    text = str(amount).replace(".", mark)
    assert to_decimal(Amounts(mark).parse(text)) == amount


@given(st.lists(st.one_of(st.just(""), st.decimals(0, 10**12, places=2).map(str)), min_size=1))
def test_columns_are_parsed_as_single_amounts_are(column: list[str]) -> None:
    assert Amounts(".").parse_plain_column(column) == [Amounts(".").parse(text) for text in column]


@pytest.mark.parametrize("column", [["1.00\n2.00"], ["1.234"], ["x"], ["1,000.00"], [" 1.00"]])
def test_unusual_columns_are_left_to_the_slow_way(column: list[str]) -> None:
    assert Amounts(".").parse_plain_column(column) is None


def test_the_decimal_mark_is_that_of_the_whole_file() -> None:
    commas = diagnose("account;debit;credit\nCash;1.234;\nBank;1,50;\nSales;;1.235,50\n")
    assert (commas.decimal_mark, commas.total_debits, commas.balanced) == (",", Decimal("1235.50"), True)
    points = diagnose('account,debit,credit\nCash,"1,234",\nBank,1.50,\nSales,,"1,235.50"\n')
    assert (points.decimal_mark, points.total_debits, points.balanced) == (".", Decimal("1235.50"), True)


def test_dots_before_three_digits_are_thousands_where_semicolons_separate() -> None:
    assert diagnose("account;debit;credit\nCash;1.234;\nSales;;1.234\n").total_debits == 1234
    assert diagnose(HEAD + "Cash,1.234,\nSales,,1.234\n").total_debits == Decimal("1.234")


def test_totals_are_exact() -> None:
    diagnosis = diagnose(HEAD + "1000 Cash,0.10,\n4000 Sales,,0.1\n" * 1000)
    assert (diagnosis.row_count, diagnosis.total_debits, diagnosis.total_credits) == (
        2000,
        Decimal(100),
        Decimal(100),
    )
    assert (diagnosis.difference, diagnosis.balanced) == (Decimal(0), True)


@pytest.mark.parametrize(("credit", "balanced"), [("99.995", True), ("99.99", False), ("100.01", False)])
def test_balanced_means_to_the_cent(credit: str, balanced: bool) -> None:
    assert diagnose(f"{HEAD}Cash,100,\nSales,,{credit}\n").balanced is balanced


@pytest.mark.parametrize(
    "header",
    [
        "Account,Debit,Credit",
        "credit_amount\tACCOUNT NO.\tDr",
        "GL Account;Cr;Debit-Balance;Note",
        '"Account Name","Debits","Credits"',
        "Konto|Soll|Haben",
        "Compte;Débit (EUR);Crédit (EUR)",
    ],
)
def test_headers_by_any_usual_name(header: str) -> None:
    separator = max(",;\t|", key=header.count)
    names = [name.strip('"').lower() for name in header.split(separator)]
    row = ["5" if name[0] in "ds" else "" if name[:2] in ("cr", "no", "ha") else "Cash" for name in names]
    diagnosis = diagnose(f"{header}\n{separator.join(row)}\n")
    assert (diagnosis.total_debits, diagnosis.total_credits) == (Decimal(5), Decimal(0))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding: str, line_end: str) -> None:
    diagnosis = diagnose(line_end.join(["Account,Debit,Credit", "Köln,5,", "Sales,,6", ""]), encoding)
    assert [diagnosis.row_count, *diagnosis.ledger.balances] == [2, "Köln", "Sales"]


def test_blank_lines_short_rows_titles_and_repeated_headers() -> None:
    titles, header = "Acme Ltd\nTrial balance,31.12.2025\n\n", "Account,Debit,Credit\n"
    diagnosis = diagnose(f"{titles}{header}\n ,,\nCash,5\n{header}Sales,,5")
    assert (diagnosis.row_count, diagnosis.balanced, list(diagnosis.ledger.first_rows)) == (2, True, [7, 9])


def test_number_and_name_may_have_columns_of_their_own() -> None:
    diagnosis = diagnose("Account No,Account Name,Debit,Credit\n2000,Cash,,5\nA-1,Cash,5,\n")
    assert [each.account for each in diagnosis.findings.abnormal] == []
    assert diagnosis.findings.duplicates == [("name", "cash", (2, 3))]


def test_one_column_of_balances() -> None:
    diagnosis = diagnose("Account,Balance\n1000 Cash,5\n4000 Sales,(5)\n")
    assert (diagnosis.total_debits, diagnosis.total_credits) == (Decimal(5), Decimal(5))


def test_totals_are_left_out_and_checked() -> None:
    rows = "Cash,5,\nSubtotal,5,\nSales,,4\nTotal:,5,4\nGrand Total,5,5\n"
    diagnosis = diagnose(HEAD + rows)
    assert (diagnosis.row_count, diagnosis.total_credits) == (2, Decimal(4))
    assert diagnosis.total_rows == [(3, True), (5, True), (6, False)]
    assert diagnose(HEAD + "Cash,5,\nSales,,4\n,5,4\n").total_rows == [(4, True)]
    assert diagnose(HEAD + "Cash,5,\nSales,,5\nTotal,7,7\n").total_rows == [(4, False)]
    assert diagnose("account,balance\nCash,5\nSales,-4\nTotal,1\n").total_rows == [(4, True)]
    assert diagnose(HEAD + "Total Energies receivable,5,\n").row_count == 1


def test_abnormal_balances_by_account_over_all_of_its_rows() -> None:
    diagnosis = diagnose(
        HEAD + "1000 Cash,5,\n1000 Cash,,8\n2000 Loans,,1\n4000 Sales,2,\n5000 Rent,1,\nOther,,1\n"
    )
    assert [
        (each.account, each.balance, each.normal_side, each.row) for each in diagnosis.findings.abnormal
    ] == [
        ("1000 Cash", Decimal(-3), "debit", 2),
        ("4000 Sales", Decimal(2), "credit", 5),
    ]


@pytest.mark.parametrize(
    ("account", "account_class", "side"),
    [
        ("1000", "asset", "debit"),
        ("1590 Accumulated depreciation", "asset", "credit"),
        ("Allowance for doubtful accounts", "asset", "credit"),
        ("2100-01 Rent payable", "liability", "credit"),
        ("Prepaid rent", "asset", "debit"),
        ("Rent", "expense", "debit"),
        ("3000 Drawings", "equity", "debit"),
        ("Retained earnings", "equity", None),
        ("4100 Sales returns", "income", "debit"),
        ("8100 Interest income", "income", "credit"),
        ("8200 Interest expense", "expense", "debit"),
        ("5000 Cost of sales", "expense", "debit"),
        ("Petty cash", "asset", "debit"),
        ("Unearned revenue", "liability", "credit"),
        ("9999 Suspense", None, None),
        ("Xyzzy", None, None),
    ],
)
def test_classes(account: str, account_class: str | None, side: str | None) -> None:
    kind = classify(*split_account(account))
    assert (kind.account_class, kind.normal_side) == (account_class, side)


def test_duplicates_by_row_number_and_name() -> None:
    rows = "1000 Cash,1,\n1000 Cash,1,\n1010 Bank,1,\n1010 Bank two,1,\n1020 BANK,1,\n"
    diagnosis = diagnose(HEAD + rows)
    assert diagnosis.findings.duplicates == [
        ("account", "1000 Cash", (2, 3)),
        ("number", "1010", (4, 5)),
        ("name", "bank", (4, 6)),
    ]


def test_missing_classes_only_when_nearly_all_accounts_are_known() -> None:
    assert diagnose(HEAD + "1200 Debtors,5,\n4000 Sales,,5\n").missing == [
        "cash",
        "liability",
        "equity",
        "expense",
    ]
    assert diagnose(HEAD + "1200 Debtors,5,\nXyzzy,,5\n").missing == []


def test_suspense_accounts_with_a_balance() -> None:
    findings = diagnose(HEAD + "9999 Suspense,5,\nClearing,1,1\n").findings
    assert [each.account for each in findings.suspense] == ["9999 Suspense"]


def test_rounding_and_concentration() -> None:
    diagnosis = diagnose(HEAD + "1000 Cash,9000,\n1010 Bank,1000.5,\n1020 Box,0.125,\n4000 Sales,,10000\n")
    ledger, assets = diagnosis.ledger, diagnosis.findings.classes["asset"]
    assert (ledger.amounts, ledger.round_amounts, ledger.not_whole_cents_rows) == (4, 2, [4])
    assert (assets.largest_account, round(assets.largest_share, 2), assets.concentrated) == (
        "1000 Cash",
        0.9,
        True,
    )
    assert not diagnosis.findings.classes["income"].concentrated, "it has one account only"


def test_hints_where_a_difference_comes_from() -> None:
    hints = diagnose(HEAD + "Cash,100,\nBank,27,\nSales,,73\n").findings.hints
    assert hints == [
        "the difference is twice the balance of Bank in row 3",
        "the difference is divisible by 9: two digits may be transposed",
    ]
    assert diagnose(HEAD + "Cash,5,\nSales,,5\n").findings.hints == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("x;y\n1;2\n", 'no column for account and debit and credit; the header in row 1 has "x", "y"'),
        (HEAD + "Cash,5,\nSales,,abc\n", 'row 3, column "credit": "abc" is not an amount like 1234.50'),
        (HEAD + "Cash,1,234,\n", "row 2 has 4 columns, the header has 3"),
        (HEAD + 'A,1,\n"Cash,5,\n', "row 3: not valid CSV (unexpected end of data)"),
        (
            HEAD + 'Cash,1.5,\nSales,,"1.234,56"\n',
            'row 3, column "credit": "1.234,56" is not an amount like 1234.50',
        ),
    ],
)
def test_each_mistake_is_named(content: str, said: str) -> None:
    assert complaint(content) == said


def test_rows_and_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrialBalanceError, match="longer than 0 s"):
        analyse(io.BytesIO(f"{HEAD}a,1,1\n".encode()), longest=0)
    monkeypatch.setattr("app.diagnostics.ledger.MOST_ROWS", 3)
    assert complaint(HEAD + "a,1,1\n" * 9) == "more than 3 rows"


accounts = st.sampled_from(["1000 Cash", "4000 Sales", "Total", "Bank", "Köln", "x", "summary", "2000 Loan"])
amounts = st.one_of(st.sampled_from(["", "-", "1,234.50", "(3)", "0.125"]), st.integers(0, 10**9).map(str))


@given(st.lists(st.tuples(accounts, amounts, amounts), min_size=1, max_size=30))
def test_the_fast_way_finds_what_the_slow_way_finds(rows: list[tuple[str, str, str]]) -> None:
    text = (
        HEAD + "First,1,\n" + "".join(f'{account},"{debit}","{credit}"\n' for account, debit, credit in rows)
    )
    fast = diagnose(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Reader, "_add_usual", lambda *_: False)
        slow = diagnose(text)
    assert isinstance(fast.ledger, Ledger)
    assert fast.ledger == slow.ledger
    assert fast.findings == slow.findings


def test_both_ways_over_many_blocks() -> None:
    rows = "".join(f"{1000 + place} Account {place},{place}.25,\n" for place in range(1000))
    diagnosis = diagnose(HEAD + rows + "9000 Rest,,499750\n")
    assert (diagnosis.account_count, diagnosis.balanced) == (1001, True)
    assert list(diagnosis.ledger.first_rows) == list(range(2, 1003))


def test_xlsx_as_csv() -> None:
    diagnosis = analyse(io.BytesIO(xlsx()), "tb.xlsx")
    assert (diagnosis.source.format, diagnosis.row_count, diagnosis.total_debits) == ("xlsx", 2, Decimal(100))
    assert diagnosis.balanced


def test_xlsx_shared_strings_formulas_gaps_and_prefixes() -> None:
    strings = "".join(
        f"<si>{text}</si>"
        for text in (
            "<t>Account</t>",
            "<r><t>De</t></r><r><t>bit</t></r>",
            "<t>Credit</t><rPh><t>x</t></rPh>",
        )
    )
    rows = (
        '<x:row r="3"><x:c r="B3" t="s"><x:v>0</x:v></x:c><x:c r="C3" t="s"><x:v>1</x:v></x:c>'
        '<x:c r="D3" t="s"><x:v>2</x:v></x:c></x:row>'
        '<x:row r="5"><x:c r="B5"><x:v>1000</x:v></x:c>'
        '<x:c r="C5"><x:f>A1+A2</x:f><x:v>0.30000000000000004</x:v></x:c>'
        '</x:row><x:row r="9"><x:c r="B9" t="str"><x:f>"Sales"</x:f><x:v>Sales</x:v></x:c>'
        '<x:c r="D9" t="n"><x:v>0.3</x:v></x:c></x:row>'
    )
    made = worksheet(rows).replace(f'xmlns="{MAIN}"', f'xmlns="{MAIN}" xmlns:x="{MAIN}"')
    diagnosis = analyse(io.BytesIO(xlsx(sheet1=made, sharedStrings=f"<sst>{strings}</sst>")))
    assert dict(diagnosis.ledger.balances) == {"1000": 3000, "Sales": -3000}
    assert list(diagnosis.ledger.first_rows) == [5, 9]


def test_the_first_visible_sheet_is_read() -> None:
    hidden = '<sheet name="Old" sheetId="2" state="hidden" r:id="rId9"/>'
    book = PARTS["xl/workbook.xml"].replace("<sheets>", f"<sheets>{hidden}")
    assert analyse(io.BytesIO(xlsx(workbook=book))).row_count == 2
