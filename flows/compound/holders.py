"""Accounts that ever held something at a Compound deployment, from event logs; the scan can be resumed.

Compound v2: every recipient of a cToken (a borrower received some before it could borrow). A Comet: every recipient
of its base balance, and of collateral, by the second address of Transfer, SupplyCollateral and TransferCollateral.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from flows.clients.block_reader import Block, get_block
from flows.clients.json_rpc import JsonRpc, quantity
from flows.errors import MalformedAnswer, SourceRefused
from flows.lending.compound_logs import TRANSFER
from flows.lending.events import NOBODY, topic
from flows.lending.scan import log_ranges
from flows.pipeline import Mark, Run

SOURCE = "compound_holders"
REORG_WINDOW = 64
TOPICS = {
    "compound_v2": [TRANSFER],
    "compound_v3": [
        TRANSFER,
        topic("SupplyCollateral(address,address,address,uint256)"),
        topic("TransferCollateral(address,address,address,uint256)"),
    ],
}


def holders(
    run: Run,
    rpc: JsonRpc,
    market: str,
    protocol: str,
    contracts: list[str],
    block: Block,
    first_block: int,
    progress: Any,
) -> dict[str, set[str]]:
    """Account to the contracts that named it, from `first_block` to `block`; continues an earlier scan."""
    key = f"{market}:{min(contracts)}"
    state = run.store.checkpoint(SOURCE, key)
    start = _start(rpc, state, contracts, first_block, block.number)
    begun = min(first_block, state["first"]) if state and start > first_block else first_block
    progress.reset(total=max(0, block.number - start + 1))
    for first, last, logs in log_ranges(rpc, contracts, TOPICS[protocol], start, block.number):
        pairs = recipients(logs, set(contracts))
        frames, marks = {}, []
        if pairs:
            frames["raw_aave_holders"] = pd.DataFrame(
                [(market, contract, account, seen) for (contract, account), seen in sorted(pairs.items())],
                columns=["market", "token", "account", "first_seen_block"],
            )
        settled = min(last, block.number - REORG_WINDOW)
        if settled >= first:
            value = {
                "first": begun,
                "last": settled,
                "hash": get_block(rpc, settled).hash,
                "contracts": sorted(contracts),
            }
            marks.append(Mark(SOURCE, key, value))
        if frames or marks:
            run.write(SOURCE, f"{key}:{first}-{last}", frames, marks=marks)
        progress.update(last - first + 1)
    found: dict[str, set[str]] = {}
    for contract, account in run.store.rows("SELECT token, account FROM raw_aave_holders WHERE market = ?", (market,)):
        if contract in contracts:
            found.setdefault(account, set()).add(contract)
    return found


def recipients(logs: list[dict[str, Any]], contracts: set[str]) -> dict[tuple[str, str], int]:
    """(contract, second indexed address) of logs with the first block of each. Raises `MalformedAnswer`."""
    found: dict[tuple[str, str], int] = {}
    for log in logs:
        try:
            contract, account = log["address"].lower(), "0x" + log["topics"][2][-40:].lower()
            block = quantity(log["blockNumber"], "block number of a log")
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise MalformedAnswer(
                f"eth_getLogs: expected a log with address, blockNumber and three topics, found {log!r:.120}"
            ) from exc
        if contract in contracts and account not in (NOBODY, contract):
            found[contract, account] = min(block, found.get((contract, account), block))
    return found


def _start(rpc: JsonRpc, state: Any, contracts: list[str], first_block: int, newest: int) -> int:
    """First block still to be read; `first_block` when the chain or the list of contracts has changed."""
    if not state or state["first"] > first_block or not set(contracts) <= set(state["contracts"]):
        return first_block
    try:
        unchanged = get_block(rpc, state["last"]).hash == state["hash"]
    except SourceRefused:  # a shorter chain
        unchanged = False
    return min(state["last"], newest) + 1 if unchanged else first_block
