"""The forms of a gate's report: one function each, from a Report to the text of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitor.gate.model import Report
from monitor.gate.reports.as_json import as_json
from monitor.gate.reports.junit import junit
from monitor.gate.reports.loading import load_report, read_report
from monitor.gate.reports.markdown import markdown
from monitor.gate.reports.sarif import sarif
from monitor.gate.reports.terminal import text
from monitor.yamlfile import ConfigError

REPORTS: dict[str, Callable[[Report], str]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "md": markdown,
    "sarif": sarif,
}


def write(report: Report, form: str, path: Path) -> None:
    """Raises ConfigError when the file can't be written: a pipeline must not take an older one for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(REPORTS[form](report), encoding="utf-8")
    except OSError as error:
        raise ConfigError.at(path, f"can't be written: {error.strerror}") from None


__all__ = ["REPORTS", "load_report", "read_report", "write"]
