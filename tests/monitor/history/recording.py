"""Records cycles as fast as it can, until it is killed: `python -m tests.monitor.history.recording URL`."""

from __future__ import annotations

import itertools
import sys

from monitor.history import History
from tests.monitor.history.making import entry, probe


def main() -> None:
    store = History(sys.argv[1])
    store.create()
    for turn in itertools.count():
        at = 1000.0 + 7 * turn
        reason = "timeout" if turn % 5 == 0 else "ok"
        store.record([entry(at, probes=(probe(at, reason, duration=0.01 * (1 + turn % 9)),))])
        if not turn:
            print("recording", flush=True)


if __name__ == "__main__":
    main()
