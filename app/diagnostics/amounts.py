"""Amounts as people and programs write them, as exact integers: ten-thousandths of the currency unit."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

SCALE = 10_000
CENT = 100
"""In ten-thousandths."""

Mark = Literal[".", ","]
Side = Literal["debit", "credit"]

# In plain sight: what almost every cell of an export looks like.
_PLAIN = {mark: re.compile(rf"-?[0-9]{{1,15}}(?:\{mark}[0-9]{{1,4}})?") for mark in (".", ",")}
_PLAIN_COLUMN = {
    mark: re.compile(rf"(?:(?:-?[0-9]{{1,15}}(?:\{mark}[0-9]{{1,2}})?)?\n)*") for mark in (".", ",")
}
_TIMES = (SCALE, 1000, 100, 10, 1)

_SPELLINGS = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\t", " "),
        **dict.fromkeys("\u2212\u2013\u2014", "-"),
        **dict.fromkeys("\u2019`", "'"),
        **dict.fromkeys("$\u20ac\u00a3\u00a5\u20b9", ""),
    }
)
_CURRENCY = re.compile(r"\b(?:EUR|USD|GBP|CHF|CAD|AUD|NZD|JPY|SEK|NOK|DKK|PLN|INR)\b")
_STRAY_SPACE = re.compile(r"(?<![0-9]) +| +(?![0-9])")
_SIGNED = re.compile(r"(?:(-?)([0-9.,' ]+)|\(([0-9.,' ]+)\)|([0-9.,' ]+)(-))(CR|DR|Cr|Dr|cr|dr|C|D)?")
_DIGITS = {
    mark: re.compile(
        rf"(?:[0-9]{{1,15}}|[0-9]{{1,3}}(?:([{group}' ])[0-9]{{3}})(?:\1[0-9]{{3}}){{0,3}})"
        rf"(?:\{mark}[0-9]{{1,4}})?"
    )
    for mark, group in ((".", ","), (",", "."))
}
_AMBIGUOUS = re.compile(r"-?[0-9]{1,3}\.[0-9]{3}")
_FLOAT = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?")
_LARGEST = Decimal(10) ** 15


class Number(str):
    """The text of a spreadsheet's numeric cell: its mark is a point, its last digits may be a float's."""

    __slots__ = ()


class OtherMark(Exception):  # noqa: N818 - a turn in the road, no error
    """Read so far with the wrong decimal mark; nothing seen before contradicts the other one."""


class Amounts:
    """Reads all amounts of one file with one decimal mark, and notices when the file must mean the other."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self._plain = _PLAIN[mark]
        self._plain_column = _PLAIN_COLUMN[mark]
        self._sure = mark == ","
        self._thousands_possible = False

    @property
    def doubtful(self) -> bool:
        """Whether the only amounts with a mark look like 1.234, which is 1234 to half of Europe."""
        return self._thousands_possible and not self._sure

    def parse(self, text: str, side: Side = "debit") -> int:
        """ "1,234.50", "$12", "(12)" or "12-" for -12, "" and "-" for 0; "5 CR" is -5 on the debit side.

        At most 15 digits and 4 decimal places. Raises ValueError, or OtherMark to start again with a comma.
        """
        if not text:
            return 0
        if type(text) is str and self._plain.fullmatch(text):
            whole, mark, places = text.partition(self.mark)
            if not mark:
                return int(text) * SCALE
            if len(places) != 3:
                self._sure = True
            elif not self._sure and _AMBIGUOUS.fullmatch(text):
                self._thousands_possible = True
            return int(whole + places) * _TIMES[len(places)]
        if isinstance(text, Number):
            return _from_number(text)
        return self._parse_decorated(text, side)

    def parse_plain_column(self, column: list[str]) -> list[int] | None:
        """All at once when each is like 1234.5, in whole cents, or empty; else None: `parse` them singly."""
        text = "\n".join(column) + "\n"
        if not self._plain_column.fullmatch(text):
            return None
        mark = self.mark
        self._sure = self._sure or mark in text
        try:
            return [
                int(text.replace(mark, "")) * _TIMES[len(text) - text.find(mark) - 1 if mark in text else 0]
                if text
                else 0
                for text in column
            ]
        except ValueError:  # two amounts in one cell, on two lines
            return None

    def _parse_decorated(self, text: str, side: Side) -> int:
        bare = _CURRENCY.sub("", text.translate(_SPELLINGS)).strip()
        bare = _STRAY_SPACE.sub("", bare)
        if bare == "-" or text.isspace():
            return 0
        signed = _SIGNED.fullmatch(bare)
        if not signed:
            raise self._not_an_amount(text)
        minus, digits, in_brackets, before_minus, minus_behind, suffix = signed.groups()
        amount = self._parse_digits(digits or in_brackets or before_minus, text)
        if suffix and suffix[0].lower() != side[0]:
            amount = -amount
        return -amount if minus or minus_behind or in_brackets else amount

    def _parse_digits(self, digits: str, text: str) -> int:
        if not _DIGITS[self.mark].fullmatch(digits):
            if not self._sure and _DIGITS[","].fullmatch(digits):
                raise OtherMark
            raise self._not_an_amount(text)
        whole, _, places = digits.partition(self.mark)
        if places and (len(places) != 3 or whole.strip("0123456789")):
            self._sure = True
        bare = re.sub(r"[^0-9]", "", whole)
        if len(bare) > 15:
            raise self._not_an_amount(text)
        return int(bare + places) * _TIMES[len(places)]

    def _not_an_amount(self, text: str) -> ValueError:
        like = "1234.50" if self.mark == "." else "1234,50"
        return ValueError(f'"{text[:40]}" is not an amount like {like}')


def _from_number(text: Number) -> int:
    if _PLAIN["."].fullmatch(text):
        whole, _, places = text.partition(".")
        return int(whole + places) * _TIMES[len(places)]
    if not _FLOAT.fullmatch(text) or abs(number := Decimal(text)) >= _LARGEST:
        raise ValueError(f'"{text[:40]}" is not an amount like 1234.50')
    # Spreadsheets store 0.1 + 0.2 as 0.30000000000000004; what they show is rounded.
    return int((number * SCALE).quantize(Decimal(1), ROUND_HALF_EVEN))


def to_decimal(scaled: int) -> Decimal:
    """With two decimal places, or as many more as are needed."""
    places = 2 if scaled % CENT == 0 else 3 if scaled % 10 == 0 else 4
    return (Decimal(scaled) / SCALE).quantize(Decimal(1).scaleb(-places))
