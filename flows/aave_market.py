"""Flow `aave-market`: every reserve, e-mode and account of an Aave v3 market at one block, from a node's JSON-RPC.

The block is resolved first and everything is read at its number; at the end its hash must still be the same. Nothing
is stored before three independent checks hold: indices, sums of scaled balances, and the pool's own valuations.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from flows import settings
from flows.errors import ConfigurationError, CrossCheckFailed
from flows.pipeline import FlowSpec, recorded
from flows.sources import address_book

if TYPE_CHECKING:
    from data.store import Store, WriteReport
    from flows.aave_rows import MarketState
    from flows.sources.block_reader import Block
    from flows.sources.json_rpc import JsonRpc

SOURCE = "aave_rpc"


def run(arguments: Namespace) -> str:
    """Read the market at `arguments.block` and store it; returns what was stored, in one line."""
    from data.settings import aave_market
    from data.store import Store
    from flows.sources.json_rpc import JsonRpc

    url = settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the market's chain")
    rpc = JsonRpc(url, attempts=arguments.attempts)
    market = aave_market()
    chain_id, provider, first_block = locate(rpc, market)
    if arguments.from_block is not None:
        first_block = arguments.from_block
    parameters = {"market": market, "block": arguments.block, "from_block": first_block, "provider": provider,
                  "node": settings.redacted(url)}  # fmt: skip
    with Store.open() as store, recorded(store, FLOW.name, parameters) as run_id:
        state = read_market(store, rpc, market, chain_id, provider, arguments.block, first_block, run_id)
        report = write(store, state, run_id)
        unmapped = map_assets(store, market, run_id)
    return described(state, report) + (f"; before risk-scenarios: {unmapped}" if unmapped else "")


def locate(rpc: JsonRpc, market: str) -> tuple[int, str, int | None]:
    """Chain id, PoolAddressesProvider and first block (None: to be searched) of the market that is configured.

    The override of the environment wins over the address book; the node must be of the book's chain otherwise.
    Raises `ConfigurationError`.
    """
    from flows.sources.json_rpc import quantity

    override = settings.get("AAVE_POOL_ADDRESSES_PROVIDER")
    known = None if override else address_book.by_name(market)
    chain_id = quantity(rpc.call("eth_chainId"), "eth_chainId")
    if known is not None:
        if known.chain_id != chain_id:
            raise ConfigurationError(
                f"wrong chain: {rpc} is on chain {chain_id}, {market} is on chain {known.chain_id}. Set ETH_RPC_URL to "
                "a node of that chain, AAVE_MARKET to a market of this one, or AAVE_POOL_ADDRESSES_PROVIDER"
            )
        return chain_id, known.provider, known.first_block or None
    provider = (override or "").lower()
    if not re.fullmatch(r"0x[0-9a-f]{40}", provider):
        raise ConfigurationError(f"AAVE_POOL_ADDRESSES_PROVIDER: expected 0x and 40 hex digits, found {override!r:.60}")
    listed = address_book.by_provider(chain_id, provider)
    return chain_id, provider, (listed.first_block or None) if listed else None


def read_market(
    store: Store,
    rpc: JsonRpc,
    market: str,
    chain_id: int,
    provider: str,
    which: str | int,
    first_block: int | None,
    run_id: str,
) -> MarketState:
    """Everything of the market at block `which`, cross-checked. Raises `FlowError`; writes only the scan's progress."""
    from flows import cross_checks
    from flows.aave_rows import MarketState
    from flows.holder_scan import HolderScan, first_block_of
    from flows.sources import aave_accounts, aave_rpc
    from flows.sources.block_reader import BlockReader, get_block
    from flows.sources.holders import Tokens

    block = get_block(rpc, which)
    reader = BlockReader(rpc, block)
    contracts = aave_rpc.resolve(reader, provider, chain_id)
    reserves = aave_rpc.fetch_reserves(reader, contracts)
    cross_checks.check_indices(reserves, block.time)
    emodes = aave_rpc.fetch_emodes(reader, contracts)

    tokens = Tokens(contracts.pool, {r.asset: r.atoken for r in reserves}, {r.asset: r.vtoken for r in reserves})
    if first_block is None:
        first_block = first_block_of(rpc, contracts.pool, block.number)
    with _bar("log", "block") as bar:
        scan = HolderScan(store, rpc, market, chain_id, tokens, run_id)
        pairs = scan.pairs_until(block, first_block, progress=bar)
    with _bar("balances", "read", len(pairs)) as bar:
        balances = aave_accounts.fetch_balances(reader, pairs, bar.update)
    cross_checks.check_supplies(reserves, balances, first_block)
    sides = {r.atoken: ("supply", r.id) for r in reserves} | {r.vtoken: ("debt", r.id) for r in reserves}
    with _bar("accounts", "read", 2 * len({account for _, account in balances})) as bar:
        accounts = aave_accounts.fetch_accounts(reader, contracts.pool, balances, sides, bar.update)
    cross_checks.check_flags(accounts, {r.id: r.symbol for r in reserves}, emodes)

    rules = cross_checks.Rules(reserves, emodes)
    ours = {account.address: rules.account_data(account) for account in accounts}
    asked = cross_checks.accounts_to_check(ours, block.number)
    with _bar("health factors", "account", len(asked)) as bar:
        said = aave_accounts.fetch_account_data(reader, contracts.pool, asked, bar.update)
    checked = cross_checks.check_account_data(ours, said)
    _require_unchanged(rpc, block)
    return MarketState(market=market, block=block, contracts=contracts, reserves=reserves, emodes=emodes,
                       accounts=accounts, account_data=said, checked=checked)  # fmt: skip


def write(store: Store, state: MarketState, run_id: str) -> WriteReport:
    """Store the snapshot in one transaction; rows of another chain state at the same block number are replaced."""
    from data.snapshot import save_snapshot
    from flows.aave_rows import to_frames

    return save_snapshot(store, SOURCE, to_frames(state), run_id)


def map_assets(store: Store, market: str, run_id: str) -> str:
    """Note in `dim_asset` which prices the reserves follow; returns what is missing for that, empty when nothing is.

    A reserve without a series does not make the snapshot wrong, so it does not refuse it.
    """
    from data import assets
    from data.errors import UnmappedReserve

    try:
        assets.save_map(store, assets.asset_map(market, store.path), run_id)
    except UnmappedReserve as exc:
        return str(exc)
    return ""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the parameters of the flow."""
    parser.add_argument(
        "--block", type=_block, default="latest",
        help="latest, safe, finalized, or a number (default: %(default)s); an old one needs an archive node",
    )  # fmt: skip
    parser.add_argument(
        "--from-block", type=_number, help="where the scan of the log begins (default: the market's first block)"
    )
    parser.add_argument("--attempts", type=_number, default=5, help="tries of each request (default: %(default)s)")


def described(state: MarketState, report: WriteReport) -> str:
    """One line for the user."""
    changed = sum(report.changed.values())
    below = state.checked.below_one_confirmed
    return (
        f"{state.market} at block {state.block.number:,}: {len(state.reserves)} reserves, {len(state.emodes)} e-modes, "
        f"{len(state.accounts):,} accounts, {report.rows['stg_positions']:,} positions; "
        f"{state.checked.hf_checked:,} health factors equal the pool's"
        + (f", {below:,} of them below 1" if below else "")
        + ("" if changed else "; already stored, nothing changed")
    )


def _require_unchanged(rpc: JsonRpc, block: Block) -> None:
    from flows.sources.block_reader import get_block

    if (now := get_block(rpc, block.number)).hash != block.hash:
        raise CrossCheckFailed(
            f"block {block.number} was replaced while it was read (hash {block.hash}, now {now.hash}). Nothing was "
            "written; run again, or read --block finalized"
        )


def _bar(what: str, unit: str, total: int | None = None) -> Any:
    """A progress bar on stderr; silent where stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(desc=what, unit=f" {unit}s", total=total, disable=None, leave=False)


def _block(text: str) -> str | int:
    if text in ("latest", "safe", "finalized"):
        return text
    try:
        return _number(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"expected latest, safe, finalized or a block number, found {text!r}") from None


def _number(text: str) -> int:
    digits = text.replace("_", "").replace(",", "")
    if not digits.isdigit():
        raise ArgumentTypeError(f"expected a number, found {text!r}")
    return int(digits)


FLOW = FlowSpec(
    name="aave-market",
    summary="Reserves, e-modes and every account of an Aave v3 market at one block, from a node",
    add_arguments=add_arguments,
    run=run,
)
