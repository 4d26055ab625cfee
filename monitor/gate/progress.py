"""What a gate says while it runs, to whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.gate.model import Result


class Progress(Protocol):
    def began(self, check: str, most: int | None = None) -> None:
        """`most`: requests that it may take; None when nobody can say."""

    def asked(self, check: str, bad: int, of: int) -> None:
        """After each request of a check that samples."""

    def ended(self, check: str, results: Sequence[Result]) -> None: ...


class Silent:
    def began(self, check: str, most: int | None = None) -> None: ...

    def asked(self, check: str, bad: int, of: int) -> None: ...

    def ended(self, check: str, results: Sequence[Result]) -> None: ...
