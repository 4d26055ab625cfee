"""The command line: `scripts/stack`, which `make stack` runs."""

from __future__ import annotations

from monitor.interruption import Interruption

interruption = Interruption()
interruption.arm()

import argparse  # noqa: E402 - an interruption while the rest is imported must be quiet too
import asyncio  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from monitor.children import ChildError  # noqa: E402
from monitor.quantity import parse_duration  # noqa: E402
from monitor.stack.files import Hurry, HurryError  # noqa: E402
from monitor.stack.places import places  # noqa: E402
from monitor.stack.ports import DOCUMENTED, PortError, choose_ports  # noqa: E402
from monitor.stack.programs import APP, COMPOSE, Choices, MissingProgramError  # noqa: E402
from monitor.stack.running import Stack, say  # noqa: E402

FAILED, REFUSED = 1, 2


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="scripts/stack", description="The stack on this machine, without Docker."
    )
    flags.add_argument("--data", type=Path, help="a folder that is kept; otherwise all is gone at the end")
    flags.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="SERVICE=PORT",
        help=f"of {', '.join(DOCUMENTED)}; or variables like STACK_API_PORT",
    )
    flags.add_argument("--shorten", type=float, default=1, metavar="N", help="windows N times shorter")
    flags.add_argument("--interval", type=parse_duration, default=1.0, help="with --shorten, of all asking")
    flags.add_argument("--api-app", default=APP, help="another application than the shipped one; for tests")
    flags.add_argument("--prometheus-flag", action="append", default=[], help="one more of Prometheus' flags")
    return flags


def main() -> int:
    given = parser().parse_args()
    if not COMPOSE.exists():
        return failed(f"it needs a checkout of the repository: there is no {COMPOSE.name}", REFUSED)
    choices = Choices(given.api_app, tuple(given.prometheus_flag))
    try:
        hurry = Hurry(given.shorten, given.interval) if given.shorten != 1 else None
        ports = choose_ports(os.environ, given.port)
        with places(given.data) as found:
            asyncio.run(performance(Stack(found, ports, hurry, choices)))
    except (HurryError, PortError, MissingProgramError) as error:
        return failed(str(error), REFUSED)
    except subprocess.CalledProcessError as error:
        return failed(f"{error}\n{error.stderr.decode(errors='replace')}", FAILED)
    except (ChildError, subprocess.TimeoutExpired, OSError) as error:
        return failed(str(error), FAILED)
    say("All that was started has ended.")
    return interruption.status


async def performance(stack: Stack) -> None:
    interruption.cancels(asyncio.current_task())
    try:
        await stack.run()
    except asyncio.CancelledError:
        if not interruption.number:
            raise


def failed(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
