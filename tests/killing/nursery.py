"""Starts agents in a fraction of the time: all is imported once, and each agent is forked from here.

`python -m tests.killing.nursery CONFIG`. Each line on stdin is a word: `start` forks one that does what
`paciolus-monitor run` does; `kill` ends it with SIGKILL, and `stop` with SIGTERM. Each is answered by one
line: of a start the process id, of an end how the agent ended (minus the signal, or its exit status).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from pathlib import Path

from monitor import agent  # noqa: F401 (imported before anything is forked)
from monitor.__main__ import run
from monitor.web import app  # noqa: F401

ENDS = {"kill": signal.SIGKILL, "stop": signal.SIGTERM}


def main() -> None:
    config = Path(sys.argv[1])
    gc.collect()
    gc.freeze()
    child = 0
    for line in sys.stdin:
        if (word := line.strip()) == "start":
            child = os.fork() or _run(config)
            print(child, flush=True)
        else:
            os.kill(child, ENDS[word])
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


def _run(config: Path) -> int:
    """Never comes back: the fork ends here."""
    status = 1
    try:
        run(config)
        status = 0
    except BaseException:  # noqa: BLE001 (whatever it is, it is shown, and the fork ends)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
