"""A market at one block in three steps: what belongs to no account, the accounts, and the checks on all of it.

    at = open_market(rpc, place, get_block(rpc, "latest"))
    accounts = read_accounts(at.reader, at.contracts.pool, at.reserves, addresses)     # flows.aave.accounts
    frames = to_frames(checked(at, accounts, complete=False))                          # flows.aave.rows

Every source of accounts (a log scan, a subgraph) uses these steps; nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from flows import settings
from flows.aave import accounts as aave_accounts
from flows.aave import checks as cross_checks
from flows.aave import market_terms, price_adapters
from flows.aave import v2 as aave_v2
from flows.aave.accounts import Account
from flows.aave.address_book import V2
from flows.aave.contracts import Contracts, EMode, Reserve
from flows.aave.holders import Tokens
from flows.aave.place import Place
from flows.aave.rows import MarketState
from flows.clients.block_reader import CONCURRENCY, Block, BlockReader, get_block
from flows.clients.json_rpc import JsonRpc
from flows.errors import CrossCheckFailed


class BlockReplaced(CrossCheckFailed):
    """The chain replaced the block while it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketAt:
    """A market at one block without its accounts; `reader` reads at that block."""

    place: Place
    block: Block
    reader: BlockReader
    contracts: Contracts
    reserves: Sequence[Reserve]
    emodes: Sequence[EMode]
    stable: Sequence[aave_v2.StableToken] = ()

    @property
    def tokens(self) -> Tokens:
        """The pool, with the aToken and the variable debt token of each asset."""
        return Tokens(
            self.contracts.pool, {r.asset: r.atoken for r in self.reserves}, {r.asset: r.vtoken for r in self.reserves}
        )


def open_market(rpc: JsonRpc, place: Place, block: Block, *, concurrency: int = CONCURRENCY) -> MarketAt:
    """Contracts, reserves and e-modes at a block, indices checked. Raises `FlowError`."""
    reader = BlockReader(rpc, block, multicall=place.multicall3, concurrency=concurrency)
    if place.known and place.known.protocol == V2:
        contracts = aave_v2.resolve(reader, place.known)
        reserves, stable = aave_v2.fetch_reserves(reader, contracts)
        return MarketAt(
            place=place, block=block, reader=reader, contracts=contracts, reserves=reserves, emodes=[], stable=stable
        )
    adapters = price_adapters.getters(settings.get("AAVE_CAP_GETTERS"))
    contracts, reserves, emodes = market_terms.fetch_terms(reader, place.provider, place.chain_id, adapters)
    cross_checks.check_indices(reserves, block.time)
    return MarketAt(place=place, block=block, reader=reader, contracts=contracts, reserves=reserves, emodes=emodes)


def check_accounts(at: MarketAt, accounts: Sequence[Account], first_block: int = 0) -> None:
    """Check sums of scaled balances, flags and e-modes. Raises `CrossCheckFailed`."""
    cross_checks.check_holdings(at.reserves, accounts, first_block)
    _check_flags(at, accounts)


def checked(
    at: MarketAt,
    accounts: Sequence[Account],
    *,
    complete: bool = True,
    debtors_only: bool = False,
    first_block: int = 0,
) -> MarketState:
    """Check the accounts and return the state that may be stored. Raises `CrossCheckFailed`.

    `complete`: `accounts` are all accounts, so their balances must sum to the tokens' supplies.
    `debtors_only`: `accounts` are all accounts with debt, so their debts must sum to the debt tokens' supplies.
    At the end the block must still have the same hash.
    """
    if at.contracts.protocol == V2:
        return _checked_v2(at, accounts, first_block, debtors_only)
    if debtors_only:
        cross_checks.check_debts(at.reserves, accounts, first_block)
        _check_flags(at, accounts)
    elif complete:
        check_accounts(at, accounts, first_block)
    else:
        _check_flags(at, accounts)
    cross_checks.check_prices(at.reserves, accounts, at.block.number)
    rules = cross_checks.Rules(at.reserves, at.emodes)
    computed = {account.address: rules.account_data(account) for account in accounts}
    to_compare = cross_checks.accounts_to_check(computed, at.block.number)
    with progress_bar("health factors", "account", len(to_compare)) as bar:
        account_data = aave_accounts.fetch_account_data(at.reader, at.contracts.pool, to_compare, bar.update)
    found = cross_checks.check_account_data(computed, account_data)
    require_unchanged(at)
    return MarketState(
        market=at.place.market, block=at.block, contracts=at.contracts, reserves=at.reserves, emodes=at.emodes,
        accounts=accounts, account_data=account_data, checked=found, debtors_only=debtors_only,
    )  # fmt: skip


def _checked_v2(at: MarketAt, accounts: Sequence[Account], first_block: int, debtors_only: bool = False) -> MarketState:
    """`checked` for v2: sums, a sample of balances read from the tokens, and valuations within the pool's rounding."""
    if debtors_only:
        cross_checks.check_debts(at.reserves, accounts, first_block)
    else:
        cross_checks.check_holdings(at.reserves, accounts, first_block)
    with progress_bar("stable debt", "read") as bar:
        accounts = aave_v2.with_stable_debt(at.reader, accounts, at.stable, bar.update)
    if debtors_only:
        accounts = [account for account in accounts if account.debt or account.stable_debt]
        aave_v2.check_stable_debt(accounts, at.reserves, at.stable)
    cross_checks.check_prices(at.reserves, accounts, at.block.number)
    aave_v2.check_balances(at.reader, accounts, at.reserves)
    computed = {account.address: aave_v2.account_data(account, at.reserves) for account in accounts}
    to_compare = cross_checks.accounts_to_check(computed, at.block.number)
    with progress_bar("health factors", "account", len(to_compare)) as bar:
        account_data = aave_accounts.fetch_account_data(at.reader, at.contracts.pool, to_compare, bar.update)
    below = aave_v2.check_account_data(accounts, at.reserves, account_data)
    require_unchanged(at)
    return MarketState(
        market=at.place.market,
        block=at.block,
        contracts=at.contracts,
        reserves=at.reserves,
        emodes=[],
        accounts=accounts,
        account_data=account_data,
        checked=cross_checks.Checked(len(account_data), below),
        debtors_only=debtors_only,
    )


def progress_bar(what: str, unit: str, total: int | None = None) -> Any:
    """A progress bar on stderr; not shown where stderr is not a terminal."""
    return tqdm(desc=what, unit=f" {unit}s", total=total, disable=None, leave=False)


def _check_flags(at: MarketAt, accounts: Sequence[Account]) -> None:
    cross_checks.check_flags(accounts, {r.id: r.symbol for r in at.reserves}, at.emodes)


def require_unchanged(at: MarketAt) -> None:
    """Require that the block has the hash that it had when the read began. Raises `BlockReplaced`."""
    block = at.block
    if (now := get_block(at.reader.rpc, block.number)).hash != block.hash:
        raise BlockReplaced(
            f"block {block.number} was replaced while it was read (hash {block.hash}, now {now.hash}). Nothing was "
            "written; run again, or read --block finalized"
        )
