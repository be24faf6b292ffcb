"""`borrower-response`: spells by hand, planted ones out of a warehouse, and what is said where there are none."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import risk_core as rc
from data import load_market, marts, results
from data.borrowers import StoredResponse, stored_response
from data.sample import configuration
from data.sample.book import holdings
from data.sample.frames import frames
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from flows.risk.borrower_response import TooFewSpells, as_arrays
from flows.risk.borrower_spells import Series, Spell, acts_of, between, followed
from flows.risk.report import amount
from risk_core.analytics import responses
from risk_core.analytics.responses import LIQUIDATABLE, LIQUIDATED, NOT_SEEN, RECOVERED, RESPONDED
from tests import markets
from tests.data.made_up_rows import made_up
from tests.flows.running import ran

HOUR, DAY = 3_600, 86_400
MARKET = "PastSample"
END = configuration.BLOCK_TIME - 20 * DAY
ETH, USD = (markets.reserves(2).asset[i] for i in (0, 1))


def run(*words: str) -> str:
    return ran("borrower-response", "--market", MARKET, *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


# By hand: 10 ETH at threshold 0.83 against 12,000 dollars have a health factor of price x 8.3 / 12,000.


def price_at(health: float) -> float:
    return health * 12_000 / 8.3


def one(health: list[float], events=(), going=None, zone=1.1) -> tuple[list[Spell], dict, set]:
    """One account at the health factors that prices alone would give it, hour by hour; events by (hour, ...)."""
    book = markets.market(markets.reserves(2, decimals=[18, 6]), [price_at(health[0]), 1.0], [{0: 10.0}], [{1: 12e3}])
    price = np.array([[price_at(one), 1.0] for one in health])
    name = str(book.accounts[0])
    out: list[Spell] = []
    left, unseen = followed(
        book, HOUR * np.arange(len(health)), price, {name: [(round(h * HOUR), *rest) for h, *rest in events]},
        zone=zone, least_debt_usd=100.0, going={} if going is None else {name: going}, out=out,
    )  # fmt: skip
    return out, left, unseen


def usdc(amount: float) -> str:
    return str(round(amount * 1e6))


def test_a_spell_begins_where_prices_cross_the_zone_and_ends_where_they_cross_it_again():
    """1.15 to 1.05 in the first hour: 1.1 after half an hour. 1.05 to 1.15 in the third: 1.1 after two and a half."""
    [spell], left, unseen = one([1.15, 1.05, 1.05, 1.15])
    assert (spell.begin, spell.seconds, spell.outcome) == (pytest.approx(1_800), pytest.approx(7_200), RECOVERED)
    assert np.isnan(spell.after)
    assert (left, unseen) == ({}, set())


def test_an_act_that_helps_is_a_response_with_the_health_factor_after_it():
    """At 1.05 the collateral counts 12,600: repaying 2,000 leaves 12,600 / 10,000."""
    [spell], _, _ = one([1.15, 1.05, 1.05, 1.05], [(2, "repay", USD, usdc(2_000), None, None)])
    assert (spell.begin, spell.seconds, spell.outcome) == (pytest.approx(1_800), pytest.approx(5_400), RESPONDED)
    assert spell.after == pytest.approx(1.26)
    [added], _, _ = one([1.15, 1.05, 1.05], [(1.5, "deposit", ETH, str(10**18), None, None)])
    assert (added.outcome, added.after) == (RESPONDED, pytest.approx(1.05 * 1.1))
    [closed], _, _ = one([1.15, 1.05, 1.05], [(1.5, "repay", USD, usdc(12_000.7), None, None)])
    assert closed.after == np.inf


def test_acts_within_an_hour_are_one_and_what_does_not_help_is_none():
    repay = (1.5, "repay", USD, usdc(2_000), None, None)
    taken_back = (1.6, "borrow", USD, usdc(2_000), None, None)
    partly = (1.6, "borrow", USD, usdc(1_000), None, None)
    [spell], _, _ = one([1.15, 1.05, 1.05, 1.15], [repay, taken_back])
    assert spell.outcome == RECOVERED
    [spell], _, _ = one([1.15, 1.05, 1.05, 1.05], [repay, partly])
    assert (spell.outcome, spell.after) == (RESPONDED, pytest.approx(12_600 / 11_000))
    [spell], left, _ = one([1.15, 1.05, 1.05, 1.15], [(1.5, "repay", USD, usdc(10), None, None)])
    assert spell.outcome == RECOVERED  # it rose by 0.0009
    worse = (1.5, "borrow", USD, usdc(300), None, None)
    out, left, _ = one([1.15, 1.08, 1.08, 1.08], [worse])
    assert (out, list(left.values())) == ([], [pytest.approx(HOUR * 5 / 7)])  # he is still in it


def test_liquidations_and_a_health_factor_below_one_end_a_spell_without_a_response():
    taken = (2, "liquidation", ETH, str(2 * 10**18), USD, usdc(3_000))
    [spell], _, _ = one([1.15, 1.05, 1.02, 1.02], [taken])
    assert (spell.outcome, spell.seconds) == (LIQUIDATED, pytest.approx(5_400))
    [spell], _, _ = one([1.15, 1.05, 0.95, 1.05])
    assert (spell.outcome, spell.seconds) == (LIQUIDATABLE, pytest.approx(3_600))
    [spell], left, _ = one([1.15, 1.05, 1.05], [(1.5, "deficit", USD, usdc(12_000), None, None)])
    assert (spell.outcome, left) == (LIQUIDATED, {})


def test_what_was_not_seen_to_begin_is_left_out():
    out, left, unseen = one([1.05, 1.04, 1.15, 1.15])
    assert (out, left, len(unseen)) == ([], {}, 1)
    # His own loan took him there, and then he repaid.
    own = [(0.5, "borrow", USD, usdc(1_000), None, None), (2.5, "repay", USD, usdc(3_000), None, None)]
    assert one([1.15, 1.15, 1.15, 1.15], own) == ([], {}, set())
    # After a response that leaves him in the zone he is there by his own choice.
    half = [(1.5, "repay", USD, usdc(300), None, None), (3, "repay", USD, usdc(3_000), None, None)]
    assert [spell.outcome for spell in one([1.15, 1.05, 1.05, 1.05], half)[0]] == [RESPONDED]


def test_a_spell_goes_on_over_a_snapshot_and_ends_where_the_snapshot_says_otherwise():
    out, left, unseen = one([1.05, 1.05], going=-7_200.0)
    assert (out, list(left.values()), unseen) == ([], [-7_200.0], set())
    [spell], left, _ = one([1.05, 1.05], [(0.5, "repay", USD, usdc(3_000), None, None)], going=-7_200.0)
    assert (spell.outcome, spell.seconds, left) == (RESPONDED, pytest.approx(9_000), {})
    [spell], left, _ = one([1.3, 1.3], going=-7_200.0)
    assert (spell.outcome, spell.seconds, left) == (NOT_SEEN, 7_200.0, {})


def test_an_account_that_is_gone_ends_its_spell_unseen():
    book = markets.market(markets.reserves(2), [2_000.0, 1.0], [{0: 1.0}], [{1: 100.0}])
    out: list[Spell] = []
    followed(
        book, np.array([0, HOUR]), np.tile(book.price, (2, 1)), {}, zone=1.1, least_debt_usd=0.0,
        going={"0xgone": -60.0}, out=out,
    )  # fmt: skip
    assert out == [Spell("0xgone", -60.0, 60.0, NOT_SEEN, pytest.approx(np.nan, nan_ok=True))]


def test_small_debts_are_not_followed():
    book = markets.market(markets.reserves(2), [120.0, 1.0], [{0: 1.0}], [{1: 83.0}])
    out: list[Spell] = []
    price = np.array([[120.0, 1.0], [105.0, 1.0], [120.0, 1.0]])
    for least, n in ((83.1, 0), (83.0, 1)):
        followed(book, HOUR * np.arange(3), price, {}, zone=1.1, least_debt_usd=least, going={}, out=out)
        assert len(out) == n


def test_acts_of_both_sides_and_of_other_reserves_are_added_up():
    rows_ = [
        (0, "deposit", ETH, str(10**18), None, None), (100, "withdraw", ETH, str(3 * 10**17), None, None),
        (200, "liquidation", ETH, str(10**17), USD, usdc(50)), (300, "borrow", "0xother", "5", None, None),
    ]  # fmt: skip
    found = acts_of(rows_, {ETH: 0, USD: 1}, np.array([18, 6]))
    assert [(act.ts, act.taken) for act in found] == [(0, False), (200, True), (300, False)]
    np.testing.assert_allclose(
        [act.change for act in found], [[[0.7, 0], [0, 0]], [[-0.1, 0], [0, -50]], np.zeros((2, 2))]
    )


# Out of a warehouse: 60 accounts whose health factors cross 1.1 as ETH falls by 6 % for eight hours.

N = 60
WETH, USDC = (next(r for r in configuration.reserve_rows() if r["symbol"] == symbol) for symbol in ("WETH", "USDC"))
PRICE = int(WETH["price_raw"]) / 1e8
DIP = np.interp(np.arange(25), [12, 13, 20, 21], [1.0, 0.94, 0.94, 1.0])


def keep(block: int, before: int, debt: np.ndarray) -> None:
    """A snapshot of N accounts with 10 WETH and these debts (N,) in USDC."""
    base, names = frames(holdings(300, 7)), [f"0x{i + 1:040x}" for i in range(N)]
    kept = {
        name: frame.assign(market=MARKET, **{"valid_from" if "valid_from" in frame else "block": block})
        for name, frame in base.items()
    }
    weth, usdc_ = int(WETH["reserve_id"]), int(USDC["reserve_id"])
    kept["raw_aave_account_states"] = pd.DataFrame({
        "market": MARKET, "valid_from": block, "account": names, "emode_id": 0,
        "config_bitmap": str((2 << 2 * weth) | (1 << 2 * usdc_)),
    })  # fmt: skip
    sides = [
        {"account": name, "asset": of["asset"], "reserve_id": int(of["reserve_id"]), "scaled_supply": supply,
         "scaled_debt": owed}
        for name, amount in zip(names, debt, strict=True)
        for of, supply, owed in ((WETH, str(10 * 10**18), "0"), (USDC, "0", usdc(amount)))
    ]  # fmt: skip
    kept["raw_aave_balances"] = pd.DataFrame(sides).assign(market=MARKET, valid_from=block)
    at = END - before
    kept["fact_snapshot"] = kept["fact_snapshot"].assign(block_time=at)
    kept["raw_aave_reserves"] = kept["raw_aave_reserves"].assign(last_update_timestamp=at)
    with Store.open() as store:
        save_snapshot(store, "test", kept)


def set_price(connection, ts: int, usd: float) -> None:
    connection.execute("UPDATE dim_prices SET price_usd = ? WHERE symbol = 'ETHUSDT' AND ts = ?", (usd, ts))


@pytest.fixture
def planted(sample) -> dict:
    """Two snapshots a day apart; 36 of 60 accounts repay to 1.3 after exponential times with a mean of 90 minutes."""
    random = np.random.Generator(np.random.PCG64(5))
    health = random.uniform(1.11, 1.16, N)
    debt = np.round(10 * PRICE * 0.83 / health / 0.99993, 2)
    fall = 12 * HOUR + HOUR * (1 - 1.1 / health) / 0.06
    acts = fall + np.where(np.arange(N) < 36, random.exponential(5_400, N), np.inf)
    acted = acts < 20 * HOUR
    repaid = debt - 10 * PRICE * 0.94 * 0.83 / 1.3 / 0.99993
    keep(10, DAY, debt)
    keep(20, 0, np.where(acted, debt - repaid, debt))
    begin = END - DAY
    with Store.open() as store, store.transaction() as connection:
        for hour, level in enumerate(DIP):
            set_price(connection, begin + hour * HOUR, PRICE * level)
    late = np.round(np.where(acted, np.maximum(acts, 13 * HOUR), 0)).astype(int)
    repayments = [
        {"source": "test", "chain_id": 1, "block_number": 15, "log_index": i, "market": MARKET, "protocol": "aave_v3",
         "event": "Repay", "block_hash": "0x" + "1" * 64, "block_timestamp": int(begin + late[i]),
         "owner": f"0x{i + 1:040x}", "asset": USDC["asset"], "amount_raw": usdc(repaid[i])}
        for i in np.flatnonzero(acted).tolist()
    ]  # fmt: skip
    read = {"source": "test", "market": MARKET, "chain_id": 1, "first_time": begin, "last_time": END}
    block = {
        "source": "test", "market": MARKET, "chain_id": 1, "block_number": 15, "block_hash": "0x" + "1" * 64,
        "block_timestamp": begin + 15 * HOUR, "n_events": len(repayments),
    }  # fmt: skip
    with Store.open() as store:
        store.write_batch("test", "events", {
            "raw_lending_repay_events": made_up("raw_lending_repay_events", repayments),
            "raw_lending_blocks": made_up("raw_lending_blocks", [block]),
            "raw_lending_reads": made_up("raw_lending_reads", [read]),
        })  # fmt: skip
        marts.refresh(store, ["fact_lending_repay_events"])
    return {"fall": fall, "late": late, "acted": acted, "health": health}


def test_planted_spells_come_back_and_the_fit_is_that_of_the_model(planted):
    said = run()
    acted = planted["acted"]
    seconds = (
        np.where(acted, planted["late"], 20 * HOUR + HOUR * (1.1 / planted["health"] - 0.94) / 0.06) - planted["fall"]
    )
    truth = responses.fit(responses.Spells(
        account=np.arange(N), seconds=seconds, outcome=np.where(acted, RESPONDED, RECOVERED),
        after=np.where(acted, 1.3, np.nan),
    ))  # fmt: skip
    [(share, se, low, high, delay, target, n, outcomes, first, last, synthetic)] = rows(
        "SELECT share, share_se, share_low, share_high, delay, target, n_spells, outcomes, first_ts, last_ts, "
        "is_synthetic FROM fact_borrower_response"
    )
    assert (n, json.loads(outcomes)["responded"]) == (N, acted.sum())
    # Prices are drawn straight in logs between hours, the times above in prices.
    assert (share, se, low, high) == pytest.approx(
        (truth.share.value, truth.share.se, truth.share.low, truth.share.high), rel=1e-3
    )
    assert delay == pytest.approx(truth.delay.value, rel=5e-3)
    assert target == pytest.approx(1.3, rel=1e-3)
    assert (first, last, synthetic) == (END - DAY, END, 1)
    assert "SAMPLE: synthetic accounts and prices" in said
    assert f"60 spells of 60 accounts between health factor 1 and 1.1: {acted.sum()} responded, 0 liquidated" in said
    assert f"share that responds  {share:.1%} ± {se:.1%} (95 %: {low:.1%} to {high:.1%})" in said
    assert "assumed is that a warning begins at health factor 1.1" in said


def test_the_same_fit_is_stored_once_and_another_zone_beside_it(planted):
    run()
    run()
    run("--zone", "1.09")
    assert [zone for (zone,) in rows("SELECT zone FROM fact_borrower_response ORDER BY zone")] == [1.09, 1.1]


def test_an_earlier_snapshot_does_not_see_a_later_fit(planted):
    run()
    with Store.open() as store:
        now, before = (load_market(block, MARKET).snapshot for block in (20, 10))
        fit = stored_response(store, now)
        assert fit is not None
        assert stored_response(store, before) is None
        assert stored_response(store, before, look_ahead=True) == fit
    who = fit.borrowers(seed=2)
    assert (who.share, who.zone, who.target, who.seed) == (fit.share, 1.1, pytest.approx(1.3, rel=1e-3), 2)
    assert who.delay.total_seconds() == pytest.approx(fit.delay)


@pytest.mark.parametrize(("target", "engine"), [(None, 100.0), (1.04, 1.1), (1.3, 1.3), (500.0, 100.0)])
def test_a_target_that_the_engine_does_not_take_is_the_nearest_that_it_does(target, engine):
    fit = StoredResponse("x", 0, 1.1, 0.5, 0.4, 0.6, 3_600.0, target, 50, 40, 20)
    assert fit.borrowers().target == engine
    assert fit.borrowers(share=0.4).share == 0.4


def test_what_is_missing_is_said_with_the_command_that_brings_it(planted):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM stg_lending_events WHERE event_type = 'repay'")
    with pytest.raises(
        TooFewSpells, match=r"60 accounts with 0 responses are too few.*\(60 spells in 1\.0 days between 2"
    ):
        run()
    assert "nothing to do" in run("--or-nothing")
    with Store.open() as store, store.transaction() as connection:
        connection.execute("UPDATE raw_lending_reads SET last_time = last_time - 1")
    with pytest.raises(TooFewSpells, match=r"are not all stored, .* `python -m flows lending-events` reads them"):
        run()
    with pytest.raises(TooFewSpells, match=r"no two snapshots at most 7 days apart .* \(1 in all\)"):
        run("--block", "10")
    with Store.open() as store, store.transaction() as connection:
        connection.execute("UPDATE raw_lending_reads SET last_time = last_time + 1")
        connection.execute(
            "UPDATE raw_aave_balances SET scaled_debt = '1' WHERE market = 'PastSample' AND valid_to = 20"
        )
    with pytest.raises(TooFewSpells, match=r"nobody is followed from block 10 to 20: .* rows were changed"):
        run()
    assert rows("SELECT count(*) FROM fact_borrower_response") == [(0,)]


def test_the_sample_says_why_it_has_no_spells(sample):
    with pytest.raises(TooFewSpells, match=r"aave-history --store --every day.*the sample has one snapshot alone"):
        ran("borrower-response")


def test_prices_end_at_the_next_snapshots_and_follow_the_series_under_the_oracles_cap(sample):
    at = configuration.BLOCK_TIME
    first = markets.market(
        markets.reserves(3, price_cap=[np.inf, 2_600.0, np.inf], fixed_price=[0, 0, 1]), [2_000.0, 2_590.0, 1.0],
        [{0: 1.0}], [{2: 1.0}], block_time=at - 3 * DAY,
    )  # fmt: skip
    last = markets.market(markets.reserves(3), [2_100.0, 2_600.0, 1.0], [{0: 1.0}], [{2: 1.0}], block_time=at - 2 * DAY)
    with Store.open() as store, store.transaction() as connection:
        for hour in range(25):
            set_price(connection, at - 3 * DAY + hour * HOUR, 1_000 + 10 * hour)
    read = Series(at - 3 * DAY, at - 2 * DAY, synthetic=True)
    times, price = between(first, last, {"ETH": "ETHUSDT"}, np.array([0, 0, -1]), read)
    assert (times[0], times[-1], len(times)) == (at - 3 * DAY, at - 2 * DAY, 25)
    np.testing.assert_allclose(price[-1], [2_100, 2_600, 1])
    # Half way the series is up by 12 %, and half of the log of what it did not explain is added.
    assert price[12, 0] == pytest.approx(2_000 * 1.12 * np.sqrt(2_100 / (2_000 * 1.24)))
    assert price[12, 1] == pytest.approx(2_600)
    assert (price[:, 2] == 1).all()
    assert read.missing == []
    assert Series(at - 3 * DAY, at, synthetic=True).logs("NONE", times).tolist() == [0.0] * 25


def test_spells_of_one_account_have_one_number():
    found = as_arrays(
        [Spell("0xb", 0, 1, RECOVERED, np.nan), Spell("0xa", 0, 2, RESPONDED, 1.2), Spell("0xb", 9, 1, 0, 1.3)]
    )
    assert found.account.tolist() == [1, 0, 1]


def test_the_envelope_of_a_run_uses_the_fit_with_both_ends_of_its_share(sample):
    def models() -> dict:
        ran("risk-scenarios", "--paths", "256", "--force")
        return {one["name"]: one for one in results.latest().series["envelope"] if one["group"] == "Behaviour"}

    plain = models()
    assert list(plain) == ["borrowers respond"]
    assert "as fitted to another market" in plain["borrowers respond"]["words"]
    at = load_market().snapshot
    numbers = dict(zone=1.15, share=0.5, share_low=0.3, share_high=0.7, delay=7_200.0, target=1.4, n_spells=123)
    row = made_up("fact_borrower_response", [dict(market=at.market, last_ts=at.block_time, is_synthetic=1, **numbers)])
    with Store.open() as store:
        store.write_batch("test", "fit", {"fact_borrower_response": row})
    fitted = models()
    assert list(fitted) == ["borrowers respond", "fewer respond", "more respond"]

    def lar(share: float, seed: int = 0) -> float:
        who = rc.Borrowers(share=share, delay=timedelta(hours=2), zone=1.15, target=1.4, seed=seed)
        scenario = results.latest().scenario()
        return rc.measures.lar(rc.simulate(load_market(), scenario, n_paths=256, seed=7, borrowers=who), 0.99).value

    got = [fitted[name]["figure"]["value"] for name in fitted]
    assert got == [lar(0.5), lar(0.3), lar(0.7)]
    drawn = [lar(0.5, seed) for seed in range(3)]
    words = fitted["borrowers respond"]["words"]
    assert "50% of the accounts repay to health factor 1.4 after 2 h below 1.15" in words
    assert "fitted to this market, 123 spells, the zone assumed" in words
    assert f"3 draws of which accounts do: {amount(min(drawn), 'USD')} to {amount(max(drawn), 'USD')}" in words
    assert "30% of the accounts instead, the lower end" in fitted["fewer respond"]["words"]
    with Store.open() as store, store.transaction() as connection:
        connection.execute("UPDATE fact_borrower_response SET last_ts = last_ts + 1")
    assert list(models()) == ["borrowers respond"]
    ran("risk-scenarios", "--paths", "256", "--force", "--allow-look-ahead")
    (words,) = (one["words"] for one in results.latest().series["envelope"] if one["name"] == "borrowers respond")
    assert "123 spells, some later than the block" in words
