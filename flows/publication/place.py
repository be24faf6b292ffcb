"""The place of publication: the node, its chain, the sender, and the cost limits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flows import settings
from flows.clients.json_rpc import JsonRpc, quantity
from flows.clients.networks import TEST_NETWORKS, name_of
from flows.clients.signer import Signer
from flows.clients.transactions import GWEI, Patience, Sender
from flows.errors import ConfigurationError
from flows.publication.errors import NotPublished
from flows.publication.figure import Published
from flows.publication.options import PublishMetricOptions

KEY = "PUBLISHER_KEY"
NODE = "PUBLISHER_RPC_URL"
FEED = "PUBLISHER_CONTRACT"


@dataclass(frozen=True, slots=True)
class Chain:
    """The node, its chain, and the sender where a key is set."""

    rpc: JsonRpc
    id: int
    sender: Sender | None

    @property
    def name(self) -> str:
        """The chain in words."""
        return name_of(self.id)


def chain_of(asked: PublishMetricOptions) -> Chain:
    """The chain of the settings. Raises `ConfigurationError` for another chain than --chain-id, or a malformed key."""
    url, variable = settings.get("PUBLISHER_RPC_URL"), NODE
    if url is None:
        url, variable = settings.get("ETH_RPC_URL"), "ETH_RPC_URL"
    if url is None:
        raise ConfigurationError(
            f"neither {NODE} nor ETH_RPC_URL is set; give a node of the chain that is published on"
        )
    signer = signer_of_settings()
    if signer is None and asked.send:
        raise ConfigurationError(f"{KEY} is not set (nor {KEY}_FILE); give the private key of the sender")
    rpc = JsonRpc(url, attempts=asked.attempts, variable=variable)
    chain_id = quantity(rpc.call("eth_chainId"), "eth_chainId")
    if asked.chain_id is not None and asked.chain_id != chain_id:
        raise ConfigurationError(
            f"wrong chain: --chain-id says {asked.chain_id}, {rpc} is on {name_of(chain_id)}; change {variable} or the "
            "option. Nothing was sent"
        )
    return Chain(rpc, chain_id, Sender(rpc, signer, chain_id) if signer else None)


def signer_of_settings() -> Signer | None:
    """The signer of the key in the settings, or None. Raises `ConfigurationError` for a malformed key."""
    key = settings.get("PUBLISHER_KEY")
    return Signer(key, KEY) if key else None


def require_allowed(asked: PublishMetricOptions, of: Published, chain: Chain) -> None:
    """Raise `NotPublished` for a sample's figure on a main network, `ConfigurationError` without --main-network."""
    if chain.id in TEST_NETWORKS:
        return
    if of.synthetic:
        raise NotPublished(
            f"{of.market} is a sample, whose accounts are made up: it is not published on {chain.name}, which is no "
            "test network. Nothing was sent"
        )
    if asked.send and not asked.main_network:
        raise ConfigurationError(
            f"{chain.name} is no test network, and transactions on it cost money; give --main-network as well if that "
            "is meant. Nothing was sent"
        )


def patience_of(asked: PublishMetricOptions) -> Patience:
    """How long to wait, and the highest fee."""
    return Patience(
        confirmations=asked.confirmations,
        timeout=asked.timeout,
        raise_after=asked.raise_after,
        max_fee=round(asked.max_fee_gwei * GWEI),
    )


def cost(asked: PublishMetricOptions, chain: Chain, to: str | None, data: str) -> str:
    """The end of a dry run's line: the cost, and the option that sends it. Raises as `Sender.prepared`."""
    do = f"Nothing was sent; --send --chain-id {chain.id} does it"
    do += "" if chain.id in TEST_NETWORKS else ", with --main-network"
    if chain.sender is None:
        return f". {KEY} is not set, so sender and cost were not checked. {do}"
    made = chain.sender.prepared(to, data, chain.sender.nonces()[1], patience_of(asked).max_fee).unsigned
    return (
        f", by {chain.sender.address}: at most {made.gas:,} gas and {made.most_wei / 1e18:.6g} of its "
        f"{chain.sender.balance() / 1e18:.6g} coins. {do}"
    )


def address_of(text: str | None, where: str) -> str | None:
    """An address in lower case. Raises `ConfigurationError`, which names `where` (an option or a setting)."""
    if text is None:
        return None
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ConfigurationError(f"{where}: expected 0x and 40 hexadecimal digits, found {text!r:.60}")
    return text.lower()
