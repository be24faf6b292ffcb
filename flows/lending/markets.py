"""From a market's name to the contracts whose logs hold its lending events, read from the chain where they change.

The pool of Aave v3 comes from its PoolAddressesProvider, the markets of Compound v2 from its Comptroller, a Comet's
base token from itself. The pools of v2 are those of the address book.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from flows import settings
from flows.aave import address_book
from flows.clients import abis
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.errors import ConfigurationError, SourceRefused
from flows.lending import compound_book
from flows.lending.events import LendingMarket
from flows.lending.logs import PROTOCOLS

GET_ALL_MARKETS = Function("getAllMarkets()", ("address[]",))
UNDERLYING = Function("underlying()", ("address",))
BASE_TOKEN = Function("baseToken()", ("address",))
BASE_FEED = Function("baseTokenPriceFeed()", ("address",))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEntry:
    """A market before its contracts are read: `entry` is the provider (v2: the pool), the Comptroller or the Comet.

    `chain_id` None: not known beforehand. `first_block` None: to be searched. `base`: base token a Comet must have.
    `coin_market`: the Compound v2 market without a token.
    """

    name: str
    protocol: str
    entry: str
    chain_id: int | None = None
    first_block: int | None = None
    base: str | None = None
    coin_market: str = ""


def known() -> dict[str, MarketEntry]:
    """Every market that is known by name."""
    found = [
        *(MarketEntry(name=m.name, protocol=m.protocol, entry=m.pool or m.provider, chain_id=m.chain_id,
                 first_block=m.first_block or None) for m in address_book.markets()),
        *(MarketEntry(name=c.name, protocol="compound_v2", entry=c.comptroller, chain_id=c.chain_id,
                 coin_market=c.coin_market) for c in compound_book.COMPTROLLERS),
        *(MarketEntry(name=c.name, protocol="compound_v3", entry=c.comet, chain_id=c.chain_id, base=c.base)
          for c in compound_book.COMETS),
    ]  # fmt: skip
    return {source.name: source for source in found}


def named(name: str) -> MarketEntry:
    """The market called `name`, or a deployment written as `protocol:0xaddress` (its `entry`).

    Raises `ConfigurationError` with near names.
    """
    protocol, colon, entry = name.partition(":")
    if colon and protocol in PROTOCOLS and re.fullmatch(r"0x[0-9a-fA-F]{40}", entry):
        return MarketEntry(name=f"{protocol}:{entry.lower()}", protocol=protocol, entry=entry.lower())
    markets = known()
    if name in markets:
        return markets[name]
    near = difflib.get_close_matches(name, markets, n=3)
    raise ConfigurationError(
        f"no market is called {name!r}" + (f" (did you mean {', '.join(near)}?)" if near else "") + "; expected a name "
        f"such as AaveV3Ethereum, or PROTOCOL:0xADDRESS with one of {', '.join(PROTOCOLS)}"
    )


def configured(name: str) -> MarketEntry:
    """The market of `AAVE_MARKET` (its `name`) and `AAVE_POOL_ADDRESSES_PROVIDER`, which wins over the book."""
    override = (settings.get("AAVE_POOL_ADDRESSES_PROVIDER") or "").lower()
    if not override:
        return named(name)
    if not re.fullmatch(r"0x[0-9a-f]{40}", override):
        raise ConfigurationError(f"AAVE_POOL_ADDRESSES_PROVIDER: expected 0x and 40 hex digits, found {override!r:.60}")
    return MarketEntry(name=name, protocol="aave_v3", entry=override)


def on_chain(chain_id: int) -> list[MarketEntry]:
    """Every known market of a chain."""
    return [source for source in known().values() if source.chain_id == chain_id]


def resolve(reader: BlockReader, source: MarketEntry, chain_id: int) -> LendingMarket:
    """Read the contracts from the chain. Raises `ConfigurationError` (another chain), `SourceRefused` (no contract)."""
    if source.chain_id not in (None, chain_id):
        raise ConfigurationError(
            f"wrong chain: {reader.rpc} is on chain {chain_id}, {source.name} is on chain {source.chain_id}. Set "
            "ETH_RPC_URL to a node of that chain, or name a market of this one (--markets)"
        )
    if not reader.has_code(source.entry):
        raise SourceRefused(
            f"{source.name}: no contract at {source.entry} on chain {chain_id} at block "
            f"{reader.block.number}; check the name and ETH_RPC_URL"
        )
    contracts = {
        "aave_v3": lambda: {reader.one(Call(source.entry, abis.GET_POOL, about=source.name)): ""},
        "aave_v2": lambda: {source.entry: ""},
        "compound_v2": lambda: _ctokens(reader, source),
        "compound_v3": lambda: {source.entry: _base(reader, source)},
    }[source.protocol]()
    usd = source.protocol != "compound_v3" or _states_usd(reader, source)
    return LendingMarket(name=source.name, protocol=source.protocol, chain_id=chain_id, contracts=contracts, usd=usd)


def _states_usd(reader: BlockReader, source: MarketEntry) -> bool:
    """Whether a Comet states values in dollars, by the description of its base token's feed.

    False where the feed does not show it; values then stay unknown until they are priced.
    """
    [feed] = reader.read([Call(source.entry, BASE_FEED, about=source.name)], may_fail=True)
    if isinstance(feed, Failure):
        return False
    [description] = reader.read([Call(feed, abis.DESCRIPTION, about=f"base feed of {source.name}")], may_fail=True)
    return not isinstance(description, Failure) and compound_book.says_dollars(abis.text(description))


def _ctokens(reader: BlockReader, source: MarketEntry) -> dict[str, str]:
    listed = [a.lower() for a in reader.one(Call(source.entry, GET_ALL_MARKETS, about=source.name))]
    calls = [Call(ctoken, UNDERLYING, about=f"cToken {ctoken}") for ctoken in listed]
    answers = reader.read(calls, may_fail=True)
    found = {}
    for ctoken, asset in zip(listed, answers, strict=True):
        if isinstance(asset, Failure) and source.coin_market not in ("", ctoken):
            raise SourceRefused(f"{source.name}: cToken {ctoken} does not name its underlying token ({asset.reason})")
        # The one market without underlying() is that of the chain's own coin.
        found[ctoken] = compound_book.CHAIN_OWN_COIN if isinstance(asset, Failure) else asset
    return found


def _base(reader: BlockReader, source: MarketEntry) -> str:
    base = reader.one(Call(source.entry, BASE_TOKEN, about=source.name))
    if source.base not in (None, base):
        raise ConfigurationError(
            f"{source.name}: the Comet {source.entry} has base token {base}, expected "
            f"{source.base}; is ETH_RPC_URL a node of the right chain?"
        )
    return base
