"""The first thing to do, from a runbook: a page that says it saves whoever is woken up one link."""

from __future__ import annotations

import re
from functools import lru_cache

from monitor.resources import resource

_FIRST = re.compile(
    r"^## Now\s+(?:1\. |- )?(.+?)(?=\n(?:\d+\. |- |## |\n(?! ))|\Z)", re.MULTILINE | re.DOTALL
)
_MARKUP = str.maketrans("", "", "*`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@lru_cache(maxsize=1000)
def first_step(runbook: str) -> str:
    """What stands first under "## Now", as one line of plain text; "" for no such file or heading."""
    if runbook.startswith(("https://", "http://")):
        return ""
    try:
        found = _FIRST.search(resource(runbook).read_text())
    except (OSError, ValueError):
        return ""
    return _LINK.sub(r"\1", " ".join(found[1].split())).translate(_MARKUP) if found else ""
