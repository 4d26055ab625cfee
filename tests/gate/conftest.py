"""The shipped API and the gate as processes that the end of a test stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.gate import pipeline
from tests.gate.pipeline import Api, Ran

StartApi = Callable[..., Api]
RunGate = Callable[..., Ran]


@pytest.fixture
def api(process: StartProcess, postgres_database: Callable[[], str]) -> StartApi:
    """As pipeline.start_api, on a database of its own."""

    def start(target: str = "tests.gate.defects:healthy", env: Mapping[str, str] | None = None) -> Api:
        return pipeline.start_api(process, postgres_database(), target, env)

    return start


@pytest.fixture
def run_gate(process: StartProcess, tmp_path: Path) -> RunGate:
    return partial(pipeline.run_gate, process, tmp_path)
