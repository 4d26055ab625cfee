"""What is written from alerts/objectives.yml: it is up to date, and it follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor import render
from monitor.__main__ import app
from monitor.resources import ROOT


def copied_house(folder: Path) -> None:
    """As much of the house as rendering reads and writes."""
    for name in ("alerts/objectives.yml", *render.RENDERED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "docs" / "runbooks").symlink_to(ROOT / "docs" / "runbooks")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied_house(tmp_path)
    monkeypatch.setattr(render, "ROOT", tmp_path)
    return tmp_path


def test_what_is_committed_is_up_to_date() -> None:
    checked = CliRunner().invoke(app, ["render", "--check"])
    assert (checked.exit_code, checked.output) == (0, "")


def test_a_changed_threshold_shows_everywhere_and_is_told_readably(house: Path) -> None:
    objectives = house / "alerts" / "objectives.yml"
    objectives.write_text(objectives.read_text().replace("breach: above 100/min", "breach: above 90/min"))
    checked = CliRunner().invoke(app, ["render", "--check"])
    assert checked.exit_code == 1
    changed = [line for line in checked.output.splitlines() if re.match(r"[-+](?![-+])", line)]
    assert '-      "title": "Failed logins, alert when above 100/min",' in changed
    assert '+      "title": "Failed logins, alert when above 90/min",' in changed
    assert '+                "value": 90.0' in changed
    assert any(line.startswith("-| [failed-logins]") and "| above 100/min |" in line for line in changed)
    assert any(line.startswith("+| [failed-logins]") and "| above 90/min |" in line for line in changed)
    assert only_numbers_differ(dashboards_of(checked.output))

    assert CliRunner().invoke(app, ["render"]).exit_code == 0
    assert CliRunner().invoke(app, ["render", "--check"]).exit_code == 0


def dashboards_of(diff: str) -> list[str]:
    """The removed and added lines of the files in dashboards/."""
    files = re.split(r"^(?=--- )", diff, flags=re.MULTILINE)
    ours = [line for file in files if file.startswith("--- dashboards/") for line in file.splitlines()]
    return [line for line in ours if re.match(r"[-+](?![-+])", line)]


def only_numbers_differ(changed: list[str]) -> bool:
    removed, added = (
        [re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", line[1:]) for line in changed if line[0] == sign]
        for sign in "-+"
    )
    return bool(removed) and sorted(removed) == sorted(added)


def test_a_missing_file_is_out_of_date(house: Path) -> None:
    (house / "docs" / "thresholds.md").unlink()
    assert "+# Thresholds" in render.out_of_date()
