"""What counts as bad, as invalid, as nothing, and how asking ends: in simulated time, and real servers."""

from __future__ import annotations

import asyncio
import time
from itertools import chain, cycle, repeat

import numpy as np
import pytest

from exporters.http import Prober, Reason, Request
from monitor.gate.model import Asked, Cause
from monitor.gate.sample import DOWN, PAUSES, SHOWN, WARM_UP, Answer, Claim, answered, sample
from monitor.gate.sequential import Verdict, planned
from tests.exporters.loopback import OK, Conversation, is_silent, says, serving
from tests.gate.asking import ERROR, GOOD, REFUSED, SLOW, World, answer, then
from tests.servers import free_port

HANGS = answer(5.0, failed=True, timeout=True)


async def test_a_healthy_target_passes_as_early_as_the_test_allows() -> None:
    found = await World(repeat(GOOD)).sampled()
    assert (found.verdict, found.cause, found.missing) == (Verdict.PASS, None, 0)
    assert (found.bad, found.of, found.requests) == (0, 86, 86)
    assert found.bound is not None
    assert found.bound < 0.05
    assert found.seconds == pytest.approx(0.86)
    assert found.evidence.window == found.seconds


@pytest.mark.parametrize(
    "bad", [ERROR, HANGS, answer(SLOW), answer(3.0)], ids=["500", "hangs", "at it", "slow"]
)
async def test_errors_missed_deadlines_and_slow_answers_are_bad(bad: Answer) -> None:
    found = await World(repeat(bad)).sampled()
    assert (found.verdict, found.bad, found.of) == (Verdict.FAIL, 4, 4)
    assert found.bound is not None
    assert found.bound > 0.05
    assert found.asked[0] == bad.asked


async def test_without_a_limit_no_answer_is_too_slow() -> None:
    assert (await World(repeat(answer(0.3))).sampled(slow=float("inf"))).verdict is Verdict.PASS


async def test_claims_share_requests_and_each_stops_when_it_is_decided() -> None:
    """A slow service that errs never: too slow for the one, and good for the other."""
    quick, right = await World(repeat(answer(0.3))).judged(Claim(planned(0.05), SLOW), Claim(planned(0.05)))
    assert (quick.verdict, quick.bad, quick.of) == (Verdict.FAIL, 4, 4)
    assert (right.verdict, right.bad, right.of) == (Verdict.PASS, 0, 86)
    assert quick.requests == right.requests == 86


async def test_the_warm_up_is_told_apart_and_not_judged() -> None:
    found = await World(then(answer(2.5), ERROR, HANGS)).sampled(warm_up=WARM_UP)
    assert found.verdict is Verdict.PASS
    assert (found.bad, found.requests) == (0, 86 + WARM_UP)
    assert found.cold is not None
    assert found.cold.seconds == 2.5
    assert "cold start 2.5 s" in found.aside


async def test_in_the_middle_it_runs_out() -> None:
    test = planned(0.05)
    found = await World(cycle([ERROR, *[GOOD] * 24])).sampled()
    assert (found.verdict, found.cause, found.of) == (Verdict.INCONCLUSIVE, None, test.most)
    assert found.missing > 0


async def test_the_deadline_ends_it() -> None:
    found = await World(repeat(answer(0.1))).sampled(deadline=1002.0)
    assert (found.verdict, found.cause) == (Verdict.INCONCLUSIVE, Cause.TOO_FEW)
    assert 19 <= found.of <= 21
    assert found.missing == 86 - found.of


async def test_one_that_never_answers_is_left_at_the_deadline() -> None:
    async def hang() -> Answer:
        await asyncio.sleep(3600)
        raise AssertionError

    now = asyncio.get_running_loop().time()
    claims = [Claim(planned(0.05))]
    (found,) = await sample(hang, claims, deadline=now + 0.05, requests=9, clock=lambda: now)
    assert (found.verdict, found.cause, found.of) == (Verdict.INCONCLUSIVE, Cause.NO_SAMPLES, 0)
    assert (found.bound, found.evidence.bad) == (None, None)


@pytest.mark.parametrize("budget", [0, 1, WARM_UP, WARM_UP + 3])
@pytest.mark.parametrize("at_once", [1, 4])
async def test_three_requests_never_pass(budget: int, at_once: int) -> None:
    found = await World(repeat(GOOD)).sampled(requests=budget, warm_up=WARM_UP, at_once=at_once)
    assert found.requests == budget
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.cause is (Cause.TOO_FEW if budget > WARM_UP else Cause.NO_SAMPLES)


@pytest.mark.parametrize("warm_up", [0, WARM_UP])
async def test_a_target_that_nobody_reaches_is_down(warm_up: int) -> None:
    world = World(repeat(REFUSED))
    found = await world.sampled(warm_up=warm_up)
    assert (found.verdict, found.cause) == (Verdict.INCONCLUSIVE, Cause.TARGET_DOWN)
    assert found.requests == DOWN
    assert world.slept == list(PAUSES)


async def test_a_target_behind_a_wall_is_down_without_retries() -> None:
    lost = Answer(Asked("GET /health", None, 5.0), failed=True, reached=False, timeout=True)
    found = await World(repeat(lost)).sampled()
    assert (found.cause, found.requests, found.retries) == (Cause.TARGET_DOWN, DOWN, 0)


async def test_a_target_that_dies_in_the_middle_fails() -> None:
    found = await World(then(*[GOOD] * 20, forever=REFUSED)).sampled()
    assert (found.verdict, found.cause) == (Verdict.FAIL, None)


async def test_one_hiccup_of_the_connection_is_forgiven_and_counted() -> None:
    found = await World(then(GOOD, REFUSED, REFUSED)).sampled()
    assert (found.verdict, found.bad, found.retries) == (Verdict.PASS, 0, 2)
    assert "2 tried to connect again" in found.aside


async def test_a_habit_of_refusing_is_not_forgiven() -> None:
    found = await World(cycle([REFUSED, *[GOOD] * 4])).sampled()
    assert found.verdict is Verdict.FAIL
    assert found.retries == 1


@pytest.mark.parametrize("bad", [ERROR, HANGS])
async def test_only_connections_are_tried_again(bad: Answer) -> None:
    found = await World(then(GOOD, bad)).sampled()
    assert (found.bad, found.retries) == (1, 0)


async def test_what_was_slow_because_we_stood_still_is_invalid() -> None:
    found = await World(then(GOOD, answer(0.5, stalled=0.45))).sampled()
    assert (found.verdict, found.bad, found.of, found.invalid) == (Verdict.PASS, 0, 86, 1)
    assert found.stalled == 0.45
    assert "1 invalid" in found.aside


SURE = {
    "slow without it, too": (answer(0.5, stalled=0.1), 1),
    "good in spite of it": (answer(0.15, stalled=0.1), 0),
    "an error all the same": (answer(failed=True, stalled=0.3), 1),
    "deadline was extended": (answer(6.0, failed=True, timeout=True, stalled=1.0), 1),
}


@pytest.mark.parametrize("case", SURE)
async def test_what_a_standstill_does_not_change_counts(case: str) -> None:
    told, bad = SURE[case]
    found = await World(then(told)).sampled()
    assert (found.bad, found.invalid) == (bad, 0)


@pytest.mark.parametrize(
    "told", [answer(failed=True, stalled=1.5), answer(10.0, failed=True, timeout=True, stalled=5.0)]
)
async def test_a_failure_in_a_long_standstill_is_invalid(told: Answer) -> None:
    found = await World(then(told)).sampled()
    assert (found.bad, found.invalid) == (0, 1)


async def test_one_who_stands_still_often_judges_nobody() -> None:
    found = await World(cycle([GOOD, GOOD, answer(0.3, stalled=0.3)])).sampled()
    assert (found.verdict, found.cause) == (Verdict.INCONCLUSIVE, Cause.STALLED)


async def test_standstills_do_not_make_a_bad_service_look_better() -> None:
    """Requests that meet with one are slow ones rather than quick ones: at the limit it must not help."""
    dice, gates = np.random.default_rng(3), 150

    def service() -> Answer:
        seconds = 1.0 if dice.random() < 0.2 else 0.02
        stalled = 0.1 if dice.random() < seconds / 2 else 0.0
        return answer(seconds + stalled, stalled=stalled)

    ends = [await World(iter(service, None)).sampled(planned(0.2), deadline=1e9) for _ in range(gates)]
    passed = sum(each.verdict is Verdict.PASS for each in ends)
    assert passed <= gates * 0.05 + 3 * (gates * 0.05 * 0.95) ** 0.5


async def test_asked_to_wait_it_waits_and_has_learnt_nothing() -> None:
    world = World(then(GOOD, answer(failed=True, throttled=7.0)))
    found = await world.sampled()
    assert (found.verdict, found.bad, found.throttled) == (Verdict.PASS, 0, 1)
    assert world.slept == [7.0]


async def test_one_who_only_says_wait_does_not_pass() -> None:
    found = await World(repeat(answer(failed=True, throttled=7.0))).sampled()
    assert (found.verdict, found.cause) == (Verdict.INCONCLUSIVE, Cause.NO_SAMPLES)
    assert found.throttled == 9  # in a minute


async def test_a_few_are_shown() -> None:
    slow = [answer(0.1 + 0.001 * n) for n in range(20)]
    found = await World(then(*slow)).sampled()
    assert [each.seconds for each in found.slowest] == [
        each.asked.seconds for each in slow[: -SHOWN - 1 : -1]
    ]
    assert found.asked == found.slowest
    assert (await World(then(ERROR, *slow)).sampled()).asked == (ERROR.asked,)


async def test_whoever_watches_hears_of_each_request() -> None:
    heard: list[tuple[int, int]] = []
    await World(then(ERROR)).judged(Claim(planned(0.05), SLOW, lambda bad, of: heard.append((bad, of))))
    assert heard[:3] == [(1, 1), (1, 2), (1, 3)]


async def test_quick_answers_do_not_overtake_slow_ones() -> None:
    """Four at once, of which one is slow: in the order of arrival it would be judged too late."""
    answers = chain.from_iterable(repeat([answer(3.0), GOOD, GOOD, GOOD]))
    under_way, most = 0, 0
    heard: list[int] = []

    async def ask() -> Answer:
        nonlocal under_way, most
        found, under_way = next(answers), under_way + 1
        most = max(most, under_way)
        for _ in range(round(100 * found.asked.seconds)):
            await asyncio.sleep(0)
        under_way -= 1
        return found

    end = time.monotonic() + 60
    claims = [Claim(planned(0.05), SLOW, lambda bad, _: heard.append(bad))]
    (found,) = await sample(ask, claims, deadline=end, requests=400, warm_up=0, at_once=4)
    assert most == 4
    assert heard[:5] == [1, 1, 1, 1, 2]
    assert found.verdict is Verdict.FAIL


async def test_as_simulated_gates_decide_so_does_it() -> None:
    """The simulations of the calibration look up the same lines; here the loop itself is played."""
    dice, test = np.random.default_rng(1), planned(0.2)
    gates = 60
    for share in (0.04, 0.2, 0.6):
        requests = dice.random((gates, test.most)) < share
        ends = [await World(ERROR if bad else GOOD for bad in row).sampled(test) for row in requests]
        for row, end in zip(requests, ends, strict=True):
            assert end.bad == row[: end.of].sum()
            assert end.verdict is test.verdict(end.bad, end.of)
        passed = np.mean([end.verdict is Verdict.PASS for end in ends])
        assert passed == pytest.approx(test.odds(share).passes, abs=4 * 0.5 / gates**0.5)


SERVERS: dict[str, tuple[Conversation, dict[str, object]]] = {
    "well": (says(OK.replace(b"\r\n", b"\r\nX-Request-ID: 4f1c\r\n", 1)), {"failed": False, "reached": True}),
    "hangs up": (says(b""), {"failed": True, "reached": True, "refused": False}),
    "silent": (is_silent, {"failed": True, "reached": True, "timeout": True}),
    "throttles": (
        says(b"HTTP/1.1 429 Slow down\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n"),
        {"failed": True, "throttled": 9.0},
    ),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_an_answer_from_a_probe(name: str) -> None:
    converse, expected = SERVERS[name]
    async with Prober() as prober, serving(converse) as url:
        probed = await prober.probe(Request(url, timeout=0.3, keep_headers=True))
    found = answered("GET /", probed)
    assert {field: getattr(found, field) for field in expected} == expected
    assert found.asked.request_id == ("4f1c" if name == "well" else "")
    assert found.asked.phases.keys() >= {"connect"}
    assert bool(found.asked.detail) is found.failed


async def test_a_port_where_nobody_listens_was_not_reached() -> None:
    async with Prober() as prober:
        probed = await prober.probe(Request(f"http://127.0.0.1:{free_port()}/", timeout=1.0))
    assert probed.reason is Reason.CONNECT
    found = answered("GET /", probed)
    assert (found.failed, found.reached, found.refused) == (True, False, True)
