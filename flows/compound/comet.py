"""One Comet of Compound v3 at one block: its assets, its accounts and their health factors, from its contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from flows.clients import abis
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
    text_of,
)
from flows.errors import CrossCheckFailed, MalformedAnswer, SourceRefused
from flows.lending.compound_book import says_dollars
from flows.lending.markets import BASE_TOKEN, MarketEntry

# Comet
NUM_ASSETS = Function("numAssets()", ("uint8",))
ASSET_INFO = Function(
    "getAssetInfo(uint8)", ("uint8", "address", "address", "uint256", "uint256", "uint256", "uint256", "uint128")
)
BASE_FEED = Function("baseTokenPriceFeed()", ("address",))
PRICE = Function("getPrice(address)", UINT)
BALANCE_OF = Function("balanceOf(address)", UINT)
BORROW_BALANCE = Function("borrowBalanceOf(address)", UINT)
COLLATERAL_BALANCE = Function("collateralBalanceOf(address,address)", ("uint128",))
IS_LIQUIDATABLE = Function("isLiquidatable(address)", ("bool",))


def health_v3(reserves: Mapping[int, CompoundReserve], account: CompoundAccount) -> Health:
    """The sum of Comet.isLiquidatable: values are cut to 8 decimals, weighted, and cut again."""
    collateral = weighted = debt = 0
    for key, amount in account.supply.items():
        r = reserves[key]
        if key:  # a positive base balance is not collateral: an account has either this or a debt
            value = amount * r.price // 10**r.decimals
            collateral += value
            weighted += value * r.threshold // WAD
    for key, owed in account.debt.items():
        debt += owed * reserves[key].price // 10 ** reserves[key].decimals
    return Health(collateral, weighted, debt)


def read_v3(reader: BlockReader, source: MarketEntry) -> CompoundState:
    """The base asset and every collateral of a Comet. Raises `MalformedAnswer`, `CrossCheckFailed` without a price."""
    comet = source.entry
    base, feed, count, supply = reader.read(
        [Call(comet, f, about=source.name) for f in (BASE_TOKEN, BASE_FEED, NUM_ASSETS, TOTAL_SUPPLY)]
    )
    if source.base not in (None, base):
        raise SourceRefused(
            f"{source.name}: the Comet {comet} has base token {base}, expected {source.base}; is "
            "ETH_RPC_URL a node of the right chain?"
        )
    calls = [Call(comet, ASSET_INFO, (i,), f"asset {i} of {source.name}") for i in range(count)]
    raw = reader.read_raw(calls)
    infos = list(map(reader.decoded, calls, raw))
    tokens = [base, *(info[1] for info in infos)]
    feeds = [feed, *(info[2] for info in infos)]
    names = names_of(reader, tokens)
    prices = reader.read([Call(comet, PRICE, (f,), f"feed {f}") for f in feeds], may_fail=True)
    about = [text_of(d) for d in reader.read([Call(f, abis.DESCRIPTION, about=f) for f in feeds], may_fail=True)]
    held = reader.read([Call(token, BALANCE_OF, (comet,), names[token][0]) for token in tokens])
    reserves, unpriced = [], []
    for i, token in enumerate(tokens):
        symbol, decimals = names[token]
        if isinstance(prices[i], Failure) or not prices[i]:
            reason = f"has no price ({prices[i].reason})" if isinstance(prices[i], Failure) else "says 0"
            if i == 0 or held[i]:
                raise CrossCheckFailed(
                    f"{source.name}: the feed {feeds[i]} of {symbol} {reason}, and it is held. Nothing was written"
                )
            unpriced.append(f"{symbol} (its feed {reason})")
            continue
        factors = {"collateral_factor": 0, "threshold": 0, "penalty": WAD}
        if i:
            _, _, _, scale, borrow_cf, liquidate_cf, liquidation, cap = infos[i - 1]
            if scale != 10**decimals:
                raise MalformedAnswer(f"{source.name}: {symbol} has {decimals} decimals, the Comet counts in {scale}")
            factors = {
                "collateral_factor": borrow_cf,
                "threshold": liquidate_cf,
                "penalty": liquidation,
                "supply_cap": cap,
            }
        answer = raw[i - 1] if i else b""
        reserves.append(CompoundReserve(
            id=i, asset=token, contract=comet, underlying=token, symbol=symbol, decimals=decimals, price=prices[i],
            price_feed=feeds[i], price_description=about[i], supply=held[i] if i else supply, borrows=0, cash=held[i],
            can_borrow=i == 0, payload_sha256=hashlib.sha256(answer if isinstance(answer, bytes) else b"").hexdigest(),
            **factors,
        ))  # fmt: skip
    return CompoundState(protocol="compound_v3", entry=comet, oracle=comet, reserves=reserves, close_factor=None,
                         usd=says_dollars(about[0]), unpriced=unpriced)  # fmt: skip


def accounts_v3(reader: BlockReader, state: CompoundState, addresses: Iterable[str]) -> list[CompoundAccount]:
    """Accounts of a Comet that hold or owe something. Raises `CrossCheckFailed` when the sums do not agree.

    Balances must sum to the total supply within one unit for each account (each is rounded down), and no collateral
    may exceed what the Comet has. A missed holder of collateral is not noticed: the interface of the Comet's totals of
    collateral is not known here.
    """
    wanted = sorted(addresses)
    collaterals = [r for r in state.reserves if r.id]
    calls = [
        call
        for a in wanted
        for call in (
            Call(state.entry, BALANCE_OF, (a,), a),
            Call(state.entry, BORROW_BALANCE, (a,), a),
            *(Call(state.entry, COLLATERAL_BALANCE, (a, r.asset), a) for r in collaterals),
        )
    ]
    answers = iter(reader.read(calls))
    found = []
    for address in wanted:
        account = CompoundAccount(address, entered={r.id for r in collaterals})
        balance, borrowed = next(answers), next(answers)
        amounts = {r.id: next(answers) for r in collaterals}
        account.supply = {key: amount for key, amount in {0: balance, **amounts}.items() if amount}
        account.debt = {0: borrowed} if borrowed else {}
        if account.supply or account.debt:
            found.append(account)
    for r in state.reserves:
        total = sum(account.supply.get(r.id, 0) for account in found)
        if total > r.supply or (not r.id and r.supply - total > len(found) + 1):
            raise CrossCheckFailed(
                f"{r.symbol} of the Comet {state.entry}: expected holdings of {r.supply} in all, found {total}. The "
                "scan of the log is not complete (--from-block too late?). Nothing was written"
            )
    return found


def check_v3(reader: BlockReader, state: CompoundState, accounts: Sequence[CompoundAccount]) -> tuple[int, int]:
    """Compare every borrower with `isLiquidatable`; returns (accounts checked, accounts below health factor 1).

    They must agree, except within one unit of 1e-8 USD for each collateral of the limit. Raises `CrossCheckFailed`.
    """
    by_id = {r.id: r for r in state.reserves}
    borrowers = [account for account in accounts if account.debt]
    answers = reader.read([Call(state.entry, IS_LIQUIDATABLE, (a.address,), a.address) for a in borrowers])
    for account, liquidatable in zip(borrowers, answers, strict=True):
        health = health_v3(by_id, account)
        margin = health.weighted - health.debt
        if (margin < 0) != liquidatable and abs(margin) > len(by_id) + 1:
            raise CrossCheckFailed(
                f"account {account.address}: health factor {health.factor:.9f} computed here, isLiquidatable says "
                f"{liquidatable}. Nothing was written"
            )
    return len(borrowers), sum(answers)
