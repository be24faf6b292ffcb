"""A liquidation told from stored rows: one worked out by hand, the sample's two, and what is not known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import data
from data import marts
from data.__main__ import main
from data.errors import NoLiquidation
from data.postmortem import as_json, lines, post_mortem
from data.sample import fill
from data.sample.liquidations import PLANTED_LOG
from data.snapshot import save_snapshot
from data.store.store import Store
from risk_core.analytics import postmortem as pm
from tests.conftest import SampleOf
from tests.data.conftest import as_live, execute

WETH, USDC = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
MARKET = "AaveV3Ethereum"
TX = "0x" + "ab" * 32
T0, T = 1_751_328_000, 1_751_329_200
"""Times of the snapshot at block 1,000 and of the liquidation at block 1,100, 20 minutes later."""
HOUR = 3_600


def snapshot(frames: dict[str, pd.DataFrame], *, block: int = 1_000, time: int = T0, threshold: int = 8_300):
    """(frames, its one account): it has 10 WETH and owes 16,700 USDC; WETH costs 2,000 USD, USDC 1 USD; no interest."""
    moved = as_live(frames, block=block, block_time=time, below_one_confirmed=1)
    reserves = moved["raw_aave_reserves"].assign(liquidity_rate="0", variable_borrow_rate="0")
    reserves.loc[reserves["asset"] == WETH, "price_raw"] = str(2_000 * 10**8)
    reserves.loc[reserves["asset"] == WETH, "liquidation_threshold_bps"] = str(threshold)
    reserves.loc[reserves["asset"] == USDC, "price_raw"] = str(10**8)
    accounts = moved["raw_aave_account_states"].query("emode_id == 0").head(1)
    account = accounts["account"].iloc[0]
    rows = [
        {"asset": WETH, "reserve_id": 0, "scaled_supply": str(10 * 10**18), "scaled_debt": "0"},
        {"asset": USDC, "reserve_id": 3, "scaled_supply": "0", "scaled_debt": str(16_700 * 10**6)},
    ]
    own = pd.DataFrame(rows).assign(market=MARKET, valid_from=block, account=account)
    bits = str(1 << (2 * 0 + 1) | 1 << (2 * 3))
    accounts = accounts.assign(config_bitmap=bits)
    held = {"raw_aave_balances": own, "raw_aave_account_states": accounts}
    return moved | {"raw_aave_reserves": reserves} | held, account


def event(kind: str, owner: str, block: int, time: int, asset: str, amount: int, log: int = 3, tx: str = TX, **more):
    """A row of a raw table of events."""
    row = {
        "source": "logs", "chain_id": 1, "block_number": block, "log_index": log, "market": MARKET,
        "protocol": "aave_v3", "contract": None, "event": kind, "block_hash": "0x" + f"{block:064x}",
        "block_timestamp": time, "tx_hash": tx, "owner": owner, "initiator": None, "counterparty": "0x" + "11" * 20,
        "asset": asset, "amount_raw": str(amount), "debt_asset": None, "debt_amount_raw": None, "part": 0,
        "usd_e8": None,
    }  # fmt: skip
    return row | more


def write_events(tables: dict[str, list[dict]], oracle: dict[tuple[int, int, str], str]) -> None:
    """The raw events with their blocks and the oracle's prices, and what SQL makes of them."""
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    every = pd.concat(frames.values(), ignore_index=True)
    place = ["source", "market", "chain_id", "block_number", "block_hash", "block_timestamp"]
    frames["raw_lending_blocks"] = every.groupby(place, as_index=False).size().rename(columns={"size": "n_events"})
    frames["dim_lending_asset"] = pd.DataFrame(
        [
            {"chain_id": 1, "asset": WETH, "symbol": "WETH", "decimals": 18},
            {"chain_id": 1, "asset": USDC, "symbol": "USDC", "decimals": 6},
        ]
    )
    if oracle:
        frames["raw_lending_prices"] = pd.DataFrame(
            [
                {"chain_id": 1, "market": MARKET, "block_number": block, "block_timestamp": time, "asset": asset,
                 "oracle": "0x" + "22" * 20, "price_raw": price}
                for (block, time, asset), price in oracle.items()
            ]
        )  # fmt: skip
    digest = f"{len(every):064x}"
    with Store.open() as store:
        store.write_batch("logs", "events", frames, payload_sha256=digest)
        marts.refresh(store, ["stg_lending_events"])


ORACLE = {(1_100, T, WETH): str(2_000 * 10**8), (1_100, T, USDC): str(10**8)}


def liquidated(account: str, **more) -> dict[str, list[dict]]:
    """1,000 USDC repaid for 0.525 WETH, of which the protocol kept 0.0025."""
    row = event("LiquidationCall", account, 1_100, T, WETH, 5_225 * 10**14)
    return {"raw_lending_liquidation_events": [row | {"debt_asset": USDC, "debt_amount_raw": str(10**9)} | more]}


def prices(**levels: dict[int, float]) -> None:
    """Hourly prices by series: minutes after the liquidation to USD."""
    rows = [
        {"symbol": symbol, "interval": "1h", "ts": T + 60 * minutes, "source": "binance", "price_usd": price,
         "usd_proxy": "USDT", "is_synthetic": 0}
        for symbol, of in levels.items()
        for minutes, price in of.items()
    ]  # fmt: skip
    with Store.open() as store:
        store.write_batch("binance", "prices", {"dim_prices": pd.DataFrame(rows)})


ETHER = {-70: 2_300.0, -10: 2_100.0, 50: 2_100.0, 110: 2_050.0}
DOLLAR = dict.fromkeys(ETHER, 0.999)


@pytest.fixture
def account(snapshot_frames, own_warehouse) -> str:
    """A warehouse with the account's snapshot and prices; the events are written by the tests."""
    frames, account = snapshot(snapshot_frames)
    with Store.open() as store:
        save_snapshot(store, "node", frames)
    prices(ETHUSDT=ETHER, USDCUSDT=DOLLAR)
    return account


def test_a_liquidation_by_hand(account: str):
    """0.525 WETH at 2,100 USD were taken for 1,000 USDC at 0.999: 103.50 USD.

    The oracle said 2,000 and 1: it cost 0.525 x 100 + 1,000 x 0.001. Health factor 0.83 x 20,000 / 16,700 before, and
    0.83 x 9.475 x 2,000 / 15,700 after.
    """
    write_events(liquidated(account), ORACLE)
    found = post_mortem(TX)
    assert found.loss is not None
    assert (found.bonus_bps, found.confirmed, found.fee_raw) == (10_500, True, 25 * 10**14)
    assert found.implied_bonus == pytest.approx(0.05, abs=1e-15)
    assert (found.loss.bonus, found.loss.protocol_fee, found.loss.at_oracle) == (45, 5, 50)
    assert float(found.loss.oracle_error) == pytest.approx(53.5, abs=1e-9)
    assert float(found.loss.total) == pytest.approx(103.5, abs=1e-9)
    assert found.loss.total == found.loss.oracle_error + found.loss.bonus + found.loss.protocol_fee
    assert found.collateral.oracle == 2_000
    assert (found.collateral.market, found.collateral.before) == (2_100, (T - 600, 2_100))
    assert found.state is not None
    assert (found.state.block, found.state.block_time - T, found.state.fits) == (1_000, -1_200, True)
    assert found.state.before == pytest.approx(16_600 / 16_700)
    assert found.state.after == pytest.approx(0.83 * 9.475 * 2_000 / 15_700)
    assert found.state.share == pytest.approx(1_000 / 16_700)


def test_what_made_it_fall_by_hand(account: str):
    """From the bar ten minutes before, at 2,100: the market did not move, the oracle said 100 USD less.

    The debt's oracle says 1 where the market has 0.999.
    """
    write_events(liquidated(account), ORACLE)
    found = post_mortem(TX)
    assert found.fall is not None
    assert found.fall_from == T - 600
    changes = {cause.name: cause.change for cause in found.fall.causes}
    start, middle = 0.83 * 21_000 / (16_700 * 0.999), 16_600 / (16_700 * 0.999)
    assert found.fall.before == pytest.approx(start)
    assert changes[pm.COLLATERAL_PRICE] == pytest.approx(0, abs=1e-12)
    assert changes[pm.COLLATERAL_ORACLE] == pytest.approx(middle - start)
    assert changes[pm.DEBT_ORACLE] == pytest.approx(16_600 / 16_700 - middle)
    assert changes[pm.OWN_ACTIONS] == changes[pm.INTEREST] == 0
    assert found.fall.main is not None
    assert found.fall.main.name == pm.COLLATERAL_ORACLE
    assert changes[pm.PARAMETERS] is None
    assert "only with a snapshot before and one after" in found.why[pm.PARAMETERS]


def test_waiting_by_hand(account: str):
    """50 minutes later the market is at 2,100: 1.0448; with the oracle as it was 0.9940."""
    write_events(liquidated(account), ORACLE)
    found = post_mortem(TX)
    by_wait = {one.wait: one for one in found.waited}
    assert by_wait[HOUR].at == T + 3_000
    assert by_wait[HOUR].health_factor == pytest.approx(0.83 * 21_000 / (16_700 * 0.999))
    as_it_was = {one.wait: one for one in found.waited_recorded}[HOUR]
    assert as_it_was.health_factor == pytest.approx(16_600 / 16_700)
    assert (by_wait[HOUR].saved, as_it_was.saved, found.saved_in_an_hour) == (True, False, None)
    assert (by_wait[600].saved, by_wait[86_400].saved) == (None, None)
    assert found.path is not None
    at = found.path.times.tolist().index(T + 3_000)
    assert found.path.without[at] == pytest.approx(0.83 * 21_000 / (16_700 * 0.999))
    assert found.path.actual[at] == pytest.approx(0.83 * 9.475 * 2_000 / 15_700)


@pytest.mark.parametrize(("later", "saved"), [(2_100, True), (1_990, False)])
def test_an_oracle_price_of_the_hour_after_decides(account: str, later: int, saved: bool):
    after = {(1_200, T + 2_000, WETH): str(later * 10**8), (1_200, T + 2_000, USDC): str(99_900_000)}
    write_events(liquidated(account), ORACLE | after)
    assert post_mortem(TX).saved_in_an_hour is saved


def test_an_own_withdrawal_is_a_cause_and_is_counted_in(account: str):
    """The snapshot has 10 WETH; 5 minutes before the liquidation 1 WETH was taken out, and the oracle is right."""
    tables = liquidated(account, amount_raw=str(5_225 * 10**14 * 2_000 // 2_100 - 1))
    tables["raw_lending_withdraw_events"] = [
        event("Withdraw", account, 1_090, T - 300, WETH, 10**18, log=1, tx="0x" + "cd" * 32)
    ]
    write_events(tables, {(1_100, T, WETH): str(2_100 * 10**8), (1_100, T, USDC): str(10**8)})
    found = post_mortem(TX)
    assert found.fall is not None
    assert found.state is not None
    assert found.state.before == pytest.approx(0.83 * 9 * 2_100 / 16_700)
    assert found.state.n_events == 2
    assert found.fall.main is not None
    assert found.fall.main.name == pm.OWN_ACTIONS
    assert found.fall.main.change == pytest.approx(-0.83 * 2_100 / 16_700, rel=1e-3)
    assert [(step.kind, step.is_this) for step in found.steps] == [("withdraw", False), ("liquidation", True)]
    assert found.steps[0].health_factor == pytest.approx(0.83 * 9 * 2_100 / (16_700 * 0.999))


def test_a_lower_threshold_is_a_cause(account: str, snapshot_frames):
    """Before, at a threshold of 0.84, the health factor was 16,800 / 16,700: nobody would have been liquidated."""
    frames, _ = snapshot(snapshot_frames, block=900, time=T0 - HOUR, threshold=8_400)
    later, _ = snapshot(snapshot_frames, block=1_150, time=T + 60)
    with Store.open() as store:
        save_snapshot(store, "node", frames)
    execute(data.settings.risk_db(), "DELETE FROM fact_snapshot WHERE block = 1000")
    write_events(liquidated(account), ORACLE)
    with Store.open() as store:  # the later snapshot is of after the liquidation
        supply, debt = ["9475000000000000000", "0"], ["0", str(15_700 * 10**6)]
        held = later["raw_aave_balances"].assign(scaled_supply=supply, scaled_debt=debt)
        save_snapshot(store, "node", later | {"raw_aave_balances": held})
    found = post_mortem(TX)
    assert found.state is not None
    assert found.state.block == 1_150
    assert found.state.before == pytest.approx(16_600 / 16_700)
    assert found.fall is not None
    change = {cause.name: cause.change for cause in found.fall.causes}[pm.PARAMETERS]
    assert change == pytest.approx(-0.01 * 20_000 / 16_700)
    assert pm.PARAMETERS not in found.why


@pytest.mark.parametrize(
    ("statement", "unknown", "reason"),
    [
        ("DELETE FROM dim_prices WHERE symbol = 'ETHUSDT'", ("total", "oracle_error"), "python -m flows market-prices"),
        ("DELETE FROM raw_lending_prices", ("bonus", "oracle_error", "protocol_fee"), "block 1100 is not stored"),
        ("DELETE FROM fact_snapshot", ("protocol_fee", "total"), "python -m flows aave-market"),
        ("UPDATE stg_lending_events SET protocol = 'aave_v2'", ("protocol_fee", "total"), "fee of aave_v2"),
        ("UPDATE stg_lending_events SET debt_amount_raw = NULL", (), "what was repaid"),
    ],
)
def test_what_is_not_stored_is_not_known(account: str, statement: str, unknown: tuple[str, ...], reason: str):
    write_events(liquidated(account), ORACLE)
    execute(data.settings.risk_db(), statement)
    found = post_mortem(TX)
    assert found.loss is None if not unknown else all(getattr(found.loss, name) is None for name in unknown)
    assert any(reason in why for why in found.why.values()), found.why
    assert "not known" in "\n".join(lines(found))
    json.dumps(as_json(found), allow_nan=False)


def test_a_price_of_the_debt_that_is_not_stored_follows_from_the_amounts(account: str):
    write_events(liquidated(account), {key: price for key, price in ORACLE.items() if key[2] == WETH})
    found = post_mortem(TX)
    assert found.debt is not None
    assert found.debt.oracle == 1
    assert "the amounts and the bonus" in found.debt.oracle_from
    assert not found.confirmed


def test_a_state_that_does_not_fit_gives_no_health_factor(account: str):
    """With 20 USD of debt less the account would not have been liquidated: something is not stored."""
    write_events(liquidated(account), {(1_100, T, WETH): str(2_100 * 10**8), (1_100, T, USDC): str(10**8)})
    found = post_mortem(TX)
    assert found.state is not None
    assert (found.state.before, found.state.fits, found.fall, found.path) == (None, False, None, None)
    assert "1.044, and only below 1 is anybody liquidated" in found.why["health"]
    assert found.saved_in_an_hour is None


def test_a_changed_row_changes_the_figure(account: str):
    write_events(liquidated(account), ORACLE)
    before = post_mortem(TX)
    execute(data.settings.risk_db(), "UPDATE dim_prices SET price_usd = 2200 WHERE price_usd = 2100")
    after = post_mortem(TX)
    assert before.loss is not None
    assert after.loss is not None
    assert float(after.loss.total - before.loss.total) == pytest.approx(52.5)


def test_a_wrong_key_is_told(account: str, capsys):
    tables = liquidated(account)
    tables["raw_lending_liquidation_events"].append(tables["raw_lending_liquidation_events"][0] | {"log_index": 9})
    write_events(tables, ORACLE)
    for key, words in (
        (("0x12", None), "expected 0x and 64 hex digits, found '0x12'"),
        ((TX, "x"), "log_index: expected a whole number, found 'x'"),
        (("0x" + "00" * 32, None), "it holds 2 of blocks 1,100 to 1,100"),
        ((TX, None), "holds 2 liquidations, at log indices 3, 9; name one"),
        ((TX, 4), "at log index 4 is stored"),
    ):
        with pytest.raises(NoLiquidation) as refused:
            post_mortem(*key)
        assert words in str(refused.value)
    assert post_mortem(TX.upper().replace("0X", "0x"), "9").event.log_index == 9
    assert main(["post-mortem", TX]) == 1
    assert "name one" in capsys.readouterr().err
    assert main(["post-mortem", TX, "--log-index", "3"]) == 0
    assert "total                       103.50" in capsys.readouterr().out
    assert main(["post-mortem", TX, "--log-index", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss_usd"]["protocol_fee"] == 5


def test_a_hostile_symbol_steers_no_terminal(account: str, capsys):
    write_events(liquidated(account), ORACLE)
    path = data.settings.risk_db()
    execute(path, "DELETE FROM fact_snapshot")
    execute(path, "UPDATE dim_lending_asset SET symbol = ? WHERE decimals = 18", ("\x1b[2J\u202e<b>=1+1",))
    assert main(["post-mortem", TX]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said


# The sample


@pytest.fixture(scope="module")
def sample(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_of(1_000, 7, tmp_path_factory.mktemp("postmortem") / "risk.sqlite")


def planted(path: Path) -> list[str]:
    with Store.open(path, readonly=True) as store:
        rows = store.rows(
            "SELECT tx_hash FROM stg_lending_events WHERE log_index = ? ORDER BY block_number", (PLANTED_LOG,)
        )
    return [row[0] for row in rows]


def test_the_samples_two_are_told_in_full(sample: Path):
    by_prices, by_oracle = (post_mortem(tx, db=sample) for tx in planted(sample))
    for found in (by_prices, by_oracle):
        assert found.synthetic
        assert found.confirmed
        assert found.state is not None
        assert found.state.before == pytest.approx(0.988, abs=0.03)
        assert found.state.after > found.state.before
        assert set(found.why) == {"oev", pm.PARAMETERS}
        # By the ladders that stood before it, not by those of the snapshot.
        assert found.sale.assumed
        assert found.event.ts - 7 * 86_400 < found.sale.quoted_at < found.event.ts
        assert 0 < found.sale.share < 0.2
        assert found.loss is not None
        assert found.loss.total == found.loss.oracle_error + found.loss.bonus + found.loss.protocol_fee
        assert found.loss_range is not None
        assert found.loss_range[0] <= found.loss.total <= found.loss_range[1]
        assert found.fall is not None
        assert found.fall.before >= 1.01 or found.fall_from is not None
    assert by_prices.fall.main.name == pm.COLLATERAL_PRICE
    assert abs(float(by_prices.loss.oracle_error)) < 1e-3 * float(by_prices.loss.total)
    assert by_oracle.fall.main.name == pm.COLLATERAL_ORACLE
    assert by_oracle.saved_in_an_hour
    assert float(by_oracle.loss.oracle_error) > float(by_oracle.loss.bonus)
    off = float(by_oracle.collateral.oracle) / by_oracle.collateral.market - 1
    assert off == pytest.approx(-0.0285, abs=1e-6)


def test_the_others_are_told_in_part(sample: Path):
    """Who was liquidated is drawn: hardly any of their accounts could have been."""
    with Store.open(sample, readonly=True) as store:
        rows = store.rows(
            "SELECT tx_hash FROM stg_lending_events WHERE event_type = 'liquidation' AND log_index < ? "
            "ORDER BY block_timestamp DESC LIMIT 12",
            (PLANTED_LOG,),
        )
    told = [post_mortem(tx, db=sample) for (tx,) in rows]
    assert sum("health" in found.why for found in told) > 8
    for found in told:
        assert found.loss is not None
        assert found.loss.total is not None
        assert "".join(lines(found)).count("not known") >= 2


def test_the_same_sample_again_has_the_same_two(sample: Path, tmp_path: Path):
    path = tmp_path / "again.sqlite"
    shutil.copy(sample, path)
    fill(1_000, 7, path)
    assert planted(path) == planted(sample)
    assert post_mortem(planted(path)[0], db=path).loss == post_mortem(planted(sample)[0], db=sample).loss


def test_a_bar_far_away_says_nothing(sample: Path, tmp_path: Path):
    path = tmp_path / "thin.sqlite"
    shutil.copy(sample, path)
    tx = planted(path)[0]
    at = post_mortem(tx, db=path).event.ts
    execute(path, "DELETE FROM dim_prices WHERE abs(ts - ?) <= 7200", (at,))
    found = post_mortem(tx, db=path)
    assert found.loss is not None
    assert (found.loss.total, found.collateral.market) == (None, None)
    assert found.loss.at_oracle is not None
    assert "within 2 h" in found.why["collateral market"]


def test_records_are_frozen(account: str):
    write_events(liquidated(account), ORACLE)
    found = post_mortem(TX)
    with pytest.raises(AttributeError):
        found.fee_raw = 1
    assert replace(found, fee_raw=1).fee_raw == 1
    assert isinstance(found.loss.total, Fraction)
    assert isinstance(found.path.times, np.ndarray)


WSTETH = "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0"
GWEI = 10**9
SENDER, PRODUCER, AGGREGATOR = "0x" + "31" * 20, "0x" + "32" * 20, "0x7c7fdfca295a787ded12bb5c1a49a8d2cc20e3f8"
AUCTION_TOPIC = "0x8d530b9ddc4b318d28fdd4c3a21fcfecece54c1a72a824f262985b99afef009b"


def quotes(*rows: tuple[str, str, float, float, int], kind: str = "quote", source: str = "desk") -> None:
    """(sold, bought, USD sold, share that comes in, seconds after the liquidation)."""
    table = pd.DataFrame(rows, columns=["sold", "bought", "size_usd", "kept", "after"])
    table = table.assign(
        received_usd=table["size_usd"] * table["kept"], quoted_at=T + table["after"], market=MARKET, source=source,
        kind=kind, is_synthetic=0,
    ).drop(columns=["kept", "after"])  # fmt: skip
    with Store.open() as store:
        store.write_batch("quotes", f"{source}{rows}", {"dim_quote_ladder": table}, payload_sha256="0" * 64)


def block(*, price: int = 32, base: int = 30, sent: int = 0, auction: int | None = None, orphaned: int = 0) -> None:
    """The liquidation's block: its transaction is the second one; gwei per gas; `sent`: wei to the producer.

    auction: the transaction that brought an auctioned price update; without one the block has another log.
    """
    at = {"chain_id": 1, "block_number": 1_100, "block_hash": "0x" + f"{1_100:064x}"}
    tx = ["0x" + "cd" * 32, TX, "0x" + "ef" * 32]
    to = {2: PRODUCER}
    transactions = [
        at | {"transaction_index": i, "transaction_hash": tx[i], "nonce": i, "value": str(sent if i == 2 else 0),
              "from_address": SENDER if i else "0x" + "33" * 20, "to_address": to.get(i, "0x" + "34" * 20),
              "gas": 500_000, "gas_price": str(price * GWEI), "input": "0x", "source": "node"}
        for i in range(3)
    ]  # fmt: skip
    receipts = [
        at | {"transaction_index": i, "transaction_hash": tx[i], "cumulative_gas_used": 400_000 * (i + 1),
              "gas_used": 400_000, "status": 1, "effective_gas_price": str(price * GWEI), "log_count": 0,
              "source": "node"}
        for i in range(3)
    ]  # fmt: skip
    head = at | {
        "parent_hash": "0x" + "0" * 64, "timestamp": T, "miner": PRODUCER, "gas_limit": 30_000_000,
        "gas_used": 1_200_000, "base_fee_per_gas": str(base * GWEI), "transaction_count": 3, "source": "node",
    }  # fmt: skip
    staged = at | {
        "parent_hash": "0x" + "0" * 64, "timestamp": T, "transaction_count": 3, "log_count": 1, "gas_used": 1_200_000,
        "base_fee_per_gas": str(base * GWEI), "orphaned": orphaned,
    }  # fmt: skip
    log = at | {
        "log_index": 0, "transaction_hash": tx[auction or 0], "transaction_index": auction or 0, "data": "0x",
        "address": AGGREGATOR, "topic0": "0x" + "12" * 32 if auction is None else AUCTION_TOPIC, "source": "node",
    }  # fmt: skip
    frames = {
        "raw_chain_transactions": transactions, "raw_chain_receipts": receipts, "raw_chain_blocks": [head],
        "stg_chain_blocks": [staged], "raw_chain_logs": [log],
    }  # fmt: skip
    with Store.open() as store:
        store.write_batch("chain", "blocks", {name: pd.DataFrame(rows) for name, rows in frames.items()})


def test_what_was_paid_for_being_first_by_hand(account: str):
    """400,000 gas at 2 gwei above the base fee and 0.01 ETH to the producer, at 2,100 USD: 1.68 + 21."""
    write_events(liquidated(account), ORACLE)
    before = post_mortem(TX)
    assert before.first is None
    assert "chain-activity --start-block 1100 --end-block 1100" in before.why["oev"]
    assert before.receipts is not None
    assert before.receipts.oev is None
    block(sent=10**16, auction=0)
    found = post_mortem(TX)
    assert found.first is not None
    assert (found.first.priority_fee_wei, found.first.sent_wei) == (8 * 10**14, 10**16)
    assert found.first.eth_from == "ETHUSDT"
    assert float(found.first.usd) == pytest.approx(1.68 + 21)
    assert found.first.auction == AGGREGATOR
    assert "oev" not in found.why
    got = found.receipts
    assert got is not None
    assert float(got.oev) == pytest.approx(22.68)
    # What is left to the liquidator is less by so much; everything still adds up to the loss.
    assert before.receipts.rest - got.rest == got.oev
    assert got.protocol_fee + got.oev + got.rest == found.loss.total
    told = as_json(found)["paid_for_being_first"]
    assert told["at_least_usd"] == pytest.approx(22.68)
    assert told["auctioned_update"] == AGGREGATOR
    assert any("at least 22.68" in line for line in lines(found))


def test_an_update_after_the_liquidation_is_no_auction_for_it(account: str):
    write_events(liquidated(account), ORACLE)
    block(auction=2)
    assert post_mortem(TX).first.auction == ""


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE stg_chain_blocks SET orphaned = 1", "receipt is not stored"),
        ("UPDATE stg_chain_blocks SET base_fee_per_gas = NULL", "no base fee"),
        ("UPDATE raw_chain_receipts SET effective_gas_price = '1'", "damaged"),
        ("DELETE FROM dim_prices WHERE symbol = 'ETHUSDT'", "no price of ETH"),
    ],
)
def test_what_was_paid_is_not_told_with_a_reason(account: str, statement: str, words: str):
    write_events(liquidated(account), ORACLE)
    block()
    assert post_mortem(TX).first.sent_wei == 0
    execute(data.settings.risk_db(), statement)
    found = post_mortem(TX)
    assert found.first is None
    assert words in found.why["oev"]


def test_without_the_logs_of_the_block_an_auction_is_not_denied(account: str):
    write_events(liquidated(account), ORACLE)
    block()
    assert post_mortem(TX).first.auction == ""
    execute(data.settings.risk_db(), "DELETE FROM raw_chain_logs")
    assert post_mortem(TX).first.auction is None


def test_slippage_by_the_newest_quotes_before_it(account: str):
    """0.5225 WETH at the oracle's 2,000 is 1,045 USD of quotes; 2 % of what it is worth at 2,100 is 21.945 USD."""
    write_events(liquidated(account), ORACLE)
    assert "no quote for selling WETH for USDC" in post_mortem(TX).why["slippage"]
    quotes((WETH, USDC, 1_045.0, 0.98, -60), (WETH, USDC, 5_000.0, 0.90, -60))
    quotes((WETH, USDC, 1_045.0, 0.50, -2 * 86_400))  # older, of the same source
    quotes((WETH, USDC, 1_045.0, 0.70, 1))  # a second later: nobody knew it
    found = post_mortem(TX)
    assert found.sale is not None
    assert found.sale.size_usd == pytest.approx(1_045)
    assert found.sale.share == pytest.approx(0.02)
    assert float(found.sale.usd) == pytest.approx(0.02 * 0.5225 * 2_100)
    assert (found.sale.quoted_at, found.sale.sources) == (T - 60, ("desk",))
    assert (found.sale.assumed, found.sale.lower_bound, found.sale.through) == (False, "", ("WETH", "USDC"))
    got = found.receipts
    assert got.protocol_fee + got.slippage + got.rest == found.loss.total
    assert as_json(found)["sale"]["usd"] == pytest.approx(21.945)


def test_a_sale_beyond_the_quotes_is_a_lower_bound(account: str):
    write_events(liquidated(account), ORACLE)
    quotes((WETH, USDC, 500.0, 0.98, -60), kind="assumed")
    found = post_mortem(TX)
    assert found.sale.share >= 0.02
    assert found.sale.lower_bound == "no quote is as large as the sale"
    assert found.sale.assumed
    assert any("at least" in line for line in lines(found) if "slippage" in line)


def test_a_sale_in_two_steps_and_one_whose_last_step_nobody_quoted(account: str):
    write_events(liquidated(account), ORACLE)
    quotes((WETH, WSTETH, 2_000.0, 0.99, -60))
    found = post_mortem(TX).sale
    assert "nobody quoted the step from wstETH" in found.lower_bound
    assert found.through == ("WETH", "wstETH")
    quotes((WSTETH, USDC, 2_000.0, 0.98, -50))
    found = post_mortem(TX).sale
    # Below the first quote slippage is linear in the size.
    first = 0.01 * 1_045 / 2_000
    second = 0.02 * 1_045 * (1 - first) / 2_000
    assert found.share == pytest.approx(1 - (1 - first) * (1 - second))
    assert (found.lower_bound, found.through) == ("", ("WETH", "wstETH", "USDC"))
    # A pair that leads there directly is taken, though it costs more.
    quotes((WETH, USDC, 2_000.0, 0.90, -40))
    assert post_mortem(TX).sale.through == ("WETH", "USDC")


def test_old_quotes_are_not_used_and_what_cannot_be_fitted_is_no_quote(account: str):
    write_events(liquidated(account), ORACLE)
    quotes((WETH, USDC, 1_045.0, 0.98, -7 * 86_400 - 1))
    quotes((WETH, USDC, 1_045.0, 1.50, -60), source="wrong unit")
    assert "7 days before the liquidation" in post_mortem(TX).why["slippage"]


def test_the_same_asset_needs_no_sale(account: str):
    row = liquidated(account, debt_asset=WETH, debt_amount_raw=str(10**17))
    write_events(row, ORACLE)
    found = post_mortem(TX)
    assert (found.sale.usd, found.sale.share, found.sale.quoted_at) == (0, 0.0, None)
    assert "slippage" not in found.why
