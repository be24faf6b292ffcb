"""Flow `aave-market`: every reserve, e-mode and account of an Aave market at one block, from a node's JSON-RPC.

The block is resolved first and everything is read at its number; at the end its hash must still be the same. Nothing
is stored before three independent checks hold: indices, sums of scaled balances, and the pool's own valuations.

After the first snapshot, accounts that no event has touched are carried forward (`flows.aave.incremental.carry`); every
`--full-every` hours, and with `--full`, everything is read and held against what carrying gives.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import arguments as block_arguments
from flows import settings
from flows.aave import address_book
from flows.aave.candidates.route import add_arguments as add_candidates
from flows.aave.place import locate, node_url, require_one_chain
from flows.errors import CrossCheckFailed
from flows.pipeline import FlowSpec, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.store.store import Store, WriteReport
    from flows.aave.holder_scan import HolderScan
    from flows.aave.reading import MarketAt, Place
    from flows.aave.rows import MarketState
    from flows.clients.json_rpc import JsonRpc

SOURCE = "aave_rpc"
FULL_READ = "aave_full_read"
"""Source of the checkpoint that says when everything was read last."""
NOT_READ = "Aave v4 is not read and is in no total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A market as it was read: `n_read` accounts from the node, the rest carried from `state.base_block`.

    `differences`: what carrying would have got wrong where everything was read as well.
    """

    state: MarketState
    n_read: int
    key: str
    differences: Sequence[str] = ()


def run(arguments: Namespace) -> str:
    """Read the market at `arguments.block` and store it; returns what was stored, in one line."""
    from data.settings import aave_market
    from data.store.store import Store
    from flows.clients.json_rpc import JsonRpc

    market = arguments.market or aave_market()
    url = node_url(market)
    if arguments.candidates or arguments.estimate:
        from flows.aave.candidates import route as verified_path

        if (stored := verified_path.run(arguments, market, url)) is not None:
            return stored
    rpc = JsonRpc(url, attempts=arguments.attempts)
    place = locate(rpc, market)
    first_block = place.first_block if arguments.from_block is None else arguments.from_block
    parameters = {"market": market, "block": arguments.block, "from_block": first_block, "provider": place.provider,
                  "chain_id": place.chain_id, "full": arguments.full, "node": settings.redacted(url)}  # fmt: skip
    with Store.open() as store, recorded(store, FLOW.name, parameters) as run_id:
        require_one_chain(store, place)
        reading = read_market(store, rpc, place, arguments.block, first_block, run_id,
                              full=arguments.full, full_every=arguments.full_every)  # fmt: skip
        report = write(store, reading, run_id)
        unmapped = "" if reading.state.contracts.protocol == address_book.V2 else map_assets(store, market, run_id)
        report_differences(store, reading, run_id)
    return described(place, reading, report) + (f"; before risk-scenarios: {unmapped}" if unmapped else "")


def read_market(
    store: Store,
    rpc: JsonRpc,
    place: Place,
    which: str | int,
    first_block: int | None,
    run_id: str,
    *,
    full: bool = False,
    full_every: float = 24.0,
) -> Reading:
    """Everything of the market at block `which`, cross-checked. Raises `FlowError`; writes only the scan's progress."""
    from flows.aave.holder_scan import HolderScan
    from flows.aave.incremental import carry as aave_incremental
    from flows.aave.incremental.checks import checked_carried
    from flows.aave.reading import BlockReplaced, open_market
    from flows.clients.block_reader import CONCURRENCY

    concurrency = settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
    with ThreadPoolExecutor(1) as beside:  # while the node is asked, the accounts are fetched that may be carried
        opening = beside.submit(open_market, rpc, place, which, concurrency=concurrency)
        likely = aave_incremental.likely_base(store, place, which)
        at = opening.result()
    scan = HolderScan(store, rpc, place.market, place.chain_id, at.tokens, run_id, concurrency)
    base = None
    if at.contracts.protocol == address_book.V3:  # stable debt of v2 is not stored for itself, so it cannot be carried
        base = aave_incremental.find_base(store, rpc, place.market, at.contracts, at.reserves, at.block, likely)
    carried = None
    if base is not None:
        carried = aave_incremental.carry(at, scan, base)
        if not full and not _full_is_due(store, scan.key, at.block.time, full_every):
            try:
                return Reading(state=checked_carried(at, carried), n_read=len(carried.touched), key=scan.key)
            except BlockReplaced:
                raise
            except CrossCheckFailed:
                pass  # everything is read below, and what carrying got wrong is reported
    state = _read_all(at, scan, first_block)
    wrong = [] if carried is None else aave_incremental.differences(carried.accounts(), state.accounts)
    return Reading(state=state, n_read=len(state.accounts), key=scan.key, differences=wrong)


def _read_all(at: MarketAt, scan: HolderScan, first_block: int | None) -> MarketState:
    from flows.aave import accounts as aave_accounts
    from flows.aave.checks import check_supplies
    from flows.aave.holder_scan import first_block_of
    from flows.aave.reading import checked, progress_bar

    if first_block is None:
        first_block = first_block_of(at.reader.rpc, at.contracts.pool, at.block.number)
    with progress_bar("log", "block") as bar:
        pairs = scan.pairs_until(at.block, first_block, progress=bar)
    with progress_bar("balances", "read", len(pairs)) as bar:
        balances = aave_accounts.fetch_balances(at.reader, pairs, bar.update)
    check_supplies(at.reserves, balances, first_block)
    with progress_bar("accounts", "read", 2 * len({account for _, account in balances})) as bar:
        sides = aave_accounts.sides_of(at.reserves)
        accounts = aave_accounts.fetch_accounts(
            at.reader, at.contracts.pool, balances, sides, bar.update, emodes=at.contracts.protocol != address_book.V2
        )
    return checked(at, accounts, first_block=first_block)


def _full_is_due(store: Store, key: str, now: int, hours: float) -> bool:
    last = store.checkpoint(FULL_READ, key)
    return last is None or now - last["time"] >= hours * 3600


def write(store: Store, reading: Reading, run_id: str) -> WriteReport:
    """Store the snapshot in one transaction; rows of another chain state at the same block number are replaced."""
    import pandas as pd

    from data.snapshot.loading import save_snapshot
    from flows.aave.incremental.rows import carried_columns
    from flows.aave.rows import to_frames

    state = reading.state
    frames = to_frames(state)
    if state.base_block is None:
        value = json.dumps({"block": state.block.number, "time": state.block.time}, sort_keys=True)
        mark = {"source": FULL_READ, "key": reading.key, "value": value, "updated_at": int(time.time())}
        if store.checkpoint(FULL_READ, reading.key) != json.loads(value):
            frames["ingest_checkpoint"] = pd.DataFrame([mark])
    return save_snapshot(store, SOURCE, frames, run_id, carried=carried_columns(state))


def report_differences(store: Store, reading: Reading, run_id: str) -> None:
    """Note in `fact_validation` what carrying got wrong, and raise `CrossCheckFailed`. The full read is stored."""
    import pandas as pd

    if not reading.differences:
        return
    state, wrong = reading.state, reading.differences
    row = {
        "run_id": run_id, "source": SOURCE, "batch_key": f"{state.market}:{state.block.number}",
        "table_name": "stg_positions", "check_name": "carried forward equals read in full", "column_name": "",
        "n_failed": len(wrong), "n_rows": state.n_accounts, "example": wrong[0][:300],
        "checked_at": int(time.time()),
    }  # fmt: skip
    store.write_batch(SOURCE, row["batch_key"], {"fact_validation": pd.DataFrame([row])}, run_id)
    raise CrossCheckFailed(
        f"{state.market} at block {state.block.number}: {len(wrong)} of {state.n_accounts} accounts, carried "
        f"forward from an earlier snapshot, are not what a full read finds; the first is {wrong[0]:.300}. The full "
        "read is stored; incremental snapshots since the full read before it are in doubt (fact_snapshot.read_mode)"
    )


def map_assets(store: Store, market: str, run_id: str) -> str:
    """Note in `dim_asset` which prices the reserves follow; returns what is missing for that, empty when nothing is.

    A reserve without a series does not make the snapshot wrong, so it does not refuse it.
    """
    from data.errors import UnmappedReserve
    from data.prices import assets

    try:
        assets.save_map(store, assets.asset_map(market, store.path), run_id)
    except UnmappedReserve as exc:
        return str(exc)
    return ""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the parameters of the flow."""
    parser.add_argument("--market", help="name in the Aave address book (default: AAVE_MARKET)")
    parser.add_argument(
        "--block", type=block_arguments.block, default="latest",
        help="latest, safe, finalized, or a number (default: %(default)s); an old one needs an archive node",
    )  # fmt: skip
    parser.add_argument(
        "--from-block", type=block_arguments.number,
        help="where the scan of the log begins (default: the market's first block)",
    )  # fmt: skip
    parser.add_argument(
        "--incremental", action="store_false", dest="full", default=False,
        help="read again only accounts that events have touched, where a snapshot can be carried forward (the default)",
    )  # fmt: skip
    parser.add_argument(
        "--full", action="store_true", default=False,
        help="read every account, and compare with what carrying forward gives",
    )  # fmt: skip
    parser.add_argument(
        "--full-every", type=float, default=24.0, metavar="HOURS",
        help="read every account when the last such run is this old, by the blocks' times (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--attempts", type=block_arguments.number, default=5, help="tries of each request (default: %(default)s)"
    )
    add_candidates(parser)


def described(place: Place, reading: Reading, report: WriteReport) -> str:
    """One line for the user."""
    state = reading.state
    changed = sum(report.changed.values())
    below = state.checked.below_one_confirmed
    how = (
        "" if state.base_block is None else f" ({reading.n_read:,} read, the others carried from {state.base_block:,})"
    )
    return (
        f"{state.market} at block {state.block.number:,}: {len(state.reserves)} reserves, {len(state.emodes)} e-modes, "
        f"{state.n_accounts:,} accounts{how}, {report.rows['stg_positions']:,} positions; "
        f"{state.checked.hf_checked:,} health factors equal the pool's"
        + (" within its rounding" if state.contracts.protocol == address_book.V2 else "")
        + (f", {below:,} of them below 1" if below else "")
        + (f"; {OWN_POOL}" if place.known and place.known.own_implementation else "")
        + (f"; {READ_ONLY}" if state.contracts.protocol == address_book.V2 else "")
        + f"; {NOT_READ}"
        + ("" if changed else "; already stored, nothing changed")
    )


READ_ONLY = "Aave v2 is for reading only, the engine does not know its rules"
OWN_POOL = (
    "the market runs a pool of its own: valuations are compared with it, the rules of its liquidations are taken from "
    "its POOL_REVISION"
)


FLOW = FlowSpec(
    name="aave-market",
    summary="Reserves, e-modes and every account of an Aave market at one block, from a node",
    add_arguments=add_arguments,
    run=run,
)
