"""The demo: an API, its agent, an inbox and traffic on this machine, and faults that come from outside."""

from __future__ import annotations

from typing import Literal

from monitor.interruption import Interruption


def tell(*, once: bool) -> int:
    """The exit status: 0 when the story happened, 1 when something was missing, 2 when a demo runs already.

    Interrupted before its end: 128 and the signal's number.
    """
    interruption = Interruption()
    interruption.arm()
    from monitor.demo.performance import perform

    return perform(once, interruption)


def ask(action: Literal["break", "heal"], name: str) -> int:
    """Has the running demo break or heal something. The exit status: 0 done, 1 not done, 2 no such fault."""
    from monitor.demo.remote import ask_running

    return ask_running(action, name)
