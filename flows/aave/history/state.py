"""The state of a replay at a place in the log: reserves, tokens, e-modes and accounts of a market, exact integers."""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.errors import CrossCheckFailed
from risk_core.units import RAY

BITS = {
    "ltv": (0, 16),
    "threshold": (16, 16),
    "bonus": (32, 16),
    "decimals": (48, 8),
    "active": (56, 1),
    "frozen": (57, 1),
    "borrowing": (58, 1),
    "stable": (59, 1),
    "paused": (60, 1),
    "in_isolation": (61, 1),
    "siloed": (62, 1),
    "flash": (63, 1),
    "factor": (64, 16),
    "borrow_cap": (80, 36),
    "supply_cap": (116, 36),
    "protocol_fee": (152, 16),
    "emode": (168, 8),
    "unbacked_cap": (176, 36),
    "ceiling": (212, 40),
    "virtual": (252, 1),
}
"""Field of the configuration word: its lowest bit and its width (`ReserveConfiguration.sol`)."""


class HistoryError(CrossCheckFailed):
    """The logs contradict each other or the contracts' rules; the message names block, log, token and account."""


@dataclass(slots=True, eq=False)
class Token:
    """An aToken or a variable debt token: `held[account]` is [scaled balance, index of the last event]."""

    address: str
    asset: str
    debt: bool
    held: dict[str, list[int]] = field(default_factory=dict)
    total: int = 0
    """Scaled total."""
    discounts: bool = False
    """True for GHO's debt token before v3.4: interest is discounted, and the discount is burnt without an event."""
    unscaled: bool = False
    """True for a token of v3.0.0: BalanceTransfer is in token units, and a transfer does not change the last index."""
    last_minted: int = 0
    """Scaled amount of the last Mint."""
    transfer: tuple[int, int, int] = (-1, 0, 0)
    """Block, transaction and index of the last BalanceTransfer."""


@dataclass(slots=True, eq=False)
class ReserveState:
    """A reserve as the pool stores it, with further values that the rules need."""

    id: int
    asset: str
    atoken: Token
    debt_token: Token
    word: int = 0
    liquidity_index: int = RAY
    debt_index: int = RAY
    supply_rate: int = 0
    debt_rate: int = 0
    last_update: int = 0
    accrued: int = 0
    accrued_known: bool = True
    virtual: int = 0
    virtual_known: bool = True
    deficit: int = 0
    isolation_debt: int = 0
    unbacked: int = 0
    grace_until: int = 0
    pending_ltv: int = 0
    rates: tuple[int, ...] | None = None
    # The scaled total debt before the first call of `debt_block` changed it.
    debt_before: int = 0
    debt_block: int = -1
    # ReserveDataUpdated events since the reserve was brought to `last_update`; the treasury's share of that step; the
    # supply index from interest alone, before a flash premium.
    updates: int = 0
    last_share: int = 0
    computed_index: int = RAY

    def set(self, name: str, value: int) -> None:
        """Put `value` into the field `name` of the configuration word; bits that do not fit are cut off."""
        low, width = BITS[name]
        mask = (1 << width) - 1
        self.word = self.word & ~(mask << low) | (value & mask) << low

    def get(self, name: str) -> int:
        """The field `name` of the configuration word."""
        low, width = BITS[name]
        return self.word >> low & (1 << width) - 1


@dataclass(slots=True)
class Category:
    """One e-mode: terms in basis points; `collateral`, `borrowable`, `ltvzero` are bitmaps of reserve ids."""

    ltv: int
    threshold: int
    bonus: int
    label: str
    collateral: int = 0
    borrowable: int = 0
    ltvzero: int = 0
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class ReserveBook:
    """A reserve at a block, as `getReserveData` and its tokens would have answered: stored values, exact integers.

    `virtual_balance` is None where it is not in the logs: before v3.1, and for a reserve that was upgraded to v3.1.
    `virtual_change` is what the logs have added to it since the listing or that upgrade, in token units: it gives
    the balance at every block from that at one. `accrued_to_treasury` is None for GHO from the upgrade to v3.4 until
    its treasury is minted again. `rates` are optimal usage, base, first and second slope in basis points, None before
    v3.1. `source` is the contract that the oracle takes the price from, None where no log told it; `price` is the last
    answer that this contract itself logged (a plain feed does, an adapter and a proxy do not), None without one.
    """

    id: int
    asset: str
    atoken: str
    debt_token: str
    configuration: int
    liquidity_index: int
    debt_index: int
    supply_rate: int
    debt_rate: int
    last_update: int
    accrued_to_treasury: int | None
    isolation_debt: int
    deficit: int
    unbacked: int
    virtual_balance: int | None
    virtual_change: int
    grace_until: int
    pending_ltv: int
    scaled_supply: int
    scaled_debt: int
    rates: tuple[int, ...] | None
    source: str | None
    price: int | None


@dataclass(frozen=True, slots=True)
class EModeBook:
    """An e-mode category at a block; the bitmaps count by reserve id."""

    id: int
    ltv: int
    threshold: int
    bonus: int
    label: str
    collateral: int
    borrowable: int
    ltvzero: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class MarketBook:
    """A market after the last log of `block`.

    `holdings[account][reserve id]` is (scaled supply, scaled debt), never both 0. `flags[account]` has bit 2 id for
    borrowing and 2 id + 1 for collateral. Flags of 0 and category 0 are left out.
    """

    block: int
    time: int
    revision: int
    oracle: str
    flash_premium: int
    flash_premium_to_protocol: int
    reserves: tuple[ReserveBook, ...]
    emodes: tuple[EModeBook, ...]
    holdings: dict[str, dict[int, tuple[int, int]]]
    flags: dict[str, int]
    categories: dict[str, int]
