"""`parameter-change`: the report and the stored rows are those of the comparison, and wrong options are one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from data import load_market
from data.payloads import COLLATERAL
from data.store.store import Store
from flows.errors import WrongOption
from flows.risk.parameter_change import configurator_of, countdown
from risk_core.proposals import compare
from tests.data.test_payloads import AT, OTHER, UNKNOWN, call
from tests.flows.running import ran

CUT = ("--set", "WETH.liquidation_threshold=0.80", "WETH.ltv=0.78")


def run(*words: str) -> str:
    return ran("parameter-change", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_who_falls_is_stored_and_the_figures_have_their_differences(sample):
    said = run(*CUT, "--paths", "256")
    found = compare(load_market(), {"WETH.liquidation_threshold": 0.80, "WETH.ltv": 0.78})
    assert "SAMPLE: synthetic accounts and prices" in said
    assert f"at once: {len(found.falls):,} accounts become liquidatable" in said
    assert "Liquidations at risk, debt repaid 99%" in said

    stored = rows(
        "SELECT account, effect, health_after FROM mart_parameter_change_account ORDER BY effect, debt_usd DESC"
    )
    falls = [row for row in stored if row[1] == "liquidatable"]
    assert [row[0] for row in falls] == [str(found.before.accounts[r]) for r in found.falls]
    assert all(row[2] < 1 for row in falls)
    assert len(stored) == len(found.falls) + len(found.warn)

    [(before, after, low, high)] = rows(
        "SELECT before, after, low, high FROM mart_parameter_change WHERE measure = 'lar' AND level = 0.99"
    )
    assert low <= after - before <= high
    [(repaid, changes, paths)] = rows(
        "SELECT after, changes, n_paths FROM mart_parameter_change WHERE measure = 'repaid_now'"
    )
    assert repaid == pytest.approx(found.then.repaid_usd)
    assert json.loads(changes) == {"WETH.liquidation_threshold": 0.80, "WETH.ltv": 0.78}
    assert paths == 0

    kept = rows("SELECT * FROM mart_parameter_change ORDER BY measure, level")
    run(*CUT, "--paths", "256")
    assert rows("SELECT * FROM mart_parameter_change ORDER BY measure, level") == kept


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "--set: expected at least one NAME.FIELD=VALUE"),
        (("--set", "WETH.ltv"), "found 'WETH.ltv'"),
        (("--set", "WETH.ltv=x"), "found 'WETH.ltv=x'"),
        (("--set", "WETH.ltv=0.5", "WETH.ltv=0.6"), "given twice"),
        (("--set", "NIX.ltv=0.5"), "NIX"),
        (("--set", "WETH.liquidation_threshold=0.5"), "above the threshold"),
    ],
)
def test_a_wrong_change_is_one_line_and_stores_nothing(sample, words, why):
    with pytest.raises(WrongOption, match=why):
        run(*words)
    assert rows("SELECT count(*) FROM mart_parameter_change") == [(0,)]


def test_a_payload_is_the_same_change_as_the_one_stated(sample, tmp_path):
    market = load_market()
    weth = market.reserves.asset[market.reserves.index("WETH")]
    bonus = round(1e4 * (1 + market.reserves.liquidation_bonus[market.reserves.index("WETH")]))
    lines = [json.dumps(call(COLLATERAL, weth, 7_800, 8_000, bonus)), json.dumps(UNKNOWN)]
    file = tmp_path / "payload.jsonl"
    file.write_text("\n".join(lines))

    with pytest.raises(WrongOption, match=r"--payload: call 2: no function with the selector 0x\w+ .*--skip-unknown"):
        run("--payload", str(file), "--paths", "256")
    assert rows("SELECT count(*) FROM mart_parameter_change") == [(0,)]

    said = run("--payload", str(file), "--skip-unknown", "--executes-at", "2000-01-01", "--paths", "256")
    assert "1 calls to" not in said
    assert f"1 call to {AT} (the address book does not have the market's configurator)" in said
    assert "call 1: configureReserveAsCollateral, WETH: ltv 0.78, liquidation_threshold 0.8, liquidation_bonus" in said
    assert "left out: call 2: no function with the selector" in said
    assert "executes at 2000-01-01 00:00 UTC, which was" in said
    by_payload = rows("SELECT * FROM mart_parameter_change ORDER BY measure, level")
    run(*CUT, "--paths", "256")
    assert rows("SELECT * FROM mart_parameter_change ORDER BY measure, level") == by_payload

    said = run("--calls", lines[0], "--configurator", AT, "--paths", "256")
    assert f"1 call to {AT} (the market's configurator)" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--payload", "nowhere.json"), "--payload: nowhere.json cannot be read"),
        (("--calls", "nonsense"), "--calls: the payload: expected a JSON list"),
        (("--calls", json.dumps(call(COLLATERAL, OTHER, 1, 2, 10_001))), "call 1, 0x7c4e560b: this market has no"),
        (("--calls", json.dumps(UNKNOWN), "--configurator", "0x12"), "--configurator: expected 0x and 40 hex digits"),
        (("--calls", json.dumps(call(COLLATERAL, OTHER, 1, 2, 10_001)), "--configurator", OTHER), f"goes to {AT}, but"),
    ],
)
def test_a_payload_that_cannot_be_read_is_one_line_and_stores_nothing(sample, words, why):
    with pytest.raises(WrongOption, match=re.escape(why)):
        run(*words)
    assert rows("SELECT count(*) FROM mart_parameter_change") == [(0,)]


def test_a_payload_that_the_pool_would_refuse_is_named_so(sample):
    market = load_market()
    weth = market.reserves.asset[market.reserves.index("WETH")]
    with pytest.raises(WrongOption, match=r"--payload: changes: .* together above 1"):
        run("--calls", json.dumps(call(COLLATERAL, weth, 1, 9_900, 11_000)))


def test_the_configurator_of_a_market_in_the_address_book_is_known(sample):
    """Address of mainnet's configurator: the address book (npm @aave-dao/aave-address-book 4.68.1)."""
    market = load_market()
    assert configurator_of(None, market) is None
    ethereum = replace(market, snapshot=replace(market.snapshot, market="AaveV3Ethereum", chain_id=1))
    assert configurator_of(None, ethereum) == "0x64b761d848206f447fe2dd461b0c635ec39ebb27"
    elsewhere = replace(market, snapshot=replace(market.snapshot, market="AaveV3Ethereum", chain_id=31337))
    assert configurator_of(None, elsewhere) is None


def test_a_countdown_by_hand():
    assert countdown(100_000, 100_000 - 86_400 - 3_660) == "executes at 1970-01-02 03:46 UTC, in 1 d 1 h 1 min"
    assert countdown(100_000, 100_120).endswith("which was 0 d 0 h 2 min ago")
