"""What the marts say of wallets: figures one can check by hand, and the engine's own health factors as a witness."""

from __future__ import annotations

import math

import numpy as np
import pytest

import data
import risk_core as rc
from data import marts
from data.store import validity
from data.store.store import Store
from risk_core.units import RAY
from tests.data.conftest import execute
from tests.data.feeding import MIDNIGHT, snapshot

WETH, USDC, WBTC = ("0x" + letter * 40 for letter in "abc")
ALICE, BOB, CAROL, DAVE = ("0x" + digit * 40 for digit in "1234")
MARKET = "AaveV3Ethereum"


def test_health_factors_are_those_of_the_engine(filled):
    """Another implementation of the same rule, e-modes included, on a sample of 400 accounts."""
    market = data.load_market()
    with Store.open() as store:
        marts.refresh(store)
        told = dict(store.rows("SELECT account, health_factor FROM stg_account_health"))

    for account, expected in zip(market.accounts, rc.health_factor(market), strict=True):
        found = told[str(account)]
        assert (math.inf if found is None else found) == pytest.approx(expected, rel=1e-14)


def test_liquidation_prices_are_those_of_the_engine(filled):
    """One quantity, two implementations: every account of the sample, with debt in the same asset and without."""
    market = data.load_market()
    with Store.open() as store:
        marts.refresh(store)
        told = store.rows("SELECT wallet, main_collateral, liquidation_price_usd FROM mart_position_risk")

    compared = 0
    for account, asset, price in told:
        if asset is None:
            continue
        row = market.index(account)
        owes = market.debt.indptr[row + 1] > market.debt.indptr[row]
        expected = rc.liquidation_prices(market, row)[market.reserves.index(asset)] if owes else math.nan
        assert (math.nan if price is None else price) == pytest.approx(expected, rel=1e-9, nan_ok=True), account
        compared += price is not None
    assert compared > 100


def book(
    store: Store, *, block: int, at: int, weth_usd: int = 2_000, without: str = "", in_ether: bool = False
) -> None:
    """A small market, written by hand: WETH (threshold 0.8, ltv 0.75), USDC (0.7, 0.6), WBTC (none).

    E-mode 1 raises WETH to 0.95 and 0.9; USDC is no member. Reserve ids are above 63, as on large markets.
    """
    with store.transaction() as connection:
        number = connection.execute("SELECT coalesce(max(batch), 0) + 1 FROM fact_batch").fetchone()[0]
        connection.execute("INSERT INTO fact_batch VALUES (?, 's', 'k', 'r', '', 0)", (number,))
        connection.execute("INSERT INTO fact_batch_rows VALUES (?, 'fact_snapshot', 1, 1, 0, ?)", (number, at))

        def put(table: str, **values: object) -> None:
            layout = data.schemas.tables.tables()[table]
            given = {"market": MARKET, "block": block, "batch": number, **values}
            for column in layout.columns:
                empty = {"TEXT": "0x" + "0" * 40, "INTEGER": 0, "REAL": 0.0}[column.type]
                given.setdefault(column.name, None if column.nullable else empty)
            marks = ", ".join("?" * len(given))
            connection.execute(f"INSERT INTO {table} ({', '.join(given)}) VALUES ({marks})", tuple(given.values()))

        put(
            "fact_snapshot",
            block_time=at,
            chain_id=1,
            base_currency_unit=str(10**18 if in_ether else 10**8),
            protocol="aave_v2" if in_ether else "aave_v3",
        )
        for reserve_id, asset, symbol, usd, lt, ltv in (
            (70, WETH, "WETH", weth_usd, 8_000, 7_500),
            (71, USDC, "USDC", 1, 7_000, 6_000),
            (72, WBTC, "WBTC", 50_000, 0, 0),
        ):
            price = usd * 10**18 // weth_usd if in_ether else usd * 10**8
            put("raw_aave_reserves", asset=asset, reserve_id=reserve_id, symbol=symbol, price_raw=str(price),
                liquidation_threshold_bps=lt, ltv_bps=ltv, decimals=18, liquidity_index=str(RAY), liquidity_rate="0",
                variable_borrow_index=str(RAY), variable_borrow_rate="0")  # fmt: skip
        put(
            "raw_aave_emodes",
            emode_id=1,
            liquidation_threshold_bps=9_500,
            ltv_bps=9_000,
            collateral_bitmap=str(1 << 70),
            ltvzero_bitmap="0",
        )
        states, balances = [], []
        number_of = {WETH: 70, USDC: 71, WBTC: 72}
        for account, emode, holdings in (
            # 10 WETH and 1,000 USDC (not enabled) against 8,000 USDC
            (ALICE, 0, [(WETH, 10.0, 0.0, 1), (USDC, 1_000.0, 8_000.0, 0)]),
            # in e-mode: 1 WETH and 1,000 USDC, both enabled, against 0.5 WETH
            (BOB, 1, [(WETH, 1.0, 0.5, 1), (USDC, 1_000.0, 0.0, 1)]),
            # supplies only
            (CAROL, 0, [(WBTC, 2.0, 0.0, 1)]),
            # owes, with nothing that backs it
            (DAVE, 0, [(WBTC, 0.1, 0.0, 1), (USDC, 0.0, 100.0, 0)]),
        ):
            if account == without:
                continue
            flags = sum(enabled << 2 * number_of[asset] + 1 for asset, _, _, enabled in holdings)
            states.append(((MARKET, account), (emode, str(flags))))
            balances += [
                ((MARKET, account, asset), (number_of[asset], units(supply), units(debt), None))
                for asset, supply, debt, _ in holdings
            ]
        for table, rows in (("raw_aave_account_states", states), ("raw_aave_balances", balances)):
            layout = data.schemas.tables.tables()[table]
            validity.put(connection, layout, rows, number, validity.Moment(MARKET, block))


def units(tokens: float) -> str:
    """Token units of a balance; indices are 1."""
    return str(int(tokens * 10**18))


def wallet(store: Store, account: str, table: str = "stg_wallet_now") -> dict:
    columns = "collateral_eth, lt_collateral_eth, borrow_eth, available_borrows_eth, health_factor, risk_factor"
    [row] = store.rows(f"SELECT {columns} FROM {table} WHERE wallet = ?", (account,))
    return dict(zip(columns.split(", "), row, strict=True))


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        # 20,000 x 0.8 / 8,000 = 2; 15,000 - 8,000 = 7,000 USD = 3.5 ETH
        (ALICE, (10.0, 8.0, 4.0, 3.5, 2.0, 0.5)),
        # (2,000 x 0.95 + 1,000 x 0.7) / 1,000 = 2.6; 2,000 x 0.9 + 1,000 x 0.6 - 1,000 = 1,400 USD
        (BOB, (1.5, 1.3, 0.5, 0.7, 2.6, 1 / 2.6)),
        (CAROL, (50.0, 0.0, 0.0, 0.0, None, 0.0)),
        (DAVE, (2.5, 0.0, 0.05, 0.0, 0.0, 1e6)),
    ],
)
def test_a_wallet_by_hand(store, account, expected):
    book(store, block=1, at=MIDNIGHT)
    marts.refresh(store)

    assert list(wallet(store, account).values()) == [
        value if value is None else pytest.approx(value, rel=1e-15) for value in expected
    ]


@pytest.mark.parametrize("account", [ALICE, BOB, CAROL, DAVE])
def test_a_market_that_counts_in_ether_gives_the_same_wallets_and_no_dollars(store, account):
    book(store, block=1, at=MIDNIGHT)
    marts.refresh(store)
    expected = wallet(store, account)
    book(store, block=2, at=MIDNIGHT + 12, in_ether=True)
    marts.refresh(store)

    assert list(wallet(store, account).values()) == [
        value if value is None else pytest.approx(value, rel=1e-15) for value in expected.values()
    ]
    assert store.rows("SELECT DISTINCT protocol FROM stg_wallet_now") == [("aave_v2",)]
    assert store.rows("SELECT DISTINCT collateral_usd, liquidation_price_usd FROM mart_position_risk") == [(None, None)]


def test_how_near_to_liquidation_by_hand(store):
    book(store, block=1, at=MIDNIGHT)
    marts.refresh(store)
    rows = {
        row[0]: row[1:]
        for row in store.rows(
            "SELECT wallet, main_collateral_symbol, fall_to_liquidation, liquidation_price_usd, is_liquidatable "
            "FROM mart_position_risk"
        )
    }

    # At 1,000 USD, 10 WETH x 0.8 back exactly 8,000 USD.
    assert rows[ALICE] == ("WETH", pytest.approx(0.5), pytest.approx(1_000.0), 0)
    # 1 WETH x 0.95 exceeds the debt of 0.5 WETH at every price of it, so there is no such price.
    assert rows[BOB] == ("WETH", pytest.approx(1 - 1 / 2.6), None, 0)
    assert rows[CAROL] == ("WBTC", None, None, 0)
    assert rows[DAVE] == ("WBTC", None, None, 1)


def test_debt_in_the_same_asset_moves_with_its_price(store):
    """10 WETH with a threshold of 0.83 against 3 WETH and 8,000 USDC: 8,000 / (8.3 - 3) = 1,509.43 USD."""
    book(store, block=1, at=MIDNIGHT)
    with store.transaction() as connection:
        connection.execute("UPDATE raw_aave_reserves SET liquidation_threshold_bps = 8300 WHERE symbol = 'WETH'")
        connection.execute(
            "UPDATE raw_aave_balances SET scaled_debt = ? WHERE account = ? AND asset = ?", (units(3.0), ALICE, WETH)
        )
    marts.refresh(store)

    [(price,)] = store.rows("SELECT liquidation_price_usd FROM mart_position_risk WHERE wallet = ?", (ALICE,))
    assert price == pytest.approx(8_000 / (10 * 0.83 - 3), rel=1e-14)


def test_only_what_is_enabled_is_collateral(store):
    book(store, block=1, at=MIDNIGHT)
    marts.refresh(store)

    assert store.rows(
        "SELECT wallet, symbol, amount, collateral_usd, liquidation_threshold, ltv "
        "FROM the_graph_current_collateral_positions WHERE wallet IN (?, ?) ORDER BY wallet, symbol",
        (ALICE, BOB),
    ) == [
        (ALICE, "WETH", 10.0, 20_000.0, 0.8, 0.75),
        (BOB, "USDC", 1_000.0, 1_000.0, 0.7, 0.6),
        (BOB, "WETH", 1.0, 2_000.0, 0.95, 0.9),
    ]


def test_now_is_the_newest_block_and_a_day_is_its_first(store):
    for hour, usd in ((5, 1_000), (1, 1_600), (25, 4_000)):
        book(store, block=hour, at=MIDNIGHT + 3_600 * hour, weth_usd=usd, without=DAVE if hour == 25 else "")
        marts.refresh(store)

    # Alice's health factor is WETH's price / 1,000.
    assert wallet(store, ALICE)["health_factor"] == 4.0
    assert store.rows("SELECT day, health_factor FROM stg_wallet_daily WHERE wallet = ? ORDER BY day", (ALICE,)) == [
        ("2026-01-01", 1.6),
        ("2026-01-02", 4.0),
    ]
    assert store.rows("SELECT day FROM stg_wallet_daily WHERE wallet = ?", (DAVE,)) == [("2026-01-01",)]
    assert store.rows("SELECT * FROM stg_wallet_now WHERE wallet = ?", (DAVE,)) == []
    assert store.rows("SELECT day, block, seconds_after_midnight FROM dim_block_day ORDER BY day") == [
        ("2026-01-01", 1, 3_600),
        ("2026-01-02", 25, 3_600),
    ]


def test_without_an_ether_price_the_amounts_in_ether_are_empty_and_the_risk_is_not(filled):
    execute(filled, "UPDATE raw_aave_reserves SET symbol = 'xETH' WHERE symbol = 'WETH'")
    with Store.open() as store:
        marts.refresh(store)

        assert store.rows("SELECT DISTINCT borrow_eth FROM stg_wallet_now") == [(None,)]
        assert store.rows("SELECT count(*) FROM stg_wallet_now WHERE health_factor > 0")[0][0] > 100


def test_the_oldest_and_newest_of_many_snapshots_are_told(store):
    random = np.random.default_rng(3)
    for _ in range(6):
        snapshot(store, random)
    marts.refresh(store)

    told = store.rows("SELECT market, n_snapshots, first_block, newest_block, batch FROM dim_market ORDER BY market")
    assert told == store.rows(
        "SELECT market, count(*), min(block), max(block), max(batch) FROM fact_snapshot GROUP BY market"
    )


def test_freshness_is_the_newest_time_of_a_table_and_its_age_that_of_the_clock(filled):
    with Store.open() as store:
        marts.refresh(store)
        newest = store.rows("SELECT max(ts) FROM dim_prices")[0][0]

        assert store.rows("SELECT newest_at, n_changed FROM mart_freshness WHERE table_name = 'dim_prices'") == [
            (newest, store.rows("SELECT count(*) FROM dim_prices")[0][0])
        ]
        age, now, late = store.rows(
            "SELECT age_s, strftime('%s', 'now'), is_late FROM freshness WHERE table_name = 'dim_prices'"
        )[0]
        assert age == pytest.approx(int(now) - newest, abs=2)
        assert late == (age > 2 * 86_400)
