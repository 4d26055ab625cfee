"""Reads a JSON report back, as a pipeline kept it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from monitor.gate.model import SCHEMA_VERSION, Report
from monitor.mistakes import explained
from monitor.yamlfile import ConfigError, dotted

LARGEST = 16 * 1024 * 1024
_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


def read_report(path: Path) -> Report:
    """Raises ConfigError with the place of what is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError.at(path, f"can't be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ConfigError.at(path, f"larger than {LARGEST // 1024**2} MiB; is it the right file?")
    try:
        return load_report(content.decode())
    except ValueError as error:
        raise ConfigError.at(path, str(error)) from None


def load_report(text: str) -> Report:
    """Raises ValueError that says where it is wrong."""
    try:
        written = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("not a report of a gate: nested too deeply") from None
    if not isinstance(written, dict) or "version" not in written:
        raise ValueError("not a report of a gate: `paciolus-monitor gate --json FILE` writes one")
    if (version := written["version"]) != SCHEMA_VERSION:
        raise ValueError(f"version {version!r}; this program reads version {SCHEMA_VERSION}")
    try:
        return _REPORT.validate_python(_with_seconds(written))
    except ValidationError as error:
        place, message = next(explained(error))
        raise ValueError(f"{dotted(place)}: {message}") from None


def _with_seconds(written: dict[str, Any]) -> dict[str, Any]:
    """Times as the model has them."""
    return {
        **written,
        **{key: _seconds(written[key]) for key in ("began", "ended") if key in written},
        "waivers": [_waiver(each) for each in _listed(written, "waivers")],
        "results": [
            {**each, "waiver": _waiver(each.get("waiver"))} if isinstance(each, dict) else each
            for each in _listed(written, "results")
        ],
    }


def _listed(written: dict[str, Any], key: str) -> Any:
    found = written.get(key)
    if not isinstance(found, list):
        raise ValueError(f"{key}: expected a list")  # noqa: TRY004
    return found


def _waiver(written: Any) -> Any:
    if not isinstance(written, dict) or "expires" not in written:
        return written
    return {**written, "expires": _seconds(written["expires"])}


def _seconds(written: object) -> float:
    try:
        found = datetime.fromisoformat(str(written))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(f"expected a time such as 2026-11-27T06:00:00Z, got {str(written)[:80]!r}")
    return found.timestamp()
