"""`aave-market --borrowers`: read only accounts with debt, in minutes; no other account can be liquidated.

The pool's `Borrow` events name them (`flows.aave.candidates.borrowers`). Their flags, e-modes, debts and collateral are
read from the contracts at one block; their scaled debts must sum to `scaledTotalSupply` of every debt token, and the
computed health factors must equal the pool's. Supplies of other accounts, and supplies that are not enabled as
collateral, are only in the reserves' totals; `aave-market` without `--borrowers` reads them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.foreign_text import safe_print
from data.store.store import Store
from flows import settings
from flows.aave import market_terms, storing
from flows.aave import v2 as aave_v2
from flows.aave.address_book import V2, V3
from flows.aave.candidates import accounts as verified_reading
from flows.aave.candidates import resume as verified_resume
from flows.aave.candidates.borrowers import BorrowScan
from flows.aave.candidates.debt_estimate import estimate
from flows.aave.candidates.job import concurrency
from flows.aave.candidates.resume import refuse, unfinished
from flows.aave.checks import Rules
from flows.aave.holder_scan import first_block_of
from flows.aave.holders import Tokens
from flows.aave.options import AaveMarketOptions
from flows.aave.place import Place, locate, require_one_chain
from flows.aave.reading import checked, open_market, progress_bar
from flows.clients.block_reader import BlockReader, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import CrossCheckFailed
from flows.pipeline import Run, recorded
from risk_core.units import USD, WAD

if TYPE_CHECKING:
    from flows.aave.rows import MarketState
    from flows.clients.block_reader import Block

NAME = "borrowers"
"""Name of the candidates' source in the note of an unfinished read."""
NEAR = 1.1
"""The first figure also states the debt of accounts below this health factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where the market is and where its log begins; `pool` is lower case."""

    rpc: JsonRpc
    place: Place
    pool: str
    first_block: int
    arguments: AaveMarketOptions

    @property
    def protocol(self) -> str:
        """Aave's version: `V2` where the address book says so, else `V3`."""
        return V2 if self.place.known and self.place.known.protocol == V2 else V3

    def scan(self, run: Run) -> BorrowScan:
        """The scan of the pool's Borrow events, which stores what it finds under `run`."""
        return BorrowScan(run, self.rpc, self.place.market, self.place.chain_id, Tokens(self.pool, {}, {}),
                          concurrency(), protocol=self.protocol)  # fmt: skip


def run(arguments: AaveMarketOptions, market: str, url: str) -> str:
    """Read, check and store the accounts with debt; returns one line.

    Prints the estimate first, and stops there with `--estimate`. Raises `FlowError`: `CrossCheckFailed` names the
    debt token whose debts do not sum to its supply.
    """
    rpc = JsonRpc(url, attempts=arguments.attempts)
    place = locate(rpc, market)
    with Store.open() as store:
        require_one_chain(store, place)
        block = unfinished(store, rpc, place, NAME, arguments.block)
        if go_on := block is not None:
            safe_print(
                f"{market}: going on at block {block.number:,}, where an earlier run was interrupted", flush=True
            )
        else:
            block = get_block(rpc, arguments.block)
        if arguments.estimate:
            return _estimated(_job(rpc, place, block, arguments), store, block)
        parameters = {
            "market": market,
            "block": arguments.block,
            "from_block": arguments.from_block,
            "provider": place.provider,
            "chain_id": place.chain_id,
            "candidates": NAME,
            "node": settings.redacted(url),
        }
        with recorded(store, "aave-market", parameters) as run:
            job = _job(rpc, place, block, arguments)
            safe_print(_estimated(job, store, block), flush=True)
            scan = job.scan(run)
            begun = scan.resume(job.first_block, block.number)[1]
            _scan_log(job, scan, block)
            if arguments.block == "latest" and not go_on:
                # A node that is not an archive keeps some 128 blocks of state, and the scan may have taken longer:
                # so read at the newest block now.
                block = get_block(rpc, "latest")
                _scan_log(job, scan, block)
            if (held := _stored_whole(store, place, block)) is not None:
                return held
            try:
                return _read(run, job, scan, block)
            except CrossCheckFailed:
                refuse(run, place, block)
                if begun > job.first_block:
                    scan.forget()
                raise


def _job(rpc: JsonRpc, place: Place, block: Block, arguments: AaveMarketOptions) -> Job:
    reader = BlockReader(rpc, block, multicall=place.multicall3)
    if place.known and place.known.protocol == V2:
        pool = aave_v2.resolve(reader, place.known).pool
    else:
        pool = market_terms.resolve(reader, place.provider, place.chain_id).pool
    first = place.first_block if arguments.from_block is None else arguments.from_block
    if first is None:
        first = first_block_of(rpc, pool, block.number)
    return Job(rpc=rpc, place=place, pool=pool, first_block=first, arguments=arguments)


def _estimated(job: Job, store: Store, block: Block) -> str:
    """The line that is printed before anything is read."""
    takes = estimate(job.scan(Run(store, "estimate")), job.place, block, job.first_block)
    return f"{job.place.market} at block {block.number:,}, accounts with debt, estimate: {takes}"


def _scan_log(job: Job, scan: BorrowScan, block: Block) -> None:
    with progress_bar("log", "block") as bar:
        scan.pairs_until(block, job.first_block, progress=bar)


def _stored_whole(store: Store, place: Place, block: Block) -> str | None:
    """The line to return when all accounts of the block are stored, which this read must not replace; else None."""
    rows = store.rows(
        "SELECT n_accounts FROM fact_snapshot WHERE market = ? AND chain_id = ? AND block = ? AND block_hash = ? "
        "AND coalesce(read_mode, 'full') != 'borrowers'",
        (place.market, place.chain_id, block.number, block.hash),
    )
    if not rows:
        return None
    return (
        f"{place.market} at block {block.number:,}: all its accounts ({rows[0][0]:,}) are stored already, those with "
        "debt among them; nothing changed"
    )


def _read(run: Run, job: Job, scan: BorrowScan, block: Block) -> str:
    place = job.place
    verified_resume.begin(run, place, block, NAME)
    at = open_market(job.rpc, place, block, concurrency=concurrency())
    names = scan.names(r.vtoken for r in at.reserves)
    with progress_bar("accounts", "account", len(names)) as bar:
        read = verified_reading.read_accounts(
            run, at.reader, at.contracts.pool, place.market, list(at.reserves), dict.fromkeys(names), bar.update,
            emodes=job.protocol != V2, debtors_only=True,
        )  # fmt: skip
    # In old pools a flag may stay set when rounding removed the last unit of a debt.
    indebted = [a for a in read.accounts if a.debt or job.protocol == V2]
    state = checked(at, indebted, debtors_only=True, first_block=job.first_block)
    safe_print(first_figure(state), flush=True)
    reading = storing.Reading(state=state, n_read=len(names), key=scan.key)
    report = storing.write(run, reading)
    verified_resume.end(run, place, block)
    unmapped = "" if job.protocol == V2 else storing.map_assets(run, place.market)
    parts = [
        storing.described(place, reading, report),
        f"{len(names):,} accounts have ever borrowed, and the debts of these {state.n_accounts:,} are every debt "
        "token's whole supply; accounts that only supply were not read (run without --borrowers to read them)",
    ]
    return "; ".join(parts + ([f"before risk-scenarios: {unmapped}"] if unmapped else []))


def first_figure(state: MarketState) -> str:
    """One line: total debt, and debt of accounts below health factor `NEAR` and below 1."""
    if state.contracts.protocol == V2:
        data = [aave_v2.account_data(account, state.reserves) for account in state.accounts]
    else:
        rules = Rules(state.reserves, state.emodes)
        data = [rules.account_data(account) for account in state.accounts]
    unit = state.contracts.base_currency_unit
    money = "USD" if unit == USD else "of the oracle's unit"

    def owed(below: float) -> str:
        found = [d for d in data if d.debt and d.health_factor < below * WAD]
        return f"{sum(d.debt for d in found) / unit:,.0f} {money} of {len(found):,} accounts"

    return (
        f"{state.market} at block {state.block.number:,}: {owed(float('inf'))} is owed; below health factor {NEAR}: "
        f"{owed(NEAR)}; below 1, open to liquidation: {owed(1.0)}"
    )
