"""What the test market lists: round approximations of Ethereum mainnet parameters, and variations of them by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

USD = 10**8


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One reserve. `price` has 8 decimals, risk parameters are bps.

    `rates`: optimal usage, base, slope 1, slope 2, in bps.
    """

    symbol: str
    decimals: int
    price: int
    ltv: int = 0
    threshold: int = 0
    bonus: int = 0
    reserve_factor: int = 2000
    protocol_fee: int = 1000
    borrowable: bool = True
    in_isolation: bool = False
    debt_ceiling: int = 0
    siloed: bool = False
    bytes32_symbol: bool = False
    rates: tuple[int, int, int, int] = (9000, 0, 600, 7500)

    @property
    def unit(self) -> int:
        return 10**self.decimals

    def units(self, usd: float) -> int:
        """Token units worth `usd`."""
        return int(usd * USD * self.unit / self.price)


@dataclass(frozen=True, kw_only=True)
class Category:
    """One e-mode; `collateral` and `borrowable` are symbols."""

    id: int
    label: str
    ltv: int
    threshold: int
    bonus: int
    collateral: tuple[str, ...]
    borrowable: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """`dropped` is listed between the others and delisted at once, so that reserve ids have a gap."""

    listings: tuple[Listing, ...]
    categories: tuple[Category, ...]
    dropped: Listing
    dropped_id: int = 3
    by_symbol: dict[str, Listing] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_symbol", {item.symbol: item for item in self.listings})


VOLATILE = (9000, 0, 400, 30000)
STANDARD = Configuration(
    listings=(
        Listing(symbol="WETH", decimals=18, price=3127_45123456, ltv=8050, threshold=8300, bonus=10500,
                reserve_factor=1500, rates=(9200, 0, 270, 8000)),
        Listing(symbol="wstETH", decimals=18, price=3801_66172031, ltv=7850, threshold=8100, bonus=10600,
                reserve_factor=3500, rates=(8000, 0, 200, 8500)),
        Listing(symbol="WBTC", decimals=8, price=94873_12000000, ltv=7300, threshold=7800, bonus=10500,
                reserve_factor=5000, rates=VOLATILE),
        Listing(symbol="USDC", decimals=6, price=99985000, ltv=7500, threshold=7800, bonus=10450,
                reserve_factor=1000, in_isolation=True, rates=(9200, 0, 550, 6000)),
        Listing(symbol="USDT", decimals=6, price=1_00012345, ltv=7500, threshold=7800, bonus=10450,
                reserve_factor=1000, in_isolation=True, rates=(9200, 0, 550, 7500)),
        Listing(symbol="DAI", decimals=18, price=99997000, ltv=6300, threshold=7700, bonus=10500,
                reserve_factor=2500, in_isolation=True, rates=(9200, 0, 550, 7500)),
        Listing(symbol="LINK", decimals=18, price=14_53219876, ltv=6600, threshold=7100, bonus=10700,
                rates=(4500, 0, 700, 30000)),
        # An old token: symbol() answers bytes32. The interest has a base rate, so debt indices grow without debt.
        Listing(symbol="MKR", decimals=18, price=1650_20000000, ltv=6000, threshold=6500, bonus=10850,
                bytes32_symbol=True, rates=(4500, 150, 700, 30000)),
        Listing(symbol="weETH", decimals=18, price=3352_90000001, ltv=7250, threshold=7500, bonus=10700,
                reserve_factor=4500, borrowable=False, rates=(3000, 0, 700, 30000)),
        Listing(symbol="CRV", decimals=18, price=52345678, ltv=3500, threshold=4100, bonus=10830, protocol_fee=2000,
                reserve_factor=3500, borrowable=False, debt_ceiling=2_000_000_000),
        # Never a collateral outside its e-mode: threshold and bonus are 0.
        Listing(symbol="FRAX", decimals=18, price=99871234, protocol_fee=0, siloed=True),
    ),
    categories=(
        Category(id=1, label="ETH correlated", ltv=9300, threshold=9500, bonus=10100,
                 collateral=("WETH", "wstETH", "weETH"), borrowable=("WETH", "wstETH")),
        Category(id=2, label="Stablecoins", ltv=9000, threshold=9300, bonus=10200,
                 collateral=("USDC", "USDT", "DAI", "FRAX"), borrowable=("USDC", "USDT", "DAI")),
        # Ids need not be contiguous.
        Category(id=9, label="WBTC / stablecoins", ltv=8400, threshold=8600, bonus=10300,
                 collateral=("WBTC",), borrowable=("USDC", "USDT")),
    ),
    dropped=Listing(symbol="OLD", decimals=18, price=USD),
)  # fmt: skip


def varied(seed: str) -> Configuration:
    """The standard market with other prices and risk parameters, within the protocol's own limits."""
    draw = random.Random(f"configuration {seed}")
    listings = tuple(_varied_listing(item, draw) for item in STANDARD.listings)
    categories = tuple(_varied_category(item, draw) for item in STANDARD.categories)
    return replace(STANDARD, listings=listings, categories=categories)


def _varied_listing(item: Listing, draw: random.Random) -> Listing:
    spread = 0.003 if item.price // USD <= 1 and item.symbol != "CRV" else 0.3
    price = int(item.price * draw.uniform(1 - spread, 1 + spread)) + draw.randrange(100)
    if not item.threshold:
        return replace(item, price=price)
    threshold = item.threshold + draw.randrange(-300, 201, 25)
    return replace(
        item,
        price=price,
        threshold=threshold,
        ltv=min(item.ltv + draw.randrange(-400, 201, 25), threshold - 100),
        bonus=_bonus(item.bonus + draw.randrange(-150, 251, 10), threshold),
        protocol_fee=draw.choice([0, 500, 1000, 1500, 2500]),
    )


def _varied_category(item: Category, draw: random.Random) -> Category:
    move = draw.randrange(-150, 101, 25)
    threshold = item.threshold + move
    bonus = _bonus(item.bonus + draw.randrange(0, 120, 10), threshold)
    return replace(item, ltv=item.ltv + move, threshold=threshold, bonus=bonus)


def _bonus(wanted: int, threshold: int) -> int:
    """The configurator refuses threshold x bonus above 100 %: a liquidation would pay out more than the collateral."""
    return min(wanted, 10**8 // threshold - 1)
