"""gunicorn's settings: `gunicorn -c python:app.gunicorn_conf app.main:app`."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
from importlib import import_module
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from app.settings import Settings, SettingsError
from app.telemetry import configure_logging
from exporters.exposition import mark_worker_dead, prepare_multiprocess_dir

try:
    _settings = Settings.load()
except SettingsError as mistakes:
    sys.exit(str(mistakes))

prepare_multiprocess_dir()

# Not the app itself, which is made in each worker, but the modules that it takes: read once and shared by all
# workers, who serve a moment after they are forked.
import_module("app.main")

bind = f"{_settings.api_host}:{_settings.listen_port}"
workers = _settings.web_concurrency
worker_class = "app.gunicorn_conf.ApiWorker"
timeout = 120
# Counted from the signal: the pause, then requests in flight, then what the worker itself has to put away.
graceful_timeout = math.ceil(_settings.drain + _settings.shutdown_seconds + 5)
forwarded_allow_ips = ",".join(_settings.forwarded_allow_ips)
accesslog = "-"
# The workers' heartbeats are files; on a container's own disk a slow write would look like a hanging worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - gunicorn makes the names
# It would be one file for all of a user's servers.
control_socket_disable = True

_PR_SET_PDEATHSIG = 1


class ApiWorker(UvicornWorker):  # type: ignore[misc]
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        **UvicornWorker.CONFIG_KWARGS,
        "server_header": False,
        "timeout_graceful_shutdown": math.ceil(_settings.shutdown_seconds),
    }


class logger_class(Logger):  # noqa: N801 - a setting's name
    """The lines of the parent, too, are like those of the API."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        configure_logging(_settings)


def post_fork(server: Arbiter, _worker: Worker) -> None:
    """Else a killed parent's workers would serve for ever, and keep the next one from its port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != server.pid:
            sys.exit()


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Called by the parent for every worker that ended, killed ones included."""
    mark_worker_dead(int(worker.pid))
