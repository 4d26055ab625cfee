"""The first thing to do, from a runbook: a page that says it saves whoever is woken up one link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from monitor.resources import resource

_FIRST = re.compile(
    r"^## Now\n\s*\n(?:1\. |- )?(.+?)(?=\n(?:\d+\. |- |## |\n(?! ))|\Z)", re.MULTILINE | re.DOTALL
)
_MARKUP = str.maketrans("", "", "*`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_COMMAND = re.compile(r"^ {4,}(\S.*?)(?:\s+# .*)?$")


@lru_cache(maxsize=1000)
def first_step(runbook: str) -> str:
    """What stands first under "## Now", as one line of plain text; "" for no such file or heading.

    Of commands that follow each other the first: in one line they would be one that nobody can run.
    """
    if runbook.startswith(("https://", "http://")):
        return ""
    try:
        found = _FIRST.search(resource(runbook).read_text())
    except (OSError, ValueError):
        return ""
    return _LINK.sub(r"\1", " ".join(_in_words(found[1]))).translate(_MARKUP) if found else ""


def _in_words(step: str) -> Iterator[str]:
    lines = iter(step.splitlines())
    for line in lines:
        if not (command := _COMMAND.match(line)):
            yield from line.split()
            continue
        yield command[1]
        quotes = command[1].count('"')
        while quotes % 2 and (more := next(lines, "").strip()):
            yield more
            quotes += more.count('"')
        return
