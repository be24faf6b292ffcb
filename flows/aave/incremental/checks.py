"""The checks on a market of which most accounts were carried forward: the same questions, asked of columns.

Sums, flags and e-modes are those of `flows.aave.checks`, exact. The valuation of every account is needed only to
know which of them are below health factor 1: floats find those that could be, exact integers decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from data import amounts
from data.amounts import Terms
from data.snapshot.untouched import Untouched
from flows.aave import accounts as aave_accounts
from flows.aave import checks as cross_checks
from flows.aave.account_columns import AccountColumns, holdings
from flows.aave.accounts import Account
from flows.aave.contracts import EMode, Reserve
from flows.aave.reading import MarketAt, progress_bar, require_unchanged
from flows.aave.rows import MarketState
from risk_core.units import BPS, RAY, WAD

if TYPE_CHECKING:
    from flows.aave.incremental.carry import Carried

DOUBTFUL = 1.01
"""Health factors that floats put below this are computed exactly. They are off by far less, except where a debt is
of few base units (`DUST`), so that the contract's rounding of each of up to 256 values shows."""
DUST = 100_000


def checked_carried(at: MarketAt, carried: Carried) -> MarketState:
    """The state that may be stored, or a refusal: `CrossCheckFailed`. See `flows.aave.reading.checked`."""
    kept, read = carried.kept, carried.read
    _check_prices(at, kept, read)
    rules = cross_checks.Rules(at.reserves, at.emodes)
    fresh = {account.address: account for account in read}
    asked = accounts_to_check(rules, at.reserves, at.emodes, kept, fresh, at.block.number)
    ours = {a: rules.account_data(fresh[a] if a in fresh else kept.account(a)) for a in asked}
    with progress_bar("health factors", "account", len(asked)) as bar, ThreadPoolExecutor(1) as beside:
        answers = beside.submit(aave_accounts.fetch_account_data, at.reader, at.contracts.pool, asked, bar.update)
        _check_sums(at.reserves, kept, read)  # what needs no answer, while the node works
        _check_flags(at, kept, read)
        untouched = as_untouched(at.reserves, carried)
        account_data = answers.result()
    found = cross_checks.check_account_data(ours, account_data)
    require_unchanged(at)
    return MarketState(
        market=at.place.market, block=at.block, contracts=at.contracts, reserves=at.reserves, emodes=at.emodes,
        accounts=read, account_data=account_data, checked=found, untouched=untouched,
    )  # fmt: skip


def as_untouched(reserves: Sequence[Reserve], carried: Carried) -> Untouched:
    """The accounts that were carried forward, with what they hold at the block: balances are as they were."""
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
        position=amounts.positions({"account": kept.address, "config_bitmap": kept.flags}, balance, terms),
    )


def accounts_to_check(
    rules: cross_checks.Rules,
    reserves: Sequence[Reserve],
    emodes: Sequence[EMode],
    kept: AccountColumns,
    fresh: Mapping[str, Account],
    block: int,
) -> list[str]:
    """Addresses to compare with the pool.

    All of a small market; else what was read, every account below health factor 1, and a sample of the others, which
    were compared when they were read.
    """
    priced = {r.id for r in reserves if r.price}
    owing = {a for a, i, debt in zip(kept.holder, kept.reserve_id, kept.debt, strict=True) if debt and i in priced}
    owing.update(a for a, account in fresh.items() if rules.account_data(account).debt)
    if len(owing) <= cross_checks.SMALL_MARKET:
        return sorted({*kept.address, *fresh})
    below = {a for a in doubtful(reserves, emodes, kept) if rules.account_data(kept.account(a)).health_factor < WAD}
    return sorted({*cross_checks.drawn(owing, block, cross_checks.SAMPLE // 10), *below, *fresh})


def doubtful(reserves: Sequence[Reserve], emodes: Sequence[EMode], kept: AccountColumns) -> list[str]:
    """Kept accounts whose health factor may be below 1, as far as floats can tell; none of those is missing."""
    if not kept.holder:
        return []
    n_ids = max(r.id for r in reserves) + 1
    worth, owed = np.zeros(n_ids), np.zeros(n_ids)  # base units of one scaled unit
    threshold = np.zeros((256, n_ids))
    for r in reserves:
        base = r.price / 10**r.decimals / RAY
        worth[r.id], owed[r.id] = r.normalized_income * base, r.normalized_debt * base
        threshold[:, r.id] = r.liquidation_threshold / BPS
        for e in emodes:
            if e.collateral >> r.id & 1:
                threshold[e.id, r.id] = e.liquidation_threshold / BPS
    row = {address: number for number, address in enumerate(kept.address)}
    who = np.fromiter(map(row.__getitem__, kept.holder), dtype=np.int64, count=len(kept.holder))
    what = np.array(kept.reserve_id, dtype=np.int64)
    enabled = np.array(kept.collateral_flags())
    mode = np.array(kept.emode, dtype=np.int64)[who]
    backing = np.array(kept.supply, dtype=np.float64) * worth[what] * threshold[mode, what] * enabled
    debt = np.bincount(who, np.array(kept.debt, dtype=np.float64) * owed[what], len(kept))
    backing = np.bincount(who, backing, len(kept))
    suspects = (debt > 0) & ((backing < DOUBTFUL * debt) | (debt < DUST))
    return [kept.address[i] for i in np.flatnonzero(suspects)]


def _check_sums(reserves: Sequence[Reserve], kept: AccountColumns, read: Iterable[Account]) -> None:
    """Carried and read accounts together hold what the tokens have issued."""
    carried, fresh = kept.sums(), holdings(read)
    token = {("supply", r.id): r.atoken for r in reserves} | {("debt", r.id): r.vtoken for r in reserves}
    sums = {address: carried.get(side, 0) + fresh.get(side, 0) for side, address in token.items()}
    cross_checks.check_sums(reserves, sums, 0)


def _check_prices(at: MarketAt, kept: AccountColumns, read: Sequence[Account]) -> None:
    """Only accounts with something in a reserve without a price are looked at by themselves."""
    unpriced = {r.id for r in at.reserves if r.no_price}
    if unpriced:
        concerned = {a for a, i in zip(kept.holder, kept.reserve_id, strict=True) if i in unpriced}
        cross_checks.check_prices(at.reserves, (*map(kept.account, sorted(concerned)), *read), at.block.number)


def _check_flags(at: MarketAt, kept: AccountColumns, read: Sequence[Account]) -> None:
    """Every debt has its flag, every e-mode exists; only what breaks that is looked at by itself, for the message."""
    known = {0, *(emode.id for emode in at.emodes)}
    odd = {a for a, emode in zip(kept.address, kept.emode, strict=True) if emode not in known}
    columns = zip(kept.holder, kept.reserve_id, kept.debt, kept.holder_flags, strict=True)
    odd |= {a for a, i, debt, flags in columns if debt and not flags >> 2 * i & 1}
    symbols = {r.id: r.symbol for r in at.reserves}
    cross_checks.check_flags((*map(kept.account, sorted(odd)), *read), symbols, at.emodes)
