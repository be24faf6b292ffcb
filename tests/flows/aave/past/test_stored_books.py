"""Past blocks in the warehouse are what the contracts answered then; nothing else is ever stored."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import data
from data.store.store import Store
from flows.aave.account_columns import AccountColumns
from flows.aave.history import HistoryError, decode
from flows.aave.history.decoding import TOPICS
from flows.aave.past.market import NotStorable
from flows.clients.json_rpc import RpcError
from flows.errors import ConfigurationError, SourceRefused
from risk_core.interest import debt_balance, normalized_debt, normalized_income, supply_balance
from tests.flows.aave.conftest import nothing_is_stored, stored
from tests.flows.aave.fake_node import Refused
from tests.flows.aave.past.conftest import FIRST, TRUTH, blocks, contents, kept, run
from tests.history.compare import replay_of


def dense(positions, n_reserves: int) -> np.ndarray:
    """Amounts by account and reserve."""
    table = np.zeros((len(positions), n_reserves))
    table[np.repeat(np.arange(len(positions)), np.diff(positions.indptr)), positions.reserve] = positions.amount
    return table


def same_as_truth(truth: dict) -> None:
    """Stored rows and the loaded market of a block against what was recorded there."""
    block, time = truth["block"], truth["timestamp"]
    users = {account: row for account, row in truth["users"].items() if row[2]}
    with Store.open(readonly=True) as store:
        (market,) = store.rows("SELECT market, block_time, pool_revision FROM fact_snapshot WHERE block = ?", (block,))
        found = {a.address: a for a in AccountColumns.stored(store, market[0], block).accounts()}
        reserves = store.rows(
            "SELECT reserve_id, asset, liquidity_index, variable_borrow_index, liquidity_rate, variable_borrow_rate, "
            "last_update_timestamp, scaled_atoken_supply, scaled_debt_supply, virtual_balance, deficit, price_raw, "
            "ltv_bps, supply_cap, is_frozen, optimal_usage_ratio FROM raw_aave_reserves WHERE block = ? "
            "ORDER BY reserve_id",
            (block,),
        )
        emodes = store.rows(
            "SELECT emode_id, ltv_bps, liquidation_threshold_bps, liquidation_bonus_bps, collateral_bitmap, "
            "borrowable_bitmap, ltvzero_bitmap, isolated FROM raw_aave_emodes WHERE block = ? ORDER BY emode_id",
            (block,),
        )
    assert market[1:] == (time, truth["poolRevision"])
    assert {
        account: (a.flags, a.emode, {i: (a.supply.get(i, 0), a.debt.get(i, 0)) for i in {*a.supply, *a.debt}})
        for account, a in found.items()
    } == {
        account: (int(bits, 16), category, {int(i): tuple(map(int, pair)) for i, pair in held.items()})
        for account, (bits, category, held) in users.items()
    }
    assert reserves == [
        (
            r["id"], r["asset"], str(r["liquidityIndex"]), str(r["variableBorrowIndex"]),
            str(r["currentLiquidityRate"]), str(r["currentVariableBorrowRate"]), r["lastUpdateTimestamp"],
            str(r["aTokenScaledTotalSupply"]), str(r["vTokenScaledTotalSupply"]), str(r["virtualUnderlyingBalance"]),
            str(r["deficit"]), r["price"], int(r["configuration"]) & 0xFFFF,
            str(int(r["configuration"]) >> 116 & (1 << 36) - 1), int(r["configuration"]) >> 57 & 1,
            f"{int(r['rateData'][0])}{'0' * 23}",
        )
        for r in sorted(truth["reserves"], key=lambda r: r["id"])
    ]  # fmt: skip
    assert emodes == [
        (e["id"], e["ltv"], e["liquidationThreshold"], e["liquidationBonus"], str(e["collateralBitmap"]),
         str(e["borrowableBitmap"]), str(e["ltvzeroBitmap"]), int(e.get("isolated", 0)))
        for e in truth["emodes"] if e["liquidationThreshold"]
    ]  # fmt: skip

    loaded = data.load_market(block=block)
    assert list(loaded.accounts) == sorted(users)
    row = {number: place for place, number in enumerate(loaded.reserves.id)}
    debt, collateral = dense(loaded.debt, len(row)), dense(loaded.collateral, len(row))
    for r in truth["reserves"]:
        at, one = r["lastUpdateTimestamp"], 10 ** (int(r["configuration"]) >> 48 & 0xFF)
        owing = normalized_debt(int(r["variableBorrowIndex"]), int(r["currentVariableBorrowRate"]), at, time)
        income = normalized_income(int(r["liquidityIndex"]), int(r["currentLiquidityRate"]), at, time)
        assert loaded.price[row[r["id"]]] == int(r["price"]) / 1e8
        for place, account in enumerate(loaded.accounts):
            bits, _, held = users[str(account)]
            supply, owed = map(int, held.get(str(r["id"]), ("0", "0")))
            enabled = int(bits, 16) >> 2 * r["id"] + 1 & 1
            assert debt[place, row[r["id"]]] == debt_balance(owed, owing) / one
            assert collateral[place, row[r["id"]]] == enabled * supply_balance(supply, income) / one


def test_every_block_of_a_life_is_what_the_contracts_answered_and_a_second_run_changes_nothing(life):
    said = run("--store", "--every", "1")
    assert "139 blocks stored, blocks before 160 have rules that the engine does not know" in said
    assert blocks() == list(range(FIRST, 299))
    for truth in life.life["truth"]:
        if truth["block"] in TRUTH:
            same_as_truth(truth)
    # Between these blocks: an undisturbed replay in one piece.
    replay, at = replay_of(life.life), 0
    happenings = decode(life.life["logs"], dict(life.life["blocks"]))
    for block in range(FIRST, 299):
        upto = next((n for n in range(at, len(happenings)) if happenings[n].block > block), len(happenings))
        replay.feed(happenings[at:upto])
        at = upto
        book = replay.book()
        market = data.load_market(block=block)
        assert list(market.accounts) == sorted(book.holdings)
        assert [r.asset for r in book.reserves] == list(market.reserves.asset)
    assert {int(block, 16) for block in life.blocks_read} == {298}

    before = contents(), stored("SELECT count(*) FROM fact_batch")
    said = run("--store", "--every", "1")
    assert "0 blocks stored, 64 were stored and are equal, 75 were dealt with by an earlier run" in said
    said = run("--store", "--every", "1", "--anew")
    assert "0 blocks stored, 139 were stored and are equal" in said
    assert (contents(), stored("SELECT count(*) FROM fact_batch")) == before


def test_a_snapshot_from_logs_says_so_and_debt_below_one_is_a_note(life):
    run("--store", "--at", "208", "214")
    assert stored("SELECT DISTINCT read_mode, hf_checked, below_one_confirmed FROM fact_snapshot") == [
        ("replayed", 0, 0)
    ]
    assert stored("SELECT source FROM fact_batch WHERE key LIKE '%:2%'") == [("aave_logs",)] * 2
    fell, calm = data.load_market(block=208).notes, data.load_market(block=214).notes
    assert "rebuilt from the market's logs" in calm[0]
    assert "answers that the feeds had logged" in calm[0]
    assert len(calm) == 1
    assert "is below health factor 1, by the logs; the pool itself was not asked" in fell[1]


def test_blocks_in_any_order_give_the_same_rows(life, monkeypatch, tmp_path):
    run("--store", "--at", "165", "191", "240", "245")
    at_once = contents()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "other" / "risk.sqlite"))
    for at in ("240", "165", "245", "191"):
        run("--store", "--at", at)
    assert contents() == at_once


def test_the_first_block_of_each_day_or_of_so_many(life):
    run("--store", "--every", "40")
    assert blocks() == [160, 200, 240, 280]
    run("--store", "--every", "day")
    times = dict(life.life["blocks"])
    first = [b for b in range(FIRST + 1, 299) if times[b] // 86_400 > times[b - 1] // 86_400]
    assert set(blocks()) == {160, 200, 240, 280, *first}
    assert len(first) > 20


def test_a_difference_at_the_tip_stores_nothing_and_the_next_run_begins_again(life):
    enabled = [log for log in life.logs if log["topics"][0] == TOPICS["UserEModeSet"]]
    life.logs.remove(enabled[-1])
    account = "0x" + enabled[-1]["topics"][1][-40:]
    with pytest.raises(HistoryError, match=f"e-mode of account {account}.*The next run reads the logs from the first"):
        run("--store", "--every", "40")
    assert nothing_is_stored()
    life.logs = life._logs()
    assert "4 blocks stored" in run("--store", "--every", "40")


def test_a_difference_after_a_proven_replay_keeps_what_was_proven(life):
    tip = life.tip
    life.lives_until(191)
    run("--store", "--at", "180")
    proven = kept().read_bytes()
    life.lives_until(tip)
    changed = [log for log in life.logs if log["topics"][0] == TOPICS["UserEModeSet"]]
    life.logs.remove(changed[-1])
    with pytest.raises(HistoryError, match="goes on from block 127, up to which the replay was compared"):
        run("--store", "--at", "290")
    assert blocks() == [180]
    assert kept().read_bytes() == proven


@pytest.mark.parametrize(
    ("table", "change", "named"),
    [
        ("raw_aave_balances", "scaled_debt = '77'", "scaled balance of account {account} in token 0x"),
        ("raw_aave_account_states", "emode_id = 0", "emode of account {account}"),
        ("raw_aave_account_states", "config_bitmap = '1'", "flags of account {account}"),
        ("raw_aave_reserves", "liquidity_index = '5'", "liquidity_index of raw_aave_reserves 0x"),
        ("raw_aave_reserves", "price_raw = '5'", "price_raw of raw_aave_reserves 0x"),
        ("raw_aave_emodes", "ltv_bps = 5", "ltv_bps of raw_aave_emodes"),
    ],
)
def test_a_stored_block_that_differs_stops_before_anything_is_written(life, table, change, named):
    run("--store", "--at", "191")
    with Store.open(readonly=True) as store:
        ((account,),) = store.rows(
            "SELECT min(s.account) FROM raw_aave_account_states AS s JOIN raw_aave_balances AS b USING (account) "
            "WHERE s.emode_id > 0 AND b.scaled_debt != '0'"
        )
    where = {"raw_aave_reserves": "block = 191", "raw_aave_emodes": "block = 191"}.get(table, f"account = '{account}'")
    with sqlite3.connect(data.settings.risk_db()) as connection:
        connection.execute("UPDATE fact_snapshot SET read_mode = 'full'")
        assert connection.execute(f"UPDATE {table} SET {change} WHERE {where}").rowcount
    connection.close()
    with pytest.raises(HistoryError, match=f"block 191: {named.format(account=account)}.*snapshot \\(full\\) says"):
        run("--store", "--at", "180", "191", "245", "--anew")
    assert blocks() == [191]


def without_answers(life, asset: str) -> str:
    """Take away all that the feed of an asset logged; returns the feed."""
    source = next(
        "0x" + log["topics"][2][-40:]
        for log in reversed(life.logs)
        if log["topics"][0] == TOPICS["AssetSourceUpdated"] and log["topics"][1].endswith(asset[2:])
    )
    life.logs = [log for log in life.logs if log["address"].lower() != source]
    return source


def test_a_price_that_no_log_tells_is_never_made_up(life):
    asset = life.life["truth"][-1]["reserves"][0]["asset"]
    source = without_answers(life, asset)
    with pytest.raises(NotStorable, match=rf"block 191: .* price of {asset} \(\d+ accounts, source {source}\)"):
        run("--store", "--at", "191")
    with pytest.raises(NotStorable, match="none of 4 blocks could be stored; block 160"):
        run("--store", "--every", "40")
    assert nothing_is_stored()
    # The books themselves need no price.
    assert "at block 191" in run("--at", "191")


def test_a_block_that_is_stored_is_compared_without_prices(life):
    run("--store", "--at", "191")
    without_answers(life, life.life["truth"][-1]["reserves"][0]["asset"])
    assert "0 blocks stored, 1 were stored and are equal" in run("--store", "--at", "191", "--anew")


def test_a_price_at_the_tip_that_is_not_the_oracles_stops(life):
    asset = life.life["truth"][-1]["reserves"][0]["asset"]
    life.say(life.life["meta"]["oracle"], "getAssetPrice(address)", asset, answer=(5).to_bytes(32, "big"))
    with pytest.raises(HistoryError, match=f"price of reserve {asset}: the node says 5"):
        run("--store", "--at", "191")
    assert nothing_is_stored()


def test_prices_of_the_oracle_need_the_state_and_this_is_said_first(life):
    def no_old_state(method, params):
        if method in ("eth_call", "eth_getCode") and int(params[1], 16) < 298:
            raise Refused(-32000, "missing trie node")

    life.before = no_old_state
    with pytest.raises((SourceRefused, RpcError), match="191"):
        run("--store", "--at", "191", "245", "--prices", "oracle")
    assert life.asked["eth_call"] < 20
    assert nothing_is_stored()


def test_blocks_of_unknown_rules_are_refused_by_name(life):
    with pytest.raises(ConfigurationError, match=r"--at: expected blocks from 160 to 298, .* found 132; --out writes"):
        run("--store", "--at", "132", "191")
    assert nothing_is_stored()


def test_an_estimate_says_how_many_blocks(life):
    assert "at most 8 blocks to store, a header for each" in run("--store", "--every", "40", "--estimate")
    assert "at most 2 blocks to store, a header, prices and" in run(
        "--store", "--at", "191", "245", "--prices", "oracle", "--estimate"
    )
    assert not data.settings.risk_db().exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--store"], "--store: expected blocks in --at or --every, found neither"),
        (["--every", "day"], "--every is for --store, which is not given"),
        (["--prices", "oracle"], "--prices is for --store, which is not given"),
        (["--store", "--every", "week"], "--every: expected day, hour or a number of blocks from 1 on, found 'week'"),
        (["--store", "--every", "0"], "--every: expected day, hour or a number of blocks from 1 on, found '0'"),
        (["--store", "--every", "day", "--at", "5"], "--at cannot be given together with --every"),
        (["--at", "5", "6"], "--at: expected one block, or several with --store alone, found 2"),
        (["--store", "--at", "5", "6", "--out", "f"], "--at: expected one block, or several with --store alone"),
        (["--store", "--at", "x"], "--at: expected a whole number of at least 0, found 'x'"),
        (["--store", "--at", "5", "--prices", "market"], "--prices: expected 'logs' or 'oracle', found 'market'"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
