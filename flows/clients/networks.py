"""Names of networks and their chain ids.

Source: DefiLlama/chainlist `constants/extraRpcs.js` (2026-08-22) for the chains that carry an Aave market, and npm
`@aave-dao/aave-address-book` 4.68.1 (MIT) for the test networks.
"""

from __future__ import annotations

import difflib

from flows.errors import ConfigurationError

CHAIN_IDS = {
    "mainnet": 1, "optimism": 10, "bnb": 56, "gnosis": 100, "polygon": 137, "monad": 143, "sonic": 146, "xlayer": 196,
    "zksync": 324, "metis": 1088, "soneium": 1868, "megaeth": 4326, "mantle": 5000, "base": 8453, "plasma": 9745,
    "arbitrum": 42161, "celo": 42220, "fuji": 43113, "avalanche": 43114, "ink": 57073, "linea": 59144,
    "base-sepolia": 84532, "arbitrum-sepolia": 421614, "scroll": 534352, "ink-sepolia": 763373, "sepolia": 11155111,
    "optimism-sepolia": 11155420,
}  # fmt: skip

TEST_NETWORKS = frozenset(
    {CHAIN_IDS[name] for name in CHAIN_IDS if name == "fuji" or name.endswith("sepolia")} | {1337, 31337}
)
"""Chains whose coins are worth nothing; local nodes call theirs 1337 or 31337. All others count as main networks."""


def name_of(chain: int) -> str:
    """A chain by its number, and its name where it has one: `chain 8453 (base)`."""
    name = next((name for name, known in CHAIN_IDS.items() if known == chain), "")
    return f"chain {chain} ({name})" if name else f"chain {chain}"


def chain_id(network: str) -> int:
    """Chain id of a network by its name, or by the number itself (a local chain: `31337`).

    Raises `ConfigurationError` with near names.
    """
    name = network.strip().lower()
    if name.isascii() and name.isdigit():
        return int(name)
    name = {"ethereum": "mainnet"}.get(name, name)
    if name in CHAIN_IDS:
        return CHAIN_IDS[name]
    near = difflib.get_close_matches(name, CHAIN_IDS, n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise ConfigurationError(
        f"--network: {network!r} is not known.{hint} Known: {', '.join(CHAIN_IDS)}; or give the chain id as a number"
    )
