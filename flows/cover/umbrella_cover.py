"""Flow `umbrella-cover`: what covers the deficits of an Aave v3 market at one block, from Umbrella on a node.

Of each reserve: the deficit that the treasury covers itself (offset), what stakes were taken for already (pending), and
the stake that is taken for what is above, with its price and fee. (aave-umbrella, `Umbrella.sol`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from data.settings import aave_market
from data.snapshot.loading import load_market
from data.store.store import Store
from flows import settings
from flows.aave.place import locate, node_url
from flows.clients.abis import GET_POOL, Function
from flows.clients.block_reader import BlockReader, Call, get_block
from flows.clients.json_rpc import JsonRpc
from flows.cover.options import UmbrellaCoverOptions
from flows.errors import ConfigurationError, CrossCheckFailed, MalformedAnswer, SourceRefused, WrongOption
from flows.pipeline import recorded
from risk_core.units import BPS

if TYPE_CHECKING:
    from flows.clients.block_reader import Block
    from risk_core import Market

SOURCE = "umbrella"
KNOWN = {"AaveV3Ethereum": "0xd400fc38ed4732893174325693a63c30ee3881a8"}
"""Umbrella of the markets that have one (bgd-labs/aave-address-book)."""
OFFSET = Function("getDeficitOffset(address)", ("uint256",))
PENDING = Function("getPendingDeficit(address)", ("uint256",))
CONFIGS = Function("getReserveSlashingConfigs(address)", ("(address,address,uint256)[]",))
POOL = Function("POOL()", ("address",))
SLASHABLE = Function("getMaxSlashableAssets()", ("uint256",))
STAKE_DECIMALS = Function("decimals()", ("uint8",))
ANSWER = Function("latestAnswer()", ("int256",))


class Covered(NamedTuple):
    """Cover of one reserve, raw; `stake` None where not exactly one stake covers it."""

    asset: str
    offset: int
    pending: int
    stake: str | None
    slashable: int | None
    price: int | None
    fee: int | None


def run(arguments: UmbrellaCoverOptions) -> str:
    """Read and store; returns one line.

    Raises `ConfigurationError`, `SourceUnavailable`, `SourceRefused`, `MalformedAnswer`, `CrossCheckFailed` (the chain
    replaced the block meanwhile); `data.errors.NoSnapshot` where the market is not stored.
    """
    name = arguments.market or aave_market()
    umbrella = _address(name, arguments.umbrella)
    market = load_market(market=name)
    if market.snapshot.synthetic:
        raise WrongOption(f"--market: {name} is synthetic, no contract covers it")
    url = node_url(name)
    rpc = JsonRpc(url, attempts=arguments.attempts)
    place = locate(rpc, name)
    asked = {"market": name, "block": arguments.block, "umbrella": umbrella, "node": settings.redacted(url)}
    with Store.open() as store, recorded(store, "umbrella-cover", asked) as run:
        block = get_block(rpc, arguments.block)
        reader = BlockReader(rpc, block, multicall=place.multicall3)
        found = read(reader, umbrella, place.provider, market)
        if (now := get_block(rpc, block.number)).hash != block.hash:
            raise CrossCheckFailed(
                f"block {block.number} was replaced while it was read (hash {block.hash}, now {now.hash}). Nothing was "
                "written; run again, or read --block finalized"
            )
        table = rows(name, place.chain_id, block, umbrella, market, found)
        run.write(SOURCE, f"{name}:{block.number}", {"dim_deficit_cover": table})
    staked = [market.reserves.symbol[market.reserves.asset.index(one.asset)] for one in found if one.stake]
    return (
        f"{name}: cover of {len(found)} reserves at block {block.number:,}; a stake covers "
        f"{', '.join(staked) or 'none of them'}"
    )


def _address(market: str, given: str | None) -> str:
    if given is None:
        if market not in KNOWN:
            raise ConfigurationError(f"--umbrella: no Umbrella of {market} is known; give its address")
        return KNOWN[market]
    lower = given.lower()
    if len(lower) != 42 or not lower.startswith("0x") or set(lower[2:]) - set("0123456789abcdef"):
        raise WrongOption(f"--umbrella: expected 0x and 40 hexadecimal digits, found {given!r:.60}")
    return lower


def read(reader: BlockReader, umbrella: str, provider: str, market: Market) -> list[Covered]:
    """The cover of every reserve that has an offset, a pending deficit or a stake; of all where none has.

    Raises `SourceRefused` where there is no Umbrella, or one of another pool, and for a stake whose decimals are not
    the reserve's; `MalformedAnswer` for an answer that cannot be.
    """
    if not reader.has_code(umbrella):
        raise SourceRefused(f"no contract at Umbrella's address {umbrella} at block {reader.block.number}")
    of, pool = reader.read([Call(umbrella, POOL, about="Umbrella"), Call(provider, GET_POOL, about="the provider")])
    if of != pool:
        raise SourceRefused(f"Umbrella {umbrella} covers the pool {of}; {market.snapshot.market} has {pool}")
    reserves = market.reserves
    named = list(zip(reserves.asset, reserves.symbol, strict=True))
    calls = [Call(umbrella, function, (asset,), about=symbol)
             for asset, symbol in named for function in (OFFSET, PENDING, CONFIGS)]  # fmt: skip
    answers = iter(reader.read(calls))
    told = [(asset, symbol, next(answers), next(answers), next(answers)) for asset, symbol in named]
    one = {asset: configs[0] for asset, _, _, _, configs in told if len(configs) == 1}
    stakes = _stakes(reader, dict(named), one)
    out = []
    for asset, symbol, offset, pending, _ in told:
        stake = stakes.get(asset)
        if stake is None:
            out.append(Covered(asset, offset, pending, None, None, None, None))
            continue
        address, _, fee = one[asset]
        slashable, digits, price = stake
        wanted = int(reserves.decimals[reserves.asset.index(asset)])
        if digits != wanted:
            raise SourceRefused(f"the stake {address} of {symbol} has {digits} decimals, the reserve {wanted}")
        if price <= 0 or not 0 <= fee <= BPS:
            raise MalformedAnswer(f"{symbol}: expected a price above 0 and a fee up to {BPS} bp, found {price}, {fee}")
        out.append(Covered(asset, offset, pending, address.lower(), slashable, price, fee))
    some = [row for row in out if row.offset or row.pending or row.stake]
    return some or out


def _stakes(reader: BlockReader, symbols: dict[str, str], one: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Asset to (most that can be taken, decimals, price) of its stake."""
    calls = [
        call
        for asset, (stake, oracle, _) in one.items()
        for call in (
            Call(stake.lower(), SLASHABLE, about=f"the stake of {symbols[asset]}"),
            Call(stake.lower(), STAKE_DECIMALS, about=f"the stake of {symbols[asset]}"),
            Call(oracle.lower(), ANSWER, about=f"the stake's oracle of {symbols[asset]}"),
        )
    ]
    answers: Sequence[Any] = reader.read(calls) if calls else []
    return {asset: tuple(answers[3 * i : 3 * i + 3]) for i, asset in enumerate(one)}  # type: ignore[misc]


def rows(
    market_name: str, chain_id: int, block: Block, umbrella: str, market: Market, found: Sequence[Covered]
) -> pd.DataFrame:
    """Rows of `dim_deficit_cover`."""
    reserves = market.reserves
    place = {asset: r for r, asset in enumerate(reserves.asset)}
    return pd.DataFrame([
        {
            "market": market_name, "asset": one.asset, "symbol": reserves.symbol[place[one.asset]],
            "decimals": int(reserves.decimals[place[one.asset]]), "chain_id": chain_id, "block": block.number,
            "block_time": block.time, "umbrella": umbrella, "offset_raw": str(one.offset),
            "pending_raw": str(one.pending), "stake": one.stake,
            "stake_raw": None if one.slashable is None else str(one.slashable),
            "stake_price_raw": None if one.price is None else str(one.price), "fee_bps": one.fee,
            "source": "node", "is_synthetic": 0,
        }
        for one in found
    ])  # fmt: skip
