"""Diagnoses of a trial balance, from CSV in memory to totals. Pure: no web, no database, no disk."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO, NamedTuple

MOST_ROWS = 1_000_000
CENT = Decimal("0.01")

_ALIASES = {
    "account": {"account", "account name", "account number", "account code", "account no", "gl account"},
    "debit": {"debit", "debits", "dr", "debit amount", "debit balance"},
    "credit": {"credit", "credits", "cr", "credit amount", "credit balance"},
}
_AMOUNT = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:\.[0-9]{1,4})?")
_NOTHING = {"", "-"}

# The usual chart of accounts: assets 1xxx, liabilities 2xxx, equity 3xxx, revenue 4xxx, costs above.
_NORMAL_SIDE = {"1": "debit", "2": "credit", "3": "credit", "4": "credit"} | dict.fromkeys("56789", "debit")


class TrialBalanceError(ValueError):
    """What is wrong, and where; rows are numbered as in a spreadsheet: the header is row 1."""


class AbnormalBalance(NamedTuple):
    """An account on the other side than its kind; `balance` is debit minus credit."""

    account: str
    balance: Decimal
    normal_side: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    row_count: int
    total_debits: Decimal
    total_credits: Decimal
    abnormal: tuple[AbnormalBalance, ...]

    @property
    def difference(self) -> Decimal:
        return self.total_debits - self.total_credits

    @property
    def balanced(self) -> bool:
        return abs(self.difference) < CENT


class Line(NamedTuple):
    account: str
    debit: Decimal
    credit: Decimal


def analyse(content: BinaryIO) -> Diagnosis:
    """Raises TrialBalanceError. Reads `content` once and closes it; 10,000 rows take a core some 50 ms."""
    count, debits, credits_ = 0, Decimal(), Decimal()
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in read_lines(content):
        count += 1
        debits += line.debit
        credits_ += line.credit
        balances[line.account] += line.debit - line.credit
    if not count:
        raise TrialBalanceError("the file has a header but no rows")
    return Diagnosis(count, debits, credits_, tuple(_abnormal(balances)))


def read_lines(content: BinaryIO) -> Iterator[Line]:
    """UTF-8 with or without byte order mark, separated by comma, semicolon or tab."""
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
        row = 1
        try:
            header = text.readline()
            columns = _Columns(_split_header(header))
            lines = csv.reader(text, delimiter=_delimiter(header), strict=True)
            for row, cells in enumerate(lines, start=2):
                if any(cell and not cell.isspace() for cell in cells):
                    yield columns.line(row, cells)
                if row > MOST_ROWS:
                    raise TrialBalanceError(f"more than {MOST_ROWS:,} rows")
        except UnicodeDecodeError:
            raise TrialBalanceError("the file is not UTF-8 text; save it as CSV UTF-8") from None
        except csv.Error as error:
            raise TrialBalanceError(f"after row {row}: not valid CSV ({error})") from None


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _split_header(header: str) -> list[str]:
    if not header.strip():
        raise TrialBalanceError("the file is empty, or its first line is")
    return next(csv.reader([header], delimiter=_delimiter(header), strict=True))


class _Columns:
    """Where the three columns are, found by their names in the header."""

    def __init__(self, header: list[str]) -> None:
        self._header = [name.strip() for name in header]
        names = [re.sub(r"[\s_\-.]+", " ", name).strip().lower() for name in self._header]
        found = {
            column: [place for place, name in enumerate(names) if name in aliases]
            for column, aliases in _ALIASES.items()
        }
        if missing := [column for column, places in found.items() if not places]:
            there = ", ".join(f'"{name[:40]}"' for name in self._header[:20])
            raise TrialBalanceError(f"no column for {' and '.join(missing)}; the header has {there}")
        for column in ("debit", "credit"):
            if len(found[column]) > 1:
                raise TrialBalanceError(f"several columns could be {column}")
        self._account, self._debit, self._credit = (found[column][0] for column in _ALIASES)

    def line(self, row: int, cells: list[str]) -> Line:
        width = len(self._header)
        if (
            len(cells) > width
        ):  # "Cash,1,234," is 1,234 without its quotes, not a debit of 1 and a credit of 234
            raise TrialBalanceError(f"row {row} has {len(cells)} columns, the header has {width}")
        cells += [""] * (width - len(cells))
        account = cells[self._account].strip()
        if not account:
            raise TrialBalanceError(f'row {row}, column "{self._header[self._account]}": no account')
        return Line(account, self._amount(row, cells, self._debit), self._amount(row, cells, self._credit))

    def _amount(self, row: int, cells: list[str], place: int) -> Decimal:
        try:
            return parse_amount(cells[place])
        except ValueError as error:
            raise TrialBalanceError(f'row {row}, column "{self._header[place]}": {error}') from None


def parse_amount(text: str) -> Decimal:
    """ "1,234.50", "$12", "(12)" for -12, "" and "-" for 0. Exact: at most 15 digits and 4 decimal places."""
    bare = text.strip().replace("$", "").replace(" ", "")
    if bare in _NOTHING:
        return Decimal()
    negative = bare.startswith("(") and bare.endswith(")")
    number = bare[1:-1] if negative else bare
    if not _AMOUNT.fullmatch(number):
        raise ValueError(f'"{text[:40]}" is not an amount like 1234.50')
    amount = Decimal(number.replace(",", ""))
    return -amount if negative else amount


def _abnormal(balances: dict[str, Decimal]) -> Iterator[AbnormalBalance]:
    for account, balance in balances.items():
        normal = _NORMAL_SIDE.get(account[0])
        if (normal == "debit" and balance < 0) or (normal == "credit" and balance > 0):
            yield AbnormalBalance(account, balance, normal)
