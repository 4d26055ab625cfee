"""What GitHub shows of a job: its step summary, annotations at the lines that make the claims, and outputs.

GitHub keeps ten annotations of each level from a step, and drops a summary of more than 1 MiB whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from monitor.gate.model import Report, Result
from monitor.gate.reports import words
from monitor.gate.reports.markdown import markdown
from monitor.gate.reports.words import Standing
from monitor.yamlfile import ConfigError

MOST_ANNOTATIONS = 10
LARGEST_SUMMARY = 1024 * 1024
LONGEST_MESSAGE = 2000
CUT = "\n\n(cut here: GitHub takes no more; the JSON report is whole)\n"
LEVELS = {Standing.FAIL: "error", Standing.INCONCLUSIVE: "warning", Standing.WAIVED: "warning"}

Echo = Callable[[str], None]


def publish(report: Report, environ: Mapping[str, str], echo: Echo) -> None:
    """Raises ConfigError when a file that GitHub names can't be written."""
    for line in annotated(report):
        echo(line)
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(path), summary(report, environ, _size(Path(path))))
    if path := environ.get("GITHUB_OUTPUT"):
        outcome = words.outcome(report)[0].lower()
        _append(Path(path), f"outcome={outcome}\nexit={int(report.exit())}\n")


@contextmanager
def quoted(echo: Echo) -> Iterator[None]:
    """Nothing printed within is a workflow command, whatever a target said in it."""
    token = secrets.token_hex(16)
    echo(f"::stop-commands::{token}")
    try:
        yield
    finally:
        echo(f"::{token}::")


def annotated(report: Report) -> Iterator[str]:
    for level in ("error", "warning"):
        found = [each for each in report.results if LEVELS.get(words.standing(each)) == level]
        shown = found if len(found) <= MOST_ANNOTATIONS else found[: MOST_ANNOTATIONS - 1]
        yield from (_annotation(level, each) for each in shown)
        if more := found[len(shown) :]:
            names = ", ".join(words.plain(each.check) for each in more)
            yield f"::{level} title=gate::{_data(f'and {len(more)} more, in the summary: {names}')}"


def _annotation(level: str, result: Result) -> str:
    title = f"gate: {words.plain(result.check)} {words.standing(result)}"
    properties = {"title": title}
    if (place := words.where(result)) and not place.path.startswith("/"):
        properties = {"file": place.path, "line": str(place.line or 1), **properties}
    told = "\n".join([words.plain(result.claim), *words.evidence(result), *map(words.asked, result.asked)])
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {written}::{_data(told[:LONGEST_MESSAGE])}"


def summary(report: Report, environ: Mapping[str, str], there_already: int = 0) -> str:
    """At most so much that the whole file, `there_already` bytes long, is not too large."""
    text = markdown(report, _base(environ))
    room = LARGEST_SUMMARY - there_already
    if len(text.encode()) <= room:
        return text
    kept = text.encode()[: max(0, room - len(CUT.encode()))].decode(errors="ignore")
    return kept.rpartition("\n")[0] + CUT if kept else ""


def _base(environ: Mapping[str, str]) -> str:
    server, repository, commit = (
        environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "SHA")
    )
    return f"{server}/{repository}/blob/{commit}/" if server and repository and commit else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError.at(path, f"can't be written: {error.strerror}") from None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
