"""A table of positions becomes a market, and what is wrong with it is said in the words of its owner."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core import frames
from tests.markets import KINDS, random_market

RESERVES = pd.DataFrame(
    {
        "symbol": ["WETH", "USDC"],
        "price": [1_900.0, 1.0],
        "liquidation_threshold": [0.83, 0.78],
        "liquidation_bonus": [0.05, 0.045],
    }
)
POSITIONS = pd.DataFrame(
    [
        ("0xAa", "WETH", "supply", 10.0),
        ("0xAa", "USDC", "debt", 16_000.0),
        ("0xbb", "WETH", "supply", 1.0),
    ],
    columns=["account", "symbol", "side", "amount"],
)


def same(a: object, b: object, where: str = "market") -> None:
    """Every field of two records is equal, with its dtype."""
    for field in fields(a):  # type: ignore[arg-type]
        mine, theirs, name = getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}"
        if isinstance(mine, np.ndarray):
            assert mine.dtype.kind == theirs.dtype.kind, name
            np.testing.assert_array_equal(mine, theirs, err_msg=name, strict=mine.dtype.kind != "U")
        elif hasattr(mine, "__dataclass_fields__"):
            same(mine, theirs, name)
        else:
            assert mine == theirs, name


def faults(call) -> list[str]:
    with pytest.raises(rc.InputError) as refused:
        call()
    return [line.strip() for line in str(refused.value).splitlines()]


def test_a_health_factor_by_hand():
    # 10 ETH at 1,900 with threshold 0.83 against 16,000 USDC: 15,770 / 16,000.
    market = frames.market_from_frame(POSITIONS, RESERVES)

    assert market.accounts.tolist() == ["0xaa", "0xbb"]
    np.testing.assert_allclose(rc.health_factor(market), [15_770 / 16_000, np.inf], rtol=1e-15)


def test_amounts_in_usd_need_no_price():
    book = pd.DataFrame(
        {
            "account": ["a", "a", "b", "b"],
            "symbol": ["WETH", "USDC", "WETH", "DAI"],
            "side": ["supply", "debt", "supply", "debt"],
            "amount_usd": [19_000.0, 16_000.0, 1_000, 500],
            "liquidation_threshold": [0.83, np.nan, 0.83, np.nan],
        }
    )

    market = frames.market_from_frame(book)

    assert market.reserves.symbol == ("WETH", "USDC", "DAI")
    assert len(market.emodes) == 0  # all positions of WETH say the same, so it is the reserve's
    np.testing.assert_allclose(rc.health_factor(market), [15_770 / 16_000, 830 / 500], rtol=1e-15)


def test_tokens_and_usd_may_be_mixed_by_row():
    book = POSITIONS.assign(amount=[np.nan, 16_000, 1], amount_usd=[19_000.0, np.nan, np.nan])

    market = frames.market_from_frame(book, RESERVES)

    np.testing.assert_allclose(market.collateral.amount, [10, 1], rtol=1e-15)


def test_a_supply_that_backs_nothing_is_left_out_and_its_account_kept():
    market = frames.market_from_frame(POSITIONS.assign(collateral=[False, False, True]), RESERVES)

    assert market.n_accounts == 2
    assert rc.health_factor(market)[0] == 0.0


def test_positions_with_thresholds_of_their_own():
    # Two accounts with averages of their own, one of them over two collaterals that differ, and one with the reserve's.
    book = pd.DataFrame(
        [
            ("a", "WETH", "supply", 10.0, 0.80),
            ("a", "USDC", "debt", 10_000.0, np.nan),
            ("b", "WETH", "supply", 1.0, 0.70),
            ("b", "USDC", "supply", 1_000.0, 0.60),
            ("b", "USDC", "debt", 1_000.0, 0.99),
            ("c", "WETH", "supply", 1.0, np.nan),
            ("c", "USDC", "debt", 1_000.0, np.nan),
            ("d", "WETH", "supply", 2.0, 0.80),
            ("d", "USDC", "debt", 1_000.0, np.nan),
        ],
        columns=["account", "symbol", "side", "amount", "liquidation_threshold"],
    )

    market = frames.market_from_frame(book, RESERVES, revision=11)

    expected = [15_200 / 10_000, (1_330 + 600) / 1_000, 1_577 / 1_000, 3_040 / 1_000]
    np.testing.assert_allclose(rc.health_factor(market), expected, rtol=1e-15)
    assert len(market.emodes) == 2  # a and d share theirs
    # The bonus stays the reserve's: half of a's debt is repaid, with 5 % on top.
    low = replace(market, price=[1_245.0, 1.0])  # 9,960 against 10,000
    taken = rc.liquidate(low, "a", "WETH", "USDC")
    np.testing.assert_allclose(taken.seized, 5_000 * 1.05 / 1_245, rtol=1e-12)
    np.testing.assert_allclose(rc.what_if(low, {"WETH": 0.0}).seized_usd, 5_250, rtol=1e-9)
    same(market, frames.market_from_frame(*frames.market_to_frames(market)))


def test_own_thresholds_inside_an_emode_keep_its_bonus():
    emodes = pd.DataFrame(
        {"emode": [1], "symbol": ["WETH"], "liquidation_threshold": [0.93], "liquidation_bonus": [0.01]}
    )
    accounts = pd.DataFrame({"account": ["0xAA"], "emode": [1]})
    own = POSITIONS.assign(liquidation_threshold=[0.9, np.nan, np.nan])

    inside = frames.market_from_frame(POSITIONS, RESERVES, emodes, accounts)
    market = frames.market_from_frame(own, RESERVES, emodes, accounts, revision=10)

    np.testing.assert_allclose(rc.health_factor(inside)[0], 19_000 * 0.93 / 16_000, rtol=1e-15)
    np.testing.assert_allclose(rc.health_factor(market)[0], 19_000 * 0.90 / 16_000, rtol=1e-15)
    seized = rc.liquidate(replace(market, price=[1_770.0, 1.0]), "0xaa", "WETH", "USDC").seized
    np.testing.assert_allclose(seized, 8_000 * 1.01 / 1_770, rtol=1e-12)


@pytest.mark.parametrize("revision", [None, 0, 1, 9, 12])
def test_any_revision_has_health_factors_and_only_liquidation_refuses(revision):
    market = frames.market_from_frame(POSITIONS, RESERVES.drop(columns="liquidation_bonus"), revision=revision)
    steps = rc.PricePaths.one_step(market, market.price * 0.9)

    assert rc.health_factor(market, market.shocked({"WETH": -0.2}))[0] < 1
    assert rc.liquidation_prices(market, "0xaa")[0] > 1_900
    assert rc.distance_to_liquidation(market, {"WETH": -1.0})[0] == 0.0
    for refused in (
        lambda: rc.what_if(market, {"WETH": -0.2}),
        lambda: rc.sweep(market, {"WETH": -1.0}),
        lambda: rc.simulate(market, steps),
        lambda: rc.liquidate(market, "0xaa", "WETH", "USDC"),
    ):
        with pytest.raises(rc.UnknownRevision, match=f"POOL_REVISION {revision or 0} has no implemented rules; known"):
            refused()


@pytest.mark.parametrize("revision", [10, 11])
def test_a_known_revision_needs_a_bonus_and_then_liquidates(revision):
    said = faults(
        lambda: frames.market_from_frame(POSITIONS, RESERVES.drop(columns="liquidation_bonus"), revision=revision)
    )
    fall = rc.what_if(frames.market_from_frame(POSITIONS, RESERVES, revision=revision), {"WETH": -0.01})

    assert said == [
        f"reserves, row 0, liquidation_bonus: nothing for WETH, which an account has as collateral; revision "
        f"{revision} liquidates it with a bonus (0.05 is 5 %, -1 for none). Health factors alone need no revision"
    ]
    assert fall.repaid_usd == pytest.approx(8_000)


def test_every_fault_of_every_table_is_listed_at_once():
    positions = pd.DataFrame(
        {
            "account": ["0xA", "0xa", None, "0xd", "0xe", "0xf", "0xg", " 0xh", 7],
            "symbol": ["WETH", "WETH", "WETH", "weth", "PEPE", "USDC", "USDC", "USDC", "USDC"],
            "side": ["supply", "supply", "supply", "supply", "supply", "borrow", "debt", "debt", "debt"],
            "amount": [1, 2, 3, 4, 5, -6, "1,000", np.inf, None],
        },
        index=list("ABCDEFGHI"),
    )
    reserves = RESERVES.assign(price=[0.0, 1.0], liquidation_threshold=[83.0, 0.78])

    said = faults(lambda: frames.market_from_frame(positions, reserves))

    assert said[0] == "13 faults:"
    for line in (
        "reserves, row 0, price: found 0.0; expected USD per token, finite and above 0",
        "reserves, row 0, liquidation_threshold: found 83.0; expected a fraction in [0, 1]; 0.83 is 83 %",
        "positions, row 'B', account: the same as row 'A'; an account has one row for each reserve and side; "
        "add their amounts up first",
        "positions, row 'D', symbol: no reserve 'weth'; did you mean 'WETH'?",
        "positions, row 'E', symbol: no reserve 'PEPE'; known: WETH, USDC. Add a row to `reserves`",
        "positions, row 'F', side: found 'borrow'; expected 'supply' or 'debt'",
        "positions, row 'F', amount: found -6; expected a number that is finite and not negative; the side says what "
        "is owed",
        "positions, row 'G', amount: found '1,000'; expected a number that is finite and not negative; the side says "
        "what is owed. It is text: read_csv(..., thousands=',') and pandas.to_numeric make numbers",
        "positions, row 'H', account: found ' 0xh'; expected an address or another name; it begins or ends with "
        "white space",
        "positions, row 'I', account: found 7; expected an address or another name",
        "positions, row 'I', amount: nothing here; expected an amount in tokens (`amount`) or in USD (`amount_usd`)",
    ):
        assert line in said
    assert any(line.startswith("positions, row 'C', account: nothing here") for line in said)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (dict(amount=[True, 1.0, 1.0]), "row 0, amount: found True; expected a number"),
        (dict(amount=["10", "1", "1"]), "row 0, amount: found '10'; .* It is text"),
        (dict(amount_usd=[1.0, 1.0, 1.0]), "row 0, amount: this row has an amount in USD, too"),
        (dict(collateral=["False", "False", "False"]), "row 0, collateral: found 'False'; .* as text even 'False'"),
        (dict(collateral=[True, None, None]), "row 2, collateral: nothing here; expected True or False"),
        (dict(collateral=[2, 0, 1]), "row 0, collateral: found 2; expected True or False"),
        (dict(liquidation_threshold=[83, np.nan, 0.8]), "row 0, liquidation_threshold: found 83.0; .* 0.83 is 83 %"),
        (dict(colateral=[True] * 3), "positions: unknown column 'colateral'; did you mean 'collateral'"),
        (dict(note=["x"] * 3), "positions: unknown column 'note'; drop it, or rename it to one of account"),
        (dict(symbol=["WETH", None, "WETH"]), "row 1, symbol: nothing here; .* keep_default_na=False"),
        (dict(amount=[1e308, 10**400, 1.0]), "row 1, amount: found 1000"),
    ],
)
def test_positions_that_are_refused(change, line):
    with pytest.raises(rc.InputError, match=line):
        frames.market_from_frame(POSITIONS.assign(**{k: pd.Series(v) for k, v in change.items()}), RESERVES)


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        (dict(positions=POSITIONS.to_dict()), "positions: expected a pandas.DataFrame, found dict"),
        (dict(positions=POSITIONS.drop(columns="side")), "positions: no column 'side'; found 'account', 'symbol'"),
        (dict(positions=POSITIONS.drop(columns="amount")), "no column 'amount' .* and none 'amount_usd'"),
        (dict(positions=pd.concat([POSITIONS, POSITIONS[["side"]]], axis=1)), "columns that appear twice: side"),
        (dict(positions=POSITIONS.iloc[:0], reserves=None), "at least one reserve, and neither table names one"),
        (dict(reserves=None), "row 0, amount: tokens of WETH, which has no price; give `price` in `reserves`"),
        (dict(reserves=RESERVES.assign(price=[np.nan, 1.0])), "row 2, amount: tokens of WETH, which has no price"),
        (
            dict(
                positions=POSITIONS.rename(columns={"amount": "amount_usd"}),
                reserves=RESERVES.drop(columns="price").assign(price_cap=[np.nan, 1.04]),
            ),
            "reserves, row 1, price_cap: a cap in USD needs the price that it caps",
        ),
        (dict(reserves=RESERVES.assign(symbol="WETH")), "reserves, row 1, symbol: the same as row 0; .* 'asset'"),
        (
            dict(reserves=RESERVES.assign(symbol="WETH", asset=["0x1", "0x2"])),
            "row 0, symbol: 'WETH' is the symbol of several reserves; name it by its address",
        ),
        (dict(reserves=RESERVES.assign(asset=["0xA", "0xa"])), "reserves, row 1, asset: the same as row 0"),
        (dict(reserves=RESERVES.assign(decimals=[18.5, 6])), r"row 0, decimals: found 18.5; expected a whole number"),
        (dict(reserves=RESERVES.assign(paused=["False", "False"])), "reserves, row 0, paused: found 'False'"),
        (
            dict(reserves=RESERVES.drop(columns="liquidation_threshold")),
            "row 0, liquidation_threshold: nothing here, and none of WETH; expected a threshold here or in `reserves`",
        ),
        (
            dict(accounts=pd.DataFrame({"account": ["0xaa"], "emode": [1]})),
            "accounts, row 0, emode: no e-mode 1; known: none: give the table `emodes`",
        ),
        (
            dict(accounts=pd.DataFrame({"account": ["0xaa", "0xAA"], "emode": [0, 0]})),
            "accounts, row 1, account: the same as row 0; .* compared without case",
        ),
        (dict(positions=POSITIONS.set_index(pd.Index([5, 5, 5])).assign(side="x")), r"row 5 \(2 from the top\), side"),
        (dict(revision=True), "revision: expected an integer, found True"),
        (dict(snapshot=1), "snapshot: expected a Snapshot, found int"),
    ],
)
def test_tables_that_are_refused(tables, line):
    with pytest.raises(rc.InputError, match=line):
        frames.market_from_frame(**(dict(positions=POSITIONS, reserves=RESERVES) | tables))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (dict(emode=[0, 1]), "emodes, row 0, emode: 0 means no e-mode"),
        (dict(symbol=["WETH", "WETH"]), "emodes, row 1, symbol: the same as row 0; a category has one row"),
        (dict(label=["a", "b"]), "emodes, row 1, label: differs from row 0; a category has one label"),
        (dict(liquidation_bonus=[1.05, 0.01]), "emodes, row 0, liquidation_bonus: found 1.05"),
        (dict(liquidation_threshold=[None, 0.9]), "emodes, row 0, liquidation_threshold: nothing here"),
    ],
)
def test_emodes_that_are_refused(change, line):
    good = dict(emode=[1, 1], symbol=["WETH", "USDC"], liquidation_threshold=0.9, liquidation_bonus=0.01)
    with pytest.raises(rc.InputError, match=line):
        frames.market_from_frame(POSITIONS, RESERVES, pd.DataFrame(good | change))


def test_a_long_list_of_faults_is_cut_and_counted():
    book = pd.DataFrame({"account": "a", "symbol": "X", "side": "debt", "amount": -np.ones(1_000)})

    said = faults(lambda: frames.market_from_frame(book, RESERVES))

    assert said[0] == "2,000 faults:"
    assert said[-1] == "and 1,980 more"
    assert len(said) == 22


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), revision=st.sampled_from([0, 10, 11, 12]))
@pytest.mark.property
def test_the_way_there_and_back_changes_nothing(seed, kind, revision):
    market = random_market(seed, kind, n_accounts=20)
    market = replace(market, snapshot=replace(market.snapshot, revision=revision), notes=("a note",))

    same(market, frames.market_from_frame(*frames.market_to_frames(market)))


def test_oracle_models_go_there_and_back():
    reserves = pd.DataFrame(
        {
            "symbol": ["WETH", "wstETH", "USDC", "USDe", "GHO"],
            "price": [1_900.0, 2_280.0, 1.0, 1.0, 1.0],
            "liquidation_threshold": 0.8,
            "liquidation_bonus": 0.05,
            "price_cap": [np.inf, np.nan, 1.04, np.nan, np.nan],
            "ratio_of": [None, "WETH", None, None, None],
            "ratio_cap": [np.nan, 1.25, np.nan, np.nan, np.nan],
            "linked_to": [None, None, None, "USDC", None],
            "fixed_price": [False, False, False, False, True],
        }
    )
    market = frames.market_from_frame(POSITIONS, reserves, revision=11)
    other = frames.market_from_frame(POSITIONS, reserves.assign(price_cap=np.inf), revision=11)

    assert rc.what_if(market, {"USDC": 0.12}).price.tolist() == [1_900.0, 2_280.0, 1.04, 1.04, 1.0]
    assert market.snapshot.hash != other.snapshot.hash
    same(market, frames.market_from_frame(*frames.market_to_frames(market)))
    with pytest.raises(rc.InputError, match="reserves, row 1, ratio_of: no reserve 'ETH'; known: WETH"):
        frames.market_from_frame(POSITIONS, reserves.assign(ratio_of=[None, "ETH", None, None, None]))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.property
def test_any_thresholds_of_positions_give_the_sum_by_hand(data):
    market = random_market(data.draw(st.integers(0, 2**32)), "many_legs", n_accounts=6)
    tables = frames.market_to_frames(market)
    positions = tables.positions.sample(frac=1.0, random_state=data.draw(st.integers(0, 1000)))
    own = st.one_of(st.just(np.nan), st.sampled_from([0.5, 0.7]), st.floats(0, 1))
    positions["liquidation_threshold"] = [data.draw(own) for _ in range(len(positions))]

    health = rc.health_factor(frames.market_from_frame(positions, *tables[1:]))

    price = dict(zip(market.reserves.symbol, market.price, strict=True))
    for row, account in enumerate(market.accounts):
        mode, held = market.emode[row], positions[positions.account == account]
        margin = debt = 0.0
        for entry in held.itertuples():
            at = market.reserves.symbol.index(entry.symbol)
            inside = mode >= 0 and market.emodes.collateral[mode, at]
            usual = market.emodes.liquidation_threshold[mode] if inside else market.reserves.liquidation_threshold[at]
            term = usual if np.isnan(entry.liquidation_threshold) else entry.liquidation_threshold
            worth = entry.amount * price[entry.symbol]
            margin, debt = (margin, debt + worth) if entry.side == "debt" else (margin + worth * term, debt)
        expected = margin / debt if debt else np.inf
        np.testing.assert_allclose(health[row], expected, rtol=1e-12)


def test_the_way_there_and_back_through_csv_text():
    market = random_market(3, "many_legs")
    positions, reserves, emodes, accounts, snapshot, notes = frames.market_to_frames(market)

    def read(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.read_csv(io.StringIO(frame.to_csv(index=False)))

    same(market, frames.market_from_frame(*map(read, (positions, reserves, emodes, accounts)), snapshot, notes))


def test_reserves_with_equal_symbols_go_by_their_addresses():
    reserves = RESERVES.assign(symbol="USDC", asset=["0xB1", "0xB2"])
    market = frames.market_from_frame(POSITIONS.assign(symbol=["0xb1", "0xB2", "0xB1"]), reserves)

    assert market.reserves.asset == ("0xb1", "0xb2")
    assert rc.health_factor(market)[0] == pytest.approx(15_770 / 16_000)
    same(market, frames.market_from_frame(*frames.market_to_frames(market)))


def test_two_books_are_not_taken_for_one():
    scenario = rc.Scenario(
        name="s",
        horizon=timedelta(hours=2),
        n_steps=2,
        factors=("ETH",),
        volatility=[0.8],
        correlation=[[1.0]],
        factor=[0, -1],
    )
    books = [
        frames.market_from_frame(POSITIONS.assign(amount=[eth, 16_000.0, 1.0]), RESERVES, revision=11)
        for eth in (10.0, 11.0)
    ]
    first, second = (rc.simulate(book, scenario, 8, paths=(4 * i, 4 * i + 4)) for i, book in enumerate(books))

    assert books[0].snapshot.hash != books[1].snapshot.hash
    with pytest.raises(rc.InputError, match="snapshot"):
        _ = first + second


def test_the_engine_alone_needs_no_pandas():
    code = "import sys, risk_core; sys.exit('pandas' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("notes", ["one note", 5, [5], None])
def test_notes_are_a_list_of_texts_and_not_the_letters_of_one(notes):
    table = pd.DataFrame(
        {"account": ["a"], "symbol": ["WETH"], "side": ["supply"], "amount_usd": [1.0], "liquidation_threshold": [0.8]}
    )
    assert frames.market_from_frame(table, notes=["one note"]).notes == ("one note",)
    with pytest.raises(rc.InputError, match="notes"):
        frames.market_from_frame(table, notes=notes)


@pytest.mark.parametrize("market", [None, "market", pd.DataFrame()])
def test_only_a_market_is_made_into_tables(market):
    with pytest.raises(rc.InputError, match="market: expected"):
        frames.market_to_frames(market)
