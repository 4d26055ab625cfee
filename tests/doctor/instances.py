"""The shipped API as several processes with settings of their own: `python -m tests.doctor.instances JSON`.

JSON is a list of [port, environment]. All is imported once, before each gets a process.
"""

from __future__ import annotations

import json
import os
import sys

import uvicorn
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.settings import Settings


def serve(port: int, environment: dict[str, str]) -> None:
    os.environ |= environment
    app = create_app(Settings.load(), CollectorRegistry())
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def main() -> None:
    for port, environment in json.loads(sys.argv[1]):
        if os.fork() == 0:
            serve(port, environment)
            os._exit(0)
    while True:
        os.wait()


if __name__ == "__main__":
    main()
