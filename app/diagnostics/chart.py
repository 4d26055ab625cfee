"""The chart of accounts: which class an account belongs to, by its number, and by the words of its name.

Numbers follow the usual American order: 1 assets, 2 liabilities, 3 equity, 4 income, 5 to 9 expenses. In the
ranges 7 to 9 charts differ, so there a name that says what the account is beats its number ("8100 Interest
income").
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Literal, NamedTuple

Class = Literal["asset", "liability", "equity", "income", "expense"]
CLASSES: tuple[Class, ...] = ("asset", "liability", "equity", "income", "expense")
Side = Literal["debit", "credit"]


class Kind(NamedTuple):
    """`normal_side` is None for accounts that may stand on either side, such as retained earnings."""

    account_class: Class | None
    normal_side: Side | None
    cash: bool = False
    suspense: bool = False


_NORMAL: dict[Class, Side] = {
    "asset": "debit",
    "liability": "credit",
    "equity": "credit",
    "income": "credit",
    "expense": "debit",
}
_RANGES: dict[str, Class] = {"1": "asset", "2": "liability", "3": "equity", "4": "income"}
_BY_RANGE = {
    digit: Kind(account_class, _NORMAL[account_class])
    for digit, account_class in (_RANGES | dict.fromkeys("56789", CLASSES[-1])).items()
}
_NUMBER_THEN_NAME = re.compile(r"([0-9][0-9.\-/]*)(?:[\s:\-]+(.*))?", re.DOTALL)
_WORD = re.compile(r"[a-z]+")


def _kinds(
    account_class: Class, words: str, side: Side | None = None, *, cash: bool = False
) -> dict[str, Kind]:
    kind = Kind(account_class, side or _NORMAL[account_class], cash)
    return dict.fromkeys(_listed(words), kind)


def _listed(words: str) -> list[str]:
    return [" ".join(word.split()) for word in words.split(",")]


# On the other side than their class, and rightly so.
_CONTRA = (
    _kinds(
        "asset",
        """accumulated depreciation, accumulated amortization, accumulated amortisation,
        accumulated impairment, accum depreciation, accum depr, acc depreciation, allowance for,
        provision for, doubtful accounts, doubtful debts""",
        "credit",
    )
    | _kinds(
        "equity",
        "treasury stock, treasury shares, drawings, drawing, dividends, dividend, accumulated deficit",
        "debit",
    )
    | _kinds(
        "income",
        "sales returns, sales discounts, sales discount, sales allowances, returns and, discounts allowed",
        "debit",
    )
    | _kinds(
        "expense",
        "purchase returns, purchases returns, purchase discounts, purchase discount, discounts received",
        "credit",
    )
)
_EITHER_SIDE = (
    dict.fromkeys(
        _listed("retained earnings, current earnings, year earnings, profit and, income summary"),
        Kind("equity", None),
    )
    | dict.fromkeys(
        _listed("gain loss, exchange differences, exchange gain, exchange loss, rounding"),
        Kind("expense", None),
    )
    | dict.fromkeys(_listed("intercompany, due to, due from, sales tax, vat"), Kind("liability", None))
    | dict.fromkeys(
        _listed("suspense, clearing, uncategorized, unallocated"), Kind(None, None, suspense=True)
    )
)
# What an account is, whatever it is about: "rent payable" is a liability, "prepaid rent" an asset.
_DECIDING = (
    _kinds(
        "asset",
        """prepaid, prepayment, prepayments, prepaids, receivable, receivables, debtors, inventory,
        inventories""",
    )
    | _kinds(
        "liability",
        """payable, payables, creditors, accrued, accrual, accruals, deferred revenue, unearned, overdraft,
        deferred income, customer deposits, deferred tax""",
    )
    | _kinds("income", "income, revenue, revenues")
    | _kinds(
        "expense",
        "expense, expenses, cost of, cost, costs, fees, income tax, depreciation, amortization, amortisation",
    )
)
_TOPIC = (
    _kinds("asset", "cash, petty cash, bank, checking, savings", cash=True)
    | _kinds(
        "asset",
        """equipment, vehicles, machinery, furniture, buildings, building, land, goodwill, fixtures, plant,
        patents, stock, computers, investments, deposits, assets, asset""",
    )
    | _kinds(
        "liability",
        "loan, loans, mortgage, notes, bonds, debt, borrowings, liability, liabilities, lease",
    )
    | _kinds(
        "equity",
        """capital, equity, common stock, preferred stock, share capital, reserves, reserve, shares,
        surplus""",
    )
    | _kinds("income", "sales, turnover, fees earned, service fees, interest earned, commissions earned")
    | _kinds(
        "expense",
        """rent, salaries, wages, payroll, utilities, insurance, advertising, marketing, supplies, travel,
        repairs, maintenance, telephone, purchases, freight, postage, entertainment, training, subscriptions,
        electricity, fuel, taxes, interest, charges, professional, legal, audit, cogs, bad debts, bad debt,
        donations, commissions, meals""",
    )
)
# The strongest of a name's words and pairs of words decides.
_RANKED: dict[str, tuple[int, Kind]] = {}
for _rank, _group in enumerate((_CONTRA, _EITHER_SIDE, _DECIDING, _TOPIC)):
    for _words, _kind in _group.items():
        _RANKED.setdefault(_words, (_rank, _kind))
_KNOWN_WORDS = frozenset(word for words in _RANKED for word in words.split())
_UNKNOWN = Kind(None, None)


def split_account(account: str) -> tuple[str, str]:
    """ "1000 Cash" is ("1000", "Cash"); a tab separates what came from two columns."""
    number, tab, name = account.partition("\t")
    if tab:
        return number, name
    match = _NUMBER_THEN_NAME.fullmatch(account)
    return (match[1], (match[2] or "").strip()) if match else ("", account)


def classify(number: str, name: str) -> Kind:
    """Both may be empty."""
    by_number = _BY_RANGE.get(number[:1])
    by_name = _by_name(name)
    if by_number is None:
        return by_name
    if by_name is _UNKNOWN:
        return by_number
    if by_name.account_class == by_number.account_class or by_name.suspense:
        return by_name
    if number[0] in "789" and by_name.account_class in ("income", "expense"):
        return by_name
    return by_number


def _by_name(name: str) -> Kind:
    words = tuple(filter(_KNOWN_WORDS.__contains__, _WORD.findall(name.lower())))
    return _strongest(words) if words else _UNKNOWN


@lru_cache(maxsize=4096)
def _strongest(words: tuple[str, ...]) -> Kind:
    pairs = map(" ".join, pairwise(words))
    ranked = [_RANKED[each] for each in (*pairs, *words) if each in _RANKED]
    return min(ranked, key=itemgetter(0), default=(0, _UNKNOWN))[1]
