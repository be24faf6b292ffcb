"""Flow `chain-activity`: blocks, transactions, receipts and logs of a chain, as received and decoded.

Raw rows are kept as received. Token transfers, swaps and what people did with lending protocols are decoded on the way;
a log that looks like one of these but cannot be decoded goes to quarantine with the reason. A run reads what the
warehouse does not hold yet: to continue a run that was ended, start it again with the same options.
"""

from __future__ import annotations

from tqdm import tqdm

from data import marts
from data.chain import missing_ranges
from data.store.store import Store
from flows import settings
from flows.chain import live_session
from flows.chain.backfill import Written, fill
from flows.chain.node import ChainNode
from flows.chain.options import ChainActivityOptions
from flows.clients import networks
from flows.clients.json_rpc import JsonRpc
from flows.errors import ConfigurationError, WrongOption
from flows.pipeline import recorded

DERIVED = ("mart_token_transfer_hourly", "mart_address_activity")
"""Tables that SQL makes of what this flow writes."""


def run(arguments: ChainActivityOptions) -> str:
    """Fill a range of blocks; returns what was written, in one line.

    Raises `ConfigurationError`, `SourceUnavailable`, `SourceRefused` (a block above the head), `MalformedAnswer`,
    `flows.chain.backfill.NotTheStoredChain`; `data.errors.BatchRefused`.
    """
    if arguments.live:
        return live_session.run(arguments, "chain-activity", DERIVED)
    if arguments.start_block is None:
        raise WrongOption("--start-block is missing: give the first block to read, or --live to follow the head")
    chain_id = networks.chain_id(arguments.network)
    url = settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the network")
    node = ChainNode(JsonRpc(url, attempts=arguments.attempts, batch_size=4 * arguments.blocks_per_request))
    first = arguments.start_block
    parameters = {
        "network": arguments.network,
        "chain_id": chain_id,
        "start_block": first,
        "end_block": arguments.end_block,
        "node": settings.redacted(url),
    }
    total = Written()
    if arguments.parquet:
        return to_parquet(node, chain_id, arguments)
    with Store.open() as store, recorded(store, "chain-activity", parameters) as run:
        node.require_chain(chain_id)
        last = node.resolve(arguments.end_block)
        if last < first:
            raise ConfigurationError(
                f"--end-block {arguments.end_block} is block {last}, before --start-block {first}; nothing to read"
            )
        ranges = [(first, last)] if arguments.reread else missing_ranges(store, chain_id, first, last)

        missing = sum(end - start + 1 for start, end in ranges)
        with tqdm(total=missing, desc="blocks", unit="block", disable=None, leave=False) as bar:
            for start, end in ranges:
                part = fill(run, node, chain_id, start, end, threads=arguments.threads,
                            size=arguments.blocks_per_request, done=bar.update)  # fmt: skip
                for name in Written.__slots__:
                    setattr(total, name, getattr(total, name) + getattr(part, name))
        marts.refresh(store, list(DERIVED))
    return described(first, last, total)


def to_parquet(node: ChainNode, chain_id: int, arguments: ChainActivityOptions) -> str:
    """Write one dataset of the range into Parquet files; returns what was written, in one line.

    Raises `ConfigurationError` where pyarrow is not installed.
    """
    try:
        # Imported here, not at the top: pyarrow is an optional package (requirements-export).
        from flows.chain.parquet import export
    except ImportError as exc:
        raise ConfigurationError("--parquet needs pyarrow: pip install -r requirements-export.txt") from exc
    node.require_chain(chain_id)
    first, last = arguments.start_block, node.resolve(arguments.end_block)
    with tqdm(total=last - first + 1, desc="blocks", unit="block", disable=None, leave=False) as bar:
        rows = export(node, chain_id, arguments.dataset, first, last, arguments.parquet, threads=arguments.threads,
                      size=arguments.blocks_per_request, done=bar.update, again=arguments.reread)  # fmt: skip
    return f"blocks {first} to {last}: {rows:,} {arguments.dataset} written under {arguments.parquet}"


def described(first: int, last: int, written: object) -> str:
    """One line on what a run wrote."""
    assert isinstance(written, Written)
    held = last - first + 1
    line = (
        f"blocks {first} to {last}: {written.blocks:,} read ({held - written.blocks:,} were there), "
        f"{written.logs:,} logs, {written.transfers:,} token transfers"
    )
    return line + written.remarks()
