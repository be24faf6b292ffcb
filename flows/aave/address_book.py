"""The deployments of Aave that are known by name, from `aave_markets.csv` (its head says where each column is from).

Of a v3 market only the provider's address is taken from the book: pool, oracle and data provider change at upgrades,
so the provider is asked for them. The configurator's address (a proxy, which stays) is there for what is checked
without a node. The interface of v2's provider is not known here, so its pool and oracle come from the book.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from flows.errors import ConfigurationError

V2, V3 = "aave_v2", "aave_v3"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMarket:
    """One deployment; addresses in lower case.

    `first_block`: no event of the market is older; 0 where that is not known. `pool`, `oracle`: for v2 markets only,
    else empty; `configurator`: for v3 markets only. `own_implementation`: the pool's code differs from the common
    release of its revision.
    """

    name: str
    protocol: str
    chain_id: int
    provider: str
    pool: str
    oracle: str
    first_block: int
    multicall3: str
    own_implementation: bool
    configurator: str = ""


@cache
def markets() -> tuple[KnownMarket, ...]:
    """Every market of the book: v3 by chain id and name, then v2."""
    text = (resources.files("flows.aave") / "aave_markets.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        KnownMarket(
            name=row["name"],
            protocol=row["protocol"],
            chain_id=int(row["chain_id"]),
            provider=row["provider"],
            pool=row["pool"],
            oracle=row["oracle"],
            first_block=int(row["first_block"] or 0),
            multicall3=row["multicall3"],
            own_implementation=row["implementation"] == "own",
            configurator=row["configurator"],
        )
        for row in rows
    )


def by_name(name: str) -> KnownMarket:
    """The market called `name`. Raises `ConfigurationError`, which suggests similar names."""
    for market in markets():
        if market.name == name:
            return market
    near = difflib.get_close_matches(name, [market.name for market in markets()], n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise ConfigurationError(
        f"AAVE_MARKET: {name!r} is not in the address book, for instance AaveV3Ethereum or AaveV3Base.{hint} "
        "For another deployment set AAVE_POOL_ADDRESSES_PROVIDER"
    )


def by_provider(chain_id: int, provider: str) -> KnownMarket | None:
    """The market of a PoolAddressesProvider on a chain, or None when the book does not have it."""
    found = (m for m in markets() if m.chain_id == chain_id and m.provider == provider.lower())
    return next(found, None)


def of_chain(chain_id: int) -> KnownMarket | None:
    """Any market of a chain, or None; used for what is the same on the whole chain (its Multicall3)."""
    return next((market for market in markets() if market.chain_id == chain_id), None)
