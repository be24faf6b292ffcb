"""The deployments of Compound that are known by name, with their addresses.

Sources: compound-finance/compound-config, networks/mainnet.json @0ce7ecb9 (v2) and compound-finance/comet,
deployments/*/*/roots.json and configuration.json @d5a30b0a, 2026-05-29 (v3). Only addresses are taken from there:
collateral factors, caps and the list of v2 markets change, so they are read from the contracts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CHAIN_OWN_COIN = "0x" + "00" * 20
"""Address used for the chain's own coin, which has no token: the underlying of cETH."""


@dataclass(frozen=True, slots=True)
class KnownComet:
    """One Comet. `chain_id` None: not published with the addresses; `base` (its base token) then identifies it."""

    name: str
    chain_id: int | None
    comet: str
    base: str | None


@dataclass(frozen=True, slots=True)
class KnownComptroller:
    """One deployment of Compound v2; its markets are what `getAllMarkets` answers. `coin_market` has no token."""

    name: str
    chain_id: int
    comptroller: str
    coin_market: str


IN_DOLLARS = re.compile(r"(^|[^A-Za-z0-9])USD\s*$")
"""End of the description of a feed in dollars; PYUSD or LUSD at the end is another currency."""


def says_dollars(description: str) -> bool:
    """Whether a price feed describes itself as one in US dollars, as in "USDC / USD"."""
    return IN_DOLLARS.search(description) is not None


COMPTROLLERS = (
    KnownComptroller(
        "CompoundV2Ethereum",
        1,
        "0x3d9819210a31b4961b30ef54be2aed79b9c9cd3b",
        "0x4ddc2d193948926d02f9b1fe9e1daa0718270ed5",
    ),
)

_COMETS = """
CompoundV3EthereumUSDC 1 0xc3d688b66703497daa19211eedff47f25384cdc3 0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48
CompoundV3EthereumUSDS 1 0x5d409e56d886231adaf00c8775665ad0f9897b56 0xdc035d45d973e3ec169d2276ddab16f1e407384f
CompoundV3EthereumUSDT 1 0x3afdc9bca9213a35503b077a6072f3d0d5ab0840 0xdac17f958d2ee523a2206206994597c13d831ec7
CompoundV3EthereumWBTC 1 0xe85dc543813b8c2cfeaac371517b925a166a9293 0x2260fac5e5542a773aa44fbcfedf7c193bc2c599
CompoundV3EthereumWETH 1 0xa17581a9e3356d9a858b789d68b4d866e593ae94 0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2
CompoundV3EthereumwstETH 1 0x3d0bb1ccab520a66e607822fc55bc921738fafe3 0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0
CompoundV3OptimismUSDC 10 0x2e44e174f7d53f0212823acc11c01a11d58c5bcb 0x0b2c639c533813f4aa9d7837caf62653d097ff85
CompoundV3OptimismUSDT 10 0x995e394b8b2437ac8ce61ee0bc610d617962b214 0x94b008aa00579c1307b0ef2c499ad98a8ce58e58
CompoundV3OptimismWETH 10 0xe36a30d249f7761327fd973001a32010b521b6fd 0x4200000000000000000000000000000000000006
CompoundV3PolygonUSDC 137 0xf25212e676d1f7f89cd72ffee66158f541246445 0x2791bca1f2de4661ed88a30c99a7a9449aa84174
CompoundV3PolygonUSDT 137 0xaeb318360f27748acb200ce616e389a6c9409a07 0xc2132d05d31c914a87c6611c10748aeb04b58e8f
CompoundV3MantleUSDe 5000 0x606174f62cd968d8e684c645080fa694c1d7786e 0x5d3a1ff2b6bab83b63cd9ad0787074081a52ef34
CompoundV3BaseAERO 8453 0x784efeb622244d2348d4f2522f8860b96fbece89 0x940181a94a35a4569e4529a3cdfb74e38fd98631
CompoundV3BaseUSDbC 8453 0x9c4ec768c28520b50860ea7a15bd7213a9ff58bf 0xd9aaec86b65d86f6a7b5b1b0c42ffa531710b6ca
CompoundV3BaseUSDC 8453 0xb125e6687d4313864e53df431d5425969c15eb2f 0x833589fcd6edb6e08f4c7c32d4f71b54bda02913
CompoundV3BaseUSDS 8453 0x2c776041ccfe903071af44aa147368a9c8eea518 0x820c137fa70c8691f0e44dc420a5e53c168921dc
CompoundV3BaseWETH 8453 0x46e6b214b524310239732d51387075e0e70970bf 0x4200000000000000000000000000000000000006
CompoundV3ArbitrumUSDCe 42161 0xa5edbdd9646f8dff606d7448e414884c7d905dca 0xff970a61a04b1ca14834a43f5de4533ebddb5cc8
CompoundV3ArbitrumUSDC 42161 0x9c4ec768c28520b50860ea7a15bd7213a9ff58bf 0xaf88d065e77c8cc2239327c5edb3a432268e5831
CompoundV3ArbitrumUSDT 42161 0xd98be00b5d27fc98112bde293e487f8d4ca57d07 0xfd086bc7cd5c481dcc9c85ebe478a1c0b69fcbb9
CompoundV3ArbitrumWETH 42161 0x6f7d514bbd4aff3bcd1140b7344b32f063dee486 0x82af49447d8a07e3bd95bd0d56f35241523fbab1
CompoundV3FujiUSDC 43113 0x59bf4753899c20ea152deefc6f6a14b2a5cc3021 -
CompoundV3LineaUSDC 59144 0x8d38a3d6b3c3b7d96d6536da7eef94a9d7dbc991 0x176211869ca2b568f2a7d4ee941e073a821ee1ff
CompoundV3LineaWETH 59144 0x60f2058379716a64a7a5d29219397e79bc552194 0xe5d7c2a44ffddf6b295a15c148167daaaf5cf34f
CompoundV3ScrollUSDC 534352 0xb2f97c1bd3bf02f5e74d13f02e3e26f93d77ce44 0x06efdbff2a14a7c8e15944d1f4a48f9f95f663a4
CompoundV3SepoliaUSDC 11155111 0xaec1f48e02cfb822be958b68c7957156eb3f0b6e 0x1c7d4b196cb0c7b01d743fbc6116a902379c7238
CompoundV3SepoliaWETH 11155111 0x2943ac1216979ad8db76d9147f64e61adc126e96 0x2d5ee574e710219a521449679a4a7f2b43f046ad
CompoundV3RoninWETH - 0x4006ed4097ee51c09a04c3b0951d28ccf19e6dfe 0xc99a6a985ed2cac1ef41640596c5a5f9f4e19ef5
CompoundV3RoninWRON - 0xc0afdbd1ceb621ef576ba969ce9d4cef78dbc0c0 0xe514d9deb7966c8be0ca922de8a064264ea6bcd4
CompoundV3UnichainUSDC - 0x2c7118c4c88b9841fcf839074c26ae8f035f2921 0x078d782b760474a361dda0af3839290b0ef57ad6
CompoundV3UnichainWETH - 0x6c987dde50db1dcdd32cd4175778c2a291978e2a 0x4200000000000000000000000000000000000006
"""
"""Name, chain id, Comet, base token; "-" where the source does not say."""

COMETS = tuple(
    KnownComet(name, None if chain == "-" else int(chain), at, None if base == "-" else base)
    for name, chain, at, base in (line.split() for line in _COMETS.strip().splitlines())
)


def comptroller(name: str) -> KnownComptroller | None:
    """The Compound v2 deployment called `name`."""
    return next((known for known in COMPTROLLERS if known.name == name), None)


def comet(name: str) -> KnownComet | None:
    """The Comet called `name`."""
    return next((known for known in COMETS if known.name == name), None)
