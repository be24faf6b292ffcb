"""Compound v2 at one block: its markets, its accounts and their health factors, from its contracts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.compound.state import (
    TOTAL_SUPPLY,
    UINT,
    WAD,
    CompoundAccount,
    CompoundReserve,
    CompoundState,
    Health,
    names_of,
)
from flows.errors import CrossCheckFailed, MalformedAnswer, SourceRefused
from flows.lending.compound_book import CHAIN_OWN_COIN
from flows.lending.markets import GET_ALL_MARKETS, UNDERLYING, MarketEntry

# Comptroller, PriceOracle
MARKETS = Function("markets(address)", ("bool", "uint256", "bool"))
CLOSE_FACTOR = Function("closeFactorMantissa()", UINT)
INCENTIVE = Function("liquidationIncentiveMantissa()", UINT)
ORACLE = Function("oracle()", ("address",))
ASSETS_IN = Function("getAssetsIn(address)", ("address[]",))
ACCOUNT_LIQUIDITY = Function("getAccountLiquidity(address)", ("uint256", "uint256", "uint256"))
UNDERLYING_PRICE = Function("getUnderlyingPrice(address)", UINT)
# CToken
TOTAL_BORROWS = Function("totalBorrows()", UINT)
CASH = Function("getCash()", UINT)
EXCHANGE_RATE = Function("exchangeRateStored()", UINT)
ACCRUAL_BLOCK = Function("accrualBlockNumber()", UINT)
RESERVE_FACTOR = Function("reserveFactorMantissa()", UINT)
SNAPSHOT = Function("getAccountSnapshot(address)", ("uint256",) * 4)

DOLLARS = ("USDC", "USDT", "DAI", "TUSD", "USDP")
"""Stablecoins whose price shows in which currency an oracle counts."""


def health_v2(reserves: Mapping[int, CompoundReserve], account: CompoundAccount) -> Health:
    """The sum of Comptroller.getHypotheticalAccountLiquidity: every product is cut to 18 decimals."""
    collateral = weighted = debt = 0
    for key, ctokens in account.supply.items():
        r = reserves[key]
        if key in account.entered:
            weighted += r.threshold * r.exchange_rate // WAD * r.price // WAD * ctokens // WAD
            collateral += r.exchange_rate * r.price // WAD * ctokens // WAD
    for key, owed in account.debt.items():
        debt += reserves[key].price * owed // WAD
    return Health(collateral, weighted, debt)


def read_v2(reader: BlockReader, source: MarketEntry) -> CompoundState:
    """Every cToken that the Comptroller lists. Raises `MalformedAnswer`, `CrossCheckFailed` without a price."""
    comptroller = source.entry
    listed = [ctoken.lower() for ctoken in reader.one(Call(comptroller, GET_ALL_MARKETS, about=source.name))]
    if not listed:
        raise SourceRefused(f"{source.name}: the Comptroller {comptroller} lists no markets")
    oracle, close, incentive = reader.read(
        [Call(comptroller, f, about=source.name) for f in (ORACLE, CLOSE_FACTOR, INCENTIVE)]
    )
    terms = reader.read([Call(comptroller, MARKETS, (c,), c) for c in listed])
    prices = reader.read([Call(oracle, UNDERLYING_PRICE, (c,), c) for c in listed], may_fail=True)
    tokens = reader.read([Call(c, UNDERLYING, about=c) for c in listed], may_fail=True)
    tokens = [CHAIN_OWN_COIN if isinstance(token, Failure) else token for token in tokens]
    own = (TOTAL_SUPPLY, TOTAL_BORROWS, CASH, EXCHANGE_RATE, ACCRUAL_BLOCK, RESERVE_FACTOR)
    calls = [Call(c, function, about=c) for c in listed for function in own]
    raw = reader.read_raw(calls)
    names = names_of(reader, tokens)
    newest = {token: i for i, token in enumerate(tokens)}
    reserves, unpriced = [], []
    for i, (ctoken, token) in enumerate(zip(listed, tokens, strict=True)):
        part = slice(i * len(own), (i + 1) * len(own))
        supply, borrows, cash, rate, accrual, factor = map(reader.decoded, calls[part], raw[part])
        symbol, decimals = names[token]
        price = prices[i]
        if isinstance(price, Failure) or not price:
            if supply or borrows:
                raise CrossCheckFailed(
                    f"{source.name}: the oracle {oracle} has no price of {symbol} (cToken {ctoken}), and it is held. "
                    "Nothing was written"
                )
            unpriced.append(f"{symbol} ({price.reason if isinstance(price, Failure) else 'price 0'})")
            continue
        digest = hashlib.sha256(b"".join(b for b in raw[part] if isinstance(b, bytes))).hexdigest()
        reserves.append(CompoundReserve(
            # Two markets may have the same token (cWBTC): the newer is stored under it, the older by its address.
            id=i, asset=token if newest[token] == i else ctoken, contract=ctoken, underlying=token, symbol=symbol,
            decimals=decimals, collateral_factor=terms[i][1], threshold=terms[i][1], penalty=incentive, price=price,
            price_feed=oracle, price_description="", supply=supply, borrows=borrows, cash=cash, can_borrow=True,
            reserve_factor=factor, exchange_rate=rate, accrual_block=accrual, payload_sha256=digest,
        ))  # fmt: skip
    return CompoundState(protocol="compound_v2", entry=comptroller, oracle=oracle, reserves=reserves,
                         close_factor=close, usd=_counts_in_dollars(reserves), unpriced=unpriced)  # fmt: skip


def _counts_in_dollars(reserves: Sequence[CompoundReserve]) -> bool:
    """Whether the oracle of a Comptroller counts in dollars: a stablecoin costs about one.

    There is no getter for it. Compound's oracle counted in ether until 2020, and those of some forks still do. Where an
    oracle has no price of a dollar stablecoin, its prices are not taken as dollars.
    """
    worth = [r.price * 10**r.decimals / 10**36 for r in reserves if r.symbol in DOLLARS]
    return any(0.8 < value < 1.2 for value in worth)


def accounts_v2(
    reader: BlockReader, state: CompoundState, candidates: Mapping[str, AbstractSet[str]]
) -> list[CompoundAccount]:
    """Accounts of Compound v2 that hold or owe something; `candidates`: account to the cTokens it ever received.

    Each account is read in these and in every market that it has entered (borrowing enters one). Raises
    `CrossCheckFailed` when the holdings do not sum to each cToken's total supply, which shows a missed holder.
    """
    by_contract = {r.contract: r for r in state.reserves}
    wanted = sorted(candidates)
    entered = [
        {by_contract[m.lower()].id for m in markets if m.lower() in by_contract}
        for markets in reader.read([Call(state.entry, ASSETS_IN, (a,), a) for a in wanted])
    ]
    asked = [
        (place, r)
        for place, (a, ids) in enumerate(zip(wanted, entered, strict=True))
        for r in state.reserves
        if r.contract in candidates[a] or r.id in ids
    ]
    accounts = [CompoundAccount(a, entered=ids) for a, ids in zip(wanted, entered, strict=True)]
    answers = reader.read([Call(r.contract, SNAPSHOT, (wanted[place],), wanted[place]) for place, r in asked])
    for (place, r), (error, ctokens, borrowed, rate) in zip(asked, answers, strict=True):
        if error or rate != r.exchange_rate:
            raise MalformedAnswer(
                f"getAccountSnapshot of {wanted[place]} at {r.contract}: error {error}, exchange rate {rate}, expected "
                f"0 and {r.exchange_rate}"
            )
        if ctokens:
            accounts[place].supply[r.id] = ctokens
        if borrowed:
            accounts[place].debt[r.id] = borrowed
    found = [account for account in accounts if account.supply or account.debt]
    for r in state.reserves:
        total = sum(account.supply.get(r.id, 0) for account in found)
        if total != r.supply:
            raise CrossCheckFailed(
                f"cToken {r.contract} ({r.symbol}): expected holdings of {r.supply} in all, found {total}. The scan of "
                "the log is not complete (--from-block too late?). Nothing was written"
            )
    return found


def check_v2(reader: BlockReader, state: CompoundState, accounts: Sequence[CompoundAccount]) -> tuple[int, int]:
    """Compare every borrower with `getAccountLiquidity`; returns (accounts checked, accounts below health factor 1).

    Liquidity minus shortfall must be weighted collateral minus debt, within one unit of 1e-18 USD for each product,
    which releases of the Comptroller round differently. Raises `CrossCheckFailed`.
    """
    by_id = {r.id: r for r in state.reserves}
    borrowers = [account for account in accounts if account.debt]
    answers = reader.read([Call(state.entry, ACCOUNT_LIQUIDITY, (a.address,), a.address) for a in borrowers])
    below = 0
    for account, (error, liquidity, shortfall) in zip(borrowers, answers, strict=True):
        health = health_v2(by_id, account)
        computed, reported = health.weighted - health.debt, liquidity - shortfall
        amounts = sum(account.supply.values()) // WAD + sum(account.debt.values()) // WAD
        if error or abs(computed - reported) > 4 * (len(by_id) + amounts):
            raise CrossCheckFailed(
                f"account {account.address}: collateral less debt is {computed / WAD:.6f} USD as computed here, "
                f"{reported / WAD:.6f} by getAccountLiquidity (error {error}). Nothing was written"
            )
        below += shortfall > 0
    return len(borrowers), below
