"""Which column is which, by the names in the header."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from app.diagnostics.mistakes import TrialBalanceError

MOST_COLUMNS = 100
HEADER_WITHIN = 20
"""Rows; above the header there may be the company's name and the date."""

Block = tuple[Sequence[int], list[list[str]]]
"""Numbers of rows, as a spreadsheet counts them, and their cells."""

_ALIASES = {
    "account": "account|gl account|ledger account|account title|konto|compte|cuenta",
    "number": (
        "account number|account no|account code|account id|account nr|acct|acct no|acct number|number|no|nr"
        "|code|gl code|gl account number|ledger code|nominal code|kontonummer|konto nr"
        "|kontonr|numero de compte|codigo"
    ),
    "name": (
        "account name|account description|description|name|account title|ledger name|kontobezeichnung"
        "|bezeichnung|kontoname|libelle|intitule|nombre|descripcion"
    ),
    "debit": "debit|debits|dr|debit amount|debit balance|debit total|soll|debe",
    "credit": "credit|credits|cr|credit amount|credit balance|credit total|haben|haber",
    "balance": "balance|net|net balance|closing balance|ending balance|amount|saldo|solde",
}
_ROLE = {alias: role for role, aliases in reversed(_ALIASES.items()) for alias in aliases.split("|")}


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of the columns, from 0. Either debit and credit are there, or balance (debit positive)."""

    row: int
    names: tuple[str, ...]
    number: int | None
    name: int | None
    debit: int
    credit: int | None

    @property
    def account_name(self) -> str:
        """What the header calls the column in which an account must stand."""
        place = self.number if self.number is not None else self.name
        return self.names[place or 0]


def find_columns(blocks: Iterable[Block]) -> Columns:
    """The first row that names an account, a debit and a credit. Raises TrialBalanceError."""
    complaint: str | None = None
    for row, cells in islice(_rows(blocks), HEADER_WITHIN):
        if not any(cell.strip() for cell in cells):
            continue
        names = tuple(cell.strip() for cell in cells)
        roles = _roles(names)
        missing = _missing(roles)
        if not missing:
            if len(names) > MOST_COLUMNS:
                raise TrialBalanceError(
                    f"row {row} has {len(names)} columns, at most {MOST_COLUMNS} are read"
                )
            return _columns(row, names, roles)
        if complaint is None or len(missing) < 3:
            there = ", ".join(f'"{name[:40]}"' for name in names[:20])
            complaint = f"no column for {' and '.join(missing)}; the header in row {row} has {there}"
    raise TrialBalanceError(complaint or "the file is empty")


def _rows(blocks: Iterable[Block]) -> Iterator[tuple[int, list[str]]]:
    for numbers, rows in blocks:
        yield from zip(numbers, rows, strict=True)


def _roles(names: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if len(name) <= 60 and (role := _ROLE.get(_simplified(name))):
            found.setdefault(role, []).append(place)
    return found


def _simplified(name: str) -> str:
    """ "Débit_Amount (EUR)" is "debit amount"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\([^)]*\)", " ", plain)
    return re.sub(r"[\s_\-./#:]+", " ", plain).strip().lower()


def _missing(roles: dict[str, list[int]]) -> list[str]:
    missing = [] if roles.keys() & {"account", "number", "name"} else ["account"]
    sides = [side for side in ("debit", "credit") if side not in roles]
    return missing if len(sides) == 2 and "balance" in roles else missing + sides


def _columns(row: int, names: tuple[str, ...], roles: dict[str, list[int]]) -> Columns:
    sided = "debit" in roles
    for role in ("account", "number", "name", *(("debit", "credit") if sided else ("balance",))):
        if len(roles.get(role, ())) > 1:
            raise TrialBalanceError(f"row {row}: several columns could be {role}")
    number, name, whole = (
        roles[role][0] if role in roles else None for role in ("number", "name", "account")
    )
    if number is None and name is None:
        name = whole
    elif number is None:
        number = whole
    elif name is None:
        name = whole
    if not sided:
        return Columns(row, names, number, name, roles["balance"][0], None)
    return Columns(row, names, number, name, roles["debit"][0], roles["credit"][0])
