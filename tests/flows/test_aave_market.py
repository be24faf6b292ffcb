"""The flow `aave-market` against recorded answers: what it stores, and each way in which it must refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_abi import encode

import data
from data.store import Store
from flows import __main__ as command_line
from flows import cross_checks, holder_scan, registry
from flows.errors import (
    ConfigurationError,
    CrossCheckFailed,
    FlowError,
    MalformedAnswer,
    SourceRefused,
    SourceUnavailable,
)
from flows.sources import json_rpc
from tests.flows.fake_node import FakeNode, Refused, serving, word

SNAPSHOT_TABLES = ("fact_snapshot", "raw_aave_reserves", "raw_aave_emodes", "raw_aave_user_accounts", "stg_positions")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_rpc.time, "sleep", lambda seconds: None)


@pytest.fixture
def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    fake = FakeNode(revision=getattr(request, "param", 10))
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", fake.provider)
        yield fake


def run(*arguments: str) -> str:
    spec = registry.load("aave-market")
    return spec.run(registry.parser(spec).parse_args(["--attempts", "3", *arguments]))


def stored(sql: str) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql)


def nothing_is_stored() -> bool:
    return (
        not data.settings.risk_db().exists()
        or [stored(f"SELECT count(*) FROM {table}")[0][0] for table in SNAPSHOT_TABLES] == [0] * 5
    )


# What it stores


def test_every_account_and_balance_of_the_recording_is_stored(node: FakeNode):
    said = run()

    truth = node.recorded
    assert f"{len([u for u in truth['users'] if u['pos']])} accounts" in said
    positions = {(row[0], row[1]): row[2:] for row in stored(
        "SELECT account, reserve_id, scaled_supply, supply_raw, scaled_debt, debt_raw FROM stg_positions")}  # fmt: skip
    expected = {(u["address"].lower(), p[0]): tuple(p[1:]) for u in truth["users"] for p in u["pos"]}
    assert positions == {key: row for key, row in expected.items() if any(map(int, row))}
    accounts = {row[0]: row[1:] for row in stored(
        "SELECT account, emode_id, config_bitmap, total_collateral_base, total_debt_base, health_factor_raw "
        "FROM raw_aave_user_accounts")}  # fmt: skip
    for user, row in zip(truth["users"], truth["accounts"]["base"], strict=True):
        if user["pos"]:
            flags = str(int(user["config"], 16))
            assert accounts.pop(user["address"].lower()) == (user["emode"], flags, row[0], row[1], row[5])
    assert accounts == {}


def test_reserves_and_emodes_of_the_recording_are_stored(node: FakeNode):
    far = node.recorded["emodes"][0] | {"id": 200, "label": "after a gap"}  # ids need not be contiguous
    node.say_emode(200, far)

    run()

    columns = {
        "symbol": "symbol", "decimals": "decimals", "ltv_bps": "baseLTVasCollateral", "reserve_id": "id",
        "liquidation_threshold_bps": "reserveLiquidationThreshold", "liquidation_bonus_bps": "reserveLiquidationBonus",
        "reserve_factor_bps": "reserveFactor", "liquidation_protocol_fee_bps": "liquidationProtocolFee",
        "is_active": "isActive", "is_frozen": "isFrozen", "is_paused": "isPaused",
        "borrowing_enabled": "borrowingEnabled", "supply_cap": "supplyCap", "borrow_cap": "borrowCap",
        "liquidity_index": "liquidityIndex", "variable_borrow_index": "variableBorrowIndex",
        "liquidity_rate": "liquidityRate", "variable_borrow_rate": "variableBorrowRate",
        "last_update_timestamp": "lastUpdateTimestamp", "optimal_usage_ratio": "optimalUsageRatio",
        "base_rate": "baseVariableBorrowRate", "slope1": "variableRateSlope1", "slope2": "variableRateSlope2",
        "scaled_atoken_supply": "scaledATokenSupply", "scaled_debt_supply": "totalScaledVariableDebt",
        "virtual_balance": "virtualUnderlyingBalance", "deficit": "deficit",
        "price_raw": "priceInMarketReferenceCurrency", "price_source": "priceOracle", "atoken": "aTokenAddress",
        "vtoken": "variableDebtTokenAddress", "asset": "underlyingAsset",
    }  # fmt: skip
    rows = stored(f"SELECT {', '.join(columns)} FROM raw_aave_reserves ORDER BY reserve_id")
    for row, reserve in zip(rows, node.recorded["reserves"], strict=True):
        found = dict(zip(columns, row, strict=True))
        for column, field in columns.items():
            assert str(found[column]) == str(int(v) if isinstance(v := reserve[field], bool) else v), column
    emodes = stored("SELECT emode_id, label, ltv_bps, collateral_bitmap, borrowable_bitmap, ltvzero_bitmap, isolated "
                    "FROM raw_aave_emodes ORDER BY emode_id")  # fmt: skip
    assert emodes == [
        (e["id"], e["label"], e["ltv"], e["collateralBitmap"], e["borrowableBitmap"], e["ltvzeroBitmap"], 0)
        for e in [*node.recorded["emodes"], far]
    ]


def test_everything_is_read_at_one_block_that_was_resolved_first(node: FakeNode):
    run("--block", "finalized")

    assert node.blocks_read == {hex(node.tip)}
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_a_second_run_changes_nothing(node: FakeNode):
    run()
    before = [stored(f"SELECT * FROM {table}") for table in (*SNAPSHOT_TABLES, "raw_aave_holders")]

    assert run().endswith("already stored, nothing changed")
    assert before == [stored(f"SELECT * FROM {table}") for table in (*SNAPSHOT_TABLES, "raw_aave_holders")]


@pytest.mark.parametrize("node", [11], indirect=True)
def test_v37_is_read_by_its_own_getters(node: FakeNode):
    """Revision 11 has the flag `isolated`; the recorded market is of v3.6, whose valuation is the same."""
    run()

    assert stored("SELECT pool_revision FROM fact_snapshot") == [(11,)]
    assert stored("SELECT emode_id, isolated FROM raw_aave_emodes") == [(1, 1), (2, 0), (3, 0)]
    assert data.load_market().revision == 11


def test_symbols_of_old_and_odd_tokens(node: FakeNode):
    """bytes32, bytes that are not UTF-8, and no symbol at all: none of them stops a market."""
    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=b"MKR".ljust(32, b"\0"))
    node.say(node.reserve("CRV")["underlyingAsset"], "symbol()", answer=encode(["bytes"], [b"C\xff\x07V"]))
    node.say(node.reserve("DAI")["underlyingAsset"], "symbol()", answer=None)

    run()

    symbols = [row[0] for row in stored("SELECT symbol FROM raw_aave_reserves ORDER BY reserve_id")]
    assert symbols[5:9] == [node.reserve("DAI")["underlyingAsset"], "MKR", "weETH", "C\N{REPLACEMENT CHARACTER}V"]


def test_a_large_market_checks_a_sample_and_everyone_who_is_close(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cross_checks, "SMALL_MARKET", 10)
    monkeypatch.setattr(cross_checks, "SAMPLE", 5)

    run()

    close = {u["address"].lower() for u, row in zip(node.recorded["users"], node.recorded["accounts"]["base"],
             strict=True) if int(row[1]) and int(row[5]) < 105 * 10**16}  # fmt: skip
    checked = {row[0] for row in stored(
        "SELECT account FROM raw_aave_user_accounts WHERE health_factor_raw IS NOT NULL")}  # fmt: skip
    assert close < checked
    assert len(checked - close) <= 5
    assert stored("SELECT hf_checked FROM fact_snapshot") == [(len(checked),)]
    assert data.load_market().n_accounts > len(checked)


# The log


def test_a_node_with_a_small_log_range_is_read_in_small_ranges(node: FakeNode):
    node.max_log_range = 3

    run()

    assert max(last - first + 1 for first, last in node.log_ranges) == 3
    covered = [block for first, last in node.log_ranges for block in range(first, last + 1)]
    assert covered == sorted(set(covered))
    assert covered[-1] == node.tip


def test_an_interrupted_scan_goes_on_where_it_stopped(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.max_log_range = 4

    def fail_late(method: str, params: list) -> None:
        if method == "eth_getLogs" and int(params[0]["fromBlock"], 16) >= 12:
            raise Refused(-32000, "backend is being upgraded")

    node.before = fail_late
    with pytest.raises(SourceRefused, match="refuses the logs of the single block 12: backend is being upgraded"):
        run()
    assert nothing_is_stored()
    assert stored("SELECT count(*) FROM raw_aave_holders")[0][0] > 0
    node.before = lambda method, params: None
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] == 12
    node.log_ranges.clear()
    run()
    assert node.log_ranges == [(node.tip - 1, node.tip)]  # the last two blocks may still be replaced


def test_a_scan_of_another_chain_is_not_gone_on_with(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    run()
    node.hash_salt = 1
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] <= 4  # from the pool's first block again
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_a_shorter_chain_under_the_same_addresses_is_read_again(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    """A local node that was started anew deploys to the same addresses."""
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.tip = 40
    run()
    node.tip, node.hash_salt = 21, 1
    node.log_ranges.clear()

    run()

    assert node.log_ranges[0][0] <= 4
    assert data.load_market().snapshot.block == 40  # the later one by number, both at the same time


def test_an_older_block_needs_no_new_scan(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holder_scan, "REORG_WINDOW", 2)
    node.tip = 40
    run()
    node.log_ranges.clear()
    node.time += 12 * 10  # so that block 30 is at the recording's time

    run("--block", "30")

    assert node.log_ranges == []
    assert data.load_market(block=30, verify=True).n_accounts == data.load_market(block=40).n_accounts


# Refusals. Each takes back what it did to the node, so that the re-run can be tried.


def drop_a_holder(node: FakeNode) -> None:
    token = node.reserve("USDC")["aTokenAddress"]
    victim = next(log["topics"][2] for log in node.logs if log["address"] == token)
    node.logs = [log for log in node.logs if victim not in log["topics"]]


def replace_the_block(node: FakeNode) -> None:
    def hook(method: str, params: list) -> None:
        if method == "eth_call" and "bf92857c" in params[0]["data"]:  # getUserAccountData comes last
            node.hash_salt = 7

    node.before = hook


def a_price(symbol: str, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(
        node.oracle, "getAssetPrice(address)", node.reserve(symbol)["underlyingAsset"], answer=answer
    )


def of_pool(signature: str, *args: str | int, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(node.pool, signature, *args, answer=answer)


def of_weth(signature: str, answer: bytes | None) -> Callable[[FakeNode], None]:
    return lambda node: node.say(node.pool, signature, node.reserve("WETH")["underlyingAsset"], answer=answer)


def account_data(change: int) -> Callable[[FakeNode], None]:
    def apply(node: FakeNode) -> None:
        user, row = node.recorded["users"][3], [int(v) for v in node.recorded["accounts"]["base"][3]]
        row[5] += change
        answer = encode(["uint256"] * 6, row)
        node.say(node.pool, "getUserAccountData(address)", user["address"], answer=answer)

    return apply


def no_borrowing_flag(node: FakeNode) -> None:
    user = node.recorded["users"][3]
    node.say(node.pool, "getUserConfiguration(address)", user["address"], answer=word(0b1010))


def http(*answers: tuple[int, bytes]) -> Callable[[FakeNode], None]:
    return lambda node: node.http_answers.extend(answers)


def refuse(method: str, code: int, message: str) -> Callable[[FakeNode], None]:
    def hook(asked: str, params: list) -> None:
        if asked == method:
            raise Refused(code, message)

    return lambda node: setattr(node, "before", hook)


HTML = b"<html><body>Sign in</body></html>"
REFUSALS: dict[str, tuple[Callable[[FakeNode], None], type[FlowError], str]] = {
    "unknown revision": (of_pool("POOL_REVISION()", answer=word(12)), SourceRefused,
                         r"POOL_REVISION 12, .*known: 10 \(v3.6\), 11 \(v3.7\)"),
    "other base currency": (lambda n: n.say(n.oracle, "BASE_CURRENCY_UNIT()", answer=word(10**18)), SourceRefused,
                            "only USD with 8 decimals"),
    "no contract": (lambda n: setattr(n, "provider", "0x" + "11" * 20), SourceRefused,
                    "no contract at the PoolAddressesProvider"),
    "no reserves": (of_pool("getReservesList()", answer=encode(["address[]"], [[]])), SourceRefused,
                    "lists no reserves"),
    "price zero": (a_price("LINK", word(0)), CrossCheckFailed, "oracle price of LINK: .* found price 0"),
    "price reverts": (a_price("WBTC", None), CrossCheckFailed, "oracle price of WBTC: .* found no price"),
    "emode bitmap missing": (of_pool("getEModeCategoryCollateralBitmap(uint8)", 2, answer=None), MalformedAnswer,
                             "getEModeCategoryCollateralBitmap of e-mode 2 .* is refused"),
    "emode bitmap empty": (of_pool("getEModeCategoryLtvzeroBitmap(uint8)", 1, answer=b""), MalformedAnswer,
                           "getEModeCategoryLtvzeroBitmap of e-mode 1 .* answers nothing"),
    "emode bitmap too wide": (of_pool("getEModeCategoryBorrowableBitmap(uint8)", 1, answer=word(1 << 128)),
                              MalformedAnswer, "getEModeCategoryBorrowableBitmap of e-mode 1 .* does not fit uint128"),
    "reserve data too short": (of_weth("getReserveData(address)", word(1)), MalformedAnswer,
                               "getReserveData of WETH .* answers 32 bytes"),
    "reserve list garbled": (of_pool("getReservesList()", answer=b"\xff" * 64), MalformedAnswer, "getReservesList"),
    "missing grace period": (of_weth("getLiquidationGracePeriod(address)", None), MalformedAnswer,
                             "getLiquidationGracePeriod of WETH"),
    "index disagrees": (of_weth("getReserveNormalizedIncome(address)", word(10**27)), CrossCheckFailed,
                        "normalized income of WETH: the pool says 1000000000000000000000000000, .* is 1000320900"),
    "holder missed": (drop_a_holder, CrossCheckFailed,
                      r"(aToken|debt token) of \w+ .*scaledTotalSupply is \d+, .* sum to \d+ \(difference \d+\)"),
    "health factor differs": (account_data(+1), CrossCheckFailed,
                              r"health_factor of account 0x434339d4\w+: getUserAccountData says 1047598176777719058, "
                              r".* it is 1047598176777719057"),
    "borrowing flag missing": (no_borrowing_flag, CrossCheckFailed, "0x434339d4.* has no borrowing flag for reserve 3"),
    "unknown emode": (lambda n: n.say(n.pool, "getUserEMode(address)", n.recorded["users"][3]["address"],
                                      answer=word(77)), CrossCheckFailed, "in e-mode 77, which the pool does not"),
    "block replaced": (replace_the_block, CrossCheckFailed, "block 21 was replaced while it was read"),
    "no state": (refuse("eth_call", -32000, "missing trie node 12ab"), SourceRefused,
                 "does not have the state at block 21 .*archive node"),
    "logs refused": (refuse("eth_getLogs", -32005, "limit exceeded"), SourceRefused,
                     "refuses the logs of the single block .* limit exceeded"),
    "logs of wrong shape": (lambda n: n.logs.append(n.logs[-1] | {"topics": n.logs[-1]["topics"][:1]}),
                            MalformedAnswer, "expected a log with address, blockNumber and topics"),
    "server error": (http(*[(503, b"busy")] * 3), SourceUnavailable, r"answers HTTP 503; tried 3 times"),
    "rate limit": (http(*[(429, b"slow down")] * 3), SourceUnavailable, r"answers HTTP 429; tried 3 times"),
    "rate limit inside": (refuse("eth_chainId", -32005, "rate limit reached"), SourceUnavailable,
                          "keeps refusing eth_chainId for its load"),
    "unauthorised": (http((401, b"who are you")), SourceRefused, "refuses with HTTP 401; check the key"),
    "login page": (http((200, HTML)), MalformedAnswer, "not JSON, beginning '<html><body>Sign in"),
    "not an object": (http((200, b'"hello"')), MalformedAnswer, "answers eth_chainId with str"),
    "no result": (http((200, b'{"jsonrpc": "2.0", "id": 0}')), MalformedAnswer, "found none for request 0"),
    "odd chain id": (http((200, json.dumps({"id": 0, "result": "mainnet"}).encode())), MalformedAnswer,
                     "eth_chainId: expected a hexadecimal quantity, found 'mainnet'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_answer_ends_in_one_message_and_a_rerun_completes(
    node: FakeNode, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    spoil, kind, message = REFUSALS[case]
    healthy = dict(node.answers), list(node.logs), node.before, node.provider
    spoil(node)
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
    node.provider = healthy[3]

    with pytest.raises(kind, match=message) as refusal:
        run()

    assert "SECRETKEY" not in str(refusal.value)
    assert nothing_is_stored()
    node.answers, node.logs, node.before = healthy[:3]
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", node.provider)
    run()
    assert data.load_market(verify=True).snapshot.block == node.tip


def test_a_passing_failure_is_waited_out(node: FakeNode):
    node.http_answers += [(503, b"busy"), (429, b"slow down")]

    assert "at block 21" in run()


def test_a_node_that_takes_only_short_batches(node: FakeNode):
    node.max_batch = 7

    assert "at block 21" in run()


@pytest.mark.parametrize("most", [10**6, 7])
def test_multicall_is_used_where_it_has_code_and_halved_where_it_runs_out_of_gas(node: FakeNode, most: int):
    run()
    before = [stored(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES]
    plain = node.asked["eth_call"]
    node.asked.clear()
    node.max_aggregated = most

    assert run().endswith("nothing changed")

    assert before == [stored(f"SELECT * FROM {table}") for table in SNAPSHOT_TABLES]
    assert node.asked["eth_call"] < plain / 2


def test_a_node_behind_a_balancer_may_lag_for_a_moment(node: FakeNode):
    late = iter([True, True])

    def lag(method: str, params: list) -> None:
        if method == "eth_call" and next(late, False):
            raise Refused(-32000, "header not found")

    node.before = lag

    assert "at block 21" in run()


def test_reserves_are_mapped_to_price_series_and_the_unmapped_are_named(node: FakeNode):
    symbol = encode(["string"], ["NEWTOKEN"])
    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=symbol)

    assert "before risk-scenarios: " in (said := run())
    assert "no price series for NEWTOKEN" in said
    assert data.load_market().n_reserves == 10

    node.say(node.reserve("LINK")["underlyingAsset"], "symbol()", answer=encode(["string"], ["LINK"]))
    assert "before risk-scenarios" not in run()
    assert ("LINK", "LINKUSDT") in stored("SELECT symbol, series FROM dim_asset")


def test_the_run_is_noted_with_its_end(node: FakeNode):
    a_price("LINK", word(0))(node)
    with pytest.raises(CrossCheckFailed):
        run()

    ((state, message, params),) = stored("SELECT state, message, params FROM fact_run")
    assert state == "failed"
    assert "oracle price of LINK" in message
    assert "SECRETKEY" not in params


# Configuration


def test_no_node_configured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ETH_RPC_URL", raising=False)

    with pytest.raises(ConfigurationError, match=r"ETH_RPC_URL is not set \(nor ETH_RPC_URL_FILE\)"):
        run()


def test_the_address_of_the_node_may_come_from_a_file(node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import os

    secret = tmp_path / "url"
    secret.write_text(os.environ["ETH_RPC_URL"] + "\n")
    monkeypatch.delenv("ETH_RPC_URL")
    monkeypatch.setenv("ETH_RPC_URL_FILE", str(secret))

    assert "at block 21" in run()


def test_an_unreachable_node_is_named_without_its_key(monkeypatch: pytest.MonkeyPatch):
    with serving(FakeNode()) as url:
        pass  # closed again: nobody listens there now
    monkeypatch.setenv("ETH_RPC_URL", url)

    with pytest.raises(
        SourceUnavailable, match=r"http://127\.0\.0\.1:\d+ cannot be reached .*tried 3 times"
    ) as refusal:
        run()

    assert "SECRETKEY" not in str(refusal.value)
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("name", "message"),
    [("AaveV3Base", "is on chain 31337, AaveV3Base is on chain 8453"),
     ("AaveV3Etherum", "not in the address book.*Did you mean AaveV3Ethereum")],
)  # fmt: skip
def test_a_market_of_another_chain_or_of_no_book(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, name: str, message: str
):
    monkeypatch.delenv("AAVE_POOL_ADDRESSES_PROVIDER")
    monkeypatch.setenv("AAVE_MARKET", name)

    with pytest.raises(ConfigurationError, match=message):
        run()


def test_a_provider_that_is_no_address(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", "0x1234")

    with pytest.raises(ConfigurationError, match="expected 0x and 40 hex digits, found '0x1234'"):
        run()


def test_a_block_that_the_node_does_not_have(node: FakeNode):
    with pytest.raises(SourceRefused, match="does not have block 22; its newest is 21"):
        run("--block", "22")

    assert nothing_is_stored()


def test_the_command_line_says_one_line_and_exits_with_one(node: FakeNode, capsys: pytest.CaptureFixture[str]):
    assert command_line.main(["aave-market"]) == 0
    assert capsys.readouterr().out.startswith("AaveV3Ethereum at block 21: 10 reserves, 3 e-modes,")

    assert command_line.main(["aave-market", "--block", "99"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert "block 99" in captured.err
