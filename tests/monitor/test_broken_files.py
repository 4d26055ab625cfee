"""Every way to get a file wrong has a file of its own in tests/testdata/, its exact messages beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import load_config
from monitor.objectives import load_objectives
from monitor.yamlfile import ConfigError

TESTDATA = Path(__file__).parents[1] / "testdata"
ENVIRONMENT = {"SECRET": "hunter2 and more"}


def broken(folder: str) -> list[str]:
    return sorted(path.stem for path in (TESTDATA / folder).glob("*.yml"))


@pytest.mark.parametrize("name", broken("objectives"))
def test_objectives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TESTDATA / "objectives")
    with pytest.raises(ConfigError) as caught:
        load_objectives(Path(f"{name}.yml"))
    assert str(caught.value) + "\n" == Path(f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", broken("monitor"))
def test_monitor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TESTDATA / "monitor")
    with pytest.raises(ConfigError) as caught:
        load_config(Path(f"{name}.yml"), ENVIRONMENT)
    assert str(caught.value) + "\n" == Path(f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("folder", ["objectives", "monitor"])
def test_every_message_belongs_to_a_file(folder: str) -> None:
    assert sorted(path.stem for path in (TESTDATA / folder).glob("*.txt")) == broken(folder)


def test_no_message_shows_what_the_environment_held() -> None:
    for path in (TESTDATA / "monitor").glob("*.txt"):
        assert "hunter2" not in path.read_text("utf-8"), path.name
