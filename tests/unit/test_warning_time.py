"""How long before a liquidation a borrower was warned: by hand, against a slow twin, and the error of the figure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.parts import Replay
from risk_core.warning_time import Warnings, warnings_before
from tests.markets import KINDS, market, one_account, random_market, reserves, scenario, with_oracles

HOUR = timedelta(hours=1)


def along(book: rc.Market, *paths: tuple[float, ...]) -> rc.Result:
    """A run on stated prices of the first reserve, USD, by the hour; the others stay."""
    price = np.tile(book.price[None, :, None], (len(paths), 1, 1 + len(paths[0])))
    price[:, 0, 1:] = paths
    return rc.simulate(book, rc.PricePaths(name="stated", price=price, step=HOUR), n_paths=len(paths), threads=1)


def test_the_time_by_hand():
    """10 ETH at 0.83 against 16,000: below 1.1 under 2,120.48, below 1 under 1,927.71. It begins at 2,300, or 1.193."""
    book = one_account(price=2_300.0)
    found = warnings_before(
        book,
        along(
            book,
            (2_200, 2_100, 2_000, 1_900, 1_500),  # warned at 2 h, called at 4 h
            (2_100, 2_200, 2_200, 2_100, 1_900),  # warned at 1 h for the first time
            (1_900, 1_500, 1_400, 1_300, 1_200),  # no warning at all
            (2_200, 2_100, 2_000, 1_950, 1_940),  # never called
        ),
    )
    assert found.path.tolist() == [0, 1, 2]
    assert found.steps.tolist() == [2, 4, 0]
    assert found.debt_usd.tolist() == [16_000.0] * 3
    assert (found.step, found.n_paths) == (HOUR, 4)
    assert found.at_least() == pytest.approx([1, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 0])
    assert found.quantile_hours(0.5).value == 2.0
    assert found.quantile_hours(0.9).value == 4.0
    assert found.unwarned().value == pytest.approx(1 / 3)
    assert "3 paths with a loss" in found.quantile_hours(0.5).no_interval


def test_who_begins_in_the_zone_is_warned_from_the_start():
    """At 2,000 the health factor is 1.0375, and at 1,900 it is 0.9856 from the beginning."""
    book = one_account(price=2_000.0)
    assert warnings_before(book, along(book, (1_950, 1_950, 1_900))).steps.tolist() == [3]
    assert warnings_before(book, along(book, (2_300, 2_300, 1_900))).steps.tolist() == [3]
    assert warnings_before(book, along(book, (2_300, 2_000, 1_900)), zone=1.0).steps.tolist() == [0]
    fallen = one_account(price=1_900.0)
    assert warnings_before(fallen, along(fallen, (1_900, 1_900))).steps.tolist() == [1]


def test_accounts_count_by_their_debt():
    """$800 against $1,000 at 0.83 and $8,000 against $12,000: the small one is warned 2 h earlier."""
    book = market(reserves(2), [1.0, 1.0], [{0: 1_000.0}, {0: 12_000.0}], [{1: 700.0}, {1: 8_000.0}])
    found = warnings_before(book, along(book, (0.92, 0.90, 0.88, 0.86, 0.80)))
    # 1.1857 a dollar: below 1.1 under 0.9277, below 1 under 0.8434. 1.245 a dollar: under 0.8835, under 0.8032.
    assert dict(zip(found.account.tolist(), found.steps.tolist(), strict=True)) == {0: 4, 1: 2}
    assert found.quantile_hours(0.05).value == 2.0
    assert found.quantile_hours(0.95).value == 4.0
    assert found.at_least()[3] == pytest.approx(700 / 8_700)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(KINDS), st.booleans(), st.sampled_from([1.0, 1.1, 1.5]))
def test_it_is_the_slow_twin(seed: int, kind: str, capped: bool, zone: float):
    """Every account at every hour by `health_factor`, in plain loops."""
    book = random_market(seed, kind, n_accounts=12, n_reserves=3)
    book = with_oracles(book, seed) if capped else book
    plan = scenario(book.n_reserves, n_steps=6, seed=seed, volatility=4.0, n_factors=2 if seed % 2 else None)
    run = rc.simulate(book, plan, n_paths=5, seed=seed, threads=1)
    found = warnings_before(book, run, zone)

    replay = Replay(book, run)
    relative = replay.prices(np.arange(5))
    slow = {}
    for path in range(5):
        hours = [rc.health_factor(book)]
        for t in range(6):
            moved = [1.0 if f < 0 else relative[path, f, t] for f in replay.factor.tolist()]
            hours.append(rc.health_factor(book, book.oracle_prices(book.price * np.array(moved))))
        for account in range(book.n_accounts):
            health = [float(h[account]) for h in hours]
            called = next((t for t in range(1, 7) if health[t] < 1), None)
            if called is not None:
                warned = next(t for t in range(7) if health[t] < max(zone, 1.0) or t == called)
                slow[path, account] = called - warned
    ours = dict(zip(zip(found.path.tolist(), found.account.tolist(), strict=True), found.steps.tolist(), strict=True))
    assert {pair: slow[pair] for pair in ours} == ours
    assert len(found.path) == run.n_accounts_liquidated.sum()


def test_the_blocks_of_paths_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    book = random_market(3, n_accounts=60)
    run = rc.simulate(book, scenario(5, n_steps=6, volatility=3.0), n_paths=200, threads=1)
    whole = warnings_before(book, run)
    assert len(whole.path) > 200
    monkeypatch.setattr("risk_core.warning_time.MOST_PAIRS", 7)
    assert np.array_equal(warnings_before(book, run).steps, whole.steps)
    monkeypatch.setattr("risk_core.warning_time.BLOCK", 3)
    assert np.array_equal(warnings_before(book, run).steps, whole.steps)


def drawn(steps: np.ndarray, path: np.ndarray, n_paths: int, cluster: np.ndarray | None = None) -> Warnings:
    return Warnings(
        path=path, account=np.zeros(len(path), dtype=np.int64), steps=steps, debt_usd=np.ones(len(path)), zone=1.1,
        step=HOUR, n_steps=24, n_paths=n_paths, cluster=cluster,
    )  # fmt: skip


def test_the_interval_is_that_of_the_order_statistics():
    """One liquidation a path: the bootstrap agrees with binomial ranks, within a step."""
    rng = np.random.default_rng(5)
    steps = np.minimum(rng.geometric(0.15, 400), 24)
    found = drawn(steps, np.arange(400), 400)
    for level in (0.1, 0.5, 0.9):
        ours, ranks = found.quantile_hours(level), rc.measures.quantile(steps.astype(float), level)
        assert ours.value == ranks.value
        assert abs(ours.low - ranks.low) <= 1
        assert abs(ours.high - ranks.high) <= 1
        assert ours.low <= ours.value <= ours.high
    share = drawn(np.where(steps > 3, steps, 0), np.arange(400), 400).unwarned()
    p = float((steps <= 3).mean())
    assert share.value == pytest.approx(p)
    assert share.se == pytest.approx(np.sqrt(p * (1 - p) / 400), rel=0.15)


def test_what_was_drawn_together_makes_the_interval_wider():
    """Each path ten times over: as much is known as from the forty."""
    steps = np.repeat(np.minimum(np.random.default_rng(2).geometric(0.1, 40), 24), 10)
    alone = drawn(steps, np.arange(400), 400).unwarned()
    assert alone.value == 0.0
    apart = drawn(steps, np.arange(400), 400).quantile_hours(0.5)
    together = drawn(steps, np.arange(400), 400, np.repeat(np.arange(40), 10)).quantile_hours(0.5)
    assert together.value == apart.value
    assert together.se > 2 * apart.se


def test_without_a_liquidation_there_is_no_figure():
    book = one_account(price=2_300.0)
    found = warnings_before(book, along(book, (2_300, 2_300)))
    assert len(found.path) == 0
    assert found.quantile_hours(0.5).no_interval.startswith("no path has a loss")
    assert found.unwarned().no_interval
    assert np.isnan(found.at_least()).all()


@pytest.mark.parametrize("zone", [0.9, 101.0, float("nan"), "1.1"])
def test_a_zone_below_one_is_refused(zone):
    book = one_account(price=2_300.0)
    with pytest.raises(rc.InputError, match="zone"):
        warnings_before(book, along(book, (2_300, 2_300)), zone)


def test_another_market_and_limited_liquidators_are_refused():
    book = one_account(price=2_000.0)
    run = along(book, (1_900, 1_900))
    other = replace(book, snapshot=replace(book.snapshot, block=book.snapshot.block + 1))
    with pytest.raises(rc.InputError, match="market"):
        warnings_before(other, run)
    with pytest.raises(rc.InputError, match="level"):
        warnings_before(book, run).quantile_hours(1.0)
