"""The flow `oracle-prices` against a real AaveOracle on a local node whose prices come from feeds with history.

The feeds and the capped adapters are doubles of ours (tests/node/contracts/TestOracles.sol), written from the same
published interfaces and formulas as the flow; oracle, pool, node and Multicall's call shape are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.store.store import Store
from tests.flows.running import ran
from tests.node.artifacts import contract
from tests.node.chain import Chain, anvil
from tests.node.configuration import STANDARD
from tests.node.deployment import Deployment, deploy
from tests.node.harness import MULTICALL3
from tests.node.toolchain import ToolchainMissing, ready

pytestmark = pytest.mark.node

GETTERS = (
    '{"ratio": "currentRatio()", "snapshot_ratio": "snapshot()", "snapshot_timestamp": "snapshotTime()",'
    ' "max_yearly_growth_bps": "growth()", "price_cap": "cap()"}'
)
YEAR = 365 * 86_400


@dataclass
class OracleMarket:
    """A deployed market of which some reserves have feeds and adapters with history; keyed by reserve symbol."""

    chain: Chain
    deployment: Deployment
    symbols: list[str]

    def feed(self, description: str, decimals: int = 8) -> tuple[str, str]:
        """(proxy, aggregator) of a new feed of one phase without rounds."""
        aggregator = self.chain.create("TestAggregator", description, decimals)
        return self.chain.create("TestFeedProxy", aggregator), aggregator

    def push(self, aggregator: str, *answers: int, every: int = 60) -> None:
        """One round for each answer, each in a block `every` seconds after the last."""
        for answer in answers:
            self.chain.do(aggregator, "TestAggregator", "push", answer)
            self.chain.mine(every)

    def use(self, symbol: str, source: str) -> None:
        """Make `source` the oracle's source of a reserve."""
        at = self.deployment
        self.chain.do(at.oracle, "AaveOracle", "setAssetSources", [at.asset[symbol]], [source])
        self.chain.mine(1)

    def put_multicall(self) -> None:
        self.chain.rpc("anvil_setCode", MULTICALL3, "0x" + contract("Batch").runtime)

    def oracle_price(self, symbol: str) -> int:
        return self.chain.call(self.deployment.oracle, "AaveOracle", "getAssetPrice", self.deployment.asset[symbol])


@pytest.fixture(scope="module")
def deployed() -> Iterator[OracleMarket]:
    try:
        ready()
        with anvil() as chain:
            deployment = deploy(chain, STANDARD)
            yield OracleMarket(chain, deployment, list(deployment.asset))
    except ToolchainMissing as reason:
        pytest.skip(str(reason))


@pytest.fixture
def market(deployed: OracleMarket) -> Iterator[OracleMarket]:
    with deployed.chain.undone():
        yield deployed


@pytest.fixture
def flow(market: OracleMarket, own_warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`python -m flows oracle-prices …` on the market's node; returns its line."""
    monkeypatch.setenv("ETH_RPC_URL", market.chain.url)
    monkeypatch.setenv("AAVE_POOL_ADDRESSES_PROVIDER", market.deployment.provider)
    monkeypatch.setenv("AAVE_CAP_GETTERS", GETTERS)
    return lambda *words: ran("oracle-prices", *words)


def rows(sql: str, *params: object) -> list[tuple]:
    with Store.open(readonly=True) as store:
        return store.rows(sql, params)


def test_every_round_of_a_feed_is_stored_as_the_chain_has_it(market: OracleMarket, flow: Any):
    proxy, aggregator = market.feed("ETH / USD")
    market.use("WETH", proxy)
    market.push(aggregator, 2000_00000000, 2011_00000000, 1990_50000000)

    said = flow("--rounds", "all")

    code = contract("TestAggregator")
    expected = [
        (
            n,
            *code.decode(
                "getRoundData",
                market.chain.rpc("eth_call", {"to": aggregator, "data": code.encode("getRoundData", n)}, "latest"),
            )[1:4],
        )
        for n in (1, 2, 3)
    ]
    stored = rows("SELECT round_id, answer, started_at, updated_at FROM raw_chainlink_rounds WHERE feed = ?", proxy)
    assert [(n, int(answer), start, end) for n, answer, start, end in stored] == expected
    assert rows("SELECT price FROM stg_chainlink_prices ORDER BY round_id") == [(2000.0,), (2011.0,), (1990.5,)]
    assert rows("SELECT decimals, description, heartbeat_s, heartbeat_status FROM dim_feed") == [
        (8, "ETH / USD", None, "unknown")  # nothing is published for a feed of a local chain
    ]
    assert rows("SELECT staleness, price FROM mart_feed_staleness") == [("unknown", 1990.5)]
    assert "3 rounds read, 3 new or changed" in said


@pytest.mark.parametrize("multicall", [False, True], ids=["json-rpc batches", "multicall"])
def test_a_second_run_goes_on_after_the_newest_stored_round(market: OracleMarket, flow: Any, multicall: bool):
    proxy, aggregator = market.feed("ETH / USD")
    market.use("WETH", proxy)
    if multicall:
        market.put_multicall()
    market.push(aggregator, *range(100, 110))
    flow("--rounds", "4")
    assert rows("SELECT min(round_id), max(round_id), count(*) FROM raw_chainlink_rounds") == [(7, 10, 4)]
    market.push(aggregator, 110, 111)

    said = flow("--rounds", "4")
    further = flow("--rounds", "all")

    assert "5 rounds read, 2 new or changed" in said  # three newest again: they may have been replaced
    assert "9 rounds read, 6 new or changed" in further  # the six before the first run's
    assert rows("SELECT answer, count(*) FROM raw_chainlink_rounds GROUP BY answer HAVING count(*) > 1") == []
    assert rows("SELECT first_covered, last_covered, n_missing FROM dim_feed_phase") == [(1, 12, 0)]


def test_a_run_that_finds_nothing_new_changes_nothing(market: OracleMarket, flow: Any):
    proxy, aggregator = market.feed("ETH / USD")
    market.use("WETH", proxy)
    market.push(aggregator, 100, 101)
    block = str(market.chain.block)
    flow("--block", block)
    tables = (
        "raw_chainlink_rounds", "raw_chainlink_feeds", "dim_feed", "stg_chainlink_prices", "fact_feed_update",
        "mart_feed_staleness", "raw_oracle_sources", "dim_oracle_adapter", "dim_feed_phase", "fact_batch",
    )  # fmt: skip
    before = {table: rows(f"SELECT * FROM {table}") for table in tables}

    said = flow("--block", block)

    assert "0 new or changed" in said
    assert {table: rows(f"SELECT * FROM {table}") for table in tables} == before


def test_phases_are_followed_back_and_keep_their_numbers_apart(market: OracleMarket, flow: Any):
    proxy, first = market.feed("ETH / USD")
    market.use("WETH", proxy)
    market.push(first, 100, 101, 102)
    second = market.chain.create("TestAggregator", "ETH / USD", 8)
    market.push(second, 103, 104)
    market.chain.do(proxy, "TestFeedProxy", "confirm", second)
    market.chain.mine()

    flow("--rounds", "3")
    across = rows("SELECT phase_id, round_id, answer FROM raw_chainlink_rounds ORDER BY 1, 2")
    flow("--rounds", "all")

    assert across == [(1, 3, "102"), (2, 1, "103"), (2, 2, "104")]
    assert rows("SELECT phase_id, round_id, answer FROM raw_chainlink_rounds ORDER BY 1, 2") == [
        (1, 1, "100"),
        (1, 2, "101"),
        (1, 3, "102"),
        (2, 1, "103"),
        (2, 2, "104"),
    ]
    assert rows("SELECT phase_id, aggregator, last_round FROM dim_feed_phase ORDER BY 1") == [
        (1, first, 3),
        (2, second, 2),
    ]
    # No gap is measured across two aggregators: each begins anew.
    assert rows("SELECT phase_id, trigger FROM fact_feed_update WHERE round_id = 1 ORDER BY 1") == [
        (1, "first"),
        (2, "first"),
    ]


def test_holes_unfinished_and_carried_over_rounds_are_told_apart(market: OracleMarket, flow: Any):
    proxy, aggregator = market.feed("ETH / USD")
    market.use("WETH", proxy)
    now = market.chain.now
    for number, answer, started, updated, answered_in in (
        (1, 100, now - 90, now - 90, 1),
        # 2 is left out: getRoundData reverts
        (3, 0, now - 60, 0, 0),  # began and never ended
        (4, 100, now - 50, now - 50, 1),  # timed out: the answer of round 1 again
        (5, 101, now - 40, now - 40, 5),
        (6, 102, now - 30, now - 30, 6),
        (7, 103, now - 20, now - 20, 7),
    ):
        market.chain.do(aggregator, "TestAggregator", "set", number, answer, started, updated, answered_in)
    market.chain.mine()

    said = flow("--rounds", "all")

    assert rows("SELECT round_id, is_carried_over FROM raw_chainlink_rounds ORDER BY 1") == [
        (1, 0),
        (4, 1),
        (5, 0),
        (6, 0),
        (7, 0),
    ]
    assert "1 round numbers that the aggregators left out; 1 unfinished rounds skipped" in said
    assert rows("SELECT n_missing, n_unfinished FROM dim_feed_phase") == [(1, 1)]
    assert dict(rows("SELECT check_name, n_failed FROM fact_validation")) == {
        "round is finished": 1,
        "round numbers have no holes": 1,
        "answer is from its own round": 1,
    }
    # It ends late: the next run asks again for what was never answered, and for nothing else of the past.
    market.chain.do(aggregator, "TestAggregator", "set", 3, 99, now - 60, now - 55, 3)
    market.chain.mine()
    flow("--rounds", "all")
    assert rows("SELECT answer FROM raw_chainlink_rounds WHERE round_id = 3") == [("99",)]
    assert rows("SELECT n_missing, n_unfinished FROM dim_feed_phase") == [(1, 0)]


def test_an_answer_that_is_no_price_is_kept_raw_and_never_served(market: OracleMarket, flow: Any):
    proxy, aggregator = market.feed("ETH / USD")
    market.use("WETH", proxy)
    market.push(aggregator, 100, -5, 0)

    flow("--rounds", "all")

    assert rows("SELECT answer FROM raw_chainlink_rounds ORDER BY round_id") == [("100",), ("-5",), ("0",)]
    assert rows("SELECT price FROM stg_chainlink_prices ORDER BY round_id") == [(1e-06,), (None,), (None,)]
    assert rows("SELECT staleness, price FROM mart_feed_staleness") == [("no price", None)]
    assert dict(rows("SELECT check_name, n_failed FROM fact_validation"))["answer is positive"] == 2
    # The real oracle has no fallback here, so it answers nothing, and that is what is stored.
    assert rows("SELECT price, note FROM dim_oracle_adapter WHERE symbol = 'WETH'") == [
        (None, "the oracle has no price")
    ]


def test_decimals_are_the_feeds_own(market: OracleMarket, flow: Any):
    proxy, aggregator = market.feed("STETH / ETH", decimals=18)
    market.push(aggregator, 998_000_000_000_000_000)

    flow("--no-market", "--feeds", proxy)

    assert rows("SELECT d.decimals, p.price FROM stg_chainlink_prices p JOIN dim_feed d USING (feed)") == [(18, 0.998)]
    assert rows("SELECT count(*) FROM raw_oracle_sources") == [(0,)]


def test_a_cap_binds_when_the_real_oracle_is_held_down_by_it(market: OracleMarket, flow: Any):
    base, aggregator = market.feed("ETH / USD")
    market.push(aggregator, 2000_00000000)
    # As on 2026-03-10: a snapshot ratio of 1.1919 set 7 days back, 9.68 % a year, a true ratio of 1.2282.
    start = market.chain.now - 7 * 86_400
    adapter = market.chain.create("TestRatioCap", "Capped wstETH / stETH(ETH) / USD", base, 1_228_200_000_000_000_000,
                                  1_191_900_000_000_000_000, start, 968)  # fmt: skip
    stable, dollars = market.feed("USDC / USD")
    market.push(dollars, 1_05000000)
    capped = market.chain.create("TestStableCap", "Capped USDC / USD", stable, 1_04000000)
    for symbol, source in (("WETH", base), ("wstETH", adapter), ("USDC", capped)):
        market.use(symbol, source)

    flow()

    columns = "symbol, kind, parameters_status, price, cap_binds, max_ratio, implied_ratio"
    found = {row[0]: row[1:] for row in rows(f"SELECT {columns} FROM dim_oracle_adapter")}
    assert found["WETH"][:2] == ("direct_feed", "none")
    kind, status, price, binds, highest, implied = found["wstETH"]
    assert (kind, status, binds) == ("ratio_cap", "chain", 1)
    assert price == market.oracle_price("wstETH") / 1e8 < 2000 * 1.2282
    assert highest / 1e18 == pytest.approx(1.19411, abs=1e-5)  # 1.1919 x (1 + 0.0968 x 7 / 365), a few seconds more
    assert implied == pytest.approx(highest / 1e18, rel=1e-9)  # what the oracle pays is the cap
    assert found["USDC"][:4] == ("stable_cap", "chain", 1.04, 1)

    market.chain.do(adapter, "TestRatioCap", "setRatio", 1_190_000_000_000_000_000)
    market.push(dollars, 99000000)  # down passes through: there is no floor
    flow()

    later = dict(rows("SELECT symbol, cap_binds FROM dim_oracle_adapter WHERE block = ?", market.chain.block))
    assert (later["wstETH"], later["USDC"]) == (0, 0)
    assert rows("SELECT price FROM dim_oracle_adapter WHERE symbol = 'USDC' AND block = ?", market.chain.block) == [
        (0.99,)
    ]


def test_without_getters_a_ratio_cap_is_not_judged(market: OracleMarket, flow: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AAVE_CAP_GETTERS")
    base, aggregator = market.feed("ETH / USD")
    market.push(aggregator, 2000_00000000)
    adapter = market.chain.create(
        "TestRatioCap", "Capped wstETH / stETH(ETH) / USD", base, 12 * 10**17, 10**18, market.chain.now, 968
    )
    market.use("wstETH", adapter)

    flow()

    assert rows(
        "SELECT kind, kind_basis, parameters_status, cap_binds, note FROM dim_oracle_adapter WHERE symbol = 'wstETH'"
    ) == [("ratio_cap", "description", "none", None, "the cap's parameters are not known")]


def test_a_source_that_is_no_feed_is_recorded_and_stops_nothing(market: OracleMarket, flow: Any):
    """The other reserves keep feeds that have an answer and no rounds, as fixed-price adapters do."""
    flow()

    assert len(rows("SELECT DISTINCT asset FROM raw_oracle_sources")) == len(market.symbols)
    assert rows("SELECT count(*) FROM raw_chainlink_feeds") == [(0,)]
    for symbol, price in rows("SELECT symbol, price_raw FROM raw_oracle_sources"):
        assert int(price) == market.oracle_price(symbol), symbol
