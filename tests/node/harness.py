"""One door for tests and benchmarks: `with running_market(users=60) as market:`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.node import toolchain
from tests.node.artifacts import contract
from tests.node.chain import Chain, Reverted, anvil
from tests.node.configuration import STANDARD, Configuration, varied
from tests.node.deployment import POOL, Deployment, deploy
from tests.node.population import EVERYTHING, LIQUIDATOR, User, account_data, live, populate

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"


@dataclass(frozen=True, kw_only=True)
class NodeMarket:
    """A populated market on a running node. `pool`, `provider` and `url` are what a flow needs to know."""

    chain: Chain
    configuration: Configuration
    deployment: Deployment
    users: list[User]
    happened: Counter[str]

    @property
    def url(self) -> str:
        return self.chain.url

    @property
    def provider(self) -> str:
        return self.deployment.provider

    @property
    def pool(self) -> str:
        return self.deployment.pool

    def ask_pool(self, function: str, *args: object) -> object:
        return self.chain.call(self.pool, POOL, function, *args)

    def account_data(self, accounts: list[str]) -> list[tuple[int, ...]]:
        """(collateral, debt, available, average threshold, average LTV, health factor) of each, at the last block."""
        return account_data(self.chain, self.deployment, accounts)

    def balance(self, token: str, account: str) -> int:
        return self.chain.call(token, "ATokenInstance", "balanceOf", account)

    def set_price(self, symbol: str, price: int) -> None:
        """Move a feed (8 decimals) without a block: the next call sees it."""
        self.chain.rpc("anvil_setStorageAt", self.deployment.feed[symbol], "0x" + "00" * 32, f"{price:#066x}")

    def put_multicall(self) -> None:
        """Our implementation of `aggregate3` at the usual address of Multicall3."""
        self.chain.rpc("anvil_setCode", MULTICALL3, "0x" + contract("Batch").runtime)

    def liquidate(
        self, account: str, collateral: str, debt: str, cover: int = EVERYTHING, receive_atoken: bool = False
    ) -> list[tuple[str, dict[str, object]]]:
        """A real `liquidationCall` in a block at the time of the last one; returns the events of the pool and tokens.

        `collateral` and `debt` are symbols, `cover` token units. Raises `Reverted` with the contract's error name.
        """
        asset, pool = self.deployment.asset, contract(POOL)
        data = pool.encode("liquidationCall", asset[collateral], asset[debt], account, cover, receive_atoken)
        self.chain.send(LIQUIDATOR, self.pool, data, gas=10_000_000)
        receipt = self.chain.mine(0, must_succeed=False)[0]
        if receipt["status"] != "0x1":
            raise Reverted(self.chain.reason(receipt))
        names = (POOL, "LiquidationLogic")
        found = [next((e for n in names if (e := contract(n).event(log))), None) for log in receipt["logs"]]
        return [event for event in found if event]


@contextmanager
def running_market(
    users: int = 60,
    seed: str = "1",
    vary: bool = False,
    port: int | None = None,
    multicall: bool = False,
    chain_id: int = 31337,
) -> Iterator[NodeMarket]:
    """Start a node, deploy the real contracts, populate them; the node ends with the block of code.

    `vary` draws other prices and risk parameters from the seed. Raises `ToolchainMissing` with the reason when this
    machine cannot run them.
    """
    toolchain.ready()
    configuration = varied(seed) if vary else STANDARD
    with anvil(port, chain_id) as chain:
        deployment = deploy(chain, configuration)
        people = populate(chain, deployment, configuration, users, seed)
        happened = live(chain, deployment, configuration, people, seed)
        market = NodeMarket(
            chain=chain, configuration=configuration, deployment=deployment, users=people, happened=happened
        )
        if multicall:
            market.put_multicall()
        yield market
