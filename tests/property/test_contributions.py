"""Parts of a tail add up to it, bit for bit, and equal those of accounts simulated one by one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.estimates import FEW_DRAWS
from risk_core.parts import Replay
from risk_core.result import MILLI_USD
from tests.markets import KINDS, random_market, scenario
from tests.property.drawn import random_paths

pytestmark = pytest.mark.property

POLICIES = ("largest_legs", "most_profitable", "protocol_helper", "first_passage")
LAWS = st.sampled_from([rc.GBM(), rc.StudentT(4.0), rc.Jumps(900.0, -0.1, 0.1)])


def random_run(seed, kind, policy, law, sampling, n_paths, n_accounts=40, n_steps=9, first=0):
    market = random_market(seed, kind, n_accounts)
    plan = scenario(market.n_reserves, n_steps, seed, 0.9, n_factors=3 if seed % 2 else None)
    plan = replace(plan, law=law, sampling=sampling)
    paths = (first, first + n_paths)
    return market, rc.simulate(market, plan, seed=seed, policy=policy, threads=1, paths=paths)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    policy=st.sampled_from(POLICIES),
    law=LAWS,
    sampling=st.sampled_from(["plain", "antithetic", "quasi"]),
    first=st.sampled_from([0, 5]),
)
def test_parts_of_every_path_add_up_to_its_totals(seed, kind, policy, law, sampling, first):
    market, result = random_run(seed, kind, policy, law, sampling, 17, first=first)
    replay = Replay(market, result)
    parts = replay.parts(np.arange(17))
    np.testing.assert_array_equal(parts.by_reserve.sum(axis=1), result.path[:, :4])
    for p in range(17):
        mine = parts.amount[parts.begin[p] : parts.begin[p + 1]]
        np.testing.assert_array_equal(mine.sum(axis=0), result.path[p, :4])
    # By step and reserve the run rounds each call to milli-USD, the parts to micro-USD.
    calls = float(result.n_liquidations.sum()) * market.n_reserves
    np.testing.assert_allclose(
        parts.by_step.sum(axis=(0, 1)) * 17, result.by_step.sum(axis=(0, 1)) * MILLI_USD, rtol=1e-9,
        atol=1e-3 * (1 + calls),
    )  # fmt: skip
    np.testing.assert_allclose(parts.by_step * 17, result.by_step * MILLI_USD, rtol=1e-9, atol=1e-3 * (1 + calls))
    np.testing.assert_array_equal(replay.totals(replay.prices(np.arange(17))), result.path)
    # Half a micro-USD is nothing in the fan.
    begun = np.bincount(parts.first_liquidation, minlength=result.n_steps + 1) / 17
    np.testing.assert_allclose(begun, result.first_liquidation)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), policy=st.sampled_from(POLICIES))
def test_an_accounts_part_is_what_it_loses_alone(seed, kind, policy):
    """The twin: a market of each account by itself, every path by brute force."""
    market, result = random_run(seed, kind, policy, rc.StudentT(4.0), "plain", 6, n_accounts=12)
    parts = Replay(market, result).parts(np.arange(6))
    found = defaultdict(lambda: [0, 0, 0, 0])
    for p in range(6):
        for at in range(parts.begin[p], parts.begin[p + 1]):
            found[p, int(parts.account[at])] = parts.amount[at].tolist()
    for account in range(market.n_accounts):
        alone = rc.simulate(only(market, account), result.scenario, 6, seed, policy=policy, brute_force=True)
        for p in range(6):
            assert found[p, account] == alone.path[p, :4].tolist()


def only(market, account):
    """The market with one account."""

    def side(positions):
        mine = slice(positions.indptr[account], positions.indptr[account + 1])
        n = mine.stop - mine.start
        return rc.Positions.from_entries([0] * n, positions.reserve[mine], positions.amount[mine], n_accounts=1)

    return replace(
        market, accounts=[str(market.accounts[account])], emode=[int(market.emode[account])],
        collateral=side(market.collateral), debt=side(market.debt),
    )  # fmt: skip


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    of=st.sampled_from(["repaid", "seized", "fee", "deficit"]),
    measure=st.sampled_from(["quantile", "shortfall"]),
    level=st.sampled_from([0.5, 0.8, 0.9]),
    sampling=st.sampled_from(["plain", "antithetic", "quasi"]),
)
def test_every_set_of_shares_adds_up_to_the_whole(seed, kind, of, measure, level, sampling):
    market, result = random_run(seed, kind, "largest_legs", rc.StudentT(4.0), sampling, 640, n_accounts=20, n_steps=4)
    found = rc.contributions(market, result, level, of, measure, accounts=3, drivers=2)
    if found.no_shares:
        assert found.n_draws < FEW_DRAWS
        assert found.by_reserve is None
        return
    assert found.n_draws >= FEW_DRAWS
    for shares in (found.by_reserve, found.by_account, found.by_driver, found.sold):
        if shares is not None:
            assert shares.share.sum() == pytest.approx(1.0, abs=1e-9)
            assert ((shares.se >= 0) & np.isfinite(shares.se)).all()
    assert min(found.by_reserve.share.min(), found.by_account.share.min()) >= 0
    assert len(found.drivers) == len(found.by_driver.share)
    assert len(found.accounts) + 1 == len(found.by_account.share)
    assert found.first_liquidation.sum() == pytest.approx(1.0)
    if measure == "shortfall":  # the mean of those paths is the figure itself
        column = ["repaid", "seized", "fee", "deficit"].index(of)
        assert found.by_step[:, :, column].sum() == pytest.approx(found.estimate.value, rel=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), measure=st.sampled_from(["quantile", "shortfall"]))
def test_shares_equal_those_of_a_plain_loop_over_the_paths(seed, measure):
    """The twin: losses of each account on each path, simulated alone, then sums in Python by the definition."""
    market, result = random_run(seed, "plain", "largest_legs", rc.GBM(), "plain", 400, n_accounts=5, n_steps=3)
    level = 0.75
    found = rc.contributions(market, result, level, "repaid", measure, accounts=5, drivers=0)
    if found.no_shares:
        return
    alone = [rc.simulate(only(market, a), result.scenario, 400, seed, threads=1).path[:, 0] for a in range(5)]
    np.testing.assert_array_equal(sum(alone), result.path[:, 0])
    total = result.repaid_usd
    order = sorted(range(400), key=lambda p: -total[p])
    if measure == "shortfall":
        edge = total[order[99]]
        chosen = {p: 1.0 for p in order if total[p] > edge}
        ties = [p for p in order if total[p] == edge]
        chosen |= {p: (100 - len(chosen)) / len(ties) for p in ties}
    else:
        chosen = {p: 1.0 for p in order if found.estimate.low <= total[p] <= found.estimate.high and total[p] > 0}
    whole = sum(w * total[p] for p, w in chosen.items())
    expected = {a: sum(w * alone[a][p] * 1e-6 for p, w in chosen.items()) / whole for a in range(5)}
    shown = dict(zip(found.accounts.tolist(), found.by_account.share[:-1].tolist(), strict=True))
    for a in range(5):
        assert shown.get(a, 0.0) == pytest.approx(expected[a], abs=1e-9)
    assert found.by_account.share[-1] == pytest.approx(0.0, abs=1e-9)


def test_given_paths_are_followed_again_to_the_last_bit():
    market = random_market(3, "plain", 30)
    paths = random_paths(market, 3, 40, 6, timedelta(hours=2))
    result = rc.simulate(market, paths)
    replay = Replay(market, result)
    np.testing.assert_array_equal(replay.parts(np.arange(40)).by_reserve.sum(axis=1), result.path[:, :4])
    np.testing.assert_array_equal(replay.totals(replay.prices(np.arange(40))), result.path)
    assert rc.contributions(market, result, 0.2, "repaid", "shortfall").drivers[0] in market.reserves.symbol
