"""The subgraph's route, on a loopback server made from the published field lists, against the logs of a loopback node.

Server and client were written from one sheet; what a test proves is that the two routes are read alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_abi import encode

from data.store.store import Store
from flows.errors import ConfigurationError, CrossCheckFailed, MalformedAnswer
from flows.lending import messari as lending_messari
from flows.lending.subgraph import compare_with_logs
from tests.flows.aave.candidates.server import Book, Gateway, Subgraph, serving
from tests.flows.lending import conftest as at
from tests.flows.lending.logs import address, log
from tests.flows.lending.node import time_of
from tests.flows.running import ran

PROVIDER = "0x2f39d218133afab8f2b819b1066c7e434ad94e9e"
ID = "JCNWRypm7FYwV8fx5HhzZPSFaMxgkPuw4TnR3Gpi81zk"
OWNER, PAYER, LIQUIDATOR = address(1), address(2), address(3)
_EVENT = {
    "id": "Bytes!", "hash": "Bytes!", "nonce": "BigInt!", "logIndex": "Int!", "blockNumber": "BigInt!",
    "timestamp": "BigInt!", "market": "Market!", "asset": "Token!", "amount": "BigInt!", "amountUSD": "BigDecimal!",
}  # fmt: skip
_OWNED = _EVENT | {"account": "Account!", "accountActor": "Account"}
MESSARI = {
    "Account": {"id": "Bytes!", "positionCount": "Int!"},
    "Market": {"id": "Bytes!", "isActive": "Boolean!"},
    "Token": {"id": "Bytes!", "name": "String!", "symbol": "String!", "decimals": "Int!"},
    "Deposit": _OWNED,
    "Withdraw": _OWNED,
    "Borrow": _OWNED,
    "Repay": _OWNED,
    "Liquidate": _EVENT | {"liquidator": "Account!", "liquidatee": "Account!", "profitUSD": "BigDecimal!"},
}
"""messari/subgraphs @2711ac91, schema-lending.graphql: the fields that are asked, and a few more."""


def logs_of_a_day() -> list[dict]:
    """One of each kind, with somebody else paying wherever that is possible."""
    pool = at.POOL
    return [
        log(pool, "Supply(address*,address,address*,uint256,uint16*)", (at.USDC, OWNER, 0), (PAYER, 70), block=5),
        log(pool, "Borrow(address*,address,address*,uint256,uint8,uint256,uint16*)", (at.WETH, OWNER, 0),
            (PAYER, 20, 2, 0), block=6, index=4),
        log(pool, "Repay(address*,address*,address*,uint256,bool)", (at.WETH, OWNER, PAYER), (3, False), block=6,
            index=9),
        log(pool, "Withdraw(address*,address*,address*,uint256)", (at.USDC, OWNER, PAYER), (4,), block=7),
        log(pool, "LiquidationCall(address*,address*,address*,uint256,uint256,address,bool)",
            (at.USDC, at.WETH, OWNER), (5, 6, LIQUIDATOR, False), block=8),
    ]  # fmt: skip


def entity_of(entry: dict, kind: str, owner: str, asset: str, amount: int, **more) -> tuple[str, dict]:
    """The entity a subgraph makes of a log; its id is a hash, so ids are in no order of time."""
    index = int(entry["logIndex"], 16)
    row = {
        "id": entry["transactionHash"] + f"{index:08x}",
        "hash": entry["transactionHash"],
        "nonce": 1,
        "logIndex": index,
        "blockNumber": int(entry["blockNumber"], 16),
        "timestamp": time_of(int(entry["blockNumber"], 16)),
        "market": address(0x77),
        "asset": asset,
        "amount": amount,
        "amountUSD": "2.5",
    }
    owners = {"liquidatee": owner} if kind == "Liquidate" else {"account": owner, "accountActor": None}
    return kind, row | owners | more


@pytest.fixture
def book() -> Book:
    """What the subgraph makes of `logs_of_a_day`."""
    supply, borrow, repay, withdraw, call = logs_of_a_day()
    made = Book()
    for kind, row in (
        entity_of(supply, "Deposit", OWNER, at.USDC, 70, accountActor=PAYER),
        entity_of(borrow, "Borrow", OWNER, at.WETH, 20),
        entity_of(repay, "Repay", OWNER, at.WETH, 3, amountUSD="0"),
        entity_of(withdraw, "Withdraw", OWNER, at.USDC, 4),
        entity_of(call, "Liquidate", OWNER, at.USDC, 6, liquidator=LIQUIDATOR, profitUSD="0.1"),
    ):
        made.put(kind, row)
    for token, symbol, decimals in ((at.USDC, "USDC", 6), (at.WETH, "WETH", 18)):
        made.put("Token", {"id": token, "name": symbol, "symbol": symbol, "decimals": decimals})
    for account in (OWNER, PAYER, LIQUIDATOR):
        made.put("Account", {"id": account, "positionCount": 1})
    made.put("Market", {"id": address(0x77), "isActive": True})
    return made


@pytest.fixture
def subgraph(book, monkeypatch) -> Iterator[Subgraph]:
    made = Subgraph(MESSARI, book, head=200)
    with serving(Gateway({ID: made}, key="PLANTEDKEY")) as where:
        monkeypatch.setenv("GRAPH_URL", where)
        monkeypatch.setenv("GRAPH_API_KEY", "PLANTEDKEY")
        yield made


@pytest.fixture
def messari(subgraph):
    def run_flow(*arguments: str) -> str:
        words = ["--route", "messari", "--markets", "AaveV3Ethereum", "--from-block", "0", *arguments]
        return ran("lending-events", *words)

    return run_flow


@pytest.fixture
def from_logs(node, run):
    """The same market by the node: the provider's real address answers with the pool of the test."""
    node.say(PROVIDER, "getPool()", answer=encode(["address"], [at.POOL]))
    node.logs = logs_of_a_day()
    return lambda: run("--markets", "AaveV3Ethereum")


def served(rows) -> list[tuple]:
    return rows(
        "SELECT block_number, log_index, event_type, wallet, asset, amount_raw, tx_hash, source "
        "FROM stg_lending_events ORDER BY 1, 2"
    )


def test_the_subgraph_alone_fills_the_same_tables(messari, rows):
    said = messari()

    assert "5 events read, 5 of them new; 0 are in the logs too" in said
    assert [row[2:6] for row in served(rows)] == [
        ("deposit", OWNER, at.USDC, "70"),
        ("borrow", OWNER, at.WETH, "20"),
        ("repay", OWNER, at.WETH, "3"),
        ("withdraw", OWNER, at.USDC, "4"),
        ("liquidation", OWNER, at.USDC, "6"),
    ]
    assert rows(
        "SELECT event_type, initiator, self_initiated, amount_usd, price_source FROM stg_lending_events "
        "WHERE event_type IN ('deposit', 'repay') ORDER BY 1"
    ) == [
        ("deposit", PAYER, 0, 2.5, f"messari:{ID}"),
        ("repay", None, None, None, None),  # zero USD: no price known
    ]
    assert rows("SELECT symbol, decimals FROM dim_lending_asset ORDER BY 1") == [("USDC", 6), ("WETH", 18)]
    assert "PLANTEDKEY" not in said + str(rows("SELECT params, message FROM fact_run"))


def test_the_two_routes_agree_and_the_logs_count(messari, from_logs, rows):
    from_logs()
    by_logs = served(rows)

    said = messari()

    assert "5 are in the logs too and agree" in said
    assert served(rows) == by_logs
    assert {row[-1] for row in by_logs} == {"logs"}


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("Borrow", {"amount": 21}, "log 4 of block 6: amount_raw is 20 by the logs, 21 by the other route"),
        ("Deposit", {"account": PAYER}, f"log 0 of block 5: owner is {OWNER} by the logs, {PAYER}"),
        ("Withdraw", {"asset": at.WETH}, "log 0 of block 7: asset is"),
        ("Liquidate", {"logIndex": 3}, "log 0 of block 8: only the logs have it (liquidation)"),
        ("Repay", None, "log 9 of block 6: only the logs have it (repay)"),
    ],
    ids=["amount", "payer taken for the owner", "asset", "log index", "missing"],
)
def test_a_seeded_disagreement_is_caught(messari, from_logs, book, rows, kind, change, complaint):
    from_logs()
    (row,) = book.at(kind, 0).values()
    book.put(kind, row | change if change else None, id=row["id"], block=10)

    with pytest.raises(CrossCheckFailed) as refusal:
        messari()

    assert complaint in str(refusal.value)
    assert {source for *_, source in served(rows)} <= {"logs", f"messari:{ID}"}
    assert [row[5] for row in served(rows) if row[-1] == "logs"] == ["70", "20", "3", "4", "6"]


def test_an_event_the_logs_do_not_have_is_caught(messari, from_logs, node):
    node.logs.pop()  # the liquidation
    from_logs()

    with pytest.raises(CrossCheckFailed, match="log 0 of block 8: the logs do not have it"):
        messari()


def test_without_the_whole_log_nothing_is_compared(messari, rows, own_warehouse):
    messari()
    with Store.open(own_warehouse) as store:
        compared = compare_with_logs(store, lending_messari.deployment("AaveV3Ethereum"), 0, 200)

    assert compared.events == 0


def test_a_second_run_begins_behind_the_head_and_changes_nothing(messari, rows):
    messari()
    before = rows("SELECT max(batch) FROM fact_batch"), served(rows)

    said = messari()

    assert "blocks 137 to 200: 0 events read" in said
    assert (rows("SELECT max(batch) FROM fact_batch"), served(rows)) == before


def test_a_subgraph_that_changes_its_mind_about_a_block_is_followed(messari, book, rows):
    """Two events of block 190; after a reorganisation the subgraph has one of them, with another amount."""
    entries = [log(at.POOL, "Repay(address*,address*,address*,uint256,bool)", (at.WETH, OWNER, OWNER), (1, False),
                   block=190, index=i) for i in (0, 1)]  # fmt: skip
    ids = []
    for entry in entries:
        kind, row = entity_of(entry, "Repay", OWNER, at.WETH, 100)
        book.put(kind, row)
        ids.append(row["id"])
    messari()
    assert [row[:2] for row in served(rows)][-2:] == [(190, 0), (190, 1)]
    book.put("Repay", None, id=ids[1], block=1)
    messari()

    assert [(row[0], row[1], row[5]) for row in served(rows)][-1] == (190, 0, "100")
    assert len(served(rows)) == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", None),
        ("amount", "1.5"),
        ("account", {"id": "0x12"}),
        ("hash", "0x"),
        ("amountUSD", "many"),
        ("logIndex", -1),
    ],
)
def test_an_entity_of_the_wrong_shape_is_refused_by_name(field, value):
    (entry, *_) = logs_of_a_day()
    _, row = entity_of(entry, "Deposit", OWNER, at.USDC, 70)
    row |= {"asset": {"id": at.USDC}, "account": {"id": OWNER}} | {field: value}

    with pytest.raises(MalformedAnswer, match=f"as {field}, found"):
        lending_messari.event_of("deposits", row, lending_messari.deployment("AaveV3Ethereum"))


@pytest.mark.parametrize(
    ("market", "usd_e8"),
    [("AaveV3Ethereum", 250_000_000), ("AaveV2Ethereum", None), ("AaveV2Polygon", None), ("CompoundV3Ethereum", None)],
)
def test_a_value_is_in_dollars_only_where_the_markets_oracle_counts_in_them(market, usd_e8):
    (entry, *_) = logs_of_a_day()
    _, row = entity_of(entry, "Deposit", OWNER, at.USDC, 70)
    row |= {"asset": {"id": at.USDC}, "account": {"id": OWNER}}

    assert lending_messari.event_of("deposits", row, lending_messari.deployment(market)).usd_e8 == usd_e8


def test_markets_without_a_usable_subgraph_are_named():
    for name in ("CompoundV2Ethereum", "CompoundV3Base", "AaveV3Plasma"):
        with pytest.raises(ConfigurationError, match=r"no Messari subgraph of .* is known that can be used"):
            lending_messari.deployment(name)
    assert lending_messari.deployment("CompoundV3Ethereum").chain_id == 1
