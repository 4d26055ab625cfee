"""gunicorn's settings: `gunicorn -c python:app.gunicorn_conf app.main:app`."""

from __future__ import annotations

import os
import sys

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from app.settings import Settings, SettingsError
from exporters.exposition import mark_worker_dead, prepare_multiprocess_dir

try:
    _settings = Settings.load()
except SettingsError as mistakes:
    sys.exit(str(mistakes))

prepare_multiprocess_dir()

bind = f"{_settings.api_host}:{_settings.listen_port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "4"))
worker_class = "uvicorn_worker.UvicornWorker"
timeout = 120
accesslog = "-"
# It would be one file for all of a user's servers.
control_socket_disable = True


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Called by the parent for every worker that ended, killed ones included."""
    mark_worker_dead(int(worker.pid))
