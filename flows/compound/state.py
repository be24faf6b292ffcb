"""Compound at one block in the terms of Aave's snapshot, and by its own rules: reserves, accounts, health factors.

| Aave | Compound v2 | Compound v3 (one Comet) |
|---|---|---|
| reserve | cToken | the base asset (id 0), each collateral (id i + 1) |
| liquidation threshold | collateralFactor | liquidateCollateralFactor |
| loan to value | collateralFactor | borrowCollateralFactor |
| liquidation bonus | liquidationIncentive - 1 | 1 / liquidationFactor - 1: what the account loses above its debt |
| collateral flag | the account has entered the market | always |
| debt | in any cToken | in the base asset only |

Health factor = sum(collateral x price x threshold) / sum(debt x price), by the protocol's integers: v2 as
`getAccountLiquidity` adds it up (products cut to 18 digits), a Comet as `isLiquidatable` does (values cut to 8). v2's
figures are those of its view functions, with interest up to the market's last accrual; a Comet's are of the block.

Interfaces: compound-protocol (Comptroller, CToken, PriceOracle), comet CometMainInterface @d5a30b0a; a price of v2 is
USD x 1e36 / 10^decimals, a Comet's has 8 decimals and is USD where its base feed says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from flows.clients import abis
from flows.clients.abis import Function, WrongShape
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.errors import CrossCheckFailed, MalformedAnswer, SourceRefused
from flows.lending.compound_book import CHAIN_OWN_COIN, says_dollars
from flows.lending.markets import BASE_TOKEN, GET_ALL_MARKETS, UNDERLYING, MarketEntry

WAD = 10**18
USD = 10**8
UINT = ("uint256",)

# Comptroller, PriceOracle
MARKETS = Function("markets(address)", ("bool", "uint256", "bool"))
CLOSE_FACTOR = Function("closeFactorMantissa()", UINT)
INCENTIVE = Function("liquidationIncentiveMantissa()", UINT)
ORACLE = Function("oracle()", ("address",))
ASSETS_IN = Function("getAssetsIn(address)", ("address[]",))
ACCOUNT_LIQUIDITY = Function("getAccountLiquidity(address)", ("uint256", "uint256", "uint256"))
UNDERLYING_PRICE = Function("getUnderlyingPrice(address)", UINT)
# CToken
DECIMALS = Function("decimals()", ("uint8",))
TOTAL_SUPPLY = Function("totalSupply()", UINT)
TOTAL_BORROWS = Function("totalBorrows()", UINT)
CASH = Function("getCash()", UINT)
EXCHANGE_RATE = Function("exchangeRateStored()", UINT)
ACCRUAL_BLOCK = Function("accrualBlockNumber()", UINT)
RESERVE_FACTOR = Function("reserveFactorMantissa()", UINT)
SNAPSHOT = Function("getAccountSnapshot(address)", ("uint256",) * 4)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundReserve:
    """One cToken, or one asset of a Comet. Factors in wad, amounts in token units; `price` in the protocol's scale."""

    id: int
    asset: str
    contract: str
    underlying: str
    symbol: str
    decimals: int
    collateral_factor: int
    threshold: int
    penalty: int
    price: int
    price_feed: str
    price_description: str
    supply: int
    borrows: int
    cash: int
    can_borrow: bool
    supply_cap: int = 0
    reserve_factor: int = 0
    exchange_rate: int = WAD
    accrual_block: int | None = None
    payload_sha256: str = ""


@dataclass(slots=True)
class CompoundAccount:
    """One account: by reserve id its supply (v2: cTokens), its debt, and which supplies count as collateral."""

    address: str
    supply: dict[int, int] = field(default_factory=dict)
    debt: dict[int, int] = field(default_factory=dict)
    entered: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundState:
    """One deployment at one block. `usd`: prices are in USD. `checked`: accounts compared with the protocol."""

    protocol: str
    entry: str
    oracle: str
    reserves: Sequence[CompoundReserve]
    close_factor: int | None
    usd: bool
    accounts: Sequence[CompoundAccount] = ()
    checked: int = 0
    below_one: int = 0
    unpriced: Sequence[str] = ()
    """Assets that no account holds and for which the oracle has no price, each with the reason; they are left out."""


DOLLARS = ("USDC", "USDT", "DAI", "TUSD", "USDP")
"""Stablecoins whose price shows whether prices are in USD."""


@dataclass(frozen=True, slots=True)
class Health:
    """Value of what backs the debt with and without thresholds, and of the debt; 1e-18 USD at v2, 1e-8 at a Comet."""

    collateral: int
    weighted: int
    debt: int

    @property
    def factor(self) -> float:
        """Health factor; infinite without debt."""
        return self.weighted / self.debt if self.debt else float("inf")


def health_v2(reserves: Mapping[int, CompoundReserve], account: CompoundAccount) -> Health:
    """As Comptroller.getHypotheticalAccountLiquidity adds it up: every product is cut to 18 digits."""
    collateral = weighted = debt = 0
    for key, ctokens in account.supply.items():
        r = reserves[key]
        if key in account.entered:
            weighted += r.threshold * r.exchange_rate // WAD * r.price // WAD * ctokens // WAD
            collateral += r.exchange_rate * r.price // WAD * ctokens // WAD
    for key, owed in account.debt.items():
        debt += reserves[key].price * owed // WAD
    return Health(collateral, weighted, debt)


def health_v3(reserves: Mapping[int, CompoundReserve], account: CompoundAccount) -> Health:
    """As Comet.isLiquidatable adds it up: values are cut to 8 digits, then weighted, then cut again."""
    collateral = weighted = debt = 0
    for key, amount in account.supply.items():
        r = reserves[key]
        if key:  # a positive base balance is no collateral: an account has it or a debt, never both
            value = amount * r.price // 10**r.decimals
            collateral += value
            weighted += value * r.threshold // WAD
    for key, owed in account.debt.items():
        debt += owed * reserves[key].price // 10 ** reserves[key].decimals
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
    names = _names(reader, tokens)
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
            # Two markets may share a token (cWBTC): the newer is stored under the token, the older under its cToken.
            id=i, asset=token if newest[token] == i else ctoken, contract=ctoken, underlying=token, symbol=symbol,
            decimals=decimals, collateral_factor=terms[i][1], threshold=terms[i][1], penalty=incentive, price=price,
            price_feed=oracle, price_description="", supply=supply, borrows=borrows, cash=cash, can_borrow=True,
            reserve_factor=factor, exchange_rate=rate, accrual_block=accrual, payload_sha256=digest,
        ))  # fmt: skip
    return CompoundState(protocol="compound_v2", entry=comptroller, oracle=oracle, reserves=reserves,
                         close_factor=close, usd=_counts_in_dollars(reserves), unpriced=unpriced)  # fmt: skip


def _counts_in_dollars(reserves: Sequence[CompoundReserve]) -> bool:
    """Whether the oracle of a Comptroller counts in dollars: a stablecoin costs about one.

    No getter tells it. Compound's own oracle counted in ether until 2020, and so do those of forks on other chains; an
    oracle without a price of a dollar stablecoin proves nothing, and its prices are not read as dollars.
    """
    worth = [r.price * 10**r.decimals / 10**36 for r in reserves if r.symbol in DOLLARS]
    return any(0.8 < value < 1.2 for value in worth)


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
    names = _names(reader, tokens)
    prices = reader.read([Call(comet, PRICE, (f,), f"feed {f}") for f in feeds], may_fail=True)
    about = [_text(d) for d in reader.read([Call(f, abis.DESCRIPTION, about=f) for f in feeds], may_fail=True)]
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


def accounts_v2(
    reader: BlockReader, state: CompoundState, candidates: Mapping[str, AbstractSet[str]]
) -> list[CompoundAccount]:
    """Accounts of Compound v2 that hold or owe something; `candidates`: account to the cTokens it ever received.

    An account is asked in these and in every market it has entered (borrowing enters). Raises `CrossCheckFailed` when
    the holdings are not each cToken's total supply: a holder that the log scan had missed would show.
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


def accounts_v3(reader: BlockReader, state: CompoundState, addresses: Iterable[str]) -> list[CompoundAccount]:
    """Accounts of a Comet that hold or owe something. Raises `CrossCheckFailed` when the holdings do not add up.

    Balances must add up to the total supply but for a unit an account (each is rounded down), and no collateral may
    exceed what the Comet has. A collateral holder that the scan missed would not be noticed, because the known
    interfaces have no totals of collateral.
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


def check_v2(reader: BlockReader, state: CompoundState, accounts: Sequence[CompoundAccount]) -> tuple[int, int]:
    """Compare every borrower with `getAccountLiquidity`; (accounts checked, of these below health factor 1).

    Liquidity minus shortfall must be weighted collateral minus debt, but for the last digits that different releases
    of the Comptroller round differently: one unit of 1e-18 USD a product. Raises `CrossCheckFailed`.
    """
    by_id = {r.id: r for r in state.reserves}
    borrowers = [account for account in accounts if account.debt]
    answers = reader.read([Call(state.entry, ACCOUNT_LIQUIDITY, (a.address,), a.address) for a in borrowers])
    below = 0
    for account, (error, liquidity, shortfall) in zip(borrowers, answers, strict=True):
        health = health_v2(by_id, account)
        ours, reported = health.weighted - health.debt, liquidity - shortfall
        amounts = sum(account.supply.values()) // WAD + sum(account.debt.values()) // WAD
        if error or abs(ours - reported) > 4 * (len(by_id) + amounts):
            raise CrossCheckFailed(
                f"account {account.address}: collateral less debt is {ours / WAD:.6f} USD by our sum, "
                f"{reported / WAD:.6f} by getAccountLiquidity (error {error}). Nothing was written"
            )
        below += shortfall > 0
    return len(borrowers), below


def check_v3(reader: BlockReader, state: CompoundState, accounts: Sequence[CompoundAccount]) -> tuple[int, int]:
    """Compare every borrower with `isLiquidatable`; (accounts checked, of these below health factor 1).

    They must agree, except for accounts within 1e-8 for each collateral of the limit. Raises `CrossCheckFailed`.
    """
    by_id = {r.id: r for r in state.reserves}
    borrowers = [account for account in accounts if account.debt]
    answers = reader.read([Call(state.entry, IS_LIQUIDATABLE, (a.address,), a.address) for a in borrowers])
    for account, liquidatable in zip(borrowers, answers, strict=True):
        health = health_v3(by_id, account)
        margin = health.weighted - health.debt
        if (margin < 0) != liquidatable and abs(margin) > len(by_id) + 1:
            raise CrossCheckFailed(
                f"account {account.address}: health factor {health.factor:.9f} by our sum, and isLiquidatable says "
                f"{liquidatable}. Nothing was written"
            )
    return len(borrowers), sum(answers)


def _names(reader: BlockReader, tokens: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Symbol and decimals by token. Raises `MalformedAnswer` for a token without decimals."""
    asked = sorted({token for token in tokens if token != CHAIN_OWN_COIN})
    symbols = reader.read_raw([Call(token, abis.SYMBOL, about=token) for token in asked])
    decimals = reader.read([Call(token, DECIMALS, about=token) for token in asked])
    found = {CHAIN_OWN_COIN: ("ETH", 18)}
    for token, raw, digits in zip(asked, symbols, decimals, strict=True):
        try:
            symbol = "" if isinstance(raw, Failure) else abis.token_symbol(raw)
        except WrongShape:
            symbol = ""
        found[token] = (symbol or token, digits)
    return found


def _text(answer: bytes | Failure) -> str:
    return "" if isinstance(answer, Failure) else abis.text(answer)
