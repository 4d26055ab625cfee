"""A new configuration under a running agent: what stays, what ends and begins, what a bad file changes."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from monitor.alerting import Key, State
from monitor.filewatch import FileWatch
from monitor.notify.resend import Resend, Resends
from monitor.recorder import Trouble
from monitor.reload import TRY_AGAIN_EVERY
from tests.inbox import Inbox, run_inbox
from tests.monitor.reloading import FEW, Watching, watched
from tests.servers import eventually, free_port


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


def hook(inbox: Inbox, **changes: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": inbox.url, **changes}


@pytest.fixture
async def made(tmp_path: Path, inbox: Inbox) -> AsyncIterator[Watching]:
    """Two targets, of which `api` is down and was paged."""
    made = Watching(tmp_path, {"on-call": hook(inbox)})
    await made.look(times=2)
    made.down = {"api"}
    await made.look(times=4)
    assert inbox.story == [("firing", "target-down")]
    yield made
    await made.close()


def objectives_with(folder: Path, *changes: tuple[str, str]) -> str:
    text = FEW
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "objectives.yml").write_text(text)
    return "objectives.yml"


def section(name: str) -> str:
    """Of one objective, as it stands in the shipped file."""
    _, _, rest = FEW.partition(f"  - name: {name}\n")
    return f"  - name: {name}\n" + rest.partition("\n  - name: ")[0] + "\n"


async def test_what_stays_goes_on_as_if_nothing_had_happened(made: Watching, inbox: Inbox) -> None:
    before, series = dict(made.agent.cycle.alerting.alerts), len(made.agent.cycle.memory)
    talks = dict(made.agent.cycle.dispatch.conversations)
    receiver = made.agent._receivers["on-call"]
    made.write(targets=[*made.settings["targets"], watched("new")])
    assert await made.agent.reload.once()
    assert (made.agent.cycle.alerting.alerts, len(made.agent.cycle.memory)) == (before, series)
    assert made.agent.cycle.dispatch.conversations == talks
    assert made.agent._receivers["on-call"] is receiver
    await made.look(times=5)
    made.down = set()
    await made.look(times=5)
    assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]
    assert len({each.fingerprint for each in inbox.notices}) == 1
    assert made.metric("probe_success", target="new", check="health") == 1


async def test_a_removed_target_is_resolved_to_those_who_were_told_and_forgotten(
    made: Watching, inbox: Inbox
) -> None:
    made.write(targets=[watched("db")])
    assert await made.agent.reload.once()
    await made.deliver()
    assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]
    assert inbox.notices[1].annotations["reason"] == "it is no longer watched"
    said = "api: Health checks failed in a row: no longer watched; last seen at 4"
    assert inbox.notices[1].annotations["summary"] == said
    cycle = made.agent.cycle
    assert list(cycle.conditions) == ["db"]
    assert list(cycle.memory._targets) == ["db"]
    assert cycle.memory.last_good("api", "health") is None
    assert cycle.alerting.alerts == {}
    assert cycle.facts._seen.keys() == {"db"}
    assert made.metrics('target="api"') == []
    assert made.agent._history.standing_alerts() == []
    await made.look(times=3)
    made.agent = made.start()
    await made.look(times=3)
    assert len(inbox.story) == 2


async def test_a_removed_objective_ends_its_alert_and_no_other(made: Watching, inbox: Inbox) -> None:
    file = objectives_with(made.folder, (section("target-down"), ""), ("inhibited_by: target-down\n", "\n"))
    made.write(objectives=file)
    assert await made.agent.reload.once(), list(made.agent.reload.notes())
    await made.deliver()
    assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]
    assert made.metrics('objective="target-down"') == made.metrics('alert="target-down"') == []
    assert made.metric("objective_value", target="db", objective="health-latency") is not None
    await made.look(times=3)
    assert "target-down" not in [name for _, name in inbox.story[2:]]


async def test_a_changed_threshold_is_judged_at_the_next_cycle(made: Watching) -> None:
    rule = section("target-down")
    told = next(iter(made.agent.cycle.alerting.alerts.values()))
    assert told.threshold == "at least 3"
    made.write(
        objectives=objectives_with(
            made.folder, (rule, rule.replace("breach: at least 3", "breach: at least 4000"))
        )
    )
    assert await made.agent.reload.once(), list(made.agent.reload.notes())
    (alert,) = [each for each in made.agent.cycle.alerting.alerts.values() if each.key == told.key]
    assert (alert.state, alert.threshold) == (State.FIRING, "at least 4000")
    await made.look()
    assert "BREACH" not in [
        each.verdict
        for each in made.agent.cycle.conditions["api"].readings
        if each.objective.name == "target-down"
    ]
    assert made.metric("objective_threshold", target="api", objective="target-down") == 4000


async def test_a_removed_check_takes_along_what_it_brought(made: Watching) -> None:
    alone = watched("db")
    del alone["checks"]["health"]
    made.write(targets=[watched("api"), alone])
    assert await made.agent.reload.once()
    assert made.metric("probe_success", target="db", check="health") is None
    assert made.metric("probe_success", target="db", check="build") == 1
    assert made.agent.cycle.memory.last_good("db", "health") is None
    assert "health" not in made.agent.cycle.conditions["db"].outcomes
    assert made.metric("probe_success", target="api", check="health") == 0


async def test_a_bad_file_changes_nothing_and_says_so(
    made: Watching, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    config, good = made.agent.cycle.config, made.file.read_text()
    assert made.metric("monitor_config_last_reload_successful") == 1
    loaded_at = made.metric("monitor_config_last_reload_success_timestamp_seconds")
    made.file.write_text(good.replace('"targets"', '"tragets"'))
    made.now += 60
    faults = made.agent.working.faults()
    for _ in range(3):
        assert not await made.agent.reload.once()
    assert made.agent.cycle.config is config
    said = "monitor.yml:1: tragets: unknown key; did you mean 'targets'?"
    errors = [each for each in caplog.messages if "mistakes" in each]
    assert len(errors) == 1
    assert said in errors[0]
    (note,) = made.agent.working.notes()
    assert said in note
    assert made.agent.working.faults() == faults
    assert made.metric("monitor_config_last_reload_successful") == 0
    assert made.metric("monitor_config_last_reload_success_timestamp_seconds") == loaded_at
    made.file.write_text(good)
    assert await made.agent.reload.once()
    assert made.agent.working.notes() == []
    assert made.metric("monitor_config_last_reload_successful") == 1
    assert made.metric("monitor_config_last_reload_success_timestamp_seconds") == made.now
    await made.look()
    assert len(inbox.story) == 1


@pytest.mark.parametrize("what", ["gone", "empty", "objectives"])
async def test_whatever_is_wrong_the_agent_goes_on(made: Watching, what: str) -> None:
    before = made.agent.cycle.config
    if what == "gone":
        made.file.unlink()
    elif what == "empty":
        made.file.write_text("")
    else:
        (made.folder / "objectives.yml").write_text("version: 1\nobjectives: [{name: x}]\n")
        made.write(objectives="objectives.yml")
    assert not await made.agent.reload.once()
    assert made.agent.cycle.config is before
    assert len(made.agent.working.notes()) == 1
    await made.look()


async def test_what_takes_a_restart_keeps_its_value_and_is_named(
    made: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    before = made.agent.cycle.config
    made.write(listen="127.0.0.1:1", database="sqlite:///other.db", targets=[watched("db", interval="20s")])
    assert await made.agent.reload.once()
    after = made.agent.cycle.config
    assert (after.host, after.port, after.database) == (before.host, before.port, before.database)
    assert after.targets[0].interval == 20
    assert made.agent.working.notes() == [
        "listen has changed in monitor.yml: restart the agent",
        "database has changed in monitor.yml: restart the agent",
    ]
    assert "listen has changed, and needs a restart; all else is in force" in caplog.text
    assert "other.db" not in caplog.text
    made.write(listen=f"{before.host}:{before.port}", database=f"sqlite:///{made.folder / 'agent.db'}")
    assert await made.agent.reload.once()
    assert made.agent.working.notes() == []


async def test_a_target_that_was_taken_out_by_mistake_has_its_past_again(made: Watching) -> None:
    assert len(made.agent.cycle.memory.of("db")) > 0
    both = made.settings["targets"]
    del made.settings["objectives"]  # of the package: they remember each probe for a month
    made.write(targets=[watched("api")])
    assert await made.agent.reload.once()
    made.now += 3600
    await made.look()
    made.write(targets=both)
    assert await made.agent.reload.once()
    (series,) = [
        each
        for name, kept in made.agent.cycle.memory.of("db")._by_name.items()
        for each in kept.values()
        if name == "probe_success" and each.labels["check"] == "health"
    ]
    assert len(series) == 6
    assert made.agent.cycle.facts.deploys.latest("db") is not None
    still = made.metric("monitor_standstill_seconds_total")
    await made.look(times=2)
    assert made.metric("monitor_standstill_seconds_total") == still  # that nobody watched it was on purpose
    assert made.metric("objective_verdict", target="db", objective="target-down", verdict="OK") == 1


async def test_what_waits_for_a_receiver_goes_through_the_new_one_of_its_name(
    made: Watching, inbox: Inbox
) -> None:
    with run_inbox() as other:
        made.write(targets=[watched("db")])
        assert await made.agent.reload.once()  # the resolve waits
        old = made.agent._receivers._current["on-call"]
        made.write(notify={"on-call": hook(other)})
        assert await made.agent.reload.once()
        await made.agent.reload._tidy()
        assert old.notifier._poster._client.is_closed  # type: ignore[attr-defined]
        await made.deliver()
        assert (len(inbox.story), other.story) == (1, [("resolved", "target-down")])


async def test_a_removed_receiver_is_closed_when_it_has_been_sent_what_waits(
    made: Watching, inbox: Inbox
) -> None:
    old = made.agent._receivers._current["on-call"]
    with run_inbox() as other:
        made.write(targets=[watched("db")], notify={"chat": hook(other)})
        assert await made.agent.reload.once()
        await made.agent._recorder.flush_all()
        for _ in range(3):
            await made.agent.reload._tidy()
        assert "on-call" in made.agent._receivers
        await made.deliver()
        assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]
        for _ in range(3):
            await made.agent.reload._tidy()
        assert "on-call" not in made.agent._receivers
        assert old.notifier._poster._client.is_closed  # type: ignore[attr-defined]
        assert made.metrics('notifier="on-call"') == []
        assert other.story == []


async def test_a_receiver_is_not_closed_while_it_sends() -> None:
    from monitor.notify.receivers import Receivers
    from tests.monitor.making import notifier

    receivers = Receivers([notifier("a", url="http://127.0.0.1:9")], {})
    old, free = receivers._current["a"], asyncio.Event()

    async def slowly(_body: str, _key: str) -> str:
        await free.wait()
        return "taken"

    old.notifier.send = slowly  # type: ignore[assignment,method-assign]
    sending = asyncio.create_task(receivers["a"].send("", ""))
    await asyncio.sleep(0)
    receivers.configure(receivers.made([notifier("a", url="http://127.0.0.1:10")], {}))
    await receivers.tidy(())
    assert not old.notifier._poster._client.is_closed  # type: ignore[attr-defined]
    free.set()
    assert await sending == "taken"
    await receivers.tidy(())
    assert old.notifier._poster._client.is_closed  # type: ignore[attr-defined]
    await receivers.close()


async def test_a_new_receiver_hears_what_still_fires(made: Watching) -> None:
    with run_inbox() as other:
        made.write(notify={**made.settings["notify"], "chat": hook(other)})
        assert await made.agent.reload.once()
        await made.look()
        assert other.story == [("firing", "target-down")]


async def test_the_agents_own_alerts_outlive_it_but_for_those_about_a_receiver_that_is_gone(
    made: Watching, inbox: Inbox
) -> None:
    """The store's trouble goes on, the receiver's ends."""
    broken = {"kind": "webhook", "url": f"http://127.0.0.1:{free_port()}"}
    made.write(notify={"on-call": hook(inbox), "broken": broken})
    assert await made.agent.reload.once()
    made.agent._recorder.trouble = Trouble(made.now - 3600, "disk full")
    made.agent._outbox.reached.failed("broken", "key", made.now - 3600, "refused", for_good=True)
    for _ in range(3):
        made.agent.cycle.tick()
        made.now += 60
    await made.agent._outbox.send_due()
    own = ("store-refusing", "notifications-failing")
    assert sorted(name for _, name in inbox.story if name in own) == sorted(own)
    standing = dict(made.agent.cycle.alerting.alerts)
    made.write(notify={"on-call": hook(inbox)})
    assert await made.agent.reload.once()
    assert {key for key in standing if key not in made.agent.cycle.alerting.alerts} == {
        Key("notifications-failing", "monitor", "broken")
    }
    made.agent.cycle.tick()
    await made.agent._outbox.send_due()
    assert [each for each in inbox.story if each[1] in own][2:] == [("resolved", "notifications-failing")]


@pytest.mark.parametrize(
    ("targets", "asked", "judged"),
    [
        ([watched("api"), watched("db"), watched("new")], 2, True),
        ([watched("api", url="http://elsewhere"), watched("db")], 4, True),
        ([watched("db")], 2, False),
    ],
    ids=["unchanged", "changed", "removed"],
)
async def test_a_cycle_under_way_belongs_to_one_configuration(
    made: Watching, targets: list[dict[str, Any]], asked: int, judged: bool
) -> None:
    """It counts if the new one would have asked the same; else it begins again, or is none."""
    made.held = asyncio.Event()
    made.asked.clear()
    schedule, api = made.agent._schedule, made.agent.cycle.config.targets[0]
    schedule._targets = {each.name: each for each in made.agent.cycle.config.targets}
    made.now += 30
    await schedule.fire([api], 30.0, made.now)
    await asyncio.sleep(0)
    made.write(targets=targets)
    assert await made.agent.reload.once()
    await asyncio.sleep(0.01)
    made.held.set()
    await eventually(lambda: not schedule._running)
    assert len(made.asked) == asked
    assert made.asked[-1].startswith(targets[0]["url"]) or not judged
    looked_at = made.agent.cycle.conditions["api"].looked_at if judged else None
    assert (looked_at == made.now) is judged
    assert ("api" in made.agent.cycle.memory._targets) is judged
    await schedule_stopped(made)


async def schedule_stopped(made: Watching) -> None:
    made.agent._schedule._cancel_timers()


@pytest.mark.parametrize("reloads", [15, pytest.param(50, marks=pytest.mark.nightly)])
async def test_many_reloads_leave_nothing_behind(tmp_path: Path, inbox: Inbox, reloads: int) -> None:
    made = Watching(tmp_path, {"on-call": hook(inbox)})
    everything = made.agent
    sizes = []
    running = [
        asyncio.create_task(everything._resends.run()),
        asyncio.create_task(everything._heartbeat.run()),
    ]
    for number in range(reloads):
        names = [f"target-{number}-{each}" for each in range(3)]
        made.down = {names[0]}
        # A receiver that changes each time, with a connection that it has opened.
        made.write(
            targets=[watched("api"), *map(watched, names)],
            notify={"on-call": hook(inbox, timeout=f"{number + 1}s"), f"other-{number}": {"kind": "log"}},
        )
        assert await everything.reload.once()
        await made.look(names[0], times=3)
        for _ in range(3):
            await everything.reload._tidy()
        if number % (reloads // 5) == reloads // 5 - 1:
            await made.look()
            sizes.append(await size(made))
    firing = [notice for notice in inbox.notices if notice.status == "firing"]
    assert len(firing) == reloads
    files = [each.pop("files") for each in sizes]
    assert all(each.pop("jobs") <= 4 for each in sizes)  # names may share a slot
    assert sizes[1:] == [sizes[1]] * 4
    assert files[-1] <= files[1] + 5  # the inbox's threads come and go
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await made.close()


async def size(made: Watching) -> dict[str, int]:
    """Conversations are remembered for an hour."""
    made.now += 4000
    made.agent.cycle.tick()
    await made.deliver()
    gc.collect()
    cycle, dispatch = made.agent.cycle, made.agent.cycle.dispatch
    return {
        "tasks": len(asyncio.all_tasks()),
        "files": psutil.Process(os.getpid()).num_fds(),
        "series": len(cycle.memory),
        "conditions": len(cycle.conditions),
        "conversations": len(dispatch._kept),
        "firing": len(dispatch._firing),
        "known": len(dispatch._dependencies._known),
        "alerting": len(cycle.alerting._standing) + len(cycle.alerting._blind_since),
        "facts": len(cycle.facts._seen) + len(cycle.facts.deploys._running),
        "metrics": sum(len(each.samples) for each in made.agent.metrics.registry.collect()),
        "shown": len(made.agent.metrics._shown),
        "receivers": len(made.agent._receivers) + len(made.agent._receivers._replaced),
        "jobs": len(made.agent._schedule._jobs),
        "since": len(made.agent.working._since),
    }


async def test_alertmanagers_are_told_again_by_those_of_the_configuration_alone() -> None:
    """However often it changes."""
    running: set[int] = set()

    class Rounds:
        def __init__(self, number: int) -> None:
            self.number = number

        async def run(self) -> None:
            running.add(self.number)
            try:
                await asyncio.Event().wait()
            finally:
                running.discard(self.number)

    numbers = iter(range(1000))
    resends = Resends(lambda: [cast("Resend", Rounds(next(numbers))) for _ in range(2)])
    task, others = asyncio.create_task(resends.run()), len(asyncio.all_tasks())
    for number in range(50):
        for _ in range(10):
            await asyncio.sleep(0)
        assert running == {2 * number, 2 * number + 1}
        assert len(asyncio.all_tasks()) == others + 2
        resends.renew()
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert not running


async def test_it_looks_at_its_files_and_takes_up_what_has_stood_still(made: Watching) -> None:
    watch = FileWatch([made.file])
    assert not watch.look()
    made.write(links={"runbooks": "https://example.com"})
    assert not watch.look()
    made.write(links={"runbooks": "https://example.com/it-was-not-finished"})
    assert not watch.look()
    assert watch.look()
    watch.tried({made.file: ""})
    assert not watch.look()
    made.file.touch()
    assert not watch.look()
    assert watch.look()


def test_the_same_content_in_a_new_file_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text("one")
    watch = FileWatch([file])
    (tmp_path / "other").write_text("one")
    (tmp_path / "other").rename(file)
    assert [watch.look() for _ in range(3)] == [False, False, False]
    (tmp_path / "other").write_text("two")
    (tmp_path / "other").rename(file)
    assert [watch.look() for _ in range(3)] == [False, True, False]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As mounted configuration is changed in Kubernetes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "monitor.yml").write_text(name)
    (tmp_path / "data").symlink_to("one")
    watch = FileWatch([tmp_path / "data" / "monitor.yml"])
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert [watch.look() for _ in range(2)] == [False, True]


async def test_what_a_refused_file_lacked_is_looked_for_again(
    made: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitor import reload

    monkeypatch.setattr(reload, "LOOK_EVERY", 0.01)
    made.write(objectives="later.yml")
    running = asyncio.create_task(made.agent.reload.run())
    made.agent.reload.ask()
    await eventually(made.agent.working.notes)
    (made.folder / "later.yml").write_text(FEW)
    made.now += TRY_AGAIN_EVERY
    await eventually(lambda: not made.agent.working.notes())
    running.cancel()
    await asyncio.wait([running])
    assert made.agent.cycle.config.objectives == made.folder / "later.yml"


async def test_windows_are_as_short_as_they_were(made: Watching) -> None:
    made.write(shorten_windows=60, targets=[watched("api", interval="200ms")])
    assert await made.agent.reload.once()
    assert made.agent.working.notes() == ["shorten_windows has changed in monitor.yml: restart the agent"]
    assert made.agent.cycle.objectives.by_name("health-latency").window == 300


async def test_hundreds_of_targets_come_and_go_without_a_trace(made: Watching) -> None:
    few, many = made.settings["targets"], [watched(f"api-{number}") for number in range(200)]
    before = [each for metric in made.agent.metrics.registry.collect() for each in metric.samples]
    made.write(targets=[*few, *many])
    assert await made.agent.reload.once()
    born = made.metric("probe_results_total", target="api-199", check="health", reason="connect")
    assert born == 0  # so that the first failure is an increase
    made.write(targets=few)
    assert await made.agent.reload.once()
    after = [each for metric in made.agent.metrics.registry.collect() for each in metric.samples]
    assert [(each.name, each.labels) for each in after] == [(each.name, each.labels) for each in before]
    await made.agent.reload._tidy()
    assert made.agent.metrics._dropped == []
