"""The checks of `flows.aave.checks` for a market whose accounts were mostly carried forward, on columns.

Sums, flags and e-modes are checked exactly. Valuations are needed only to find the accounts below health factor 1:
floats select those that may be below, exact integers decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from data import amounts
from data.amounts import Terms
from data.snapshot import decimals
from data.snapshot.untouched import Untouched
from flows.aave import accounts as aave_accounts
from flows.aave import checks as cross_checks
from flows.aave.account_columns import AccountColumns, holdings
from flows.aave.accounts import Account
from flows.aave.contracts import EMode, Reserve
from flows.aave.incremental.suspects import doubtful
from flows.aave.reading import MarketAt, progress_bar, require_unchanged
from flows.aave.rows import MarketState
from risk_core.units import WAD

if TYPE_CHECKING:
    from flows.aave.incremental.carry import Carried


def checked_carried(at: MarketAt, carried: Carried) -> MarketState:
    """Check and return the state that may be stored, as `flows.aave.reading.checked`. Raises `CrossCheckFailed`."""
    kept, read = carried.kept, carried.read
    _check_prices(at, kept, read)
    rules = cross_checks.Rules(at.reserves, at.emodes)
    fresh = {account.address: account for account in read}
    to_compare = accounts_to_check(
        rules, at.reserves, at.emodes, kept, fresh, at.block.number, doubtful_ones=carried.doubtful
    )
    computed = {a: rules.account_data(fresh[a] if a in fresh else kept.account(a)) for a in to_compare}
    with progress_bar("health factors", "account", len(to_compare)) as bar, ThreadPoolExecutor(1) as beside:
        answers = beside.submit(aave_accounts.fetch_account_data, at.reader, at.contracts.pool, to_compare, bar.update)
        _check_sums(at.reserves, kept, read)  # checks that need no answer, while the node works
        _check_flags(at, kept, read)
        untouched = as_untouched(at.reserves, carried)
        account_data = answers.result()
    found = cross_checks.check_account_data(computed, account_data)
    require_unchanged(at)
    return MarketState(
        market=at.place.market, block=at.block, contracts=at.contracts, reserves=at.reserves, emodes=at.emodes,
        accounts=read, account_data=account_data, checked=found, untouched=untouched,
    )  # fmt: skip


def as_untouched(reserves: Sequence[Reserve], carried: Carried) -> Untouched:
    """The accounts that were carried forward, with their amounts at the block; scaled balances do not change."""
    kept = carried.kept
    terms = {r.id: Terms(r.normalized_income, r.normalized_debt, 10**r.decimals) for r in reserves}
    balance = {
        "account": kept.holder,
        "reserve_id": kept.reserve_id,
        "scaled_supply": kept.supply,
        "scaled_debt": kept.debt,
        "stable_debt": [None] * len(kept.holder),
    }
    return Untouched(
        base_block=carried.base_block,
        base_batch=carried.base_batch,
        touched=carried.touched,
        account={"account": kept.address, "emode_id": kept.emode},
        position=_in_columns(kept, terms)
        or amounts.positions({"account": kept.address, "config_bitmap": kept.flags}, balance, terms),
    )


def _in_columns(kept: AccountColumns, terms: Mapping[int, Terms]) -> amounts.Columns | None:
    """`data.amounts.positions` of these accounts, computed as columns; None where a balance does not fit into them."""
    n = len(kept.holder)
    scaled = [decimals.wide(",".join(map(str, side)), n) for side in (kept.supply, kept.debt)]
    if scaled[0] is None or scaled[1] is None or not terms:
        return None
    place = {number: row for row, number in enumerate(terms)}
    row = np.fromiter(map(place.__getitem__, kept.reserve_id), dtype=np.int64, count=n)
    of = terms.values()
    return {
        "account": kept.holder,
        "reserve_id": kept.reserve_id,
        "is_collateral": kept.collateral_flags(),
        "supply": decimals.tokens(scaled[0], row, [(at.income, at.unit) for at in of], up=False).tolist(),
        "debt": decimals.tokens(scaled[1], row, [(at.debt, at.unit) for at in of], up=True).tolist(),
    }


def accounts_to_check(
    rules: cross_checks.Rules,
    reserves: Sequence[Reserve],
    emodes: Sequence[EMode],
    kept: AccountColumns,
    fresh: Mapping[str, Account],
    block: int,
    doubtful_ones: Sequence[str] | None = None,
) -> list[str]:
    """Addresses to compare with the pool, sorted.

    All of a small market; else the accounts that were read, every account below health factor 1, and a sample of the
    others, which were compared when they were read. `doubtful_ones`: what `doubtful` gives, where it is known.
    """
    priced = {r.id for r in reserves if r.price}
    owing = {a for a, i, debt in zip(kept.holder, kept.reserve_id, kept.debt, strict=True) if debt and i in priced}
    owing.update(a for a, account in fresh.items() if rules.account_data(account).debt)
    if len(owing) <= cross_checks.SMALL_MARKET:
        return sorted({*kept.address, *fresh})
    if doubtful_ones is None:
        doubtful_ones = doubtful(reserves, emodes, kept)
    below = {a for a in doubtful_ones if rules.account_data(kept.account(a)).health_factor < WAD}
    return sorted({*cross_checks.drawn(owing, block, cross_checks.SAMPLE // 10), *below, *fresh})


def _check_sums(reserves: Sequence[Reserve], kept: AccountColumns, read: Iterable[Account]) -> None:
    """Scaled balances of carried and read accounts sum to the tokens' supplies."""
    carried, fresh = kept.sums(), holdings(read)
    token = {("supply", r.id): r.atoken for r in reserves} | {("debt", r.id): r.vtoken for r in reserves}
    sums = {address: carried.get(side, 0) + fresh.get(side, 0) for side, address in token.items()}
    cross_checks.check_sums(reserves, sums, 0)


def _check_prices(at: MarketAt, kept: AccountColumns, read: Sequence[Account]) -> None:
    """Every price that is needed exists; only accounts in an unpriced reserve are checked one by one."""
    unpriced = {r.id for r in at.reserves if r.no_price}
    if unpriced:
        concerned = {a for a, i in zip(kept.holder, kept.reserve_id, strict=True) if i in unpriced}
        cross_checks.check_prices(at.reserves, (*map(kept.account, sorted(concerned)), *read), at.block.number)


def _check_flags(at: MarketAt, kept: AccountColumns, read: Sequence[Account]) -> None:
    """Every debt has its flag, every e-mode exists; only accounts that fail are checked one by one, for the message."""
    known = {0, *(emode.id for emode in at.emodes)}
    odd = {a for a, emode in zip(kept.address, kept.emode, strict=True) if emode not in known}
    columns = zip(kept.holder, kept.reserve_id, kept.debt, kept.holder_flags, strict=True)
    odd |= {a for a, i, debt, flags in columns if debt and not flags >> 2 * i & 1}
    symbols = {r.id: r.symbol for r in at.reserves}
    cross_checks.check_flags((*map(kept.account, sorted(odd)), *read), symbols, at.emodes)
