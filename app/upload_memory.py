"""How much of the memory uploads may take together: each is held whole, since none of it may touch a disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FullError(Exception):
    """There is no room for another upload now."""


class UploadMemory:
    """Room for `most` bytes, of one process; only its event loop reserves and gives back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.reserved = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Room for `size` bytes during the block; raises FullError at once when there is not as much."""
        if self.reserved + size > self._most:
            raise FullError
        self.reserved += size
        try:
            yield
        finally:
            self.reserved -= size
