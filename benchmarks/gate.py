"""How often the release gate errs: at least 20,000 simulated gates a case, beside what simpler gates do.

    python -m benchmarks.gate

The gate's own tables, bounds and tests decide; only the requests are made up. What is aimed at stands beside
each figure. Takes about a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.gate.bounds import enough
from monitor.gate.compare import LEAST_EFFECT, PAIRS, RISK, bulk_chance, holm, slowest, tail_chance
from monitor.gate.leak import BLOCKS, Trend, trend
from monitor.gate.sequential import POWER, Sequential, planned

GATES = 20_000
AT_ONCE = 2_000
LIMITS = (0.2, 0.05, 0.01)
SAMPLES, EVERY = 240, 0.5
"""Of memory, after the warm-up: two minutes."""
LEAK_LIMIT = 0.5e6 / 60
MB_A_MINUTE = 1e6 / 60
NOISE = 0.3e6
"""Bytes, one standard deviation."""
KINDS = 5
"""Of requests, as in alerts/gate.yml."""
COMPARED = 5_000
"""Gates a case that compare with a baseline: each has 600 requests."""

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


class Ends(NamedTuple):
    """Of each gate."""

    passed: Flags
    failed: Flags
    bad: Counts
    of: Counts


def played(test: Sequential, share: float, burst: float = 1.0, forgiven: int = 0, seed: int = 1) -> Ends:
    """Bad ones come in bursts of that many on average; so many are forgiven."""
    dice = np.random.default_rng(seed)
    parts = [
        _played(test, _requests(dice, test.most, share, burst), forgiven) for _ in range(GATES // AT_ONCE)
    ]
    return Ends(*map(np.concatenate, zip(*parts, strict=True)))


def _requests(dice: np.random.Generator, most: int, share: float, burst: float) -> Flags:
    """Which are bad. A chain that is as often bad as asked for, and stays so for `burst` requests."""
    chances = dice.random((AT_ONCE, most), dtype=np.float32)
    if burst == 1.0:
        return chances < share
    enters, bad = share / (1 - share) / burst, np.empty(chances.shape, bool)
    now = dice.random(AT_ONCE) < share
    for n in range(most):
        bad[:, n] = now = np.where(now, chances[:, n] >= 1 / burst, chances[:, n] < enters)
    return bad


def _played(test: Sequential, requests: Flags, forgiven: int) -> Ends:
    bad = requests.cumsum(axis=1, dtype=np.int16)
    bad -= np.minimum(bad, forgiven)
    passes, fails = bad <= np.array(test.passing[1:]), bad >= np.array(test.failing[1:])
    decided = passes | fails
    decided[:, -1] = True
    end = decided.argmax(axis=1)
    row = np.arange(len(end))
    return Ends(passes[row, end], fails[row, end] & ~passes[row, end], bad[row, end].astype(int), end + 1)


def naive(limit: float, of: int, share: float) -> float:
    """How often the share that was seen is below the limit."""
    return float(np.mean(np.random.default_rng(2).binomial(of, share, GATES) < limit * of))


def peeking(limit: float, most: int, share: float) -> float:
    """How often the exact bound of a fixed size, looked at after each request, passes."""
    needed = np.full(most + 1, -1)
    for bad in range(most):
        if (first := enough(bad, limit)) > most:
            break
        needed[first:] = bad
    dice, passed = np.random.default_rng(3), 0
    for _ in range(GATES // AT_ONCE):
        seen = _requests(dice, most, share, 1.0).cumsum(axis=1, dtype=np.int16)
        passed += int((seen <= needed[1:]).any(axis=1).sum())
    return passed / GATES


def alike(correlation: float, seed: int = 4, gates: int = GATES, samples: int = SAMPLES) -> Values:
    """Noise of one standard deviation in which each sample is correlated with the one before."""
    dice = np.random.default_rng(seed)
    found = dice.standard_normal((gates, samples))
    fresh = np.sqrt(1 - correlation**2)
    for n in range(1, samples):
        found[:, n] = correlation * found[:, n - 1] + fresh * found[:, n]
    return found


def stepped() -> Values:
    """A cache that fills at one moment, by 3 MB, and no more."""
    moments = np.random.default_rng(5).integers(0, SAMPLES, (GATES, 1))
    return NOISE * alike(0.5, 6) + 3e6 * (np.arange(SAMPLES) >= moments)


def sawtooth() -> Values:
    """Garbage of 2 MB that is collected about every 20 s."""
    dice = np.random.default_rng(7)
    period, phase = dice.uniform(10, 30, (GATES, 1)), dice.random((GATES, 1))
    return 2e6 * ((EVERY * np.arange(SAMPLES) / period + phase) % 1) + 0.2 * NOISE * alike(0.0, 8)


def leaking(rate: float, correlation: float = 0.5) -> Values:
    """By `rate` bytes a second."""
    return NOISE * alike(correlation, 9) + rate * EVERY * np.arange(SAMPLES)


def trended(values: Values) -> Trend:
    times = EVERY * np.arange(SAMPLES).reshape(BLOCKS, -1)
    return trend(np.median(times, axis=1), np.median(values.reshape(len(values), BLOCKS, -1), axis=2))


def grows(values: Values) -> float:
    """How often a trend is found at all."""
    return float(np.mean(trended(values).chance <= RISK))


def leaks(values: Values) -> float:
    """How often the gate would fail."""
    found = trended(values)
    return float(np.mean((found.low > LEAK_LIMIT) & (found.chance <= RISK)))


def clean(values: Values) -> float:
    """How often the gate would pass."""
    return float(np.mean(trended(values).high < LEAK_LIMIT))


def raw(correlation: float) -> float:
    """How often Kendall's test of 60 samples as they are finds a trend where there is none."""
    found = alike(correlation, 10, gates=AT_ONCE, samples=60)
    earlier, later = np.triu_indices(60, 1)
    agreeing = np.sign(found[:, later] - found[:, earlier]).sum(axis=1)
    return float(np.mean(agreeing / np.sqrt(60 * 59 * 125 / 18) > 1.645))


class Chances(NamedTuple):
    """By gate and kind of request; all of them together are the last one."""

    tail: Values
    bulk: Values
    ratio: Values


def compared(
    slower: float = 1.0,
    tail: float = 0.0,
    *,
    slow_kinds: int = KINDS,
    drift: float = 0.0,
    in_turns: bool = True,
    spread: float = 0.4,
    gates: int = COMPARED,
) -> Chances:
    """PAIRS of each of KINDS, of which `slow_kinds` take `slower` times as long with the new one, and five
    times as long for a share `tail` of its requests. `drift`: noise of the machine, which lasts; `spread`:
    that of single requests. Both are standard deviations of the logarithm."""
    dice = np.random.default_rng(11)
    usual = 0.01 * 3.0 ** np.arange(KINDS)[:, None]
    old, new = usual * np.exp(spread * dice.standard_normal((2, gates, KINDS, PAIRS)))
    new[:, :slow_kinds] *= slower * np.where(dice.random((gates, slow_kinds, PAIRS)) < tail, 5.0, 1.0)
    if drift:
        # Kinds take turns, and so do old and new within a round.
        lasting = np.exp(spread * drift * alike(0.98, 12, gates, 2 * KINDS * PAIRS))
        shape = (gates, PAIRS, KINDS, 2) if in_turns else (gates, 2, PAIRS, KINDS)
        of_old, of_new = np.moveaxis(lasting.reshape(shape), 3 if in_turns else 1, 0)
        old *= of_old.swapaxes(1, 2)
        new *= of_new.swapaxes(1, 2)
    return chances(old, new)


def chances(old: Values, new: Values) -> Chances:
    """Of gates, kinds and requests."""
    usual = np.median(np.concatenate([old, new], axis=2), axis=2, keepdims=True)
    whole = ((each / usual).reshape(len(old), 1, -1) for each in (old, new))
    parts = zip(_chances(old, new), _chances(*whole), strict=True)
    return Chances(*(np.concatenate(each, axis=1) for each in parts))


def _chances(old: Values, new: Values) -> Chances:
    requests, kept = old.shape[2], new / LEAST_EFFECT
    slow = slowest(np.concatenate([old, kept], axis=2))[..., None]
    bad_old, bad_new = ((each > slow).sum(axis=2) for each in (old, kept))
    table = np.stack([bad_new.ravel(), (bad_old + bad_new).ravel()])
    pairs, place = np.unique(table, axis=1, return_inverse=True)
    known = np.array([tail_chance(int(k), requests, int(bad), 2 * requests) for k, bad in pairs.T])
    # The median over all pairs is, for so many, as good as the ratio of the medians; and cheaper.
    ratio = np.median(new, axis=2) / np.median(old, axis=2)
    return Chances(known[place].reshape(ratio.shape), bulk_chance(old, new), ratio)


def regressed(found: Chances) -> Values:
    """Shares of gates that raise an alarm: of the tail, of the bulk, of either."""
    corrected = np.array([holm(row) for row in np.concatenate([found.tail, found.bulk], axis=1)])
    tail, bulk = corrected[:, : KINDS + 1] <= RISK, corrected[:, KINDS + 1 :] <= RISK
    bulk &= found.ratio >= LEAST_EFFECT
    return np.array([tail.any(axis=1).mean(), bulk.any(axis=1).mean(), (tail | bulk).any(axis=1).mean()])


def tell_sequential() -> Iterator[str]:
    yield f"Shares of bad requests, {GATES} simulated gates a case (computed odds in brackets)"
    yield f"  {'limit':>6} {'share':>7} {'passes':>17} {'fails':>17} {'requests':>9} {'point estimate':>15}"
    for limit in LIMITS:
        test = planned(limit)
        for of_limit in (0.2, 0.5, 1.0, 2.0, 3.0):
            share = of_limit * limit
            ends, odds = played(test, share), test.odds(share)
            passes = f"{np.mean(ends.passed):.2%} ({odds.passes:.2%})"
            fails = f"{np.mean(ends.failed):.2%} ({odds.fails:.2%})"
            requests, estimate = np.mean(ends.of), naive(limit, test.most, share)
            yield f"  {limit:6.0%} {share:7.1%} {passes:>17} {fails:>17} {requests:9.0f} {estimate:15.1%}"
    yield f"  aim: passes at most {RISK:.0%} at the limit, at least {POWER:.0%} at a fifth of it"
    yield ""
    test = planned(0.05)
    at = f"At a limit of {test.limit:.0%}"
    yield f"{at}, how often a service exactly at it passes ({test.most} requests at most)"
    cases = {
        "this gate": np.mean(played(test, 0.05).passed),
        "exact bound of a fixed size, looked at after each request": peeking(0.05, test.most, 0.05),
        "the same, up to 1000 requests": peeking(0.05, 1000, 0.05),
        "share that was seen": naive(0.05, test.most, 0.05),
        "this gate, if all that is bad are refused connections": np.mean(
            played(test, 0.05, forgiven=1).passed
        ),
    }
    for burst in (2.0, 5.0, 20.0):
        name = f"this gate, if bad requests come in bursts of {burst:.0f}"
        cases[name] = np.mean(played(test, 0.05, burst).passed)
    for name, passed in cases.items():
        yield f"  {name:58} {passed:6.1%}"


def tell_leaks() -> Iterator[str]:
    yield f"Memory, {SAMPLES} samples in 2 minutes, noise of 0.3 MB, limit 0.5 MB/min; {GATES} gates each"
    yield f"  {'':44} {'finds a trend':>14} {'fails':>7} {'passes':>7}"
    cases = {
        f"no leak, samples correlated {each:g}": NOISE * alike(each) for each in (0, 0.5, 0.8, 0.9, 0.95)
    }
    cases |= {"no leak, one step of 3 MB": stepped(), "no leak, saw teeth of 2 MB": sawtooth()}
    cases |= {f"leak of {each:g} MB a minute": leaking(each * MB_A_MINUTE) for each in (0.5, 1, 2)}
    cases["leak of 1 MB a minute, correlated 0.9"] = leaking(MB_A_MINUTE, 0.9)
    for name, values in cases.items():
        yield f"  {name:44} {grows(values):14.1%} {leaks(values):7.1%} {clean(values):7.1%}"
    yield f"  aim: at most {RISK:.0%} fail without a leak"
    yield f"  Kendall's test of raw samples correlated 0.9: {raw(0.9):.0%} find a trend where there is none"


def tell_regressions() -> Iterator[str]:
    yield f"Against a baseline, {PAIRS} pairs of each of {KINDS} kinds of requests"
    yield f"{COMPARED} gates a case, {GATES} where nothing changed"
    yield f"  {'':50} {'tail':>7} {'bulk':>7} {'either':>7}"
    cases: dict[str, dict[str, Any]] = {
        "nothing changed": {},
        "nothing changed, machine drifts, in turns": {"drift": 1.0},
        "nothing changed, machine drifts, one by one": {"drift": 1.0, "in_turns": False},
        "a tenth slower": {"slower": 1.1},
        "a tenth slower, durations alike (4 %)": {"slower": 1.1, "spread": 0.04},
        "a fifth slower": {"slower": 1.2},
        "30 % slower": {"slower": 1.3},
        "one kind of five a fifth slower": {"slower": 1.2, "slow_kinds": 1},
        "one kind 30 % slower": {"slower": 1.3, "slow_kinds": 1},
        "one kind 50 % slower": {"slower": 1.5, "slow_kinds": 1},
        "one in twenty takes five times as long": {"tail": 0.05},
        "one in ten takes five times as long": {"tail": 0.1},
        "one in ten of one kind takes five times as long": {"tail": 0.1, "slow_kinds": 1},
        "one in five of one kind takes five times as long": {"tail": 0.2, "slow_kinds": 1},
    }
    for name, how in cases.items():
        gates = COMPARED if how.keys() & {"slower", "tail"} else GATES
        tail, bulk, either = regressed(compared(**how, gates=gates))
        yield f"  {name:50} {tail:7.1%} {bulk:7.1%} {either:7.1%}"
    yield f"  aim: at most {RISK:.0%} where nothing changed"


def main() -> None:
    for part in (tell_sequential, tell_leaks, tell_regressions):
        for line in part():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
