"""Logs and Sentry. Neither is told passwords, e-mail addresses or amounts."""

from __future__ import annotations

import logging

import sentry_sdk

from app.settings import Settings
from app.version import VERSION


def configure_logging(level: str) -> None:
    """To stderr, unless whoever runs the app has configured logging before."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s pid=%(process)d %(message)s")
    logging.getLogger("app").setLevel(level)


def init_sentry(settings: Settings) -> None:
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.env_mode,
        release=VERSION,
        traces_sample_rate=0.1,
        # Both would carry lines of trial balances out of the process.
        max_request_body_size="never",
        include_local_variables=False,
    )
