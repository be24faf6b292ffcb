"""Random users with positions of several reserves, and two months of their lives, all through the real pool."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.node.artifacts import contract
from tests.node.chain import Chain
from tests.node.configuration import Configuration
from tests.node.deployment import CONFIGURATOR, POOL, Deployment, multicall, named_address

EVERYTHING = 2**256 - 1
VARIABLE = 2
WHALE, LIQUIDATOR = named_address("whale"), named_address("liquidator")

Weights = dict[str, int]
COLLATERAL: Weights = {"WETH": 24, "wstETH": 18, "WBTC": 16, "USDC": 14, "weETH": 9, "USDT": 8, "DAI": 5, "LINK": 5,
                       "MKR": 3}  # fmt: skip
DEBT: Weights = {"USDC": 32, "USDT": 26, "WETH": 16, "DAI": 12, "WBTC": 6, "wstETH": 4, "LINK": 3, "MKR": 2}
KINDS: Weights = {"plain": 48, "edge": 10, "eth_loop": 12, "stable_loop": 8, "btc": 5, "isolated": 6, "siloed": 4,
                  "supplier": 3, "same_asset": 4}  # fmt: skip


@dataclass(kw_only=True)
class User:
    """A plan in token units by symbol. `idle` is supplied and switched off as collateral."""

    address: str
    kind: str
    emode: int = 0
    collateral: dict[str, int] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    debt: dict[str, int] = field(default_factory=dict)


def plan(configuration: Configuration, seed: str, number: int) -> User:
    """The user `number` of a population; independent of how many others there are."""
    draw = random.Random(f"user {seed} {number}")
    kind = _choose(draw, KINDS, 1)[0]
    user = User(address=named_address(f"user {seed} {number}"), kind=kind)
    worth = _worth(draw)
    collateral = _choose(draw, COLLATERAL, draw.choice([1, 1, 1, 2, 2, 3, 4]))
    debt = _choose(draw, DEBT, draw.choice([1, 1, 1, 2, 2, 3]))
    match kind:
        case "edge":  # each leg near the 2,000 USD line of the close factor and the 1,000 USD line of the dust rule
            worth = sum(draw.uniform(900, 3600) for _ in collateral)
        case "eth_loop":
            user.emode = 1
            collateral = _choose(draw, {"weETH": 45, "wstETH": 40, "WETH": 15}, draw.choice([1, 1, 2]))
            collateral += _choose(draw, {"USDC": 1, "WBTC": 1, "LINK": 1}, draw.choice([0, 0, 1]))
            debt = _choose(draw, {"WETH": 80, "wstETH": 20}, draw.choice([1, 1, 1, 2]))
        case "stable_loop":
            user.emode = 2
            collateral = _choose(draw, {"USDC": 30, "USDT": 25, "DAI": 20, "FRAX": 25}, draw.choice([1, 1, 2, 3]))
            collateral += _choose(draw, {"WETH": 1, "WBTC": 1}, draw.choice([0, 0, 0, 1]))
            debt = _choose(draw, {"USDC": 40, "USDT": 40, "DAI": 20}, draw.choice([1, 1, 2, 3]))
        case "btc":
            user.emode = 9
            collateral = ["WBTC", *_choose(draw, {"WETH": 1, "LINK": 1}, draw.choice([0, 0, 1]))]
            debt = _choose(draw, {"USDC": 1, "USDT": 1}, draw.choice([1, 2]))
        case "isolated":
            worth, collateral = min(worth, 1e6), ["CRV"]
            debt = _choose(draw, {"USDC": 2, "USDT": 2, "DAI": 1}, draw.choice([1, 1, 2, 3]))
        case "siloed":
            debt = ["FRAX"]
        case "supplier":
            debt = []
        case "same_asset":
            debt = [collateral[0] if collateral[0] in DEBT else "USDC"]

    by_symbol = configuration.by_symbol
    capacity = 0.0
    for symbol, share in _shares(draw, collateral).items():
        user.collateral[symbol] = max(by_symbol[symbol].units(worth * share), 1000)
        capacity += worth * share * _ltv(configuration, user.emode, symbol) / 1e4
    use = draw.uniform(0.86, 0.985) if kind == "edge" or draw.random() < 0.6 else draw.uniform(0.2, 0.86)
    for symbol, share in _shares(draw, debt).items():
        user.debt[symbol] = max(by_symbol[symbol].units(capacity * use * share), 1000)
    for symbol in _choose(draw, {s: 1 for s in COLLATERAL if s not in collateral}, draw.choice([0, 0, 0, 1, 2])):
        user.idle[symbol] = max(by_symbol[symbol].units(worth * draw.uniform(0.05, 2)), 1000)
    return user


def populate(chain: Chain, market: Deployment, configuration: Configuration, count: int, seed: str) -> list[User]:
    """Let `count` users open their positions over about a month and a half. Raises when some plan is refused."""
    draw = random.Random(f"population {seed}")
    users = [plan(configuration, seed, number) for number in range(count)]
    lent: Counter[str] = Counter()
    for user in users:
        lent.update(user.debt)
    # One whale supplies enough for a plausible utilisation, so that indices grow at different speeds.
    whale = User(address=WHALE, kind="whale")
    for item in configuration.listings:
        whale.collateral[item.symbol] = int(lent[item.symbol] / draw.uniform(0.35, 0.8)) + item.units(1e6)
    _mint(chain, market, [(s, WHALE, v) for s, v in whale.collateral.items()])
    _mint(chain, market, [(item.symbol, LIQUIDATOR, item.units(1e12)) for item in configuration.listings])
    _mint(chain, market, [(s, u.address, v) for u in users for s, v in (*u.collateral.items(), *u.idle.items())])
    chain.mine()
    chain.send(WHALE, market.pool, _together(_opening(market, whale)), gas=30_000_000)
    chain.mine()

    group = max(20, count // 20)
    for start in range(0, count, group):
        for user in users[start : start + group]:
            calls = _opening(market, user)
            if draw.random() < 0.5:  # some use one transaction for everything, some one for each step
                chain.send(user.address, market.pool, _together(calls), gas=12_000_000)
            else:
                for call in calls:
                    chain.send(user.address, market.pool, call)
        chain.mine(draw.randrange(43_200, 3 * 86_400))
    return users


def live(chain: Chain, market: Deployment, configuration: Configuration, users: list[User], seed: str) -> Counter[str]:
    """Weeks of ordinary life, a crash with liquidations, a recovery, an administrator's day. Returns what happened."""
    draw = random.Random(f"life {seed}")
    happened: Counter[str] = Counter()
    for _ in range(5):
        for user in draw.sample(users, max(5, len(users) // 25)):
            act = draw.choice([_repay, _withdraw, _gift, _repay_with_atokens, _bequeath, _delegate])
            happened[act.__name__.strip("_")] += act(chain, market, user, draw)
        for item in draw.sample(configuration.listings, 3):
            _set_price(chain, market, item.symbol, item.price * draw.randrange(9980, 10021) // 10000)
        receipts = chain.mine(draw.randrange(2 * 86_400, 8 * 86_400), must_succeed=False)
        happened["refused"] += sum(receipt["status"] != "0x1" for receipt in receipts)
    happened.update(_crash(chain, market, configuration, users, draw))
    _administrate(chain, market)
    return happened


def _worth(draw: random.Random) -> float:
    """USD: dust, the neighbourhood of the protocol's lines, the middle class, whales."""
    match draw.choices(["dust", "lines", "middle", "large"], [25, 25, 35, 15])[0]:
        case "dust":
            return min(max(draw.lognormvariate(math.log(150), 1.2), 3), 1900)
        case "lines":
            return draw.uniform(1500, 9000)
        case "middle":
            return min(draw.lognormvariate(math.log(4e4), 1.3), 1e6)
    return min(max(draw.lognormvariate(math.log(5e6), 1.2), 5e5), 3e8)


def _choose(draw: random.Random, weights: Weights, count: int) -> list[str]:
    left, chosen = dict(weights), []
    for _ in range(min(count, len(left))):
        name = draw.choices([*left], [*left.values()])[0]
        chosen.append(name)
        del left[name]
    return chosen


def _shares(draw: random.Random, names: list[str]) -> dict[str, float]:
    parts = {name: draw.gammavariate(0.9, 1) + 0.02 for name in names}
    return {name: part / sum(parts.values()) for name, part in parts.items()}


def _ltv(configuration: Configuration, emode: int, symbol: str) -> int:
    for category in configuration.categories:
        if category.id == emode and symbol in category.collateral:
            return category.ltv
    return configuration.by_symbol[symbol].ltv


def _opening(market: Deployment, user: User) -> list[str]:
    """The pool calls that open a position, in an order that the rules accept."""
    pool, asset = contract(POOL), market.asset
    calls = [pool.encode("setUserEMode", user.emode)] if user.emode else []
    for symbol, amount in user.collateral.items():
        calls.append(pool.encode("supply", asset[symbol], amount, user.address, 0))
        if symbol == "CRV" and user.kind == "isolated":  # a reserve with a debt ceiling is not enabled by itself
            calls.append(pool.encode("setUserUseReserveAsCollateral", asset[symbol], True))
    for symbol, amount in user.idle.items():
        calls.append(pool.encode("supply", asset[symbol], amount, user.address, 0))
        if user.kind != "isolated":  # isolation already keeps it off
            calls.append(pool.encode("setUserUseReserveAsCollateral", asset[symbol], False))
    for symbol, amount in user.debt.items():
        calls.append(pool.encode("borrow", asset[symbol], amount, VARIABLE, 0, user.address))
    return calls


def _together(calls: list[str]) -> str:
    return contract(POOL).encode("multicall", [bytes.fromhex(call[2:]) for call in calls])


def _mint(chain: Chain, market: Deployment, wishes: list[tuple[str, str, int]]) -> None:
    for start in range(0, len(wishes), 200):
        part = wishes[start : start + 200]
        columns = ([market.asset[s] for s, _, _ in part], [to for _, to, _ in part], [value for _, _, value in part])
        chain.do(market.batch, "Batch", "mintAll", *columns, gas=40_000_000)


def _set_price(chain: Chain, market: Deployment, symbol: str, price: int) -> None:
    chain.do(market.feed[symbol], "TestFeed", "setAnswer", price)


def _repay(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    if not user.debt:
        return 0
    symbol, amount = draw.choice([*user.debt.items()])
    part = draw.choice([EVERYTHING, amount // draw.randrange(3, 30) + 1])
    _mint(chain, market, [(symbol, user.address, 2 * amount)])
    chain.send(
        user.address, market.pool, contract(POOL).encode("repay", market.asset[symbol], part, VARIABLE, user.address)
    )
    return 1


def _withdraw(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    symbol, amount = draw.choice([*user.collateral.items()])
    part = amount // draw.randrange(200, 900) + 1
    chain.send(user.address, market.pool, contract(POOL).encode("withdraw", market.asset[symbol], part, user.address))
    return 1


def _gift(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    """A supply paid by somebody else: `user` of the event is not the owner of the position."""
    symbol, amount = draw.choice([*user.collateral.items()])
    part = amount // draw.randrange(5, 40) + 1
    chain.send(LIQUIDATOR, market.pool, contract(POOL).encode("supply", market.asset[symbol], part, user.address, 0))
    return 1


def _repay_with_atokens(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    both = [symbol for symbol in user.debt if symbol in user.collateral]
    for symbol in both[:1]:
        call = contract(POOL).encode("repayWithATokens", market.asset[symbol], user.debt[symbol] // 50 + 1, VARIABLE)
        chain.send(user.address, market.pool, call)
    return len(both[:1])


def _bequeath(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    """aTokens to an address that never calls the pool."""
    symbol, amount = draw.choice([*(user.idle or user.collateral).items()])
    call = contract("ATokenInstance").encode("transfer", named_address(f"heir of {user.address}"), amount // 300 + 1)
    chain.send(user.address, market.atoken[symbol], call)
    return 1


def _delegate(chain: Chain, market: Deployment, user: User, draw: random.Random) -> int:
    """Somebody else draws a debt that this user owes."""
    if not user.debt:
        return 0
    symbol, amount = draw.choice([*user.debt.items()])
    approval = contract("VariableDebtTokenInstance").encode("approveDelegation", LIQUIDATOR, EVERYTHING)
    chain.send(user.address, market.vtoken[symbol], approval)
    call = contract(POOL).encode("borrow", market.asset[symbol], amount // 900 + 1, VARIABLE, 0, user.address)
    chain.send(LIQUIDATOR, market.pool, call)
    return 1


def _crash(
    chain: Chain, market: Deployment, configuration: Configuration, users: list[User], draw: random.Random
) -> Counter[str]:
    """Volatile prices halve, some accounts are liquidated (some into a deficit), prices come back."""
    happened: Counter[str] = Counter()
    for item in configuration.listings:
        if item.price > 1.1e8 or item.symbol == "CRV":
            _set_price(chain, market, item.symbol, item.price * draw.randrange(45, 62) // 100)
    chain.mine(3600)
    borrowers = [user for user in users if user.debt]
    fallen = [
        u
        for u, row in zip(borrowers, account_data(chain, market, [u.address for u in borrowers]), strict=True)
        if row[5] < 10**18 and row[0] > 0
    ]
    for user in draw.sample(fallen, min(len(fallen), max(6, len(users) // 20))):
        collateral = max(user.collateral, key=lambda s: user.collateral[s] / configuration.by_symbol[s].units(1))
        debt = draw.choice([*user.debt])
        call = contract(POOL).encode(
            "liquidationCall",
            market.asset[collateral],
            market.asset[debt],
            user.address,
            EVERYTHING,
            draw.random() < 0.3,
        )
        chain.send(LIQUIDATOR, market.pool, call, gas=8_000_000)
    for receipt in chain.mine(12, must_succeed=False):
        happened["liquidated" if receipt["status"] == "0x1" else "liquidation refused"] += 1
    for item in configuration.listings:
        _set_price(chain, market, item.symbol, item.price)
    chain.mine(3600)
    return happened


def _administrate(chain: Chain, market: Deployment) -> None:
    """Fees reach the treasury; one reserve has a grace period, one is frozen, one has LTV 0 inside an e-mode."""
    assets = [*market.asset.values()]
    chain.do(market.pool, POOL, "mintToTreasury", assets, gas=20_000_000)
    pause = "setReservePause(address,bool,uint40)"
    chain.do(market.configurator, CONFIGURATOR, pause, market.asset["LINK"], True, 0)
    chain.do(market.configurator, CONFIGURATOR, pause, market.asset["LINK"], False, 3 * 3600)
    chain.do(market.configurator, CONFIGURATOR, "setReserveFreeze", market.asset["MKR"], True)
    chain.do(market.configurator, CONFIGURATOR, "setAssetLtvzeroInEMode", market.asset["DAI"], 2, True)
    chain.mine(12)
    chain.mine(12)


def account_data(chain: Chain, market: Deployment, accounts: list[str]) -> list[tuple[int, ...]]:
    """`getUserAccountData` of each account at the last block."""
    pool, rows = contract(POOL), []
    for start in range(0, len(accounts), 100):
        calls = [(market.pool, pool.encode("getUserAccountData", a)) for a in accounts[start : start + 100]]
        to, data = multicall(market, calls)
        answer = contract("Batch").decode("aggregate3", chain.rpc("eth_call", {"to": to, "data": data}, "latest"))
        rows += [pool.decode("getUserAccountData", raw) for _, raw in answer]
    return rows
