"""An Aave v3 market without its accounts, as its contracts say it at one block, in five rounds of requests.

What can be asked together goes in one round (`flows.clients.rounds`): a node that is far away is waited for five times,
however many reserves there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flows.aave import price_adapters
from flows.aave.contracts import NO_CONTRACT, Contracts, EMode, Reserve, priced, symbol_of
from flows.clients import abis
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure, calls_for
from flows.clients.rounds import Read, beside, carried_out
from flows.errors import MalformedAnswer, SourceRefused
from risk_core.types import REVISIONS
from risk_core.units import USD

V37 = 11
EMODE_IDS = range(1, 256)
_GETTERS = (abis.GET_POOL, abis.GET_PRICE_ORACLE, abis.GET_POOL_DATA_PROVIDER)
_OF_POOL = (
    abis.GET_RESERVE_DATA,
    abis.GET_GRACE_PERIOD,
    abis.GET_DEFICIT,
    abis.GET_VIRTUAL_BALANCE,
    abis.GET_NORMALIZED_INCOME,
    abis.GET_NORMALIZED_DEBT,
)

Named = tuple[str, str, str]
"""Addresses of pool, price oracle and data provider."""


def resolve(reader: BlockReader, provider: str, chain_id: int) -> Contracts:
    """The contracts that a PoolAddressesProvider names. Raises `SourceRefused`: none, or an unknown revision."""
    return carried_out(reader, _rules(reader, provider, chain_id, _named(reader, provider, chain_id)))


def fetch_terms(
    reader: BlockReader, provider: str, chain_id: int, adapters: Mapping[str, Function]
) -> tuple[Contracts, list[Reserve], list[EMode]]:
    """Contracts, reserves in the order of the pool's list, and e-modes with a liquidation threshold.

    `adapters`: the getters of price adapters (`flows.aave.price_adapters.getters`). Raises as `resolve`, and
    `MalformedAnswer` naming reserve and field.
    """
    named = _named(reader, provider, chain_id)
    return carried_out(reader, _terms(reader, provider, chain_id, named, adapters))


def _terms(
    reader: BlockReader, provider: str, chain_id: int, named: Named, adapters: Mapping[str, Function]
) -> Read[tuple[Contracts, list[Reserve], list[EMode]]]:
    pool, oracle, _ = named
    at, assets, categories = yield from beside(
        _rules(reader, provider, chain_id, named), _assets(reader, pool), _categories(reader, pool)
    )
    reserves, emodes = yield from beside(
        _reserves(reader, pool, oracle, assets, adapters), _emodes(reader, at, categories)
    )
    return at, reserves, emodes


def _named(reader: BlockReader, provider: str, chain_id: int) -> Named:
    calls = [Call(provider, getter, about="the provider") for getter in _GETTERS]
    try:
        answers = zip(calls, reader.first_round(calls), strict=True)
        pool, oracle, data_provider = (reader.decoded(call, answer) for call, answer in answers)
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
    return pool, oracle, data_provider


def _rules(reader: BlockReader, provider: str, chain_id: int, named: Named) -> Read[Contracts]:
    """The contracts, once their rules and their unit are known ones."""
    pool, oracle, data_provider = named
    calls = [
        Call(pool, abis.POOL_REVISION, about="the pool"),
        Call(oracle, abis.BASE_CURRENCY_UNIT, about="the oracle"),
    ]
    answers = yield calls
    revision, unit = (reader.decoded(call, answer) for call, answer in zip(calls, answers, strict=True))
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


def _assets(reader: BlockReader, pool: str) -> Read[list[str]]:
    call = Call(pool, abis.GET_RESERVES_LIST, about="the pool")
    [answer] = yield [call]
    assets = [asset.lower() for asset in reader.decoded(call, answer)]
    if not assets:
        raise SourceRefused(f"the pool {pool} lists no reserves at block {reader.block.number}")
    return assets


def _reserves(
    reader: BlockReader, pool: str, oracle: str, assets: Sequence[str], adapters: Mapping[str, Function]
) -> Read[list[Reserve]]:
    """The reserves in two rounds: the pool and the oracle for each asset; the contracts that those answers name."""
    n, width = len(assets), len(_OF_POOL)
    named = [Call(asset, abis.SYMBOL, about=asset) for asset in assets]
    of_pool = [Call(pool, function, (asset,), asset) for asset in assets for function in _OF_POOL]
    getters = (abis.GET_SOURCE_OF_ASSET, abis.GET_ASSET_PRICE)
    of_oracle = [Call(oracle, getter, (asset,), asset) for getter in getters for asset in assets]
    # The raw answers are kept: their digest says which bytes a row was made from.
    raw = yield [*named, *of_pool, *of_oracle, Call(pool, abis.GET_RATE_STRATEGY, about="the pool")]
    symbols = [symbol_of(asset, answer) for asset, answer in zip(assets, raw, strict=False)]
    subjects = list(zip(assets, symbols, strict=True))
    raw_pool, raw_oracle = raw[n : n + n * width], raw[n + n * width : -1]
    calls = [Call(pool, function, (asset,), symbol) for asset, symbol in subjects for function in _OF_POOL]
    answers = [reader.decoded(call, answer) for call, answer in zip(calls, raw_pool, strict=True)]
    by_reserve = [answers[i * width : (i + 1) * width] for i in range(n)]
    digests = [_digest(raw_pool[i * width : (i + 1) * width]) for i in range(n)]
    sources: list[str] = [
        reader.decoded(call, answer)
        for call, answer in zip(calls_for(subjects, oracle, abis.GET_SOURCE_OF_ASSET), raw_oracle[:n], strict=True)
    ]
    prices = [reader.decoded(call, answer, True) for call, answer in zip(of_oracle[n:], raw_oracle[n:], strict=True)]
    strategy = reader.decoded(Call(pool, abis.GET_RATE_STRATEGY), raw[-1], True)

    (supplies, descriptions, curves), said = yield from beside(
        _pointed_to(reader, subjects, by_reserve, sources, strategy), price_adapters.asked(reader, sources, adapters)
    )
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
    models = price_adapters.models(reserves, said, reader.block.time)
    return [replace(reserve, oracle=model) for reserve, model in zip(reserves, models, strict=True)]


def _digest(answers: Sequence[bytes | Failure]) -> str:
    return hashlib.sha256(b"".join(a for a in answers if isinstance(a, bytes))).hexdigest()


def _pointed_to(
    reader: BlockReader,
    subjects: list[tuple[str, str]],
    by_reserve: list[list[Any]],
    sources: list[str],
    strategy: str | Failure,
) -> Read[tuple[list[int], list[str], list[tuple[int, int, int, int] | None]]]:
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
    raw = yield calls
    first, second = len(supplies), len(supplies) + len(feeds)
    found = [reader.decoded(call, answer, i >= first) for i, (call, answer) in enumerate(zip(calls, raw, strict=True))]
    descriptions = ["" if isinstance(d, Failure) else abis.text(d) for d in found[first:second]]
    curves = [None if isinstance(c, Failure) else c for c in found[second:]] or [None] * len(subjects)
    return found[:first], descriptions, curves


def _categories(reader: BlockReader, pool: str) -> Read[dict[int, tuple[int, int, int]]]:
    """Id -> (ltv, liquidation threshold, bonus) of the e-modes. Ids may have gaps, so all 255 are read."""
    calls = [Call(pool, abis.GET_EMODE_CONFIG, (i,), f"e-mode {i}") for i in EMODE_IDS]
    answers = yield calls
    configured = [reader.decoded(call, answer) for call, answer in zip(calls, answers, strict=True)]
    return {i: terms for i, terms in zip(EMODE_IDS, configured, strict=True) if terms[1]}


def _emodes(reader: BlockReader, at: Contracts, categories: Mapping[int, tuple[int, int, int]]) -> Read[list[EMode]]:
    fields = [abis.GET_EMODE_LABEL, abis.GET_EMODE_COLLATERAL, abis.GET_EMODE_BORROWABLE, abis.GET_EMODE_LTVZERO]
    if at.revision >= V37:
        fields.append(abis.GET_EMODE_ISOLATED)
    calls = [Call(at.pool, f, (i,), f"e-mode {i}") for i in categories for f in fields]
    raw = yield calls
    answers = (
        # Only people read the label: it may be anything, or missing.
        reader.decoded(call, answer, may_fail=call.function is abis.GET_EMODE_LABEL)
        for call, answer in zip(calls, raw, strict=True)
    )
    emodes = []
    for i, (ltv, threshold, bonus) in categories.items():
        label, collateral, borrowable, ltvzero = (next(answers) for _ in range(4))
        emodes.append(EMode(
            id=i, label="" if isinstance(label, Failure) else abis.text(label), ltv=ltv,
            liquidation_threshold=threshold, liquidation_bonus=bonus, collateral=collateral, borrowable=borrowable,
            ltvzero=ltvzero, isolated=next(answers) if at.revision >= V37 else False,
        ))  # fmt: skip
    return emodes
