"""Flow `aave-market`: every reserve, e-mode and account of an Aave market at one block, from a node's JSON-RPC.

The block is resolved first and everything is read at its number; at the end its hash must still be the same. Nothing
is stored before three independent checks hold: indices, sums of scaled balances, and the pool's own valuations.

After the first snapshot, accounts that no event has touched are carried forward (`flows.aave.incremental.carry`); every
`--full-every` hours, and with `--full`, everything is read and compared with what carrying gives.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from data.settings import aave_market
from data.store.store import Store
from flows import settings
from flows.aave import accounts as aave_accounts
from flows.aave import address_book
from flows.aave.candidates import debt_route
from flows.aave.candidates import route as verified_path
from flows.aave.checks import check_supplies
from flows.aave.holder_scan import HolderScan, first_block_of
from flows.aave.incremental import carry as aave_incremental
from flows.aave.incremental.checks import checked_carried
from flows.aave.incremental.early import Early
from flows.aave.options import AaveMarketOptions
from flows.aave.place import Place, locate, node_url, require_one_chain
from flows.aave.reading import BlockReplaced, checked, open_market, progress_bar
from flows.aave.storing import FULL_READ, Reading, described, map_assets, report_differences, write
from flows.clients.block_reader import CONCURRENCY, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import CrossCheckFailed
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.aave.reading import MarketAt
    from flows.aave.rows import MarketState


def run(arguments: AaveMarketOptions) -> str:
    """Read the market at `arguments.block` and store it; returns what was stored, in one line."""
    market = arguments.market or aave_market()
    url = node_url(market)
    if arguments.borrowers:
        return debt_route.run(arguments, market, url)
    by_candidates = arguments.candidates or arguments.estimate
    if by_candidates and (stored := verified_path.run(arguments, market, url)) is not None:
        return stored
    rpc = JsonRpc(url, attempts=arguments.attempts)
    place = locate(rpc, market)
    first_block = place.first_block if arguments.from_block is None else arguments.from_block
    parameters = {"market": market, "block": arguments.block, "from_block": first_block, "provider": place.provider,
                  "chain_id": place.chain_id, "full": arguments.full, "node": settings.redacted(url)}  # fmt: skip
    with Store.open() as store, recorded(store, "aave-market", parameters) as run:
        require_one_chain(store, place)
        reading = read_market(
            run, rpc, place, arguments.block, first_block, full=arguments.full, full_every=arguments.full_every
        )
        report = write(run, reading)
        unmapped = "" if reading.state.contracts.protocol == address_book.V2 else map_assets(run, market)
        report_differences(run, reading)
    return described(place, reading, report) + (f"; before risk-scenarios: {unmapped}" if unmapped else "")


def read_market(
    run: Run,
    rpc: JsonRpc,
    place: Place,
    which: str | int,
    first_block: int | None,
    *,
    full: bool = False,
    full_every: float = 24.0,
) -> Reading:
    """Read the market at block `which` and check it. Stores only the progress of the log scan. Raises `FlowError`."""
    concurrency = settings.whole_number("RPC_CONCURRENCY", CONCURRENCY, 1, 64)
    rpc.limit(concurrency)
    block = get_block(rpc, which)
    with ThreadPoolExecutor(3) as beside:
        opening = beside.submit(open_market, rpc, place, block, concurrency=concurrency)
        early = Early.begin(run.store, rpc, place, block, beside, concurrency=concurrency)
        at = opening.result()
    scan = HolderScan(run, rpc, place.market, place.chain_id, at.tokens, concurrency, hashes=early.hashes())
    base = None
    if at.contracts.protocol == address_book.V3:  # v2: stable debt has no column of its own to carry
        base = aave_incremental.find_base(
            run.store, rpc, place.market, at.contracts, at.reserves, block, early.base, scan.hashes
        )
    carried = None
    if base is not None:
        carried = aave_incremental.carry(at, scan, base, early.log_since(base, at.tokens))
        if not full and not _full_is_due(run.store, scan.key, at.block.time, full_every):
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
