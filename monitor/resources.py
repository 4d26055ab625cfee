"""Files that travel with the package: objectives, dashboards, runbooks."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_resources"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
"""Inside the package when it was installed from a wheel, else the root of the checkout."""


def resource(*parts: str) -> Path:
    """`resource("alerts", "objectives.yml")`; the path is absolute, and nothing checks that it exists."""
    return ROOT.joinpath(*parts)
