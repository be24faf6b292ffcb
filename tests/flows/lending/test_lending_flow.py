"""The flow `lending-events` against a loopback node: exactly once, resumable, true to reorganisations.

Client and server of this module were written from one sheet; the real contracts are in `tests/node`.
"""

from __future__ import annotations

import pytest
from eth_abi import encode

from data import marts
from data.store.batches import Effect, next_batch, note_batch
from data.store.store import Store
from flows.errors import ConfigurationError, SourceRefused
from tests.flows.aave.fake_node import call_data
from tests.flows.lending import conftest as at
from tests.flows.lending.logs import address, log
from tests.flows.lending.node import LendingNode, time_of

OWNER, PAYER = address(1), address(2)
FACTS = [f"fact_lending_{kind}_events" for kind in ("borrow", "deposit", "liquidation", "repay", "withdraw", "deficit")]


def supply(block: int, amount: int, index: int = 0, asset: str = at.USDC, owner: str = OWNER, **more) -> dict:
    call = "Supply(address*,address,address*,uint256,uint16*)"
    return log(at.POOL, call, (asset, owner, 0), (PAYER, amount), block=block, index=index, **more)


def borrow(block: int, amount: int, index: int = 0, asset: str = at.USDC, **more) -> dict:
    call = "Borrow(address*,address,address*,uint256,uint8,uint256,uint16*)"
    return log(at.POOL, call, (asset, OWNER, 0), (OWNER, amount, 2, 0), block=block, index=index, **more)


def events(rows, table: str = "stg_lending_events") -> list[tuple]:
    return rows(f"SELECT block_number, log_index, event_type, amount_raw FROM {table} ORDER BY 1, 2")


def test_events_reach_every_layer_with_their_owner(node, run, rows):
    node.logs = [supply(7, 5_000000), borrow(9, 2_000000, index=3)]

    said = run()

    assert "2 events read, 2 of them new" in said
    assert rows("SELECT owner, initiator, source FROM raw_lending_deposit_events") == [(OWNER, PAYER, "logs")]
    assert rows(
        "SELECT event_type, wallet, initiator, self_initiated, symbol, amount, block_timestamp, protocol, chain_id "
        "FROM stg_lending_events ORDER BY block_number"
    ) == [
        ("deposit", OWNER, PAYER, 0, "USDC", 5.0, time_of(7), "aave_v3", 1),
        ("borrow", OWNER, OWNER, 1, "USDC", 2.0, time_of(9), "aave_v3", 1),
    ]
    assert [rows(f"SELECT count(*) FROM {table}")[0][0] for table in FACTS] == [1, 1, 0, 0, 0, 0]


def test_a_second_run_reads_the_window_again_and_writes_nothing(node, run, rows):
    node.logs = [supply(7, 5), supply(190, 6)]
    run()
    before = rows("SELECT max(batch) FROM fact_batch"), events(rows)
    node.ranges.clear()

    said = run()

    assert node.ranges == [(137, 200)]  # 64 blocks behind the newest
    assert "1 events read, 0 of them new" in said
    assert (rows("SELECT max(batch) FROM fact_batch"), events(rows)) == before


def test_a_killed_scan_goes_on_where_it_stopped(node, run, rows):
    node.logs = [supply(block, block) for block in range(1, 200, 3)]
    node.max_log_range, node.fail_after = 30, 9

    with pytest.raises(SourceRefused, match="goes on from there"):
        run()
    stored = rows("SELECT count(*) FROM raw_lending_deposit_events")[0][0]
    node.fail_after = None
    node.ranges.clear()
    run()

    assert 0 < stored < len(node.logs)
    assert node.ranges[0][0] > 30
    assert [(row[0], row[3]) for row in events(rows)] == [(block, str(block)) for block in range(1, 200, 3)]


def test_a_reorganisation_inside_the_window(node, run, rows):
    """Block 190 is replaced: one event stays at its place with another amount, one is gone, one is new."""
    node.logs = [supply(7, 5), supply(190, 6, index=0), supply(190, 7, index=1), supply(191, 8)]
    run()
    node.replace(190, "b", supply(190, 60, index=0, salt="b"), borrow(190, 9, index=2, salt="b"))
    node.replace(191, "b")

    said = run()

    expected = [(7, 0, "deposit", "5"), (190, 0, "deposit", "60"), (190, 2, "borrow", "9")]
    assert events(rows) == expected
    assert "1 blocks lost their events" in said
    served = [
        row for table in FACTS for row in rows(f"SELECT block_number, log_index, event_type, amount_raw FROM {table}")
    ]
    assert sorted(served) == expected
    node.replace(190, "", supply(190, 6, index=0), supply(190, 7, index=1))  # and back again
    node.replace(191, "", supply(191, 8))
    run()
    assert events(rows) == [
        (7, 0, "deposit", "5"),
        (190, 0, "deposit", "6"),
        (190, 1, "deposit", "7"),
        (191, 0, "deposit", "8"),
    ]


def test_another_chain_under_the_same_name_leaves_nothing_of_the_first(node, run, rows):
    node.logs = [supply(7, 5), supply(60, 6), supply(199, 7)]
    run()
    node.logs, node.tip = [supply(8, 50, salt="x")], 100
    node.salts = dict.fromkeys(range(201), "x")

    run()

    assert events(rows) == [(8, 0, "deposit", "50")]


def test_two_blocks_numbers_ago_the_market_got_another_contract(node, run, rows):
    """A cToken listed later is read from the beginning, though the scan had passed there."""
    mint = "Mint(address,uint256,uint256)"
    node.logs = [log(at.CUSDC, mint, (), (OWNER, 5, 1), block=7), log(at.CETH, mint, (), (OWNER, 6, 1), block=8)]
    from eth_abi import encode

    node.say(at.COMPTROLLER, "getAllMarkets()", answer=encode(["address[]"], [[at.CUSDC]]))
    run("--markets", at.COMPOUND_MARKET)
    assert events(rows) == [(7, 0, "deposit", "5")]
    node.say(at.COMPTROLLER, "getAllMarkets()", answer=encode(["address[]"], [[at.CUSDC, at.CETH]]))

    run("--markets", at.COMPOUND_MARKET)

    assert events(rows) == [(7, 0, "deposit", "5"), (8, 0, "deposit", "6")]
    assert rows("SELECT symbol, amount_eth FROM stg_lending_events WHERE block_number = 8") == [("ETH", 6e-18)]


def test_two_markets_in_one_run(node, run, rows):
    node.logs = [supply(7, 5), log(at.COMET, "Supply(address*,address*,uint256)", (PAYER, OWNER), (9,), block=8)]

    run("--markets", at.MARKET, at.COMET_MARKET)

    assert rows("SELECT protocol, event_type FROM stg_lending_events ORDER BY block_number") == [
        ("aave_v3", "deposit"),
        ("compound_v3", "repay"),
    ]


def test_how_far_the_events_were_read_is_stored_with_its_times(node, run, rows):
    """Of 200 blocks 136 are settled; the second of that block itself may hold another one."""
    spans = "SELECT source, market, chain_id, first_block, first_time, last_block, last_time FROM raw_lending_reads"
    run("--from-block", "10")
    assert rows(spans) == [("logs", at.MARKET, 1, 10, time_of(10), 136, time_of(136) - 1)]
    node.tip = 300
    run("--from-block", "10")
    assert rows(spans) == [("logs", at.MARKET, 1, 10, time_of(10), 236, time_of(236) - 1)]

    node.salts = dict.fromkeys(range(301), "x")  # another chain: what was read of the first says nothing of it
    node.max_log_range, node.fail_after = 30, node.asked["eth_getLogs"] + 8
    with pytest.raises(SourceRefused):
        run("--from-block", "10")
    [(*_, last_block, last_time)] = rows(spans)
    assert (10 < last_block < 100, last_time) == (True, time_of(last_block) - 1)


def test_the_debt_of_a_liquidation_is_valued_at_the_price_of_the_time(node, run, rows):
    """3 USDC at 0.5 USD are 1.5 USD; the collateral, of which no price is known, has none."""
    call = "LiquidationCall(address*,address*,address*,uint256,uint256,address,bool)"
    tokens = (at.ODD, at.USDC, OWNER)
    node.logs = [log(at.POOL, call, tokens, (3_000000, 10**18, PAYER, False), block=50)]
    run()
    assert rows("SELECT debt_amount, debt_amount_usd, debt_price_source FROM stg_lending_events") == [(3.0, None, None)]
    with Store.open() as store:
        snapshot(store, at.MARKET, 49, {at.USDC: ("USDC", 50_000000)})
        marts.refresh(store, FACTS)

    told = "SELECT debt_amount_usd, debt_price_source, amount_usd FROM fact_lending_liquidation_events"
    assert rows(told) == [(1.5, "snapshot", None)]


def test_small_ranges_give_the_same_events(node, run, rows, tmp_path, monkeypatch):
    node.logs = [supply(block, block, index=block % 3) for block in range(0, 201, 7)]
    run()
    whole = events(rows)
    monkeypatch.setenv("RISK_DB", str(tmp_path / "other.sqlite"))
    node.max_log_range = 17
    run()

    with Store.open(tmp_path / "other.sqlite", readonly=True) as store:
        assert events(lambda sql: store.rows(sql)) == whole
    assert len(whole) == len(node.logs)


# Values


def snapshot(store: Store, market: str, block: int, prices: dict[str, tuple[str, int]]) -> None:
    """The rows of a stored snapshot that a value needs, written past the door; the rest of a market is left out."""
    with store.transaction() as connection:
        number = next_batch(connection)
        effects = [Effect("fact_snapshot", 1, 1, 0, 0), Effect("raw_aave_reserves", len(prices), len(prices), 0, 0)]
        note_batch(connection, number, "test", "snapshot", run_id="manual", payload_sha256="", at=0, effects=effects)
        for table, fixed in (
            ("fact_snapshot", [{"market": market, "block": block, "chain_id": 1, "block_time": time_of(block),
                                "base_currency_unit": "100000000"}]),
            ("raw_aave_reserves", [{"market": market, "block": block, "asset": asset, "symbol": symbol,
                                    "price_raw": str(price)} for asset, (symbol, price) in prices.items()]),
        ):  # fmt: skip
            columns = connection.execute(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')").fetchall()
            for known in fixed:
                row = {
                    name: known.get(name, ("" if kind == "TEXT" else 0) if required else None)
                    for name, kind, required in columns
                } | {"batch": number}
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
                )


def valued(rows) -> list[tuple]:
    return rows(
        "SELECT block_number, amount_usd, amount_eth, price_source, price_age FROM stg_lending_events ORDER BY 1"
    )


def test_without_a_known_price_there_is_no_value(node, run, rows):
    node.logs = [supply(7, 5_000000), supply(8, 2 * 10**18, asset=at.WETH), supply(9, 1, asset=at.ODD)]

    run()

    assert valued(rows) == [(7, None, None, None, None), (8, None, 2.0, None, None), (9, None, None, None, None)]
    assert rows("SELECT symbol, amount FROM stg_lending_events WHERE asset = ?", at.ODD) == [(at.ODD, None)]


def test_a_snapshot_before_the_event_gives_its_value_and_one_after_it_does_not(node, run, rows, own_warehouse):
    """5 USDC at 0.99 USD with ETH at 2,000: 4.95 USD, 0.002475 ETH; the snapshot is 12 s older than the event."""
    node.logs = [supply(7, 5_000000), supply(50, 5_000000), supply(199, 5_000000)]
    run()
    with Store.open() as store:
        snapshot(store, at.MARKET, 49, {at.USDC: ("USDC", 99_000000), at.WETH: ("WETH", 2_000_00000000)})
        marts.refresh(store, FACTS)

    expected = [
        (7, None, None, None, None),
        (50, 4.95, 0.002475, "snapshot", 12),
        (199, 4.95, 0.002475, "snapshot", 1800),
    ]
    assert valued(rows) == expected
    with Store.open() as store:  # a price that comes later is used for what comes after it
        snapshot(store, at.MARKET, 190, {at.USDC: ("USDC", 100_000000), at.WETH: ("WETH", 2_500_00000000)})
        marts.refresh(store, FACTS)
    assert valued(rows) == [*expected[:2], (199, 5.0, 0.002, "snapshot", 108)]
    assert rows("SELECT block_number, amount_usd FROM fact_lending_deposit_events ORDER BY 1")[2] == (199, 5.0)


def test_an_increment_gives_what_building_anew_gives(node, run, rows):
    node.logs = [supply(7, 5_000000), supply(190, 6, index=0), supply(190, 7, index=1), borrow(191, 8)]
    run()
    with Store.open() as store:
        snapshot(store, at.MARKET, 100, {at.USDC: ("USDC", 99_000000), at.WETH: ("WETH", 2_000_00000000)})
    node.replace(190, "b", supply(190, 60, index=0, salt="b"))
    run()
    tables = ["stg_lending_events", *FACTS]
    grown = {table: rows(f"SELECT * FROM {table}") for table in tables}

    with Store.open() as store:
        marts.refresh(store, tables, full=True)

    assert {table: rows(f"SELECT * FROM {table}") for table in tables} == grown
    assert len(grown["stg_lending_events"]) == 3


def test_an_absorption_is_valued_by_its_own_log(node, run, rows):
    absorb = "AbsorbCollateral(address*,address*,address*,uint256,uint256)"
    debt = "AbsorbDebt(address*,address*,uint256,uint256)"
    node.logs = [
        log(at.COMET, absorb, (PAYER, OWNER, at.LINK), (4 * 10**18, 48_00000000), block=8),
        log(at.COMET, debt, (PAYER, OWNER), (40_000000, 40_00000000), block=8, index=1),
    ]

    run("--markets", at.COMET_MARKET)

    assert rows(
        "SELECT event_type, amount_usd, price_usd, price_source, price_age, debt_amount FROM stg_lending_events"
    ) == [("liquidation", 48.0, 12.0, "log", 0, 40.0)]


@pytest.mark.parametrize(
    ("description", "usd"),
    [("USDC / USD", 48.0), ("Constant price feed", None), (None, None), ("ETH / PYUSD", None), ("USD", 48.0)],
)
def test_the_currency_of_a_stated_value_is_that_of_the_base_feed(node, run, rows, description, usd):
    feed = address(0x77)
    node.say(at.COMET, "baseTokenPriceFeed()", answer=encode(["address"], [feed]))
    if description is not None:
        node.say(feed, "description()", answer=encode(["string"], [description]))
    absorb = "AbsorbCollateral(address*,address*,address*,uint256,uint256)"
    node.logs = [log(at.COMET, absorb, (PAYER, OWNER, at.LINK), (4 * 10**18, 48_00000000), block=8)]

    run("--markets", at.COMET_MARKET)

    assert rows("SELECT amount_usd FROM stg_lending_events") == [(usd,)]


def test_a_comet_that_does_not_name_its_feed_states_no_dollars(node, run, rows):
    del node.answers[at.COMET, call_data("baseTokenPriceFeed()")]
    absorb = "AbsorbCollateral(address*,address*,address*,uint256,uint256)"
    node.logs = [log(at.COMET, absorb, (PAYER, OWNER, at.LINK), (4 * 10**18, 48_00000000), block=8)]

    run("--markets", at.COMET_MARKET)

    assert rows("SELECT amount_raw, amount_usd FROM stg_lending_events") == [(str(4 * 10**18), None)]


@pytest.mark.parametrize(("unit", "stored"), [(10**8, 1), (10**18, 0), (None, 0)])
def test_an_oracle_that_does_not_count_in_dollars_prices_nothing(node, run, rows, unit, stored):
    node.logs = [supply(7, 5_000000)]
    node.say(at.ORACLE, "getAssetPrice(address)", at.USDC, answer=encode(["uint256"], [99_000000]))
    del node.answers[at.ORACLE, call_data("BASE_CURRENCY_UNIT()")]
    if unit is not None:
        node.say(at.ORACLE, "BASE_CURRENCY_UNIT()", answer=encode(["uint256"], [unit]))

    run("--oracle-prices")

    assert rows("SELECT count(*) FROM raw_lending_prices") == [(stored,)]


# Readings


def test_a_second_reading_of_the_same_block_replaces_the_first(node, run, rows):
    """The node numbered a log of block 190 otherwise, and took another for one of another kind."""
    right = [supply(190, 6, index=0), borrow(190, 7, index=1)]
    node.logs = [supply(190, 6, index=284), supply(190, 9, index=1), supply(191, 5)]
    run()
    assert rows("SELECT count(*) FROM stg_lending_events") == [(3,)]
    node.logs = [*right, supply(191, 5)]
    run()

    found = "SELECT block_number, log_index, event_type, amount_raw FROM stg_lending_events ORDER BY 1, 2"
    assert rows(found) == [(190, 0, "deposit", "6"), (190, 1, "borrow", "7"), (191, 0, "deposit", "5")]
    with Store.open() as store:
        marts.refresh(store, ["stg_lending_events", *FACTS], full=True)
    assert len(rows(found)) == 3
    before = rows("SELECT max(batch) FROM fact_batch")
    run()
    assert rows("SELECT max(batch) FROM fact_batch") == before


# Refusals


def test_a_node_of_another_chain_is_refused(node, run):
    node.chain_id = 10
    with pytest.raises(ConfigurationError, match=r"wrong chain: .* is on chain 10, AaveV3Ethereum is on chain 1"):
        run("--markets", "AaveV3Ethereum")


def test_a_name_that_is_not_known_is_refused_with_near_ones(run):
    with pytest.raises(ConfigurationError, match="did you mean CompoundV3EthereumUSD"):
        run("--markets", "CompoundV3EthereumUSD")


def test_a_market_without_a_contract_is_refused(run):
    with pytest.raises(SourceRefused, match="no contract at 0x0000"):
        run("--markets", f"aave_v3:{address(0x99)}")


def test_the_vendors_slot_is_empty_until_somebody_fills_it(run, monkeypatch):
    with pytest.raises(ConfigurationError, match="no outside vendor is configured, and none is needed"):
        run("--route", "vendor")
    monkeypatch.setenv("LENDING_CONNECTOR", "nothing.of.that:name")
    with pytest.raises(ConfigurationError, match=r"cannot load nothing\.of\.that:name"):
        run("--route", "vendor", "--block", "9")
    monkeypatch.setenv("LENDING_CONNECTOR", "builtins:dict")
    with pytest.raises(ConfigurationError, match="gives dict, expected something with `name` and `events"):
        run("--route", "vendor", "--block", "9")


class ToyVendor:
    """A connector, as somebody else would write one."""

    name = "toy"

    def events(self, market: str, first: int, last: int):
        from flows.lending.events import LendingMarket
        from flows.lending.logs import decode

        here = LendingMarket(name=market, protocol="aave_v3", chain_id=1, contracts={at.POOL: ""})
        logs = [entry | {"blockTimestamp": hex(time_of(8))} for entry in (supply(8, 4), supply(8, 5, index=1))]
        return decode(logs, here)


def test_a_connector_feeds_the_same_tables_and_yields_to_the_chain(node, run, rows, monkeypatch):
    monkeypatch.setenv("LENDING_CONNECTOR", f"{__name__}:ToyVendor")
    node.logs = [supply(8, 5, index=0)]

    run("--route", "vendor", "--block", "9")
    assert rows("SELECT log_index, source, amount_raw FROM stg_lending_events") == [
        (0, "vendor:toy", "4"),
        (1, "vendor:toy", "5"),
    ]
    run()

    assert rows("SELECT log_index, source, amount_raw FROM stg_lending_events") == [
        (0, "logs", "5"),
        (1, "vendor:toy", "5"),
    ]


def test_a_refused_length_is_not_tried_again_at_once(node, run):
    """A node that gives 3 blocks at a time is asked for more a few times, not for every other range."""
    node.max_log_range = 3
    run()

    refused = node.asked["eth_getLogs"] - len(node.ranges)
    assert len(node.ranges) <= 201 // 3 + 5
    assert refused <= 12


def test_the_secret_in_the_nodes_address_is_nowhere(node, run, rows, url, monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", f"{url}?apikey=SECRETSECRET")
    node.logs = [supply(7, 5)]
    said = run()

    assert "SECRETSECRET" not in said + str(rows("SELECT params, message FROM fact_run"))


def test_the_node_of_this_module_is_asked_in_few_requests(node: LendingNode, run):
    """One block header for each block with events, in one batch; nothing for blocks without."""
    node.logs = [supply(block, 1) for block in range(0, 100, 10)]
    run()

    assert node.asked["eth_getLogs"] == 1
    assert node.asked["eth_getBlockByNumber"] <= 10 + 3
