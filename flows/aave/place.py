"""Find a market: its node, chain and contracts, from the settings and the address book."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import settings
from flows.aave import address_book
from flows.aave.address_book import KnownMarket
from flows.clients.block_reader import MULTICALL3
from flows.clients.json_rpc import quantity
from flows.errors import ConfigurationError

if TYPE_CHECKING:
    from data.store.store import Store
    from flows.clients.json_rpc import JsonRpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A market's chain and contracts. `first_block`: None when it has to be searched; `known`: its line in the book."""

    market: str
    chain_id: int
    provider: str
    first_block: int | None = None
    known: KnownMarket | None = None
    multicall3: str = MULTICALL3


def node_url(market: str) -> str:
    """Address of a node of the market's chain: from RPC_URLS, else ETH_RPC_URL. Raises `ConfigurationError`."""
    listed = {}
    for place, entry in enumerate((settings.get("RPC_URLS") or "").split(), start=1):
        chain, separator, url = entry.partition("=")
        if not separator or not (chain.isascii() and chain.isdecimal()):
            # The entry is not shown: it may hold a key.
            raise ConfigurationError(
                "RPC_URLS: expected entries like 8453=https://host, separated by blanks; entry "
                f"{place} has no chain id before a first ="
            )
        listed[int(chain)] = url
    if listed and not settings.get("AAVE_POOL_ADDRESSES_PROVIDER"):
        known = address_book.by_name(market)
        if known.chain_id in listed:
            return listed[known.chain_id]
    return settings.require("ETH_RPC_URL", "give the JSON-RPC address of a node of the market's chain")


def locate(rpc: JsonRpc, market: str) -> Place:
    """The chain id, PoolAddressesProvider and first block of the configured market.

    AAVE_POOL_ADDRESSES_PROVIDER, where set, replaces the address book; else the node must be on the book's chain.
    Raises `ConfigurationError`.
    """
    override = settings.get("AAVE_POOL_ADDRESSES_PROVIDER")
    known = None if override else address_book.by_name(market)
    chain_id = quantity(rpc.call("eth_chainId"), "eth_chainId")
    if known is None:
        provider = (override or "").lower()
        if not re.fullmatch(r"0x[0-9a-f]{40}", provider):
            raise ConfigurationError(
                f"AAVE_POOL_ADDRESSES_PROVIDER: expected 0x and 40 hex digits, found {override!r:.60}"
            )
        known = address_book.by_provider(chain_id, provider)
    elif known.chain_id != chain_id:
        raise ConfigurationError(
            f"wrong chain: {rpc} is on chain {chain_id}, {market} is on chain {known.chain_id}. Set ETH_RPC_URL to "
            "a node of that chain, AAVE_MARKET to a market of this one, or AAVE_POOL_ADDRESSES_PROVIDER"
        )
    else:
        provider = known.provider
    on_chain = address_book.of_chain(chain_id)
    return Place(
        market=market,
        chain_id=chain_id,
        provider=provider,
        known=known,
        first_block=(known.first_block or None) if known else None,
        multicall3=on_chain.multicall3 if on_chain else MULTICALL3,
    )


def require_one_chain(store: Store, place: Place) -> None:
    """Refuse to store a second chain under the name of the first. Raises `ConfigurationError`."""
    stored = store.rows("SELECT DISTINCT chain_id FROM fact_snapshot WHERE market = ?", (place.market,))
    others = sorted(chain_id for (chain_id,) in stored if chain_id != place.chain_id)
    if others:
        raise ConfigurationError(
            f"market {place.market} is stored for chain {others[0]}, the node is on chain {place.chain_id}: two chains "
            f"under one name would be mixed. Give this market another name in AAVE_MARKET; {store.path} was not changed"
        )
