"""Two more months of a market on a node: every kind of call that moves a balance, a flag, an index or a parameter.

    life = LongLife(market, "seed")
    life.go_on(days=30)

A seed gives the same life again. Random calls may be refused by the pool; the events say what took place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eth_abi import encode

from tests.node import population
from tests.node.artifacts import contract
from tests.node.deployment import CONFIGURATOR, NOBODY, POOL, TREASURY, named_address
from tests.node.harness import NodeMarket
from tests.node.population import EVERYTHING, LIQUIDATOR, VARIABLE, WHALE, User

DAY = 86_400
UMBRELLA = named_address("umbrella")
VOLATILE = ("WETH", "wstETH", "weETH", "WBTC", "LINK", "MKR", "CRV")
RATES = "(uint16,uint32,uint32,uint32)"


class LongLife:
    """Acts on `market`, block after block. `accounts`: everybody who may ever have held something."""

    def __init__(self, market: NodeMarket, seed: str) -> None:
        self.market, self.draw = market, random.Random(f"long life {seed}")
        self._chain, self._deployment = market.chain, market.deployment
        self._pool, self._atoken = contract(POOL), contract("ATokenInstance")
        self.accounts = {user.address for user in market.users} | {WHALE, LIQUIDATOR, TREASURY, UMBRELLA, NOBODY}
        self.accounts |= {named_address(f"heir of {user.address}") for user in market.users}
        self._listed = 0
        self._admin("addresses", "setAddress", b"UMBRELLA".ljust(32, b"\0"), UMBRELLA)
        self._chain.mine()

    def go_on(self, days: float) -> None:
        """At least so many days of blocks, from the next second to two days apart."""
        until = self._chain.now + int(days * DAY)
        turn = 0
        while self._chain.now < until:
            turn += 1
            for act in self.draw.sample(self._acts, 3):
                act(self, self.draw.choice(self.market.users))
            if turn % 3 == 0:
                self.draw.choice(self._changes)(self)
            if turn % 2 == 0:
                self._prices(self.draw.sample(sorted(self._deployment.feed), 2), 97, 104)
            pause = self.draw.choice([0, 1, 12, 3_600, self.draw.randrange(DAY), self.draw.randrange(2 * DAY)])
            self._chain.mine(pause, must_succeed=False)
            if turn % 15 == 0:
                self.crash()

    @contextmanager
    def orphaned(self) -> Iterator[None]:
        """The chain replaces the blocks of the block of code: they never were. What comes next differs from them."""
        feeds = dict(self._deployment.feed)
        with self._chain.undone():
            yield
        self._deployment.feed.update(feeds)

    def crash(self) -> None:
        """Collateral loses most of its worth; accounts are liquidated, some into a deficit; then it comes back.

        Loans in the collateral's own asset fall by a threshold that is lowered.
        """
        symbols = self.draw.sample(VOLATILE, 4)
        self._prices(symbols, *self.draw.choice([(8, 20), (45, 62)]))
        same = self.draw.choice(["WETH", "USDC", "DAI"])
        terms = self.market.configuration.by_symbol[same]
        self._configure("configureReserveAsCollateral", same, 1_000, 1_500, terms.bonus)
        self._chain.mine(12, must_succeed=False)
        borrowers = [user for user in self.market.users if user.debt]
        health = self.market.account_data([user.address for user in borrowers])
        fallen = [u for u, row in zip(borrowers, health, strict=True) if row[5] < 10**18 and row[0]]
        for user in self.draw.sample(fallen, min(8, len(fallen))):
            asset = self._deployment.asset
            for debt in user.debt:
                collateral = debt if debt in user.collateral else self.draw.choice([*user.collateral])
                self._call(
                    LIQUIDATOR, "liquidationCall", asset[collateral], asset[debt], user.address, EVERYTHING,
                    self.draw.random() < 0.4, gas=8_000_000,
                )  # fmt: skip
            if self.draw.random() < 0.6:
                self._chain.mine(self.draw.choice([0, 12]), must_succeed=False)
        self._chain.mine(12, must_succeed=False)
        self._prices(symbols, 98, 103)
        self._configure("configureReserveAsCollateral", same, terms.ltv, terms.threshold, terms.bonus)
        self._cover_deficits()
        self._chain.mine(3_600, must_succeed=False)

    # Accounts

    def _open(self, user: User) -> None:
        """The whole position again, on top of what is left of it."""
        both = (*user.collateral.items(), *user.idle.items())
        population._mint(self._chain, self._deployment, [(symbol, user.address, amount) for symbol, amount in both])
        for call in population._opening(self._deployment, user):
            self._chain.send(user.address, self._deployment.pool, call)

    def _borrow(self, user: User) -> None:
        if user.debt:
            symbol, amount = self.draw.choice([*user.debt.items()])
            self._call(
                user.address, "borrow", self._deployment.asset[symbol], amount // 40 + 1, VARIABLE, 0, user.address
            )

    def _leave(self, user: User) -> None:
        """Pay everything back and take everything out, if nothing else stands against it."""
        population._mint(self._chain, self._deployment, [(s, user.address, 2 * v) for s, v in user.debt.items()])
        for symbol in user.debt:
            self._call(user.address, "repay", self._deployment.asset[symbol], EVERYTHING, VARIABLE, user.address)
        for symbol in user.collateral | user.idle:
            self._call(user.address, "withdraw", self._deployment.asset[symbol], EVERYTHING, user.address)

    def _transfer(self, user: User) -> None:
        """To another user, to oneself, or nothing at all."""
        symbol, amount = self.draw.choice([*user.collateral.items()])
        to = self.draw.choice([user, *self.draw.sample(self.market.users, 3)]).address
        part = self.draw.choice([0, 1, amount // 1_000 + 1, amount // 50 + 1])
        self._chain.send(user.address, self._deployment.atoken[symbol], self._atoken.encode("transfer", to, part))

    def _switch(self, user: User) -> None:
        for symbol in user.collateral | user.idle:
            self._call(
                user.address, "setUserUseReserveAsCollateral", self._deployment.asset[symbol], self.draw.random() < 0.6
            )

    def _categorise(self, user: User) -> None:
        self._call(user.address, "setUserEMode", self.draw.choice([0, 1, 2, 9]))

    def _arrive(self, _: User) -> None:
        """A new account, paid by somebody else, with an e-mode and a loan."""
        newcomer = named_address(f"newcomer {self.draw.random()}")
        self.accounts.add(newcomer)
        asset = self._deployment.asset
        self._call(LIQUIDATOR, "supply", asset["USDC"], self.draw.randrange(1, 10**11), newcomer, 0)
        self._call(newcomer, "setUserUseReserveAsCollateral", asset["USDC"], True)
        self._call(newcomer, "setUserEMode", 2)
        self._call(newcomer, "borrow", asset["USDT"], self.draw.randrange(1, 10**10), VARIABLE, 0, newcomer)

    def _as_before(self, user: User) -> None:
        """One of the acts of the weeks before."""
        act = self.draw.choice([
            population._repay, population._withdraw, population._gift, population._repay_with_atokens,
            population._bequeath, population._delegate,
        ])  # fmt: skip
        act(self._chain, self._deployment, user, self.draw)

    _acts = (
        _open, _open, _borrow, _borrow, _leave, _transfer, _transfer, _switch, _categorise, _arrive, _as_before,
        _as_before, _as_before, _as_before,
    )  # fmt: skip

    # Parameters

    def _terms(self) -> None:
        symbol = self.draw.choice(["WETH", "wstETH", "WBTC", "LINK"])
        terms = self.market.configuration.by_symbol[symbol]
        less = self.draw.randrange(0, 500, 25)
        self._configure("configureReserveAsCollateral", symbol, terms.ltv - less, terms.threshold - less, terms.bonus)

    def _factor(self) -> None:
        self._configure("setReserveFactor", self._any(), self.draw.randrange(0, 6_000, 100))
        self._configure("setLiquidationProtocolFee", self._any(), self.draw.randrange(0, 3_000, 100))

    def _curve(self) -> None:
        rates = (
            self.draw.randrange(4_000, 9_500),
            self.draw.choice([0, 0, 100]),
            500,
            self.draw.randrange(5_000, 20_000),
        )
        self._configure("setReserveInterestRateData", self._any(), encode([RATES], [rates]))

    def _caps(self) -> None:
        self._configure("setSupplyCap", self._any(), self.draw.randrange(10**9, 3 * 10**10))
        self._configure("setBorrowCap", self._any(), self.draw.randrange(10**9, 2 * 10**10))
        self._configure("setDebtCeiling", "CRV", self.draw.randrange(10**9, 3 * 10**9))

    def _freeze(self) -> None:
        symbol = self.draw.choice(["LINK", "DAI", "wstETH"])
        for frozen in (True, False):
            self._configure("setReserveFreeze", symbol, frozen)
            self._chain.mine(60, must_succeed=False)

    def _pause(self) -> None:
        symbol = self.draw.choice(["USDT", "WBTC"])
        self._configure("setReservePause(address,bool,uint40)", symbol, True, 0)
        self._chain.mine(self.draw.choice([12, 600]), must_succeed=False)
        self._configure("setReservePause(address,bool,uint40)", symbol, False, self.draw.choice([0, 3_600]))

    def _switches(self) -> None:
        for function in ("setReserveBorrowing", "setReserveFlashLoaning", "setBorrowableInIsolation"):
            symbol = self.draw.choice(["DAI", "USDT"])
            self._configure(function, symbol, False)
            self._chain.mine(60, must_succeed=False)
            self._configure(function, symbol, True)

    def _emodes(self) -> None:
        number, label, ltv, symbol = self.draw.choice([(1, "ETH", 9_300, "weETH"), (2, "Stable", 9_000, "DAI")])
        less = self.draw.randrange(0, 300, 25)
        self._admin("configurator", "setEModeCategory", number, ltv - less, ltv + 200 - less, 10_200, label)
        for function in ("setAssetCollateralInEMode", "setAssetLtvzeroInEMode"):
            asset = self._deployment.asset[symbol]
            self._admin("configurator", function, asset, number, self.draw.random() < 0.5)
        self._admin("configurator", "updateFlashloanPremium", self.draw.randrange(1, 10))

    def _treasury(self) -> None:
        self._admin("pool", "mintToTreasury", [*self._deployment.asset.values()], gas=20_000_000)

    def _another_feed(self) -> None:
        self._chain.mine(1, must_succeed=False)
        symbol = self._any()
        price = self.market.configuration.by_symbol[symbol].price
        feed = self._chain.create("TestFeed", f"{symbol} / USD, another", price)
        self._deployment.feed[symbol] = feed
        self._admin("oracle", "setAssetSources", [self._deployment.asset[symbol]], [feed])

    def list_asset(self, symbol: str) -> None:
        """A new reserve that WHALE supplies and borrows from. Another is listed and dropped before: its id is free."""
        deployment = self._deployment
        self._chain.mine(1, must_succeed=False)
        codes = (
            self._chain.create("ATokenInstance", deployment.pool, NOBODY, TREASURY),
            self._chain.create("VariableDebtTokenInstance", deployment.pool, NOBODY),
        )
        for name in (f"{symbol}, dropped", symbol):
            asset = self._chain.create("TestToken", f"Test {name}", name, 18, deployment.pool, False)
            self._admin("oracle", "setAssetSources", [asset], [self._chain.create("TestFeed", name, 2 * 10**8)])
            terms = (
                *codes,
                asset,
                name,
                f"a{name}",
                name,
                f"debt{name}",
                b"",
                encode([RATES], [(8_000, 0, 500, 9_000)]),
            )
            self._admin("configurator", "initReserves", [terms], gas=8_000_000)
            if name != symbol:
                self._admin("configurator", "dropReserve", asset)
            self._chain.mine()
        for function, value in (("setReserveBorrowing", True), ("setSupplyCap", 10**9), ("setReserveFactor", 1_500)):
            self._admin("configurator", function, asset, value)
        self._chain.do(asset, "TestToken", "mint", WHALE, 10**24)
        self._call(WHALE, "supply", asset, 10**23, WHALE, 0)
        self._call(WHALE, "borrow", asset, 10**22, VARIABLE, 0, WHALE)
        self._chain.mine()

    _changes = (
        _terms, _factor, _factor, _curve, _caps, _freeze, _pause, _switches, _emodes, _treasury, _treasury,
        _another_feed,
    )  # fmt: skip

    def _cover_deficits(self) -> None:
        for symbol, asset in self._deployment.asset.items():
            deficit = self.market.ask_pool("getReserveDeficit", asset)
            if deficit and self.draw.random() < 0.5:
                population._mint(self._chain, self._deployment, [(symbol, UMBRELLA, 2 * deficit + 10)])
                self._call(UMBRELLA, "supply", asset, 2 * deficit + 10, UMBRELLA, 0)
                self._call(UMBRELLA, "eliminateReserveDeficit", asset, deficit - deficit // 3)

    # Transactions

    def _any(self) -> str:
        return self.draw.choice(sorted(self._deployment.asset))

    def _call(self, sender: str, function: str, *args: object, gas: int = 4_000_000) -> None:
        self._chain.send(sender, self._deployment.pool, self._pool.encode(function, *args), gas)

    def _configure(self, function: str, symbol: str, *args: object) -> None:
        self._admin("configurator", function, self._deployment.asset[symbol], *args)

    def _admin(self, where: str, function: str, *args: object, gas: int = 4_000_000) -> None:
        to, name = {
            "addresses": (self._deployment.provider, "PoolAddressesProvider"),
            "configurator": (self._deployment.configurator, CONFIGURATOR),
            "oracle": (self._deployment.oracle, "AaveOracle"),
            "pool": (self._deployment.pool, POOL),
        }[where]
        self._chain.do(to, name, function, *args, gas=gas)

    def _prices(self, symbols: Sequence[str], low: int, high: int) -> None:
        """Prices at `low` to `high` percent of those of the first day."""
        for symbol in symbols:
            price = self.market.configuration.by_symbol[symbol].price * self.draw.randrange(low, high) // 100
            population._set_price(self._chain, self._deployment, symbol, price)
