"""`python -m app`: one process on API_HOST and API_PORT (or PORT), for development."""

from __future__ import annotations

import math
import sys

import uvicorn

from app.main import create_app
from app.settings import Settings, SettingsError


def main() -> None:
    try:
        settings = Settings.load()
    except SettingsError as mistakes:
        sys.exit(str(mistakes))
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.listen_port,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        server_header=False,
        forwarded_allow_ips=list(settings.forwarded_allow_ips),
    )


if __name__ == "__main__":
    main()
