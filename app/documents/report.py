"""A report between its source and its format: sections of rows, of text and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Cell = str | int | float | Decimal | bool | None

LONGEST_TEXT = 200
"""Characters of a cell, the rest is cut."""


@dataclass(frozen=True)
class Section:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Report:
    title: str
    sections: Sequence[Section]


def sections_of(findings: Mapping[str, Any], title: str) -> Iterator[Section]:
    """Values that stand alone under `title`, then a section for each list or mapping that has something.

    `findings` nests mappings and lists of mappings or values, such as a pydantic model dumps.
    """
    alone = [(label(name), value) for name, value in findings.items() if not isinstance(value, list | dict)]
    yield Section(title, ("", ""), alone)
    for name, value in findings.items():
        if value and isinstance(value, dict):
            yield _by_name(label(name), value)
        elif value and isinstance(value, list):
            yield _table(label(name), value)


def _by_name(title: str, values: dict[str, Any]) -> Section:
    if all(isinstance(value, dict) for value in values.values()):
        return _table(title, [{"": label(name), **value} for name, value in values.items()])
    return Section(title, ("", ""), [(label(name), _flat(value)) for name, value in values.items()])


def _table(title: str, rows: list[Any]) -> Section:
    if not isinstance(rows[0], dict):
        return Section(title, ("",), [(_flat(row),) for row in rows])
    names = list(rows[0])
    return Section(
        title, [label(name) for name in names], [[_flat(row[name]) for name in names] for row in rows]
    )


def _flat(value: Any) -> Cell:
    """What is nested deeper has one cell."""
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{label(name)}: {each}" for name, each in value.items())
    cell: Cell = value
    return cell


def label(name: str) -> str:
    """ "total_debits" is "Total debits"."""
    return name.replace("_", " ").capitalize()


def text_of(cell: Cell) -> str:
    """As people write it; one line."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        line = " ".join(cell.split())
        return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
    return f"{cell:,}"
