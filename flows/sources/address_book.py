"""The deployments of Aave v3 that are known by name.

Source: npm `@aave-dao/aave-address-book` 4.68.1 (MIT) for names, chain ids and providers; the first blocks are the
start blocks of the official subgraphs' configuration (aave/protocol-subgraphs, 2026-03-24), safe lower bounds for
a log scan; 0 where none is published. The provider is the only address taken from here: pool, oracle and data
provider change at upgrades and are asked from it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from flows.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class KnownMarket:
    """`first_block`: no event of the market is older."""

    name: str
    chain_id: int
    provider: str
    first_block: int


MARKETS = (
    KnownMarket("AaveV3Ethereum", 1, "0x2f39d218133afab8f2b819b1066c7e434ad94e9e", 16291006),
    KnownMarket("AaveV3EthereumEtherFi", 1, "0xeba440b438ad808101d1c451c1c5322c90befcda", 20625517),
    KnownMarket("AaveV3EthereumHorizon", 1, "0x5d39e06b825c1f2b80bf2756a73e28efaa128ba0", 0),
    KnownMarket("AaveV3EthereumLido", 1, "0xcfbf336fe147d643b9cb705648500e101504b16d", 20262370),
    KnownMarket("AaveV3Optimism", 10, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb", 4364782),
    KnownMarket("AaveV3BNB", 56, "0xff75b6da14ffbbfd355daf7a2731456b3562ba6d", 33571624),
    KnownMarket("AaveV3Gnosis", 100, "0x36616cf17557639614c1cddb356b1b83fc0b2132", 30293054),
    KnownMarket("AaveV3Polygon", 137, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb", 25824300),
    KnownMarket("AaveV3Monad", 143, "0x34793fb9935f7bb5e5ae920fb963f39063e7a615", 0),
    KnownMarket("AaveV3Sonic", 146, "0x5c2e738f6e27bce0f7558051bf90605dd6176900", 7986569),
    KnownMarket("AaveV3XLayer", 196, "0xdff435bccf782f11187d3a4454d96702ed78e092", 0),
    KnownMarket("AaveV3ZkSync", 324, "0x2a3948bb219d6b2fa83d64100006391a96be6cb7", 43708946),
    KnownMarket("AaveV3Metis", 1088, "0xb9fabd7500b2c6781c35dd48d54f81fc2299d7af", 5445183),
    KnownMarket("AaveV3Soneium", 1868, "0x82405d1a189bd6ce4667809c35b37fbe136a4c5b", 7004628),
    KnownMarket("AaveV3MegaEth", 4326, "0x46dcd5f4600319b02649fd76b55aa6c1035ca478", 6657947),
    KnownMarket("AaveV3Mantle", 5000, "0xba50cd2a20f6da35d788639e581bca8d0b5d4d5f", 0),
    KnownMarket("AaveV3Base", 8453, "0xe20fcbdbffc4dd138ce8b2e6fbb6cb49777ad64d", 2357105),
    KnownMarket("AaveV3Plasma", 9745, "0x061d8e131f26512348ee5fa42e2df1ba9d6505e9", 0),
    KnownMarket("AaveV3Arbitrum", 42161, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb", 7736400),
    KnownMarket("AaveV3Celo", 42220, "0x9f7cf9417d5251c59fe94fb9147feee1aad9cea5", 30390065),
    KnownMarket("AaveV3Fuji", 43113, "0x07d04efaaa0ac69d19d107795af247c42eb50f1c", 0),
    KnownMarket("AaveV3Avalanche", 43114, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb", 11970000),
    KnownMarket("AaveV3InkWhitelabel", 57073, "0x4172e6aaec070acb31aace343a58c93e4c70f44d", 19954027),
    KnownMarket("AaveV3Linea", 59144, "0x89502c3731f69ddc95b65753708a07f8cd0373f4", 12430823),
    KnownMarket("AaveV3BaseSepolia", 84532, "0xe4c23309117aa30342bfaae6c95c6478e0a4ad00", 0),
    KnownMarket("AaveV3BaseSepoliaLido", 84532, "0x6f7e694fe5250ce638ffe95524760422e6e41997", 0),
    KnownMarket("AaveV3ArbitrumSepolia", 421614, "0xb25a5d144626a0d488e52ae717a051a2e9997076", 0),
    KnownMarket("AaveV3Scroll", 534352, "0x69850d0b276776781c063771b161bd8894bcdd04", 2618760),
    KnownMarket("AaveV3InkSepolia", 763373, "0xff75b6da14ffbbfd355daf7a2731456b3562ba6d", 0),
    KnownMarket("AaveV3Sepolia", 11155111, "0x012bac54348c0e635dcac9d5fb99f06f24136c9a", 0),
    KnownMarket("AaveV3OptimismSepolia", 11155420, "0x36616cf17557639614c1cddb356b1b83fc0b2132", 0),
)


def by_name(name: str) -> KnownMarket:
    """The market called `name`. Raises `ConfigurationError` with near names."""
    for market in MARKETS:
        if market.name == name:
            return market
    near = difflib.get_close_matches(name, [market.name for market in MARKETS], n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise ConfigurationError(
        f"AAVE_MARKET: {name!r} is not in the address book, for instance AaveV3Ethereum or AaveV3Base.{hint} "
        "For another deployment set AAVE_POOL_ADDRESSES_PROVIDER"
    )


def by_provider(chain_id: int, provider: str) -> KnownMarket | None:
    """The market of a PoolAddressesProvider on a chain, or None when the book does not have it."""
    found = (m for m in MARKETS if m.chain_id == chain_id and m.provider == provider.lower())
    return next(found, None)
