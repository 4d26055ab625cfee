"""The agent itself was away: suspended, not running, or its clock was set. Nobody knows of that time.

What waited for its `for` begins anew, failures before and after are not "in a row", and nothing is said of
the target until the next look. A blocked event loop the prober sees by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from monitor.config import Target
from monitor.judge import STALE_AFTER_INTERVALS
from monitor.quantity import format_duration

JUMP = 2.0
"""Seconds by which the clock may differ from one that nobody sets, and that sleeps when the machine does."""


class Away(NamedTuple):
    """For how many seconds nobody looked; less than 0: by so much the clock was set back.

    `during`: while the probes were under way, so that what failed may have failed because of us.
    """

    seconds: float
    during: bool

    @property
    def why(self) -> str:
        if self.seconds < 0:
            return f"the agent's clock was set back by {format_duration(round(-self.seconds, 1))}"
        return f"the agent itself was away or stood still for {format_duration(round(self.seconds, 1))}"


def away(target: Target, looked_at: float | None, began: float, ended: float, took: float) -> Away | None:
    """None where one look followed another as it should.

    `looked_at` is when the one before ended; `took` is how long this one was by a clock that nobody sets.
    """
    if abs(jump := ended - began - took) > JUMP:
        return Away(jump, during=True)
    if looked_at is None or looked_at <= began <= looked_at + STALE_AFTER_INTERVALS * target.interval:
        return None
    return Away(began - looked_at, during=False)
