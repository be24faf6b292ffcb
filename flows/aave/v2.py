"""Aave v2 by its LendingPool, for reading only: reserves, accounts, and the checks that its interfaces allow.

The interfaces known here are `ILendingPool`, the ERC-20 and scaled-balance getters, and the oracle's. Those of the
PoolAddressesProvider and of the rate strategies are not: so pool and oracle come from the address book (the pool must
name the book's provider), and there is no rate curve. v2 has no e-mode, no deficit, no
grace period and no cap; it has stable debt, which is part of `debt_raw`. Prices are in the oracle's base currency,
which is `base_currency_unit` of the snapshot: on Ethereum ETH, with 18 decimals.

Rules of v2: the threshold means the same as in v3; one call repays at most 50 % of a debt. The engine does not know the
other rules, and `data.load_market` refuses such a snapshot.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flows.aave.accounts import Account, AccountData, Progress
from flows.aave.address_book import V2, KnownMarket
from flows.aave.contracts import NO_CONTRACT, Contracts, Reserve, priced, symbol_of
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.errors import CrossCheckFailed, MalformedAnswer, SourceRefused

RAY = 10**27
ETH_UNIT = 10**18
"""Base unit of the oracle on Ethereum, whose contract has no getter for it."""
SAMPLE = 200
"""Balances that are compared with `balanceOf`, drawn with the block number as seed."""
TOLERANCE = 1e-6
"""Largest relative difference of an account's value by rounding; 100 base units are allowed on top."""
STABLE_TOLERANCE = 0.01
"""Allowed difference between a stable debt token's supply and the sum of its balances, as a share of the supply: the
total grows at the average rate, and each debt at its own."""
HF_TOLERANCE = 1e-3
"""Allowed relative difference: v2 cuts the average threshold to basis points before it computes the health factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StableToken:
    """The stable debt token of a reserve and how much of it there is."""

    reserve_id: int
    token: str
    total: int


def balance(scaled: int, index: int) -> int:
    """Token units behind a scaled balance at an index (ray), rounded half up as every product of v2 is."""
    return (scaled * index + RAY // 2) // RAY


def resolve(reader: BlockReader, known: KnownMarket) -> Contracts:
    """The contracts of a v2 market of the book. Raises `SourceRefused` when the chain contradicts the book."""
    if not reader.has_code(known.pool):
        raise SourceRefused(
            f"no contract at the LendingPool {known.pool} of {known.name} at block {reader.block.number}; "
            "is the node on the right chain?"
        )
    provider, unit = reader.read(
        [
            Call(known.pool, abis.GET_ADDRESSES_PROVIDER, about="the pool"),
            Call(known.oracle, abis.BASE_CURRENCY_UNIT, about="the oracle"),
        ],
        may_fail=True,
    )
    if provider != known.provider:
        raise SourceRefused(
            f"the LendingPool {known.pool} names the provider {provider}, the address book has {known.provider} for "
            f"{known.name}. Nothing was written"
        )
    if isinstance(unit, Failure):
        if known.chain_id != 1:
            raise SourceRefused(
                f"the oracle {known.oracle} of {known.name} does not tell its unit ({unit.reason}), and it is known "
                "for Ethereum only (ETH, 18 decimals). Nothing was written"
            )
        unit = ETH_UNIT
    return Contracts(chain_id=known.chain_id, provider=known.provider, pool=known.pool, oracle=known.oracle,
                     data_provider=NO_CONTRACT, revision=0, base_currency_unit=unit, protocol=V2)  # fmt: skip


_OF_POOL = (abis.GET_RESERVE_DATA_V2, abis.GET_NORMALIZED_INCOME, abis.GET_NORMALIZED_DEBT)
_OF_ORACLE = (abis.GET_SOURCE_OF_ASSET, abis.GET_ASSET_PRICE)


def fetch_reserves(reader: BlockReader, at: Contracts) -> tuple[list[Reserve], list[StableToken]]:
    """(every reserve in the order of the pool's list, the stable debt tokens whose supply is not zero)."""
    assets: list[str] = [a.lower() for a in reader.one(Call(at.pool, abis.GET_RESERVES_LIST, about="the pool"))]
    if not assets:
        raise SourceRefused(f"the pool {at.pool} lists no reserves at block {reader.block.number}")
    raw = reader.read_raw(
        [
            call
            for asset in assets
            for call in (
                Call(asset, abis.SYMBOL, about=asset),
                *(Call(at.pool, f, (asset,), asset) for f in _OF_POOL),
                *(Call(at.oracle, f, (asset,), asset) for f in _OF_ORACLE),
            )
        ]
    )
    width = 1 + len(_OF_POOL) + len(_OF_ORACLE)
    rows = [raw[i * width : (i + 1) * width] for i in range(len(assets))]
    symbols = [symbol_of(asset, row[0]) for asset, row in zip(assets, rows, strict=True)]
    read = []
    for asset, symbol, row in zip(assets, symbols, rows, strict=True):
        calls = [Call(at.pool, f, (asset,), symbol) for f in _OF_POOL]
        calls += [Call(at.oracle, f, (asset,), symbol) for f in _OF_ORACLE]
        read.append(
            [
                reader.decoded(call, answer, may_fail=call.function is abis.GET_ASSET_PRICE)
                for call, answer in zip(calls, row[1:], strict=True)
            ]
        )
    further = reader.read(
        [
            call
            for asset, symbol, (data, *_) in zip(assets, symbols, read, strict=True)
            for call in (
                Call(data[7], abis.SCALED_TOTAL_SUPPLY, about=f"the aToken of {symbol}"),
                Call(data[9], abis.SCALED_TOTAL_SUPPLY, about=f"the debt token of {symbol}"),
                Call(asset, abis.BALANCE_OF, (data[7],), f"the aToken of {symbol}"),
                Call(data[8], abis.TOTAL_SUPPLY, about=f"the stable debt token of {symbol}"),
            )
        ],
        may_fail=True,
    )
    reserves, stable = [], []
    for i, (asset, symbol, row) in enumerate(zip(assets, symbols, rows, strict=True)):
        data, income, debt, source, price = read[i]
        supply, owed, liquidity, at_stable_rate = further[4 * i : 4 * i + 4]
        for name, value in (("aToken", supply), ("debt token", owed)):
            if isinstance(value, Failure):
                raise MalformedAnswer(f"scaledTotalSupply of the {name} of {symbol} is refused: {value.reason}")
        digest = hashlib.sha256(b"".join(a for a in row[1:4] if isinstance(a, bytes))).hexdigest()
        reserves.append(Reserve(
            asset=asset, id=data[11], symbol=symbol, configuration=data[0] & (1 << 80) - 1, liquidity_index=data[1],
            liquidity_rate=data[3], variable_borrow_index=data[2], variable_borrow_rate=data[4], last_update=data[6],
            atoken=data[7], vtoken=data[9], grace_until=0, deficit=0,
            virtual_balance=0 if isinstance(liquidity, Failure) else liquidity, normalized_income=income,
            normalized_debt=debt, scaled_atoken_supply=supply, scaled_debt_supply=owed, **priced(price, "0"),
            price_source=source, price_description="", rate_curve=None, payload_sha256=digest,
        ))  # fmt: skip
        # A reserve may have no stable debt token: then there is no such debt.
        if not isinstance(at_stable_rate, Failure) and at_stable_rate:
            stable.append(StableToken(reserve_id=data[11], token=data[8], total=at_stable_rate))
    return reserves, stable


def with_stable_debt(
    reader: BlockReader, accounts: Sequence[Account], stable: Sequence[StableToken], progress: Progress
) -> list[Account]:
    """The accounts with their debts at stable rates, read for each reserve with a borrowing flag."""
    asked = [(a.address, s) for s in stable for a in accounts if a.is_borrowing(s.reserve_id)]
    found = reader.read([Call(s.token, abis.BALANCE_OF, (who,), who) for who, s in asked], progress=progress)
    owed: dict[str, dict[int, int]] = {}
    for (who, token), value in zip(asked, found, strict=True):
        if value:
            owed.setdefault(who, {})[token.reserve_id] = value
    return [replace(a, stable_debt=owed[a.address]) if a.address in owed else a for a in accounts]


def check_stable_debt(accounts: Iterable[Account], reserves: Iterable[Reserve], stable: Iterable[StableToken]) -> None:
    """The accounts' stable debts sum to each token's supply within `STABLE_TOLERANCE`. Raises `CrossCheckFailed`."""
    symbols = {r.id: r.symbol for r in reserves}
    owed: dict[int, int] = {}
    for account in accounts:
        for reserve_id, amount in account.stable_debt.items():
            owed[reserve_id] = owed.get(reserve_id, 0) + amount
    for token in stable:
        found = owed.get(token.reserve_id, 0)
        if abs(token.total - found) > STABLE_TOLERANCE * token.total:
            raise CrossCheckFailed(
                f"stable debt token of {symbols[token.reserve_id]} ({token.token}): totalSupply is {token.total}, the "
                f"accounts owe {found} (difference {token.total - found}, at most {STABLE_TOLERANCE:.0%} of it is "
                "rounding). An account with debt is missing. Nothing was written"
            )


def check_balances(reader: BlockReader, accounts: Sequence[Account], reserves: Sequence[Reserve]) -> None:
    """The computed balances of a sample of positions equal `balanceOf`. Raises `CrossCheckFailed`."""
    by_id = {r.id: r for r in reserves}
    positions = []
    for a in accounts:
        positions += [(a.address, by_id[i].atoken, balance(v, by_id[i].normalized_income)) for i, v in a.supply.items()]
        positions += [(a.address, by_id[i].vtoken, balance(v, by_id[i].normalized_debt)) for i, v in a.debt.items()]
    drawn = random.Random(reader.block.number).sample(positions, min(SAMPLE, len(positions)))
    balances = reader.read([Call(token, abis.BALANCE_OF, (who,), who) for who, token, _ in drawn])
    for (who, token, computed), on_chain in zip(drawn, balances, strict=True):
        if computed != on_chain:
            raise CrossCheckFailed(
                f"balance of {who} in token {token}: balanceOf says {on_chain}, from the scaled balance and the index "
                f"it is {computed}. Nothing was written"
            )


def account_data(account: Account, reserves: Iterable[Reserve]) -> AccountData:
    """Collateral and debt in the oracle's unit and health factor (wad), from the threshold-weighted collateral.

    v2 rounds the average threshold to basis points, so the last digits of its own health factor differ.
    """
    by_id = {r.id: r for r in reserves}
    collateral = weighted = debt = 0
    for i, scaled in account.supply.items():
        if account.is_collateral(i):
            value = balance(scaled, by_id[i].normalized_income) * by_id[i].price // 10 ** by_id[i].decimals
            collateral, weighted = collateral + value, weighted + value * by_id[i].liquidation_threshold
    for i in account.debt.keys() | account.stable_debt.keys():
        owed = balance(account.debt.get(i, 0), by_id[i].normalized_debt) + account.stable_debt.get(i, 0)
        debt += owed * by_id[i].price // 10 ** by_id[i].decimals
    return AccountData(collateral, debt, weighted * 10**14 // debt if debt else 2**256 - 1)


def check_account_data(accounts: Sequence[Account], reserves: Sequence[Reserve], pools: dict[str, AccountData]) -> int:
    """Compare with the pool's valuations; returns how many have debt and are below 1. Raises `CrossCheckFailed`."""
    below = 0
    for account in (a for a in accounts if a.address in pools):
        computed, reported = account_data(account, reserves), pools[account.address]
        pairs = (
            ("collateral", computed.collateral, reported.collateral, TOLERANCE),
            ("debt", computed.debt, reported.debt, TOLERANCE),
            ("health factor", computed.health_factor, reported.health_factor, HF_TOLERANCE),
        )
        dust = reported.debt < 10**6  # values this small are all rounding
        for name, found, expected, tolerance in pairs:
            if abs(found - expected) > 100 + tolerance * expected and not (dust and name == "health factor"):
                raise CrossCheckFailed(
                    f"{name} of account {account.address}: getUserAccountData says {expected}, computed from its "
                    f"balances, flags and prices it is {found}. Nothing was written"
                )
        below += reported.debt > 0 and reported.health_factor < 10**18
    return below
