"""Random writes of the sources whose tables are many: lending events, and the chain itself."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.chain import whole_blocks
from data.store.store import Store
from tests.data.made_up_rows import made_up

NOON = 1_767_268_800
"""2026-01-01 12:00:00 UTC."""
ADDRESSES = ["0x" + digit * 40 for digit in "abcdef"]
EVENT_KINDS = ["borrow", "deposit", "liquidation", "repay", "withdraw", "deficit"]


def _hash(number: int, fork: int) -> str:
    return f"0x{number:062x}{fork:02x}"


def lending_events(store: Store, random: np.random.Generator) -> None:
    """Events of some blocks; a block may be replaced, with other events or none, an event taken back, and a token
    may become known."""
    frames: dict[str, list[dict]] = {}
    for number in random.choice(np.arange(1, 15), size=3, replace=False):
        fork, n_events = int(random.integers(0, 2)), int(random.choice([0, 3, 6]))
        at = {
            "source": "logs",
            "market": "AaveV3Ethereum",
            "chain_id": 1,
            "block_number": int(number),
            "block_hash": _hash(int(number), fork) if n_events else None,
            "block_timestamp": NOON + 12 * int(number),
        }
        frames.setdefault("raw_lending_blocks", []).append({**at, "n_events": n_events})
        for index in range(n_events):
            kind = EVENT_KINDS[(int(number) + index + fork) % len(EVENT_KINDS)]
            event = {
                **at,
                "log_index": index,
                "protocol": "aave_v3",
                "owner": str(random.choice(ADDRESSES)),
                "asset": ADDRESSES[index % 2],
                "amount_raw": str(int(random.integers(1, 9)) * 10**18),
                "part": 0,
            }
            if kind == "liquidation":
                event |= {"debt_asset": ADDRESSES[(index + fork) % 2], "debt_amount_raw": str(number * 10**17)}
            frames.setdefault(f"raw_lending_{kind}_events", []).append(event)
    if random.random() < 0.4:
        asset = {
            "chain_id": 1,
            "asset": str(random.choice(ADDRESSES[:2])),
            "symbol": "WETH",
            "series": "ETHUSDT",
            "decimals": int(random.choice([6, 18])),
        }
        frames["dim_lending_asset"] = [asset]
    if random.random() < 0.4:
        hour = int(random.integers(0, 2)) * 3_600
        price = {
            "symbol": "ETHUSDT",
            "interval": "1h",
            "ts": NOON - 3_600 + hour,
            "source": "binance",
            "price_usd": float(random.integers(1_000, 1_003)),
        }
        frames["dim_prices"] = [price]
    store.write_batch("logs", "window", {table: made_up(table, rows) for table, rows in frames.items()})
    if random.random() < 0.4:  # a second reading of a block takes an event back, and changes nothing else of it
        table = f"raw_lending_{random.choice(EVENT_KINDS)}_events"
        told = store.read(f"SELECT * FROM {table} WHERE block_hash IS NOT NULL ORDER BY batch DESC LIMIT 1")
        if len(told):
            told = told.drop(columns=["batch", "content_sha256"]).astype(object).assign(block_hash=None)
            store.write_batch("logs", "again", {table: told})


def forecasts(store: Store, random: np.random.Generator) -> None:
    """A forecast of a window of some blocks, at times its run again; how far the events were read, forth or back."""
    random = random.spawn(1)[0]  # what the other feeders draw stays as it is without this one
    start, length = int(random.integers(0, 15)), int(random.choice([1, 3, 24]))
    run = hashlib.sha256(f"{start} {length}".encode()).hexdigest()
    head = {"run_id": run, "market": "AaveV3Ethereum", "chain_id": 1, "block": start, "block_time": NOON + 12 * start}
    told = {
        "run_id": run, "market": "AaveV3Ethereum", "made_at": NOON + 12 * start, "horizon_seconds": 12 * length,
        "valid_until": NOON + 12 * (start + length), "sealed_at": NOON + 100, "is_synthetic": 0,
    }  # fmt: skip
    rows = [
        {**told, "measure": measure, "level": 0.9}
        for measure in ("lar_repaid", "lar_seized", "es_repaid", "var_deficit", "es_deficit", "p_deficit")[: 1 + start]
    ]
    frames = {"fact_risk_run": made_up("fact_risk_run", [head]), "fact_forecast": made_up("fact_forecast", rows)}
    store.write_batch("risk_core", run, frames, scope={"run_id": run} if random.random() < 0.5 else None)
    if random.random() < 0.6:
        first, last = int(random.choice([0, 0, 3])), int(random.integers(4, 45))
        span = {
            "source": str(random.choice(["logs", "other logs"])), "market": "AaveV3Ethereum", "chain_id": 1,
            "first_block": first, "first_time": NOON + 12 * first, "last_block": last, "last_time": NOON + 12 * last,
        }  # fmt: skip
        store.write_batch("logs", "reads", {"raw_lending_reads": made_up("raw_lending_reads", [span])})


def chain_blocks(store: Store, random: np.random.Generator) -> None:
    """A block with a transaction, transfers and a swap; at times in place of another, whose rows become orphans.

    A block of a known hash may come again with more or fewer transfers, other amounts, or another time.
    """
    number, fork = int(random.integers(1, 12)), int(random.integers(0, 2))
    block_hash, other = _hash(number, fork), _hash(number, 1 - fork)
    at = {"chain_id": 1, "block_number": number, "block_hash": block_hash}
    timed = {**at, "timestamp": NOON + 1_200 * number + 3_600 * int(random.random() < 0.2), "orphaned": 0}
    n_transfers, more = int(random.integers(0, 4)), int(random.integers(0, 3))
    frames = {
        "stg_chain_blocks": [timed],
        "raw_chain_transactions": [
            {**at, "transaction_hash": block_hash, "from_address": ADDRESSES[fork],
             "to_address": ADDRESSES[number % 6], "value": str(number * 10**17)},
        ],
        "stg_token_transfers": [
            {**timed, "log_index": index, "standard": "ERC20", "token": ADDRESSES[index],
             "from_address": ADDRESSES[(number + index) % 6], "to_address": ADDRESSES[fork],
             "amount": str(number + index + more)}
            for index in range(n_transfers)
        ],
        "stg_primitives": [{**timed, "log_index": 3, "primitive": "swap", "account": ADDRESSES[number % 6]}],
    }  # fmt: skip
    made = {table: made_up(table, rows) for table, rows in frames.items() if rows}
    for table in ("stg_chain_blocks", "stg_token_transfers", "stg_primitives"):
        replaced = store.read(f"SELECT * FROM {table} WHERE block_hash = ? AND orphaned = 0", (other,))
        if len(replaced):
            replaced = replaced.assign(orphaned=1).drop(columns="batch")
            made[table] = pd.concat([made[table], replaced]) if table in made else replaced
    store.write_batch("chain", str(number), made, parts=whole_blocks([(1, number, block_hash)]))
