"""Whenever the agent is killed, raw rows and what was rolled up from them agree."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from monitor.history import History, ProbeRow
from monitor.history.rollup import SPANS, Rollup, rolled
from monitor.history.tables import failures, probe_results, rollups
from tests.monitor.history.test_rollups import API, rounded


def kill_while_recording(url: str, after: float) -> None:
    command = [sys.executable, "-m", "tests.monitor.history.recording", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"recording\n"
            time.sleep(after)
        finally:
            process.send_signal(signal.SIGKILL)


def agree(url: str) -> int:
    """The number of probes in the store."""
    store = History(url)
    with store.engine.connect() as connection:
        raw = connection.execute(sa.select(probe_results)).all()
        probes = [
            ProbeRow(e.at, e.target, e.check, e.reason, e.detail, e.duration, e.status, e.interval)
            for e in raw
        ]
        found = {(e.span, e.at): rounded(Rollup.stored(e)) for e in connection.execute(sa.select(rollups))}
        failed = connection.execute(sa.select(sa.func.count()).select_from(failures)).scalar_one()
    assert found == {
        (span, at): rounded(each) for (span, _, at), each in rolled(probes, {API: 1}, SPANS).items()
    }
    assert failed == sum(probe.reason != "ok" for probe in probes)
    assert list(store.successes(0)) == [(e.target, e.check, e.at, e.reason == "ok") for e in sorted(probes)]
    store.close()
    return len(probes)


def kill_and_compare(url: str, times: int) -> None:
    dice = random.Random(times)
    before = 0
    for _ in range(times):
        kill_while_recording(url, dice.uniform(0.0, 0.3))
        after = agree(url)
        assert after > before
        before = after


def test_killed_once(url: str) -> None:
    kill_and_compare(url, 1)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_killed_at_fifty_moments(url: str) -> None:
    kill_and_compare(url, 50)
