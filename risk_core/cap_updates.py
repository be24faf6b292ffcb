"""An update of a ratio's cap beside the market that it is for: would it bind, and who would fall?"""

from __future__ import annotations

from dataclasses import dataclass

from risk_core.checks import checked_int, checked_kind, checked_number
from risk_core.errors import InputError
from risk_core.oracle_gap import OracleGap, oracle_gap
from risk_core.price_caps import CapTerms, CapUpdate, UpdateLimits, check_update
from risk_core.types import Market

DECIMALS = 18
"""Decimals of a ratio where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapProposal:
    """An update of the cap of `symbol`, whose price is a ratio to that of `base`.

    unit: one, in the units of the ratio. gap: what the oracle would do at once by saying less than today; None where it
    would not. The ratios of `update` are integers, those below are numbers.
    """

    symbol: str
    base: str
    unit: int
    update: CapUpdate
    gap: OracleGap | None

    @property
    def ratio(self) -> float:
        """The ratio of today, before any cap."""
        return self.update.ratio / self.unit

    @property
    def largest_after(self) -> float:
        """The largest ratio that the new cap lets through now."""
        return self.update.largest_after / self.unit

    @property
    def largest_before(self) -> float | None:
        """The largest ratio that the cap in force lets through now; None where its terms are not known."""
        return None if self.update.largest_before is None else self.update.largest_before / self.unit

    @property
    def n_falls(self) -> int:
        """Accounts that would be liquidated at once."""
        return 0 if self.gap is None else self.gap.first.n_accounts


def base_of(market: Market, reserve: str, base: str | None = None) -> int:
    """The reserve whose price a token's ratio multiplies: `base` where it is named, else as the oracle's model says.

    Raises `InputError` where neither does, or `base` is the token itself.
    """
    checked_kind("market", market, Market)
    r = market.reserves.index(reserve)
    found = market.reserves.index(base) if base is not None else int(market.reserves.ratio_of[r])
    if found < 0:
        raise InputError(
            f"base: the market does not say to which reserve {market.reserves.symbol[r]} is a ratio; name it"
        )
    if found == r:
        raise InputError(f"base: {market.reserves.symbol[r]} cannot be a ratio of itself")
    return found


def cap_update(
    market: Market,
    reserve: str,
    snapshot_ratio: float,
    days_old: float,
    yearly_growth: float,
    *,
    base: str | None = None,
    ratio: float | None = None,
    ratio_growth: float = 0.0,
    present: CapTerms | None = None,
    limits: UpdateLimits | None = None,
    decimals: int = DECIMALS,
) -> CapProposal:
    """Check an update of the cap on a token's ratio, and liquidate whom it would bring below 1.

    snapshot_ratio: in units of the base, 1.1919. days_old: its age at the market's block. yearly_growth, ratio_growth:
    of the cap and of the ratio, as fractions a year: 0.0968 is 9.68 %. base: see `base_of`. ratio: what the ratio's
    provider says; None, the price over the base's price, which a cap in force may hold down. present: the terms in
    force. limits: what the update must keep, see `check_update`. decimals: of the ratio, 0 to 30. Raises `InputError`.
    """
    of = base_of(market, reserve, base)
    r = market.reserves.index(reserve)
    unit = 10 ** checked_int("decimals", decimals, 0, 30)
    at = market.snapshot.block_time
    good = checked_number("snapshot_ratio", snapshot_ratio, 1e-9, 1e6, "a positive number")
    days = checked_number("days_old", days_old, 0.0, at / 86_400, "a number of days, at least 0")
    growth = checked_number("yearly_growth", yearly_growth, 0.0, 6.5535, "a fraction a year from 0 to 6.5535")
    today = market.price[r] / market.price[of] if ratio is None else checked_number("ratio", ratio, 1e-9, 1e6)
    proposed = CapTerms(
        snapshot_ratio=round(good * unit),
        snapshot_timestamp=at - round(days * 86_400),
        max_yearly_growth_bps=round(growth * 10_000),
    )
    update = check_update(proposed, round(float(today) * unit), at, present, ratio_growth, limits)
    gap = oracle_gap(market, {}, errors={market.reserves.asset[r]: update.move}) if update.move < 0 else None
    return CapProposal(
        symbol=market.reserves.symbol[r], base=market.reserves.symbol[of], unit=unit, update=update, gap=gap
    )
