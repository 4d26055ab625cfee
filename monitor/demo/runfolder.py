"""The demo's private folder: one demo at a time, found by `break` and `heal`, gone when the demo ends.

The lock is the kernel's (flock on the folder itself), so however a demo ends, it is released.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

NAME = "paciolus-monitor-demo"
PUBLISHED = "demo.json"


class AlreadyRunningError(Exception):
    """Another demo of this user holds the folder; the message says which."""


class UnsafeFolderError(Exception):
    """Something is in the folder's place that isn't ours."""


class Running(NamedTuple):
    """How to reach the running demo."""

    pid: int
    url: str
    token: str


def place() -> Path:
    """In $XDG_RUNTIME_DIR, which is the user's own, else in the temporary folder, with the user's id."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK | os.X_OK):
        return Path(runtime) / NAME
    return Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"


class RunFolder:
    """Raises AlreadyRunningError or UnsafeFolderError. What a killed demo left behind is removed."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or place()
        self._lock = _locked(self.path)
        if self._lock is None:
            raise AlreadyRunningError(_who(self.path))
        for left in self.path.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        self.publish("", "")

    def publish(self, url: str, token: str) -> None:
        """Tells other terminals of the same user where this demo takes orders."""
        new = self.path / f"{PUBLISHED}.new"
        new.write_text(json.dumps(Running(os.getpid(), url, token)._asdict()))
        new.replace(self.path / PUBLISHED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def find(path: Path | None = None) -> Running | None:
    """The demo that holds the folder now."""
    path = path or place()
    try:
        lock = _locked(path, create=False)
    except (FileNotFoundError, UnsafeFolderError):
        return None
    if lock is not None:
        os.close(lock)
        return None
    return _published(path)


def _locked(path: Path, *, create: bool = True) -> int | None:
    """A descriptor that holds the lock; None if somebody else does."""
    while True:
        if create:
            path.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = _opened(path)
        except FileNotFoundError:
            if not create:
                raise
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if _still_there(lock, path):
            return lock
        os.close(lock)


def _still_there(lock: int, path: Path) -> bool:
    """A demo that ends removes its folder, maybe between our opening and our locking of it."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _opened(path: Path) -> int:
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:
        raise UnsafeFolderError(f"{path} is in the way: it is not a folder") from None
    status = os.fstat(folder)
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(folder)
        raise UnsafeFolderError(f"{path} is in the way: it belongs to, or is open to, somebody else")
    return folder


def _published(path: Path) -> Running | None:
    try:
        return Running(**json.loads((path / PUBLISHED).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _who(path: Path) -> str:
    running = _published(path)
    if running is None:
        return f"A demo is starting or ending right now in {path}. Try again in a few seconds."
    return (
        f"A demo is running already (pid {running.pid}). Use it from here with `paciolus-monitor break`, "
        f"or end it with Ctrl-C in its terminal or `kill {running.pid}`."
    )
