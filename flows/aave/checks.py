"""Checks before anything is stored: each number is computed in two ways, in exact integers; any difference refuses it.

The health factor here is deliberately not the engine's: this one repeats the contract's integer arithmetic
(aave-v3-origin 3.6, `GenericLogic.calculateUserAccountData`), so `==` is the test.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flows.aave.accounts import Account, AccountData
from flows.aave.contracts import EMode, Reserve
from flows.aave.holders import Pair
from flows.errors import CrossCheckFailed
from risk_core.interest import debt_balance, normalized_debt, normalized_income, supply_balance
from risk_core.units import BPS, NO_DEBT_HEALTH_FACTOR, RAY, WAD

SMALL_MARKET = 2_000
"""Up to this many accounts with debt, every account is compared with the pool."""
SAMPLE = 2_000
"""Above it, this many drawn at random (seed: the block number) and every account that is close to liquidation."""
CLOSE = 105 * WAD // 100
NOTHING_WRITTEN = "Nothing was written"


@dataclass(frozen=True, slots=True)
class Checked:
    """`hf_checked` accounts agree with the pool; `below_one_confirmed` of these have a health factor below 1."""

    hf_checked: int
    below_one_confirmed: int


def check_indices(reserves: Iterable[Reserve], time: int) -> None:
    """The stored indices, grown here to the block's time, equal the pool's. Raises `CrossCheckFailed`."""
    for r in reserves:
        compared = (
            (
                "normalized income",
                normalized_income(r.liquidity_index, r.liquidity_rate, r.last_update, time),
                r.normalized_income,
            ),
            (
                "normalized debt",
                normalized_debt(r.variable_borrow_index, r.variable_borrow_rate, r.last_update, time),
                r.normalized_debt,
            ),
        )
        for name, found, expected in compared:
            if found != expected:
                raise CrossCheckFailed(
                    f"{name} of {r.symbol}: the pool says {expected}, the stored index grown to the block's time is "
                    f"{found}. Does the node use that block's time in its calls? {NOTHING_WRITTEN}"
                )


def check_supplies(reserves: Iterable[Reserve], balances: Mapping[Pair, int], first_block: int) -> None:
    """Scaled balances of all holders sum to each token's scaledTotalSupply: no holder was missed. Raises."""
    sums: dict[str, int] = {}
    for (token, _), scaled in balances.items():
        sums[token] = sums.get(token, 0) + scaled
    check_sums(reserves, sums, first_block)


def check_holdings(reserves: Sequence[Reserve], accounts: Iterable[Account], first_block: int) -> None:
    """The scaled balances of the accounts sum to each token's scaledTotalSupply. Raises `CrossCheckFailed`."""
    by_id = {r.id: r for r in reserves}
    supply, debt = dict.fromkeys(by_id, 0), dict.fromkeys(by_id, 0)
    for account in accounts:
        for reserve_id, scaled in account.supply.items():
            supply[reserve_id] += scaled
        for reserve_id, scaled in account.debt.items():
            debt[reserve_id] += scaled
    sums = {r.atoken: supply[i] for i, r in by_id.items()} | {r.vtoken: debt[i] for i, r in by_id.items()}
    check_sums(reserves, sums, first_block)


def check_debts(reserves: Iterable[Reserve], accounts: Iterable[Account], first_block: int) -> None:
    """The scaled debts of the accounts sum to each debt token's scaledTotalSupply: no debtor was missed.

    `first_block`: first block of the log that was read. Raises `CrossCheckFailed`, which names each token and the
    amount that is missing.
    """
    sums: dict[int, int] = {}
    for account in accounts:
        for reserve_id, scaled in account.debt.items():
            sums[reserve_id] = sums.get(reserve_id, 0) + scaled
    wrong = [(r, r.scaled_debt_supply - sums.get(r.id, 0)) for r in reserves]
    differences = [
        f"{r.symbol} ({r.vtoken}): scaledTotalSupply is {r.scaled_debt_supply}, the accounts owe "
        f"{r.scaled_debt_supply - missing}, {abs(missing)} {'are missing' if missing > 0 else 'too many'} "
        f"(worth {abs(missing) * r.normalized_debt / RAY / 10**r.decimals:,.6g} {r.symbol})"
        for r, missing in wrong
        if missing
    ]
    if differences:
        raise CrossCheckFailed(
            f"debt token of {'; of '.join(differences[:5])}"
            + (f"; and of {len(differences) - 5} more" if len(differences) > 5 else "")
            + f". An account with debt is missing: the Borrow events were read from block {first_block} on, is that "
            f"early enough (--from-block), and does the node keep the whole log? {NOTHING_WRITTEN}"
        )


def check_sums(reserves: Iterable[Reserve], sums: Mapping[str, int], first_block: int) -> None:
    """The sum of each token's scaled balances, by token, is its scaledTotalSupply. Raises `CrossCheckFailed`."""
    for r in reserves:
        for kind, token, expected in (
            ("aToken", r.atoken, r.scaled_atoken_supply),
            ("debt token", r.vtoken, r.scaled_debt_supply),
        ):
            if (found := sums.get(token, 0)) != expected:
                raise CrossCheckFailed(
                    f"{kind} of {r.symbol} ({token}): scaledTotalSupply is {expected}, the balances of its holders sum "
                    f"to {found} (difference {expected - found}). A holder is missing: the scan of the log began at "
                    f"block {first_block}, is that early enough (--from-block)? {NOTHING_WRITTEN}"
                )


def check_prices(reserves: Iterable[Reserve], accounts: Iterable[Account], block: int) -> None:
    """Whatever is owed or enabled as collateral has a price. Raises `CrossCheckFailed` that names an account.

    A reserve without a price that no account needs is stored without one.
    """
    unpriced = {r.id: r for r in reserves if r.no_price}
    if not unpriced:
        return
    needed: dict[int, list[str]] = {}
    for account in accounts:
        for reserve_id in unpriced:
            owes = account.debt.get(reserve_id, 0) or account.stable_debt.get(reserve_id, 0)
            if owes or (account.supply.get(reserve_id, 0) and account.is_collateral(reserve_id)):
                needed.setdefault(reserve_id, []).append(account.address)
    for reserve_id, who in needed.items():
        r = unpriced[reserve_id]
        raise CrossCheckFailed(
            f"oracle price of {r.symbol}: expected a positive price, found {r.no_price} at block {block}; the feed "
            f"{r.price_source} answers zero or less, or nothing, and there is no fallback. Account {min(who)} owes "
            f"{r.symbol} or has it as collateral ({len(who)} accounts in all), so its health factor cannot be "
            f"computed. {NOTHING_WRITTEN}"
        )


def check_flags(accounts: Iterable[Account], symbols: Mapping[int, str], emodes: Iterable[EMode]) -> None:
    """Every debt has its borrowing flag, and every e-mode exists. Raises `CrossCheckFailed`."""
    known = {0, *(emode.id for emode in emodes)}
    for account in accounts:
        for reserve_id in account.debt:
            if not account.is_borrowing(reserve_id):
                raise CrossCheckFailed(
                    f"account {account.address} owes {symbols[reserve_id]} but its configuration {account.flags:#x} "
                    f"has no borrowing flag for reserve {reserve_id}. {NOTHING_WRITTEN}"
                )
        if account.emode not in known:
            raise CrossCheckFailed(
                f"account {account.address} is in e-mode {account.emode}, which the pool does not define; "
                f"defined: {sorted(known - {0})}. {NOTHING_WRITTEN}"
            )


class Rules:
    """Values an account as the pool does, with the same integer arithmetic, at the snapshot."""

    def __init__(self, reserves: Sequence[Reserve], emodes: Sequence[EMode]) -> None:
        # Unpack each configuration word once, not for every position.
        self._terms = {
            r.id: (r.normalized_income, r.normalized_debt, r.price, 10**r.decimals, r.liquidation_threshold)
            for r in reserves
        }
        self._emodes = {e.id: e for e in emodes}

    def account_data(self, account: Account) -> AccountData:
        """Collateral and debt (8-decimal USD) and health factor (wad) as `getUserAccountData` would answer."""
        emode = self._emodes.get(account.emode)
        collateral = weighted = debt = 0
        for reserve_id, scaled in account.supply.items():
            if not account.is_collateral(reserve_id):
                continue
            income, _, price, unit, threshold = self._terms[reserve_id]
            value = supply_balance(scaled, income) * price // unit
            inside = emode is not None and emode.collateral >> reserve_id & 1
            collateral += value
            weighted += value * (emode.liquidation_threshold if inside else threshold)
        for reserve_id, scaled in account.debt.items():
            _, debt_index, price, unit, _ = self._terms[reserve_id]
            debt += -(-debt_balance(scaled, debt_index) * price // unit)
        if not debt:
            return AccountData(collateral, 0, NO_DEBT_HEALTH_FACTOR)
        return AccountData(collateral, debt, (weighted * WAD + debt // 2) // debt // BPS)


def accounts_to_check(computed: Mapping[str, AccountData], block: int) -> list[str]:
    """Addresses to compare, sorted: all of a small market; else a random sample and every health factor below 1.05."""
    indebted = [address for address, data in computed.items() if data.debt]
    if len(indebted) <= SMALL_MARKET:
        return sorted(computed)
    near = {address for address in indebted if computed[address].health_factor < CLOSE}
    return sorted(near | drawn(indebted, block, SAMPLE))


def drawn(indebted: Iterable[str], block: int, size: int) -> set[str]:
    """A random sample of accounts with debt; the seed is the block number."""
    return set(random.Random(block).sample(sorted(indebted), size))


def check_account_data(computed: Mapping[str, AccountData], pools: Mapping[str, AccountData]) -> Checked:
    """The computed valuation equals the pool's for every account in `pools`. Raises `CrossCheckFailed`."""
    below = 0
    for address, expected in pools.items():
        found = computed[address]
        for name in ("collateral", "debt", "health_factor"):
            if getattr(found, name) != getattr(expected, name):
                raise CrossCheckFailed(
                    f"{name} of account {address}: getUserAccountData says {getattr(expected, name)}, computed from "
                    f"its balances, flags and prices it is {getattr(found, name)}. {NOTHING_WRITTEN}"
                )
        below += expected.debt > 0 and expected.health_factor < WAD
    return Checked(hf_checked=len(pools), below_one_confirmed=below)
