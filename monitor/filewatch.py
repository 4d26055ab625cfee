"""Notices that files have changed, and waits until whoever changes them is through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

Digests = Mapping[Path, str]
"""Of the files' contents; "" for one that can't be read."""
_Stamp = tuple[int, int, int]


class FileWatch:
    """Blocks on the file system. A file that is being written looks like a shorter one, maybe a valid one: so
    a change counts when nothing has moved since the look before."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._settling = False
        self.tried(digests(paths))

    def tried(self, contents: Digests) -> None:
        """These have been read, whether they were good or bad; these are watched from now on."""
        self._tried = contents
        self._stamps = _stamps(contents)

    def look(self) -> bool:
        """Whether they hold, and have held for a look, something that was not tried yet."""
        stamps = _stamps(self._tried)
        moved, self._stamps = stamps != self._stamps, stamps
        if moved or not self._settling:
            self._settling = moved
            return False
        self._settling = False
        return digests(self._tried) != self._tried


def digests(paths: Iterable[Path]) -> Digests:
    return {path: _digest(path) for path in paths}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> _Stamp | None:
    """Of what a link leads to: that is what changes where configuration is mounted."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
