"""`paciolus-monitor break` and `heal`: orders to the demo that runs in another terminal."""

from __future__ import annotations

import difflib
import sys

import httpx

from monitor.demo.faults import FAULTS
from monitor.demo.inbox import TOKEN_HEADER
from monitor.demo.runfolder import find

DONE, NOT_DONE, NO_SUCH_FAULT = 0, 1, 2
PATIENCE = 40.0
"""Seconds; the slowest order restarts the API."""


def ask_running(action: str, name: str) -> int:
    if name and name not in FAULTS:
        return _said(f"{_no_such(name)}\n{fault_list()}", NO_SUCH_FAULT)
    if action == "break" and not name:
        return _said(fault_list(), DONE)
    running = find()
    if running is None:
        return _said("No demo is running. Start one in another terminal: paciolus-monitor demo", NOT_DONE)
    if not running.url:
        return _said(f"The demo (pid {running.pid}) is still starting. Try again in a few seconds.", NOT_DONE)
    try:
        answer = httpx.post(
            f"{running.url}/{action}/{name}".rstrip("/"),
            headers={TOKEN_HEADER: running.token},
            timeout=PATIENCE,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        return _said(f"The demo (pid {running.pid}) doesn't answer: {error}", NOT_DONE)
    return _said(answer.text, DONE if answer.is_success else NOT_DONE)


def fault_list() -> str:
    width = max(map(len, FAULTS))
    return "\n".join(f"  {name:{width}}  {fault.says}" for name, fault in FAULTS.items())


def _no_such(name: str) -> str:
    close = difflib.get_close_matches(name, FAULTS, n=1)
    cure = f" Did you mean {close[0]}?" if close else ""
    return f"There is no fault called {name}.{cure} There are:"


def _said(text: str, status: int) -> int:
    print(text, file=sys.stderr if status else sys.stdout)
    return status
