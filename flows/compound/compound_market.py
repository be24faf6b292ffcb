"""Flow `compound-market`: every market and account of Compound v2 and of the Comets of v3, at one block, for reading.

Stored in the tables of an Aave snapshot and marked with its protocol: liquidations at Compound follow other rules than
the engine's, so `data.load_market` does not load it. `flows.compound.state` says which terms correspond.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tqdm import tqdm

from data.store.store import Store
from flows import settings
from flows.aave.holder_scan import first_block_of
from flows.clients.block_reader import BlockReader, get_block
from flows.clients.json_rpc import JsonRpc, quantity
from flows.compound import comet, comptroller
from flows.compound.holders import holders
from flows.compound.options import CompoundMarketOptions
from flows.compound.rows import to_frames
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from flows.lending import markets as lending_markets
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.clients.block_reader import Block
    from flows.compound.state import CompoundState
    from flows.lending.markets import MarketEntry

SOURCE = "compound_rpc"


def run(arguments: CompoundMarketOptions) -> str:
    """Read each market at `arguments.block` and store it; one line for each."""
    url = settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the markets' chain")
    rpc = JsonRpc(url, attempts=arguments.attempts)
    chain_id = quantity(rpc.call("eth_chainId"), "eth_chainId")
    sources = chosen(arguments.markets, chain_id)
    parameters = {
        "markets": [s.name for s in sources],
        "block": arguments.block,
        "from_block": arguments.from_block,
        "node": settings.redacted(url),
    }
    lines = []
    with Store.open() as store, recorded(store, "compound-market", parameters) as run:
        for source in sources:
            block = get_block(rpc, arguments.block)
            state = read(run, BlockReader(rpc, block), source, chain_id, arguments.from_block)
            if (now := get_block(rpc, block.number)).hash != block.hash:
                raise CrossCheckFailed(
                    f"block {block.number} was replaced while it was read (hash {block.hash}, now {now.hash}). Nothing "
                    "of it was written; run again, or read --block finalized"
                )
            run.snapshot(SOURCE, to_frames(source.name, chain_id, block, state))
            lines.append(described(source.name, block, state))
    return "\n".join(lines)


def chosen(names: list[str] | None, chain_id: int) -> list[MarketEntry]:
    """The markets asked for, by default all of the node's chain. Raises `ConfigurationError`."""
    if names and names != ["all"]:
        found = [lending_markets.named(name) for name in names]
    else:
        found = [s for s in lending_markets.on_chain(chain_id) if s.protocol.startswith("compound")]
    for source in found:
        if not source.protocol.startswith("compound"):
            raise ConfigurationError(f"{source.name} is a market of {source.protocol}; `aave-market` reads it")
        if source.chain_id not in (None, chain_id):
            raise ConfigurationError(
                f"wrong chain: the node is on chain {chain_id}, {source.name} is on chain "
                f"{source.chain_id}. Set ETH_RPC_URL to a node of that chain"
            )
    if not found:
        raise ConfigurationError(
            f"no Compound market of chain {chain_id} is known by name; give --markets "
            "compound_v3:0xCOMET or compound_v2:0xCOMPTROLLER"
        )
    return found


def read(run: Run, reader: BlockReader, source: MarketEntry, chain_id: int, from_block: int | None) -> CompoundState:
    """One deployment at the reader's block, its accounts checked against the protocol's answers. Raises `FlowError`."""
    if not reader.has_code(source.entry):
        raise SourceRefused(
            f"{source.name}: no contract at {source.entry} on chain {chain_id} at block "
            f"{reader.block.number}; check the name and ETH_RPC_URL"
        )
    v2 = source.protocol == "compound_v2"
    state = (comptroller.read_v2 if v2 else comet.read_v3)(reader, source)
    if from_block is None:
        from_block = source.first_block or first_block_of(reader.rpc, source.entry, reader.block.number)
    contracts = sorted({r.contract for r in state.reserves})
    with tqdm(desc=source.name, unit=" blocks", disable=None, leave=False) as bar:
        named = holders(run, reader.rpc, source.name, source.protocol, contracts, reader.block, from_block, bar)
    accounts = (comptroller.accounts_v2 if v2 else comet.accounts_v3)(reader, state, named)
    checked, below = (comptroller.check_v2 if v2 else comet.check_v3)(reader, state, accounts)
    return replace(state, accounts=accounts, checked=checked, below_one=below)


def described(name: str, block: Block, state: CompoundState) -> str:
    """One line on what was read, for the user."""
    return (
        f"{name} at block {block.number:,}: {len(state.reserves)} assets, {len(state.accounts):,} accounts; "
        f"{state.checked:,} borrowers agree with the protocol"
        + (f", {state.below_one:,} of them liquidatable" if state.below_one else "")
        + (
            f"; left out, since nobody holds it and it has no price: {', '.join(state.unpriced)}"
            if state.unpriced
            else ""
        )
    )
