"""What can be wrong with an upload, told to whoever sent it."""

from __future__ import annotations

import time


class TrialBalanceError(ValueError):
    """What is wrong, and where; rows are numbered as in a spreadsheet: the first is row 1."""


class Deadline:
    """Every bound on size leaves some file that is slow; this one bounds the time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise TrialBalanceError(f"the analysis took longer than {self._seconds:g} s and was given up")
