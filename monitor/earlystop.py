"""Imported before everything else: a Ctrl-C while the rest is being imported leaves no traceback.

Nor is garbage looked for meanwhile: all that imports make stays, and looking costs a fifth of the start.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Iterator
from types import FrameType


def _stop(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"\nStopped before anything was started.\n")
    os._exit(128 + number)


_before = signal.signal(signal.SIGINT, _stop)
gc.disable()


def all_imported() -> None:
    """From here on Ctrl-C is the program's own affair."""
    signal.signal(signal.SIGINT, _before)
    _look_for_garbage()


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """For what a single command needs."""
    gc.disable()
    try:
        yield
    finally:
        _look_for_garbage()


def _look_for_garbage() -> None:
    """But not among what has been imported."""
    gc.freeze()
    gc.enable()
