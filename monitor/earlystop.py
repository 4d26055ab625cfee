"""Imported before everything else: a Ctrl-C while the rest is being imported leaves no traceback."""

from __future__ import annotations

import os
import signal
from types import FrameType


def _stop(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"\nStopped before anything was started.\n")
    os._exit(128 + number)


_before = signal.signal(signal.SIGINT, _stop)


def all_imported() -> None:
    """From here on Ctrl-C is the program's own affair."""
    signal.signal(signal.SIGINT, _before)
