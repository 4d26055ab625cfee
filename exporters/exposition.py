"""`GET /metrics` for one process and for several, and what gunicorn must do for several.

    # gunicorn.conf.py
    prepare_multiprocess_dir()

    def child_exit(server, worker):
        mark_worker_dead(worker.pid)

Each worker keeps its values in files of a shared folder, and a scrape of any worker sums all of them. A dead
worker's counts stay in the sum, or it would go backwards; they are folded into one file, so that workers that
come and go don't leave a heap of files.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import functools
import gzip
import logging
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    Metric,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, gzip_accepted
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

logger = logging.getLogger(__name__)

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_TORN = (struct.error, RuntimeError, FileNotFoundError)
_TRIES = 50


def metrics_route(registry: CollectorRegistry = REGISTRY, path: str = "/metrics") -> Route:
    """A route that serves `registry` in Prometheus' text format, all workers merged in multiprocess mode.

    Pages are made one after the other in a thread of their own: a slow one doesn't hold up the event loop,
    and an exhausted thread pool of the app doesn't hold up the scrape that would show it.

    Raises RuntimeError when the folder for several processes came too late for prometheus_client to use it.
    """
    if _FOLDER in os.environ and values.ValueClass is values.MutexValue:
        raise RuntimeError(
            f"{_FOLDER} was set after prometheus_client had been imported, so each worker would show its own "
            "counts: call prepare_multiprocess_dir() in gunicorn.conf.py"
        )
    source: Collector = _AllWorkers(registry) if _FOLDER in os.environ else registry
    pages = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")

    async def metrics(request: Request) -> Response:
        zipped = gzip_accepted(request.headers.get("accept-encoding", ""))
        page = await asyncio.get_running_loop().run_in_executor(pages, _page, source, zipped)
        headers = {"content-encoding": "gzip"} if zipped else {}
        return Response(
            page, headers={**headers, "vary": "accept-encoding"}, media_type=CONTENT_TYPE_PLAIN_0_0_4
        )

    return Route(path, metrics, name="metrics", include_in_schema=False)


def build_info(version: str, registry: CollectorRegistry = REGISTRY) -> None:
    """Register `app_build_info{version}`, always 1."""
    info = Gauge(
        "app_build_info",
        "The version that runs.",
        ["version"],
        registry=registry,
        multiprocess_mode="livemax",
    )
    info.labels(version).set(1)


@functools.cache
def prepare_multiprocess_dir() -> Path:
    """Give this process and its future children a folder for their metrics, without an earlier run's files.

    A new private one, removed at exit, unless PROMETHEUS_MULTIPROC_DIR names one. Call it from
    gunicorn.conf.py, before anything declares a metric; a reload runs that file again, and changes nothing.
    """
    if _FOLDER in os.environ:
        folder = Path(os.environ[_FOLDER])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kind in ("counter", "histogram", "summary", "gauge_*"):
            for stale in folder.glob(f"{kind}_*.db"):
                stale.unlink(missing_ok=True)
    else:
        folder = Path(tempfile.mkdtemp(prefix="metrics-"))
        atexit.register(_remove_by_owner, folder, os.getpid())
        os.environ[_FOLDER] = str(folder)
    # prometheus_client decides when imported whether values go to files. It is imported by now: decide again.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    return folder


def mark_worker_dead(pid: int) -> None:
    """For gunicorn's `child_exit`: a dead worker's gauges leave the page, its counts stay. Never waits."""
    if _FOLDER not in os.environ:
        return
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
    _dead.add(pid)
    try:
        with _locked(fcntl.LOCK_EX | fcntl.LOCK_NB) as folder:
            while _dead:
                _fold(folder, _dead.pop())
    except BlockingIOError:
        logger.debug("a scrape is reading the metrics of worker %d: folded when the next worker dies", pid)


_dead: set[int] = set()


def _fold(folder: Path, pid: int) -> None:
    for kind in ("counter", "histogram", "summary"):
        file = folder / f"{kind}_{pid}.db"
        if not file.exists():
            continue
        retired = MmapedDict(str(folder / f"{kind}_retired.db"))  # type: ignore[no-untyped-call]
        try:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
                retired.write_value(key, retired.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
        except _TORN as torn:
            logger.warning(
                "metrics of the dead worker %d are torn, the rest is lost: %s: %s", pid, file, torn
            )
        finally:
            retired.close()  # type: ignore[no-untyped-call]
            file.unlink()


@contextmanager
def _locked(mode: int) -> Iterator[Path]:
    """The folder, so that no scrape sees it half folded: scrapes share the lock, folding excludes them."""
    folder = Path(os.environ[_FOLDER])
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, mode)
        yield folder


class _AllWorkers(Collector):
    """The workers' merged files, and once what `registry` collects from elsewhere, such as the process tree.

    Left out are prometheus_client's own python_* and process_*, which tell of whichever worker answers.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        own: tuple[Collector, ...] = (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR)
        self._of_one_worker = {family.name for collector in own for family in collector.collect()}

    def collect(self) -> Iterable[Metric]:
        merged = self._merged()
        yield from merged
        known = self._of_one_worker.union(family.name for family in merged)
        yield from (family for family in self._registry.collect() if family.name not in known)

    def _merged(self) -> list[Metric]:
        for _ in range(_TRIES):
            try:
                with _locked(fcntl.LOCK_SH) as folder:
                    return list(MultiProcessCollector(None, str(folder)).collect())  # type: ignore[no-untyped-call]
            except _TORN as torn:
                # A worker that starts makes its files empty, and fills in their heads a moment later.
                logger.debug("metrics are read again: %s", torn)
                time.sleep(0.01)
        raise RuntimeError(
            "metrics of the workers stay unreadable: is PROMETHEUS_MULTIPROC_DIR used by others?"
        )


def _page(source: Collector, zipped: bool) -> bytes:
    page = generate_latest(source)
    return gzip.compress(page, compresslevel=1) if zipped else page


def _remove_by_owner(folder: Path, owner: int) -> None:
    # Forked workers inherit the exit hook.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
