"""Where an Aave market takes its prices from, at one block: the oracle's source of every reserve and its answers.

A source is a Chainlink proxy or an adapter around one. The functions that give an adapter's parameters are in
`flows.aave.price_adapters`; `AAVE_CAP_GETTERS` names others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.clients import abis
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure, calls_for
from flows.errors import SourceRefused
from flows.oracles.chainlink import AGGREGATOR, DECIMALS, NO_CONTRACT
from risk_core.units import USD

LATEST_ANSWER = Function("latestAnswer()", ("int256",))


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSource:
    """The oracle's price of one reserve and its source. None: the source does not answer that function.

    `price` in the oracle's unit (USD with 8 decimals); `answer` the source's own, in its `decimals`. They differ where
    the oracle uses its fallback. `parameters`: what the parameters' getters answered.
    """

    asset: str
    symbol: str
    source: str
    description: str
    decimals: int | None
    answer: int | None
    price: int | None
    aggregator: str
    parameters: Mapping[str, int]


def oracle_of(reader: BlockReader, provider: str) -> tuple[str, list[str]]:
    """The market's oracle and its reserves' assets, lower case.

    Raises `SourceRefused` where there is no market, or one that does not count in USD.
    """
    if not reader.has_code(provider):
        raise SourceRefused(
            f"no contract at the PoolAddressesProvider {provider} at block {reader.block.number}; check "
            "AAVE_POOL_ADDRESSES_PROVIDER, AAVE_MARKET and ETH_RPC_URL, or read feeds alone with --no-market"
        )
    pool, oracle = reader.read(
        [Call(provider, g, about="the provider") for g in (abis.GET_POOL, abis.GET_PRICE_ORACLE)]
    )
    if NO_CONTRACT in (pool, oracle):
        raise SourceRefused(
            f"the PoolAddressesProvider {provider} has no pool or no oracle at block {reader.block.number}"
        )
    unit = reader.one(Call(oracle, abis.BASE_CURRENCY_UNIT, about="the oracle"))
    if unit != USD:
        raise SourceRefused(f"the oracle {oracle} counts in units of {unit}; only USD with 8 decimals ({USD}) is known")
    assets = reader.one(Call(pool, abis.GET_RESERVES_LIST, about="the pool"))
    return oracle, [asset.lower() for asset in assets]


def read_sources(
    reader: BlockReader, oracle: str, assets: list[str], parameters: Mapping[str, Function]
) -> list[OracleSource]:
    """The source of every reserve, in order. Functions that a source does not have give empty values."""
    symbols = [
        _symbol(raw, asset)
        for raw, asset in zip(reader.read_raw([Call(a, abis.SYMBOL, about=a) for a in assets]), assets, strict=True)
    ]
    subjects = list(zip(assets, symbols, strict=True))
    sources = reader.read(calls_for(subjects, oracle, abis.GET_SOURCE_OF_ASSET))
    prices = reader.read(calls_for(subjects, oracle, abis.GET_ASSET_PRICE), may_fail=True)
    functions = (abis.DESCRIPTION, DECIMALS, LATEST_ANSWER, AGGREGATOR, *parameters.values())
    answers = reader.read(
        [Call(s, f, about=n) for s, n in zip(sources, symbols, strict=True) for f in functions], may_fail=True
    )
    width = len(functions)
    found = []
    for i, (asset, symbol) in enumerate(subjects):
        description, decimals, answer, aggregator, *values = (
            None if isinstance(value, Failure) else value for value in answers[width * i : width * (i + 1)]
        )
        price = prices[i]
        found.append(OracleSource(
            asset=asset, symbol=symbol, source=sources[i], description=abis.text(description) if description else "",
            decimals=decimals, answer=answer, price=None if isinstance(price, Failure) else price,
            aggregator=aggregator or "",
            parameters={name: v for name, v in zip(parameters, values, strict=True) if v is not None},
        ))  # fmt: skip
    return found


def _symbol(raw: bytes | Failure, asset: str) -> str:
    try:
        return (not isinstance(raw, Failure) and abis.token_symbol(raw)) or asset
    except abis.WrongShape:
        return asset
