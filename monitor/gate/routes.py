"""Which routes are promised to be closed without a token.

Production does not serve its OpenAPI document, so those of alerts/gate.yml count, and what the target says of
itself beside them: a route whose lock was taken off no longer says that it has one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from monitor.gate.asking import Asker

METHODS = ("get", "post", "put", "patch", "delete")
NOBODYS = "2147483647"
"""An id that nobody has: an open DELETE must delete nothing."""
OK = 200


class Route(NamedTuple):
    method: str
    path: str

    @property
    def filled(self) -> str:
        return re.sub(r"\{[^}]*\}", NOBODYS, self.path)

    @property
    def shape(self) -> str:
        """Whatever the parameters are called."""
        return f"{self.method} {re.sub(r'{[^}]*}', '{}', self.path)}"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Routes:
    def __init__(self, asker: Asker, listed: Collection[str]) -> None:
        self._asker = asker
        self._listed = listed
        self.sources = ["gate.yml"] if listed else []

    async def protected(self) -> list[Route]:
        """Empty when nobody says which they are."""
        found = [Route(*each.split(" ")) for each in self._listed]
        answer = await self._asker.ask("GET", "/openapi.json")
        if answer.status == OK and isinstance(served := answer.json(), dict):
            found += protected(served)
            self.sources.append("the served /openapi.json")
        return sorted({each.shape: each for each in found}.values())


def protected(document: dict[str, Any]) -> Iterator[Route]:
    """Of an OpenAPI document; an empty list of schemes takes off what holds for all operations."""
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method in METHODS and operation.get("security", document.get("security")):
                yield Route(method.upper(), path)
