"""What limits liquidators: a call must pay, a sale needs depth, and capital is finite."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from risk_core.checks import checked_duration, checked_number
from risk_core.errors import InputError

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidators:
    """Liquidators that `simulate(..., impact=..., liquidators=...)` lets act only where they earn and can pay.

    A liquidator buys the debt at the market's price, repays it, receives collateral without the treasury's fee, and
    sells it at once. The market's price is the path's (before any cap of an oracle) times the `Impact` of what was sold
    before. The last dollar of a call must still bring in its own cost,

        (1 + bonus x (1 - fee)) x collateral, market over oracle price >= (1 + cost) x debt, market over oracle price,

    and the whole call must earn `fixed_usd`; else a smaller call is made, or none. Accounts below 1 are served by the
    profit of their first call, the largest first. What is not served waits: until depth has come back (the impact's
    half-life), prices have moved, or capital is free again.

    cost: of the debt repaid, a fraction: flash loan, least profit, and what is paid for the order of transactions.
    fixed_usd: a call, such as gas. capital_usd: most debt repaid in any `window`, inf for no limit; the last call is
    cut to what is left. feedback: share of an impact (of the logarithm of the price) that the oracle sees: 1, its feeds
    follow the market at once, and depth alone stops no call; 0, the impact is gone before a feed reports it. A sale of
    collateral for debt of the same market of the impact (wstETH against WETH) moves no price: the two fall together.
    Raises `InputError`.
    """

    cost: float = 0.0005
    fixed_usd: float = 0.0
    capital_usd: float = float("inf")
    window: timedelta = DAY
    feedback: float = 1.0

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "cost", checked_number("Liquidators.cost", self.cost, -0.999, 1.0, "a fraction above -1, at most 1"))
        set_(self, "fixed_usd", checked_number("Liquidators.fixed_usd", self.fixed_usd, 0.0, 1e12, "USD, at least 0"))
        if not (isinstance(self.capital_usd, float) and self.capital_usd == float("inf")):
            capital = checked_number(
                "Liquidators.capital_usd", self.capital_usd, 0.0, 9e12, "USD, at least 0; inf for none"
            )
            set_(self, "capital_usd", capital)
        checked_duration("Liquidators.window", self.window)
        set_(self, "feedback", checked_number("Liquidators.feedback", self.feedback, 0.0, 1.0, "a share in [0, 1]"))

    def steps(self, step: timedelta) -> int:
        """Whole steps of the window, 1 where capital is endless. Raises `InputError` where steps do not divide it."""
        if self.capital_usd == float("inf"):
            return 1
        n = self.window / step
        if abs(n - round(n)) > 1e-9 or round(n) < 1:
            raise InputError(
                f"Liquidators.window: expected whole steps of {step}, found {self.window}; choose steps that divide it"
            )
        return round(n)
