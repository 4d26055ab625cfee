"""The findings: what an accountant would look for first in a trial balance."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import BinaryIO, NamedTuple

from app.diagnostics.amounts import CENT, Amounts, OtherMark, to_decimal
from app.diagnostics.chart import CLASSES, Class, Kind, Side, classify, split_account
from app.diagnostics.ledger import MOST_NOTED, Ledger, Source, TotalRow, read_ledger
from app.diagnostics.mistakes import Deadline
from app.diagnostics.source import open_source

LONGEST_ANALYSIS = 20.0
"""Seconds."""
CLASSIFIED_ENOUGH = 0.9
"""Share of the accounts whose class is known, from which on a class without accounts is called missing."""
MOST_HINTS = 5
LARGE = 50_000
"""Accounts from which on nothing is done to all of them at once."""
CONCENTRATED = 0.5
"""Share of its class from which on a single account is a concentration."""


class AbnormalBalance(NamedTuple):
    """An account on the other side than its kind; `balance` is debit minus credit, `row` its first."""

    account: str
    balance: Decimal
    normal_side: Side
    account_class: Class
    row: int


class Duplicate(NamedTuple):
    """One account on several rows, or one `number` or `name` that several accounts share."""

    kind: str
    value: str
    rows: tuple[int, ...]


class Suspense(NamedTuple):
    account: str
    balance: Decimal
    row: int


@dataclass(slots=True)
class ClassTotal:
    """Accounts of a class. `gross` adds balances without their signs: what shares are shares of."""

    accounts: int = 0
    balance: int = 0
    gross: int = 0
    largest: int = 0
    largest_account: str = ""

    def add(self, account: str, balance: int) -> None:
        size = abs(balance)
        self.accounts += 1
        self.balance += balance
        self.gross += size
        if size > self.largest:
            self.largest, self.largest_account = size, account

    @property
    def largest_share(self) -> float:
        return self.largest / self.gross if self.gross else 0.0

    @property
    def concentrated(self) -> bool:
        return self.accounts > 1 and self.largest_share >= CONCENTRATED


@dataclass(slots=True)
class Findings:
    """Lists hold the first MOST_NOTED of each kind; the counts are of all."""

    classes: dict[Class, ClassTotal] = field(default_factory=lambda: {each: ClassTotal() for each in CLASSES})
    unclassified: int = 0
    has_cash: bool = False
    abnormal_count: int = 0
    abnormal: list[AbnormalBalance] = field(default_factory=list)
    suspense_count: int = 0
    suspense: list[Suspense] = field(default_factory=list)
    duplicate_count: int = 0
    duplicates: list[Duplicate] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    source: Source
    decimal_mark: str
    ledger: Ledger
    findings: Findings

    @property
    def row_count(self) -> int:
        return self.ledger.row_count

    @property
    def account_count(self) -> int:
        return len(self.ledger.balances)

    @property
    def total_debits(self) -> Decimal:
        return to_decimal(self.ledger.debits)

    @property
    def total_credits(self) -> Decimal:
        return to_decimal(self.ledger.credits)

    @property
    def difference(self) -> Decimal:
        return to_decimal(self.ledger.debits - self.ledger.credits)

    @property
    def balanced(self) -> bool:
        return abs(self.ledger.debits - self.ledger.credits) < CENT

    @property
    def total_rows(self) -> list[TotalRow]:
        return self.ledger.total_rows

    @property
    def missing(self) -> list[str]:
        """Classes without any account, and cash; nothing when too many accounts could be anything."""
        known = self.account_count - self.findings.unclassified
        if known < CLASSIFIED_ENOUGH * self.account_count:
            return []
        missing: list[str] = [each for each in CLASSES if not self.findings.classes[each].accounts]
        return missing if self.findings.has_cash else ["cash", *missing]


def analyse(content: BinaryIO, name: str = "", longest: float = LONGEST_ANALYSIS) -> Diagnosis:
    """Raises TrialBalanceError; `name` is the file's, `longest` in seconds. `content` stays open.

    10,000 rows of CSV take a core some 60 ms, of XLSX 110 ms; a million of CSV 6 s, of XLSX 11 s, and either
    220 to 310 MB.
    """
    deadline = Deadline(longest)
    source = open_source(content, name, deadline)
    ledger, amounts = _read(source, deadline)
    return Diagnosis(source, amounts.mark, ledger, _findings(ledger, deadline))


def _read(source: Source, deadline: Deadline) -> tuple[Ledger, Amounts]:
    points = Amounts(".")
    try:
        ledger = read_ledger(source, points, deadline)
    except OtherMark:
        pass
    else:
        if not (points.doubtful and source.separator == ";"):
            return ledger, points
    commas = Amounts(",")
    return read_ledger(source, commas, deadline), commas


def _findings(ledger: Ledger, deadline: Deadline) -> Findings:
    findings = Findings()
    numbers, names = array("q"), array("q")
    for row, (account, balance) in zip(ledger.first_rows, ledger.balances.items(), strict=True):
        number, name = split_account(account)
        _judge(findings, classify(number, name), account, balance, row)
        # Hashes, because the texts of a million accounts would take another 150 MB.
        if number:
            numbers.append(hash(number))
        if name:
            names.append(hash(name.casefold()))
        if not row % 1024:
            deadline.check()
    _add_duplicates(findings, ledger, _twice(numbers), _twice(names))
    findings.hints += _hints(ledger)
    return findings


def _hints(ledger: Ledger) -> Iterator[str]:
    """Where the difference may come from; nothing when there is none."""
    difference = abs(ledger.debits - ledger.credits)
    if difference < CENT:
        return
    relations = {difference: "is the balance", difference / 2: "is twice the balance"}
    suspects = (
        f"the difference {relations[abs(balance)]} of {_shown(account)} in row {row}"
        for row, (account, balance) in zip(ledger.first_rows, ledger.balances.items(), strict=True)
        if abs(balance) in relations
    )
    yield from islice(suspects, MOST_HINTS)
    if difference % (9 * CENT) == 0:
        yield "the difference is divisible by 9: two digits may be transposed"


def _judge(findings: Findings, kind: Kind, account: str, balance: int, row: int) -> None:
    if kind.suspense and balance:
        findings.suspense_count += 1
        if len(findings.suspense) < MOST_NOTED:
            findings.suspense.append(Suspense(_shown(account), to_decimal(balance), row))
    if kind.account_class is None:
        findings.unclassified += 1
        return
    findings.classes[kind.account_class].add(account, balance)
    findings.has_cash = findings.has_cash or kind.cash
    if kind.normal_side and (balance < 0 if kind.normal_side == "debit" else balance > 0):
        findings.abnormal_count += 1
        if len(findings.abnormal) < MOST_NOTED:
            abnormal = AbnormalBalance(
                _shown(account), to_decimal(balance), kind.normal_side, kind.account_class, row
            )
            findings.abnormal.append(abnormal)


def _shown(account: str) -> str:
    return account.replace("\t", " ")


def _twice(hashes: array[int]) -> set[int]:
    """In buckets: to grow a set of a million would stop every other thread."""
    if len(hashes) <= LARGE:
        return _twice_in(hashes)
    twice: set[int] = set()
    buckets = [array("q") for _ in range(256)]
    for key in hashes:
        buckets[key & 255].append(key)
    for bucket in buckets:
        twice |= _twice_in(bucket)
    return twice


def _twice_in(hashes: array[int]) -> set[int]:
    if len(set(hashes)) == len(hashes):
        return set()
    return {key for key, times in Counter(hashes).items() if times > 1}


def _add_duplicates(findings: Findings, ledger: Ledger, numbers: set[int], names: set[int]) -> None:
    first_rows = dict(zip(ledger.balances, ledger.first_rows, strict=True)) if ledger.repeated else {}
    for account, rows in ledger.repeated.items():
        _add_duplicate(findings, "account", _shown(account), [first_rows[account], *rows])
    for kind, twice in (("number", numbers), ("name", names)):
        for value, rows in _shared(ledger, kind, twice).items():
            if len(rows) > 1:
                _add_duplicate(findings, kind, value, rows)


def _shared(ledger: Ledger, kind: str, twice: set[int]) -> dict[str, list[int]]:
    shared: dict[str, list[int]] = {}
    if not twice:
        return shared
    for account, row in zip(ledger.balances, ledger.first_rows, strict=True):
        number, name = split_account(account)
        value = number if kind == "number" else name.casefold()
        if value and hash(value) in twice:
            rows = shared.setdefault(value, [])
            if len(rows) < MOST_NOTED:
                rows.append(row)
    return shared


def _add_duplicate(findings: Findings, kind: str, value: str, rows: Iterable[int]) -> None:
    findings.duplicate_count += 1
    if len(findings.duplicates) < MOST_NOTED:
        findings.duplicates.append(Duplicate(kind, value, tuple(rows)))
