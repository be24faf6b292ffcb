"""What the contracts of an Aave v3 market answer at one block: addresses, reserves, e-modes. No accounts here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from flows.aave.address_book import V3
from flows.clients import abis
from flows.clients.abis import WrongShape
from flows.clients.block_reader import BlockReader, Call, Failure, calls_for
from flows.errors import MalformedAnswer, SourceRefused
from risk_core.types import REVISIONS
from risk_core.units import USD

V37 = 11
EMODE_IDS = range(1, 256)
NO_CONTRACT = "0x" + "00" * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Where a market lives (lower-case addresses) and which rules it follows.

    `protocol`: aave_v3 or aave_v2; `revision`: POOL_REVISION of v3, 0 for v2, which numbers its pools differently.
    """

    chain_id: int
    provider: str
    pool: str
    oracle: str
    data_provider: str
    revision: int
    base_currency_unit: int
    protocol: str = V3


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleModel:
    """How the oracle makes a reserve's price; with no field set it is the price of its feed. See `risk_core.oracles`.

    `price_cap`: in the oracle's unit (USD with 8 decimals). `ratio_cap`: in ray, relative to the price of the asset
    `ratio_of`. `linked_to`: the asset whose price is taken. `fixed`: the price is a constant.
    """

    price_cap: int | None = None
    ratio_cap: int | None = None
    ratio_of: str | None = None
    linked_to: str | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One reserve; raw integers in the chain's units. `configuration` is the packed word, read by the properties."""

    asset: str
    id: int
    symbol: str
    configuration: int
    liquidity_index: int
    liquidity_rate: int
    variable_borrow_index: int
    variable_borrow_rate: int
    last_update: int
    atoken: str
    vtoken: str
    grace_until: int
    deficit: int
    virtual_balance: int
    normalized_income: int
    normalized_debt: int
    scaled_atoken_supply: int
    scaled_debt_supply: int
    price: int
    price_source: str
    price_description: str
    rate_curve: tuple[int, int, int, int] | None
    payload_sha256: str
    no_price: str = ""
    """Why the oracle has no price, in words; `price` is 0 then. Empty where it has one."""
    oracle: OracleModel = OracleModel()

    def bits(self, first: int, last: int) -> int:
        """Bits `first` to `last` of the configuration word, both included (`ReserveConfiguration.sol`)."""
        return (self.configuration >> first) & ((1 << (last - first + 1)) - 1)

    @property
    def ltv(self) -> int:
        """Loan to value, basis points."""
        return self.bits(0, 15)

    @property
    def liquidation_threshold(self) -> int:
        """Liquidation threshold, basis points."""
        return self.bits(16, 31)

    @property
    def liquidation_bonus(self) -> int:
        """Liquidation bonus, basis points of the debt: 10,500 is 5 %."""
        return self.bits(32, 47)

    @property
    def decimals(self) -> int:
        """Decimals of the token."""
        return self.bits(48, 55)

    @property
    def is_active(self) -> bool:
        """The reserve is active."""
        return bool(self.bits(56, 56))

    @property
    def is_frozen(self) -> bool:
        """No new supply and no new debt."""
        return bool(self.bits(57, 57))

    @property
    def borrowing_enabled(self) -> bool:
        """It can be borrowed."""
        return bool(self.bits(58, 58))

    @property
    def is_paused(self) -> bool:
        """Nothing can be done with it, liquidation included."""
        return bool(self.bits(60, 60))

    @property
    def reserve_factor(self) -> int:
        """The treasury's share of the interest, basis points."""
        return self.bits(64, 79)

    @property
    def borrow_cap(self) -> int:
        """Most that can be borrowed, whole tokens; 0 is no cap."""
        return self.bits(80, 115)

    @property
    def supply_cap(self) -> int:
        """Most that can be supplied, whole tokens; 0 is no cap."""
        return self.bits(116, 151)

    @property
    def liquidation_protocol_fee(self) -> int:
        """The treasury's share of the liquidation bonus, basis points."""
        return self.bits(152, 167)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMode:
    """One e-mode category; risk parameters in bps, bitmaps by reserve id."""

    id: int
    label: str
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    collateral: int
    borrowable: int
    ltvzero: int
    isolated: bool


def resolve(reader: BlockReader, provider: str, chain_id: int) -> Contracts:
    """The contracts that a PoolAddressesProvider names. Raises `SourceRefused`: none, or an unknown revision."""
    getters = (abis.GET_POOL, abis.GET_PRICE_ORACLE, abis.GET_POOL_DATA_PROVIDER)
    try:
        pool, oracle, data_provider = (reader.one(Call(provider, getter, about="the provider")) for getter in getters)
    except MalformedAnswer:
        if reader.has_code(provider):
            raise
        raise SourceRefused(
            f"no contract at the PoolAddressesProvider {provider} on chain {chain_id} at block {reader.block.number}; "
            "check AAVE_POOL_ADDRESSES_PROVIDER, AAVE_MARKET and that ETH_RPC_URL is a node of the right chain"
        ) from None
    for name, address in (("pool", pool), ("price oracle", oracle)):
        if address == NO_CONTRACT:
            raise SourceRefused(f"the PoolAddressesProvider {provider} has no {name} at block {reader.block.number}")
    revision = reader.one(Call(pool, abis.POOL_REVISION, about="the pool"))
    unit = reader.one(Call(oracle, abis.BASE_CURRENCY_UNIT, about="the oracle"))
    if revision not in REVISIONS:
        known = ", ".join(f"{number} ({name})" for number, name in REVISIONS.items())
        raise SourceRefused(
            f"the pool {pool} is at POOL_REVISION {revision}, whose rules are not implemented; known: {known}. "
            "Nothing was written; upgrade this package, or read a block before the upgrade"
        )
    if unit != USD:
        raise SourceRefused(f"the oracle {oracle} counts in units of {unit}; only USD with 8 decimals ({USD}) is known")
    return Contracts(chain_id=chain_id, provider=provider, pool=pool, oracle=oracle, data_provider=data_provider,
                     revision=revision, base_currency_unit=unit)  # fmt: skip


_OF_POOL = (
    abis.GET_RESERVE_DATA,
    abis.GET_GRACE_PERIOD,
    abis.GET_DEFICIT,
    abis.GET_VIRTUAL_BALANCE,
    abis.GET_NORMALIZED_INCOME,
    abis.GET_NORMALIZED_DEBT,
)


def fetch_reserves(reader: BlockReader, at: Contracts) -> list[Reserve]:
    """Every listed reserve, in the order of the pool's list. Raises `MalformedAnswer` naming reserve and field.

    Three rounds of requests: the list; the pool and the oracle for each asset; the contracts that those answers name.
    """
    assets: list[str] = [a.lower() for a in reader.one(Call(at.pool, abis.GET_RESERVES_LIST, about="the pool"))]
    if not assets:
        raise SourceRefused(f"the pool {at.pool} lists no reserves at block {reader.block.number}")
    n, width = len(assets), len(_OF_POOL)
    named = [Call(asset, abis.SYMBOL, about=asset) for asset in assets]
    of_pool = [Call(at.pool, function, (asset,), asset) for asset in assets for function in _OF_POOL]
    getters = (abis.GET_SOURCE_OF_ASSET, abis.GET_ASSET_PRICE)
    of_oracle = [Call(at.oracle, getter, (asset,), asset) for getter in getters for asset in assets]
    # The raw answers are kept: their digest says which bytes a row was made from.
    raw = reader.read_raw([*named, *of_pool, *of_oracle, Call(at.pool, abis.GET_RATE_STRATEGY, about="the pool")])
    symbols = [symbol_of(asset, answer) for asset, answer in zip(assets, raw, strict=False)]
    subjects = list(zip(assets, symbols, strict=True))
    raw_pool, raw_oracle = raw[n : n + n * width], raw[n + n * width : -1]
    calls = [Call(at.pool, function, (asset,), symbol) for asset, symbol in subjects for function in _OF_POOL]
    answers = [reader.decoded(call, answer) for call, answer in zip(calls, raw_pool, strict=True)]
    by_reserve = [answers[i * width : (i + 1) * width] for i in range(n)]
    digests = [_digest(raw_pool[i * width : (i + 1) * width]) for i in range(n)]
    sources: list[str] = [
        reader.decoded(call, answer)
        for call, answer in zip(calls_for(subjects, at.oracle, abis.GET_SOURCE_OF_ASSET), raw_oracle[:n], strict=True)
    ]
    prices = [reader.decoded(call, answer, True) for call, answer in zip(of_oracle[n:], raw_oracle[n:], strict=True)]
    strategy = reader.decoded(Call(at.pool, abis.GET_RATE_STRATEGY), raw[-1], True)

    supplies, descriptions, curves = _pointed_to(reader, subjects, by_reserve, sources, strategy)
    reserves = []
    for i, (asset, symbol) in enumerate(subjects):
        data, grace, deficit, virtual, income, debt = by_reserve[i]
        reserves.append(Reserve(
            asset=asset, id=data[7], symbol=symbol, configuration=data[0], liquidity_index=data[1],
            liquidity_rate=data[2], variable_borrow_index=data[3], variable_borrow_rate=data[4],
            last_update=data[6], atoken=data[8], vtoken=data[10], grace_until=grace, deficit=deficit,
            virtual_balance=virtual, normalized_income=income, normalized_debt=debt,
            scaled_atoken_supply=supplies[2 * i], scaled_debt_supply=supplies[2 * i + 1], **priced(prices[i]),
            price_source=sources[i], price_description=descriptions[i], rate_curve=curves[i],
            payload_sha256=digests[i],
        ))  # fmt: skip
    ids = [reserve.id for reserve in reserves]
    if len(set(ids)) != len(ids) or max(ids) > 127:
        raise MalformedAnswer(f"getReserveData: reserve ids must be distinct and below 128, found {ids}")
    return reserves


def _digest(answers: list[bytes | Failure]) -> str:
    return hashlib.sha256(b"".join(a for a in answers if isinstance(a, bytes))).hexdigest()


def _pointed_to(
    reader: BlockReader,
    subjects: list[tuple[str, str]],
    by_reserve: list[list[Any]],
    sources: list[str],
    strategy: str | Failure,
) -> tuple[list[int], list[str], list[tuple[int, int, int, int] | None]]:
    """(scaled supplies, feed descriptions, rate curves) of the reserves, in their order.

    Supplies: aToken, debt token, aToken, ... A curve is kink, base rate and slopes in ray, None where the strategy does
    not answer.
    """
    supplies = [
        Call(token, abis.SCALED_TOTAL_SUPPLY, about=f"the {kind} of {symbol}")
        for (_, symbol), answer in zip(subjects, by_reserve, strict=True)
        for kind, token in (("aToken", answer[0][8]), ("debt token", answer[0][10]))
    ]
    feeds = [Call(source, abis.DESCRIPTION, about=s) for source, (_, s) in zip(sources, subjects, strict=True)]
    rates = [] if isinstance(strategy, Failure) else calls_for(subjects, strategy, abis.GET_RATE_DATA)
    calls = [*supplies, *feeds, *rates]
    raw = reader.read_raw(calls)
    first, second = len(supplies), len(supplies) + len(feeds)
    found = [reader.decoded(call, answer, i >= first) for i, (call, answer) in enumerate(zip(calls, raw, strict=True))]
    descriptions = ["" if isinstance(d, Failure) else abis.text(d) for d in found[first:second]]
    curves = [None if isinstance(c, Failure) else c for c in found[second:]] or [None] * len(subjects)
    return found[:first], descriptions, curves


def fetch_emodes(reader: BlockReader, at: Contracts) -> list[EMode]:
    """Every e-mode category with a liquidation threshold. Ids may have gaps, so all 255 are read."""
    configurations = reader.read([Call(at.pool, abis.GET_EMODE_CONFIG, (i,), f"e-mode {i}") for i in EMODE_IDS])
    found = {i: terms for i, terms in zip(EMODE_IDS, configurations, strict=True) if terms[1]}
    fields = [abis.GET_EMODE_LABEL, abis.GET_EMODE_COLLATERAL, abis.GET_EMODE_BORROWABLE, abis.GET_EMODE_LTVZERO]
    if at.revision >= V37:
        fields.append(abis.GET_EMODE_ISOLATED)
    calls = [Call(at.pool, f, (i,), f"e-mode {i}") for i in found for f in fields]
    answers = (
        # Only people read the label: it may be anything, or missing.
        reader.decoded(call, raw, may_fail=call.function is abis.GET_EMODE_LABEL)
        for call, raw in zip(calls, reader.read_raw(calls), strict=True)
    )
    emodes = []
    for i, (ltv, threshold, bonus) in found.items():
        label, collateral, borrowable, ltvzero = (next(answers) for _ in range(4))
        emodes.append(EMode(
            id=i, label="" if isinstance(label, Failure) else abis.text(label), ltv=ltv,
            liquidation_threshold=threshold, liquidation_bonus=bonus, collateral=collateral, borrowable=borrowable,
            ltvzero=ltvzero, isolated=next(answers) if at.revision >= V37 else False,
        ))  # fmt: skip
    return emodes


def symbol_of(asset: str, answer: bytes | Failure) -> str:
    """Symbol from the raw answer of `symbol()`, or the asset's address where that cannot be read.

    Accepts bytes32, bytes that are not text and a missing answer: a bad name must not stop the read of a market.
    """
    try:
        symbol = "" if isinstance(answer, Failure) else abis.token_symbol(answer)
    except WrongShape:
        symbol = ""
    return symbol or asset


def priced(answer: int | Failure, nothing: str = "price 0") -> dict[str, Any]:
    """The fields `price` and `no_price` of a reserve from the oracle's answer; `nothing`: reason for an answer of 0.

    One dead feed does not stop the other reserves: whether an account needs the price is checked once the accounts are
    known (`flows.aave.checks.check_prices`).
    """
    if isinstance(answer, Failure):
        return {"price": 0, "no_price": f"no price ({answer.reason})"}
    return {"price": answer, "no_price": "" if answer else nothing}
