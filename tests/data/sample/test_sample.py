"""The sample has the shape that is promised, obeys the protocol's rules, and passes for nothing but a sample."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import data
from data.prices.series import load_prices
from data.sample import book, configuration, fill, main
from data.sample import prices as synthetic
from data.sample.book import holdings
from data.sample.frames import frames
from data.sample.shapes import SHAPES
from data.sample.statistics import statistics
from data.store.store import Store
from risk_core.units import RAY
from tests.data.conftest import checksums, execute


@pytest.mark.parametrize(("n_accounts", "seed"), [(20_000, 7), (20_000, 8), (100_000, 7)])
def test_the_statistics_are_inside_what_is_promised(n_accounts, seed):
    found = statistics(book(n_accounts, seed))

    assert found.n_accounts == n_accounts
    assert 1.7 <= found.median_health_factor <= 1.9
    assert 0.035 <= found.share_below_1_1 <= 0.08
    assert found.lowest_health_factor >= 1.005
    assert found.share_three_legs >= 0.40
    assert found.mean_legs >= 2.5
    assert found.n_reserves_used >= 20
    assert found.debt_usd == pytest.approx(14.81e9, rel=1e-3)
    assert 25e9 < found.collateral_usd < 36e9
    assert 0.1 < found.share_in_emode < 0.3
    assert found.top_10_share < 0.25


def test_nothing_of_it_can_be_taken_for_real():
    market = book(400)

    assert market.snapshot.synthetic
    assert market.snapshot.market.startswith("Sample")
    assert all(address.startswith("0x" + b"SAMPLE".hex()) for address in market.accounts)
    assert {len(address) for address in market.accounts} == {42}


def test_equal_arguments_give_equal_books_and_others_do_not():
    assert book(300, 5).snapshot.hash == book(300, 5).snapshot.hash
    assert book(300, 5).snapshot.hash != book(300, 6).snapshot.hash
    assert book(300, 5).snapshot.hash != book(301, 5).snapshot.hash


def test_every_leg_is_one_that_the_protocol_allows():
    market = book(20_000)
    reserves, emodes = market.reserves, market.emodes
    rows = {row["symbol"]: row for row in configuration.reserve_rows()}
    borrowable = np.array(
        [rows[s]["borrowing_enabled"] == "1" and rows[s]["is_frozen"] == "0" for s in reserves.symbol]
    )
    lender = np.repeat(np.arange(market.n_accounts), np.diff(market.collateral.indptr))
    borrower = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
    mode = market.emode[borrower]

    # Outside an e-mode what borrowing is enabled for, inside what the category's bitmap names (v3.6 and later).
    allowed = np.where(mode < 0, borrowable[market.debt.reserve], emodes.borrowable[mode, market.debt.reserve])
    assert allowed.all()
    owing = np.diff(market.debt.indptr) > 0
    backing = np.where(
        (market.emode[lender] >= 0) & emodes.collateral[market.emode[lender], market.collateral.reserve],
        emodes.liquidation_threshold[market.emode[lender]],
        reserves.liquidation_threshold[market.collateral.reserve],
    )
    assert (backing[owing[lender]] > 0.05).all()
    assert (market.emode[~owing] == -1).all()


def test_shares_of_the_shapes_add_up():
    assert sum(shape.share for shape in SHAPES) == pytest.approx(1)
    for shape in SHAPES:
        assert sum(shape.n_collateral) == pytest.approx(1), shape.name
        assert sum(shape.n_debt) == pytest.approx(1), shape.name


def test_nobody_holds_more_units_than_a_float_counts_exactly():
    held = holdings(20_000)

    assert held.supply.max() < 2**53
    assert held.debt.max() < 2**53


def test_too_few_accounts_are_refused():
    with pytest.raises(ValueError, match="at least 100 accounts, found 99"):
        book(99)


def test_the_configuration_is_the_published_one():
    reserves, emodes = configuration.reserves(), configuration.emodes()
    weth, gho = reserves.index("WETH"), reserves.index("GHO")

    assert len(reserves) == 48
    assert len(emodes) == 16
    assert configuration.prices()[weth] == 2578.461748
    assert (reserves.ltv[weth], reserves.liquidation_threshold[weth]) == (0.805, 0.83)
    assert reserves.liquidation_bonus[weth] == pytest.approx(0.05)
    assert (reserves.liquidation_bonus[gho], reserves.liquidation_threshold[gho]) == (-1, 0)
    assert emodes.label[0] == "ETH correlated"
    assert [reserves.symbol[i] for i in np.flatnonzero(emodes.borrowable[0])] == ["WETH"]
    assert "weETH" in [reserves.symbol[i] for i in np.flatnonzero(emodes.collateral[0])]


def test_the_configuration_is_the_sheet_it_came_from():
    sheet = Path(data.__file__).parents[2] / "shared" / "facts" / "snapshot_2025_reserves.csv"
    if not sheet.exists():
        pytest.skip("the sheet of facts is not beside the repository")
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    ours = configuration.reserve_rows()

    assert [row["underlying"].lower() for row in rows] == [row["asset"] for row in ours]
    assert [row["price_raw_8dec"] for row in rows] == [row["price_raw"] for row in ours]
    for name in ("ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "liquidation_protocol_fee_bps"):
        assert [row[name] for row in rows] == [row[name] for row in ours]
    for theirs, name in (("slope1_apr", "slope1"), ("optimal_usage_ratio", "optimal_usage_ratio")):
        assert [float(row[theirs]) for row in rows] == [pytest.approx(int(row[name]) / RAY) for row in ours]


def test_the_books_of_the_reserves_balance():
    held = holdings(2_000)
    rows = frames(held)
    positions, reserves = rows["raw_aave_balances"], rows["raw_aave_reserves"].set_index("asset")

    for asset, group in positions.groupby("asset"):
        assert sum(map(int, group["scaled_supply"])) == int(reserves.loc[asset, "scaled_atoken_supply"])
        assert sum(map(int, group["scaled_debt"])) == int(reserves.loc[asset, "scaled_debt_supply"])


def test_the_flags_of_an_account_are_those_of_its_positions():
    held = holdings(300)
    rows = frames(held)
    places = zip(held.account.tolist(), held.reserve.tolist(), strict=True)
    enabled = {
        (held.addresses[account], reserve): int(flag)
        for (account, reserve), flag in zip(places, held.enabled.tolist(), strict=True)
    }
    bitmap = dict(
        zip(rows["raw_aave_account_states"]["account"], rows["raw_aave_account_states"]["config_bitmap"], strict=True)
    )

    for row in rows["raw_aave_balances"].itertuples():
        flags = int(bitmap[row.account]) >> (2 * row.reserve_id)
        assert flags & 1 == (row.scaled_debt != "0")
        assert flags >> 1 & 1 == enabled[row.account, row.reserve_id]


def test_filling_twice_changes_nothing(filled):
    before = checksums(filled)

    fill(400, 11)

    assert checksums(filled) == before


def test_a_smaller_sample_replaces_a_larger_one(filled):
    fill(150, 3)

    assert data.load_market(verify=True).snapshot == book(150, 3).snapshot


# Prices


def test_prices_end_at_the_snapshot_and_cover_what_the_reserves_follow(filled):
    market = data.load_market()
    mapping = data.prices.assets.asset_map()
    series = sorted(set(mapping.loc[mapping["kind"] != "fixed", "series"]))

    prices = load_prices(series, synthetic=True)

    assert list(prices.columns) == series
    assert len(prices) == 120 * 24 + 1
    assert prices.index[-1] == market.snapshot.block_time
    assert (np.diff(prices.index) == 3_600).all()
    assert prices["ETHUSDT"].iloc[-1] == market.price[market.reserves.index("WETH")]
    with Store.open() as opened:
        assert opened.rows("SELECT DISTINCT source, is_synthetic FROM dim_prices") == [("synthetic", 1)]


@pytest.mark.statistical
def test_prices_move_as_stated():
    """Seed 7, 2,880 returns: a volatility has a standard error of s / sqrt(2 n), a correlation (1 - r^2) / sqrt(n)."""
    table = synthetic.frame(7).pivot_table(index="ts", columns="symbol", values="price_usd")
    returns = np.log(table).diff().dropna()
    n = len(returns)

    for symbol, motion in synthetic.MOTIONS.items():
        if symbol in synthetic.REVERTING:
            continue
        measured = returns[symbol].std() * np.sqrt(synthetic.STEPS_PER_YEAR)
        assert abs(measured - motion.volatility) < 4 * motion.volatility / np.sqrt(2 * n), symbol
    for first, second in (("ETHUSDT", "BTCUSDT"), ("ETHUSDT", "LINKUSDT"), ("CRVUSDT", "UNIUSDT")):
        stated = synthetic.correlation(first, second)
        assert abs(returns[first].corr(returns[second]) - stated) < 4 * (1 - stated**2) / np.sqrt(n)


@pytest.mark.parametrize("peg", list(synthetic.REVERTING))
def test_a_dollar_stays_a_dollar(peg):
    table = synthetic.frame(7).query("symbol == @peg")["price_usd"]

    # The stationary deviation is 0.4 % a year over an hour, over the square root of 1 - 0.97^2.
    deviation = 0.004 / np.sqrt(8_760) / np.sqrt(1 - 0.97**2)
    calm = table.to_numpy()
    if peg in synthetic.DEPEG:
        began, depth, half_life = synthetic.DEPEG[peg]
        away = calm[-1 - began : -1 - began + 72]
        assert away[0] == pytest.approx(1 + depth, abs=6 * deviation)
        assert away[round(half_life)] == pytest.approx(1 + depth / 2, abs=6 * deviation)
        calm = np.concatenate([calm[: -1 - began], calm[-1 - began + 15 * 24 :]])
    assert np.abs(calm - 1).max() < 6 * deviation


# The command


def test_a_sample_of_an_older_version_gets_the_series_of_this_one_and_keeps_its_accounts(own_warehouse, capsys):
    main(["--accounts", "120", "--seed", "3"])
    before = checksums(own_warehouse)
    execute(own_warehouse, "DELETE FROM dim_prices WHERE symbol IN ('USDT/USD', 'DAI/USD')")
    execute(own_warehouse, "UPDATE dim_asset SET series = 'USDCUSDT' WHERE factor IN ('USDT', 'USD')")
    capsys.readouterr()

    assert main(["--if-empty"]) == 0

    assert "synthetic prices of this version" in capsys.readouterr().out
    after = checksums(own_warehouse)
    assert {name for name in before if before[name] != after[name]} <= {
        "dim_prices",
        "dim_asset",
        "fact_batch",
        "fact_batch_rows",
        "fact_event",
    }
    with Store.open(own_warehouse, readonly=True) as store:
        said = store.rows("SELECT symbol, count(*) FROM dim_prices WHERE symbol LIKE '%/USD' GROUP BY symbol")
        assert said == [("DAI/USD", 2881), ("USDT/USD", 2881)]
        assert store.rows("SELECT DISTINCT series FROM dim_asset WHERE factor = 'USDT'") == [("USDT/USD",)]
    assert main(["--if-empty"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_command_fills_prints_and_leaves_a_full_warehouse_alone(own_warehouse, capsys):
    assert main(["--accounts", "120", "--seed", "3"]) == 0
    assert "sample of 120 accounts" in capsys.readouterr().out
    before = checksums(own_warehouse)

    assert main(["--if-empty"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert checksums(own_warehouse) == before

    assert main(["--statistics", "--accounts", "500"]) == 0
    printed = capsys.readouterr().out
    assert "median health factor" in printed
    assert checksums(own_warehouse) == before


def test_the_command_says_what_is_wrong(own_warehouse, capsys):
    own_warehouse.write_bytes(b"not a database" * 100)

    assert main([]) == 1
    assert "restore it from a copy" in capsys.readouterr().err
    assert main(["--accounts", "5"]) == 1
    assert "at least 100 accounts" in capsys.readouterr().err


class Killed(BaseException):
    """What no `except Exception` sees, as a kill that nothing survives."""


FILLED_IN = 20
"""The first transaction that a whole fill does not reach."""


@pytest.mark.parametrize("statement", [*range(1, FILLED_IN, 2), FILLED_IN])
def test_a_sample_that_was_cut_off_is_filled_again(own_warehouse, monkeypatch, statement):
    """Death at the n-th transaction of the fill: `--if-empty` then does the whole of it."""
    begun, original = [], Store.transaction

    def counted(store):
        begun.append(store)
        if len(begun) >= statement:
            raise Killed
        return original(store)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "transaction", counted)
        try:
            fill(150, 3)
        except Killed:
            cut = True
        else:
            cut = False

    assert main(["--if-empty", "--accounts", "150", "--seed", "3"]) == 0
    assert data.load_market().n_accounts == 150
    assert len(data.prices.assets.asset_map()) == data.load_market().n_reserves
    assert len(load_prices(["ETHUSDT"], synthetic=True)) > 0
    with Store.open(readonly=True) as store:
        runs = store.rows("SELECT count(*) FROM fact_run WHERE state = 'completed'")
    assert runs == [(1,)]
    assert cut == (statement < FILLED_IN)
