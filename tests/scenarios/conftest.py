"""Says in the end how much time was simulated, and how quickly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.stories import Totals

KEY = "simulated"


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    before = Totals.stories, Totals.seconds, Totals.cpu
    yield
    spent = (Totals.stories - before[0], Totals.seconds - before[1], Totals.cpu - before[2])
    request.node.user_properties.append((KEY, spent))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [each for some in terminalreporter.stats.values() for each in some]
    spent = [
        value
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, value in report.user_properties
        if name == KEY
    ]
    stories, seconds, cpu = (sum(each[index] for each in spent) for index in range(3))
    if stories:
        terminalreporter.write_line(
            f"{stories} histories played, {seconds / 3600:,.0f} simulated hours in {cpu:.1f} s of CPU: "
            f"{seconds / 60 / cpu:,.0f} hours per minute"
        )
