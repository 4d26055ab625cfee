"""Zero storage, proved: what is written to a disk while confidential data is being handled, is counted.

    forbid_storage(app, ["/audit", "/export"])      # a Starlette or FastAPI service, by path

    storage = ZeroStorage()                         # anything else
    with storage.forbidden():
        handle(...)

adds `zero_storage_violations_total{kind}`, and a CRITICAL log line with the kind, the path and the code that
did it. A listing of folders would not do: temporary files are unlinked while still open. So an audit hook
(PEP 578) hears of every file that Python opens. The kinds:

open       a file opened for writing
tempfile   a temporary file or folder, also where an upload is spooled to one
mkdir      a folder
database   an SQLite database, other than those in memory

Whose write it is follows the request's context: through tasks, asyncio.to_thread and Starlette's thread pool
by itself, into any other executor or thread with `carried`. Requests that run at the same time are not
blamed. Not counted are devices and pipes, what is `allowed`, and what Python's machinery writes: log files of
`logging`, compiled modules, prometheus_client's shared files.

It does not hear C code that opens files by itself (SQLite's journals among them), what is written to files
opened before, and other processes. For those there is strace.
"""

from __future__ import annotations

import functools
import importlib.machinery
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.mmap_dict import MmapedDict
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

P = ParamSpec("P")
T = TypeVar("T")
AnyPath = str | os.PathLike[str]

logger = logging.getLogger(__name__)

KINDS = ("open", "tempfile", "mkdir", "database")
MOST_LOGGED = 10
"""Lines per request; all are counted."""

_KIND_OF_EVENT = {"open": "open", "os.mkdir": "mkdir", "sqlite3.connect": "database"}
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _file_of(function: Any) -> str:
    code: CodeType = function.__code__
    return code.co_filename


_MACHINERY = frozenset(
    map(
        _file_of,
        (
            logging.FileHandler._open,  # noqa: SLF001 - only asked where it is
            importlib.machinery.SourceFileLoader.set_data,
            MmapedDict.__init__,
        ),
    )
)
_TEMPFILE = _file_of(tempfile.mkdtemp)
# They say "open" for the folder, and open the file in it a moment later. The last one tries out folders.
_BEFORE_A_TEMPFILE = frozenset(
    function.__code__
    for name in ("TemporaryFile", "NamedTemporaryFile", "_get_default_tempdir")
    if (function := getattr(tempfile, name, None))
)
_STANDARD_LIBRARY = (os.path.dirname(_file_of(tempfile.mkdtemp)) + os.sep, "<frozen ")  # noqa: PTH120


class ZeroStorage:
    """The counter, and what may be written all the same: `allowed` names files and folders.

    All kinds are born at 0, so that the first violation is seen as a step. A registry takes one.
    """

    def __init__(self, *, allowed: Iterable[AnyPath] = (), registry: CollectorRegistry = REGISTRY) -> None:
        violations = Counter(
            "zero_storage_violations",
            "Files opened for writing, temporary ones included, while confidential data was handled.",
            ["kind"],
            registry=registry,
        )
        self._by_kind = {kind: violations.labels(kind) for kind in KINDS}
        self._allowed = tuple(_absolute(path) for path in allowed if os.fspath(path))
        _add_hook()

    @contextmanager
    def forbidden(self) -> Iterator[None]:
        """For as long as it takes, in this context and in those copied from it."""
        token = _handling.set(Handling(self))
        try:
            yield
        finally:
            _handling.reset(token)

    def allows(self, path: str) -> bool:
        there = _absolute(path)
        return any(there == each or there.startswith(each + os.sep) for each in self._allowed)

    def count(self, kind: str) -> None:
        self._by_kind[kind].inc()


def forbid_storage(
    app: Starlette,
    paths: Iterable[str],
    *,
    allowed: Iterable[AnyPath] = (),
    registry: CollectorRegistry = REGISTRY,
) -> ZeroStorage:
    """Watch the requests below `paths` ("/audit": itself and "/audit/..."), their error handling included.

    Raises RuntimeError when the app has already served something: its middleware is built by then.
    """
    if app.middleware_stack is not None:
        raise RuntimeError("forbid_storage comes too late: call it before the app serves its first request")
    storage = ZeroStorage(allowed=allowed, registry=registry)
    build_inner_stack, watched = app.build_middleware_stack, tuple(paths)

    def build_middleware_stack() -> ASGIApp:
        return _Middleware(build_inner_stack(), storage, watched)

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]
    return storage


def carried(call: Callable[P, T]) -> Callable[P, T]:
    """`call` for an executor or a thread: what it writes there counts as written here.

    loop.run_in_executor(pool, carried(analyse), content)
    """
    return functools.partial(copy_context().run, call)


class _Middleware:
    """Outside of everything else: multipart parsers run before an endpoint, error handlers after it."""

    def __init__(self, app: ASGIApp, storage: ZeroStorage, paths: tuple[str, ...]) -> None:
        self._app = app
        self._storage = storage
        self._paths = frozenset(path.rstrip("/") for path in paths)
        self._below = tuple(f"{path}/" for path in self._paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # Set for all of them: servers start a pipelined request in the context of the one before it.
        token = _handling.set(Handling(self._storage) if self._watches(scope) else None)
        try:
            await self._app(scope, receive, send)
        finally:
            _handling.reset(token)

    def _watches(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path in self._paths or path.startswith(self._below)


class Handling:
    """One piece of confidential data, from its first byte until everything about it is done."""

    __slots__ = ("_left_to_log", "_storage")

    def __init__(self, storage: ZeroStorage) -> None:
        self._storage = storage
        self._left_to_log = MOST_LOGGED

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Never raises: that would fail the open() that is being told of."""
        token = _handling.set(None)  # or a log handler that writes would be seen, logged, seen ...
        try:
            frame = sys._getframe(2)  # noqa: SLF001 - documented for this purpose
            if (path := _written(event, arguments, frame.f_code)) and not self._storage.allows(path):
                kind = "tempfile" if frame.f_code.co_filename == _TEMPFILE else _KIND_OF_EVENT[event]
                self._storage.count(kind)
                self._log(kind, path, frame)
        except Exception:
            logger.exception("the watch over zero storage failed on %s", event)
        finally:
            _handling.reset(token)

    def _log(self, kind: str, path: str, frame: FrameType) -> None:
        self._left_to_log -= 1
        if self._left_to_log >= 0:
            logger.critical("zero-storage violation: %s %.300r by %s", kind, path, _culprit(frame))


_handling: ContextVar[Handling | None] = ContextVar("zero_storage_handling", default=None)


@functools.cache
def _add_hook() -> None:
    """Once per process, as none can be removed. Every audited call of the process pays for it (`id` is one),
    so one look-up decides. What that needs is bound here: modules are emptied before the last call."""
    events, current = frozenset(_KIND_OF_EVENT), _handling.get

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in events and (handling := current()) is not None:
            handling.see(event, arguments)

    sys.addaudithook(hook)


def _written(event: str, arguments: tuple[Any, ...], code: CodeType) -> str | None:
    """The path, when storage is what the event is about."""
    if event == "open" and not arguments[2] & _FOR_WRITING:
        return None
    if isinstance(arguments[0], int):  # a descriptor: a pipe, or a file that was seen when it was opened
        return None
    if code in _BEFORE_A_TEMPFILE or code.co_filename in _MACHINERY:
        return None
    path = os.fsdecode(arguments[0])
    if event == "sqlite3.connect":
        return None if ":memory:" in path or "mode=memory" in path else _database(path)
    return None if _keeps_nothing(event, path) else path


def _database(name: str) -> str:
    """Without the decoration of a URI; "" is a temporary file to SQLite."""
    return name.removeprefix("file:").partition("?")[0] or "(temporary)"


def _keeps_nothing(event: str, path: str) -> bool:
    """A device, a pipe, or a folder to be made where it is already."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib costs more than the call
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or (event == "os.mkdir" and stat.S_ISDIR(mode))


def _absolute(path: AnyPath) -> str:
    try:
        return os.path.abspath(path)  # noqa: PTH100 - nothing is resolved: links may lead anywhere by then
    except OSError:  # the working directory is gone
        return os.fspath(path)


def _culprit(frame: FrameType) -> str:
    """The nearest code outside the standard library."""
    caller: FrameType | None = frame
    while caller and _is_library(caller.f_code.co_filename):
        caller = caller.f_back
    caller = caller or frame
    return f"{caller.f_code.co_filename}:{caller.f_lineno}"


def _is_library(filename: str) -> bool:
    return filename.startswith(_STANDARD_LIBRARY) and "-packages" not in filename
