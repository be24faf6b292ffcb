"""`aave-market --candidates`: a whole market, fast. A source names the accounts, the figures come from the chain.

A subgraph (or a file) lists the accounts in minutes; a scan of the whole log takes hours. None of its figures are used:
each account's flags, e-mode and balances are read from the contracts at one block, valuations are compared with the
pool's, and the sums of balances with each token's scaledTotalSupply, so accounts that are not listed show as a missing
share. The subgraph's figures of the same block are compared with the chain's, and differences are stored in
`fact_validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from data.foreign_text import safe_print
from data.store.store import Store
from flows import settings
from flows.aave import storing
from flows.aave.address_book import V2
from flows.aave.candidates import accounts as verified_reading
from flows.aave.candidates import agreement as route_checks
from flows.aave.candidates import names as candidates
from flows.aave.candidates import resume as verified_resume
from flows.aave.candidates import second_opinion as api_checks
from flows.aave.candidates.agreement import AccountsMissing, findings
from flows.aave.candidates.api import AaveApi
from flows.aave.candidates.job import Job, choose_block, concurrency, estimated, job_of
from flows.aave.candidates.resume import refuse, unfinished
from flows.aave.options import AaveMarketOptions
from flows.aave.place import require_one_chain
from flows.aave.reading import checked, open_market, progress_bar
from flows.errors import CrossCheckFailed, WrongOption
from flows.pipeline import Run, recorded

if TYPE_CHECKING:
    from flows.aave.candidates.agreement import FieldAgreement, Shortfall
    from flows.aave.candidates.names import Indexed
    from flows.aave.candidates.workload import Workload
    from flows.aave.reading import MarketAt
    from flows.aave.rows import MarketState
    from flows.clients.block_reader import Block

MARKETS, HOLDINGS = "stg_graph_market_data", "stg_graph_account_positions"


def run(arguments: AaveMarketOptions, market: str, url: str) -> str | None:
    """Read, check and store the market of the accounts that `--candidates` names; returns one line.

    Returns None when too many accounts are missing and the caller must scan the log (`--scan-when-short`). Prints the
    estimate first, and stops there with `--estimate`. Raises `FlowError`: `AccountsMissing` when too many accounts are
    missing, `RoutesDisagree` when the subgraph differs too much from the chain.
    """
    if not arguments.candidates:
        raise WrongOption(
            "--estimate: expected also --borrowers, --candidates subgraph or --candidates FILE; add one of these"
        )
    job = job_of(arguments, market, url)
    if arguments.estimate:
        block = choose_block(job)
        return estimate_line(job, block, estimated(job, block))
    with Store.open() as store:
        block = unfinished(store, job.rpc, job.place, arguments.candidates, arguments.block)
        if go_on := block is not None:
            safe_print(
                f"{market}: going on at block {block.number:,}, where an earlier run was interrupted", flush=True
            )
        else:
            block = choose_block(job)
        takes = estimated(job, block)
        safe_print(estimate_line(job, block, takes), flush=True)
        parameters = {
            "market": market,
            "block": block.number,
            "provider": job.place.provider,
            "chain_id": job.place.chain_id,
            "candidates": job.which.id if job.which else f"{len(job.listed)} accounts of a file",
            "max_missing": arguments.max_missing,
            "max_disagreement": arguments.max_disagreement,
            "node": settings.redacted(url),
        }
        try:
            with recorded(store, "aave-market", parameters) as run:
                try:
                    return _read(run, job, block, takes.shards, go_on)
                except CrossCheckFailed:
                    refuse(run, job.place, block)
                    raise
        except AccountsMissing as missing:
            if not arguments.scan_when_short:
                raise
            safe_print(f"{missing} The log is scanned instead", flush=True)
            return None


def estimate_line(job: Job, block: Block, takes: Workload) -> str:
    """The line that is printed before anything is read."""
    return f"{job.place.market} at block {block.number:,}, estimate: {takes}"


def _read(run: Run, job: Job, block: Block, shards: Sequence[str], go_on: bool) -> str:
    place, arguments = job.place, job.arguments
    require_one_chain(run.store, place)
    verified_resume.begin(run, place, block, arguments.candidates)
    at = open_market(job.rpc, place, block, concurrency=concurrency())
    indexed = None
    listed: dict[str, Any] = dict.fromkeys(job.listed)
    if job.which is not None:
        with progress_bar("subgraph", "shard", len(shards)) as bar:
            indexed = candidates.from_subgraph(
                run,
                job.open_subgraph,
                job.which,
                place.provider,
                block,
                shards=shards,
                go_on=go_on,
                progress=bar.update,
            )
        listed = _tokens_held(indexed, at)
    with progress_bar("accounts", "account", len(listed)) as bar:
        read = verified_reading.read_accounts(
            run,
            at.reader,
            at.contracts.pool,
            place.market,
            list(at.reserves),
            listed,
            bar.update,
            emodes=at.contracts.protocol != V2,
        )

    missing = route_checks.shortfalls(at.reserves, read.accounts)
    compared: dict[str, list[FieldAgreement]] = {}
    if indexed is not None:
        compared = {
            MARKETS: route_checks.compare_reserves(indexed.reserves, at.reserves),
            HOLDINGS: route_checks.compare_positions(indexed.positions, read.accounts, at.reserves),
        }
    _note(run, place.market, block, compared, missing)
    route_checks.require_complete(missing, arguments.max_missing)
    for table, most in ((MARKETS, route_checks.MOST_RESERVES_APART), (HOLDINGS, arguments.max_disagreement)):
        route_checks.require_agreement(compared.get(table, []), most, f"{table} of the subgraph and the chain")

    state = checked(at, read.accounts, complete=not missing)
    if arguments.spot_check > 0:
        _ask_the_api(run, state, arguments.spot_check)
    reading = storing.Reading(state=state, n_read=len(read.accounts), key=_key(at))
    report = storing.write(run, reading)
    verified_resume.end(run, place, block)
    unmapped = "" if at.contracts.protocol == V2 else storing.map_assets(run, place.market)
    fast = described(len(listed), missing, compared.get(HOLDINGS, []), read.unlisted)
    parts = [storing.described(place, reading, report), fast]
    return "; ".join(parts + ([f"before risk-scenarios: {unmapped}"] if unmapped else []))


def described(n_named: int, missing: list[Shortfall], holdings: list[FieldAgreement], unlisted: int) -> str:
    """One line on this read: accounts named, missing shares, differences from the subgraph."""
    parts = [f"{n_named:,} accounts were named"]
    if missing:
        worst = sorted(missing, key=lambda s: -s.usd)[:3]
        parts.append(f"missing from {len(missing)} token supplies, most in {', '.join(map(str, worst))}")
    else:
        parts.append("their balances are every token's whole supply")
    if holdings:
        different, rounding = sum(c.different for c in holdings), sum(c.rounding for c in holdings)
        parts.append(
            f"the subgraph differs in {different:,} of {sum(c.compared for c in holdings):,} figures "
            f"({rounding:,} more by rounding), {unlisted:,} balances it did not list"
        )
    return "; ".join(parts)


def _tokens_held(indexed: Indexed, at: MarketAt) -> dict[str, Any]:
    """Account -> the tokens that it holds by the subgraph."""
    by_asset = {r.asset: r for r in at.reserves}
    held: dict[str, Any] = {}
    for p in indexed.positions:
        tokens = held.setdefault(p.account, set())
        r = by_asset.get(p.asset)
        if r is not None:
            tokens |= {token for token, scaled in ((r.atoken, p.scaled_supply), (r.vtoken, p.scaled_debt)) if scaled}
    return held


def _ask_the_api(run: Run, state: MarketState, n_accounts: int) -> None:
    with AaveApi.from_environment() as api:
        assert isinstance(api, AaveApi)
        second = api_checks.spot_check(api, state, n_accounts)
    _note(run, state.market, state.block, second, [], routes="aave_api")
    api_checks.require_second_opinion(second)


def _note(
    run: Run,
    market: str,
    block: Block,
    compared: dict[str, list[FieldAgreement]],
    missing: Iterable[Shortfall],
    routes: str = "verified_path",
) -> None:
    """Store the differences in `fact_validation`, also when the run is refused because of them."""
    run.finding(routes, f"{market}:{block.number}", *findings(compared, missing))


def _key(at: MarketAt) -> str:
    """The key of `HolderScan.key`, by which an incremental read finds this full read."""
    return f"{at.place.market}:{at.place.chain_id}:{at.contracts.pool}"
