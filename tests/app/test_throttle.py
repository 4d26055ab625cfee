from __future__ import annotations

import asyncio
import threading
import tracemalloc

import pytest

from app.settings import Settings
from app.throttle import ACCOUNT_FAILURES, Attempt, Buckets, Hashing, LoginLimits, ThrottledError
from tests.servers import eventually

HERE, ELSEWHERE, ADA = "192.0.2.1", "192.0.2.2", "ada@example.com"


@pytest.fixture
def limits() -> LoginLimits:
    """5 failures per account and address, one more each 900 s; 20 a minute per address."""
    return LoginLimits(Settings.load())


def guesses(limits: LoginLimits, address: str, count: int, email: str = ADA, now: float = 0.0) -> list[str]:
    return [outcome(limits, address, email, now) for _ in range(count)]


def outcome(limits: LoginLimits, address: str, email: str, now: float) -> str:
    try:
        return "locked" if limits.admit(address, email, now).locked else "wrong"
    except ThrottledError:
        return "throttled"


def log_in(limits: LoginLimits, address: str, email: str = ADA, now: float = 0.0) -> Attempt:
    attempt = limits.admit(address, email, now)
    assert not attempt.locked
    limits.succeeded(attempt)
    return attempt


def test_a_bucket_empties_and_regains() -> None:
    bucket = Buckets(burst=3, regain=10, most=5)
    assert [bucket.take(b"a", 0) for _ in range(4)] == [0, 0, 0, pytest.approx(10)]
    assert bucket.take(b"a", 9) == pytest.approx(1), "refused tries cost nothing"
    assert [bucket.take(b"a", 10), bucket.take(b"a", 10)] == [0, pytest.approx(10)]
    assert [bucket.take(b"a", 1000) for _ in range(4)] == [0, 0, 0, pytest.approx(10)], "never more than full"
    assert bucket.take(b"b", 1000) == 0


def test_a_try_can_be_given_back() -> None:
    bucket = Buckets(burst=2, regain=10, most=5)
    for _ in range(20):
        assert bucket.take(b"a", 0) == 0
        bucket.give_back(b"a")
    bucket.give_back(b"never seen")
    assert len(bucket) == 1


def test_the_longest_unused_bucket_is_forgotten() -> None:
    bucket = Buckets(burst=1, regain=100, most=3)
    for key in (b"a", b"b", b"c"):
        bucket.take(key, 0)
    assert bucket.take(b"a", 1) > 0
    bucket.take(b"d", 2)
    assert bucket.take(b"a", 3) > 0, "it was asked for"
    assert bucket.take(b"b", 3) == 0, "it was not"
    assert len(bucket) == 3


def test_five_failures_lock_an_account_for_an_address(limits: LoginLimits) -> None:
    assert guesses(limits, HERE, 7) == ["wrong"] * 5 + ["locked"] * 2
    assert guesses(limits, HERE, 1, "bob@example.com") == ["wrong"]
    assert guesses(limits, HERE, 2, now=901) == ["wrong", "locked"], "one more in a quarter of an hour"
    log_in(limits, ELSEWHERE)


def test_one_address_gets_twenty_attempts_and_then_one_in_three_seconds(limits: LoginLimits) -> None:
    emails = [f"{number}@example.com" for number in range(22)]
    assert [outcome(limits, HERE, email, 0) for email in emails] == ["wrong"] * 20 + ["throttled"] * 2
    with pytest.raises(ThrottledError) as refused:
        limits.admit(HERE, ADA, 0)
    assert refused.value.retry_after == pytest.approx(3)
    assert guesses(limits, ELSEWHERE, 1) == ["wrong"]
    assert guesses(limits, HERE, 2, now=3) == ["wrong", "throttled"]


def test_successes_cost_an_address_nothing(limits: LoginLimits) -> None:
    """An office behind one address."""
    for number in range(500):
        log_in(limits, HERE, f"{number}@example.com")


def test_who_has_been_here_before_is_kept_out_by_no_storm_around_him(limits: LoginLimits) -> None:
    log_in(limits, HERE)
    for number in range(50):
        outcome(limits, HERE, f"{number}@example.com", 1)
    assert outcome(limits, HERE, "newcomer@example.com", 1) == "throttled"
    log_in(limits, HERE, now=1)


def test_but_he_cannot_storm_either(limits: LoginLimits) -> None:
    log_in(limits, HERE)
    said = guesses(limits, HERE, 100)
    assert said == ["wrong"] * 5 + ["locked"] * 20 + ["throttled"] * 75


def test_a_storm_from_everywhere_on_one_account_is_limited_as_a_whole(limits: LoginLimits) -> None:
    """And ends for strangers seconds after the storm has, and for who was there before it never began."""
    log_in(limits, HERE)
    addresses = [f"198.51.{number // 256}.{number % 256}" for number in range(1000)]
    said = [outcome(limits, address, ADA, 0) for address in addresses]
    assert said.count("wrong") == ACCOUNT_FAILURES
    assert outcome(limits, ELSEWHERE, ADA, 0) == "locked"
    log_in(limits, HERE)
    log_in(limits, ELSEWHERE, now=12.5)


def test_fifty_addresses_never_lock_out_a_newcomer(limits: LoginLimits) -> None:
    """500 a minute for two hours: after the first five each address gets one guess in 900 s."""
    wrong = 0
    for attempt in range(500 * 120):
        wrong += outcome(limits, f"198.51.100.{attempt % 50}", ADA, attempt * 0.12) == "wrong"
    assert wrong <= 50 * (5 + 8)
    log_in(limits, HERE, now=7200)


def test_simultaneous_attempts_share_no_try(limits: LoginLimits) -> None:
    admitted = [limits.admit(HERE, ADA, 0) for _ in range(10)]
    assert [attempt.locked for attempt in admitted] == [False] * 5 + [True] * 5


def test_attempts_without_an_answer_cost_nothing(limits: LoginLimits) -> None:
    for _ in range(100):
        attempt = limits.admit(HERE, ADA, 0)
        assert not attempt.locked
        limits.unanswered(attempt)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("not an address" * 1000, "", False),
    ],
)
def test_what_counts_as_one_address(limits: LoginLimits, one: str, other: str, same: bool) -> None:
    for number in range(20):
        outcome(limits, one, f"{number}@example.com", 0)
    assert (outcome(limits, other, ADA, 0) == "throttled") is same


def test_memory_is_bounded() -> None:
    """Whatever addresses and accounts an attacker makes up."""
    limits = LoginLimits(Settings.load(login_addresses_remembered=200))
    long = "x" * 300

    def storm(turns: range) -> None:
        for turn in turns:
            limits.succeeded(limits.admit(f"{turn}.{long}", f"{turn}@{long}", 0))
            outcome(limits, f"{turn}.{long}", f"{turn}@{long}", 0)

    tracemalloc.start()
    try:
        storm(range(1000))
        before = tracemalloc.get_traced_memory()[0]
        storm(range(1000, 6000))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000


async def test_hashing_has_slots_and_a_line_of_bounded_length() -> None:
    hashing, finish, running = Hashing(at_once=2, most_waiting=3), threading.Event(), []

    def work() -> str:
        running.append(1)
        finish.wait(10)
        return "done"

    tasks = [asyncio.create_task(hashing.run(work)) for _ in range(5)]
    try:
        await eventually(lambda: len(running) == 2)
        with pytest.raises(ThrottledError):
            await hashing.run(work)
        assert len(running) == 2
    finally:
        finish.set()
    assert await asyncio.gather(*tasks) == ["done"] * 5
    assert await hashing.run(work) == "done"
