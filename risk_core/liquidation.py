"""The liquidation call, one at a time, and the policies by which liquidators choose their calls.

Rules of Aave v3.6 (`POOL_REVISION` 10) and v3.7 (11), `LiquidationLogic.sol`, executeLiquidationCall. At the precision
of float64 they are one rule: v3.7 rounds the amount seized down where v3.6 rounds half up, the fee up where v3.6 rounds
half up, and finds "all collateral gone" from scaled balances - at most 2 wei in any amount. The rules in exact integers
are in tests/reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.accounts import account_terms
from risk_core.checks import SMALLEST, FloatArray, checked_choice, checked_kind, checked_number, checked_text
from risk_core.errors import InputError
from risk_core.kernels import settle as rule
from risk_core.types import Market, require_rules

POLICIES = {
    "largest_legs": rule.LARGEST_LEGS,
    "most_profitable": rule.MOST_PROFITABLE,
    "protocol_helper": rule.PROTOCOL_HELPER,
    "first_passage": rule.FIRST_PASSAGE,
}
"""How a liquidator picks the pair and the amount; only calls that the pool accepts are made.

largest_legs: the largest debt against the largest collateral, as much as the pool allows. most_profitable: the pair
whose largest admissible call earns the most at oracle prices, after the protocol's fee. protocol_helper: as
largest_legs, with the amount that the pool's LiquidationDataProvider proposes less the margin it needs (1e-6 USD).
first_passage: nobody liquidates; an account's whole debt counts once, at its first step below 1 (an exposure, and what
dense matrix engines compute).
"""


def policy_code(policy: str) -> int:
    """The kernel's number of a policy. Raises `InputError` that lists the known ones."""
    return POLICIES[checked_choice("policy", policy, POLICIES)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Liquidation:
    """What one call does. Amounts in tokens; `error` is the contract's error name, and then nothing moved.

    repaid: of the debt reserve. seized: received by the liquidator, without the fee. fee: to the treasury.
    deficit: (R,) debt burnt because no collateral was left. collateral, debt: (R,) the account's balances after.
    """

    error: str | None
    repaid: float
    seized: float
    fee: float
    deficit: FloatArray
    collateral: FloatArray
    debt: FloatArray
    health_factor: float
    health_factor_after: float


def liquidate(
    market: Market, account: int | str, collateral: int | str, debt: int | str, cover: float | None = None
) -> Liquidation:
    """Call `liquidationCall(collateral, debt, account, cover)` at the market's prices; `cover` tokens, None is max.

    Checks come in the contract's order and give its error names: ReserveInactive, ReservePaused,
    LiquidationGraceSentinelCheckFailed, HealthFactorNotBelowThreshold, CollateralCannotBeLiquidated,
    SpecifiedCurrencyNotBorrowedByUser, MustNotLeaveDust, InvalidBurnAmount. Raises `InputError` for an unknown
    account or reserve and for a cover that is not a positive number, `UnknownRevision` for rules that are not
    implemented.

    >>> # 10 ETH at 1,900 against 16,000 USDC, threshold 0.83, bonus 5 %: repays 8,000, seizes 4.42105 ETH
    """
    checked_kind("market", market, Market)
    require_rules(market.revision)
    row = market.index(account)
    c, d = _reserve(market, "collateral", collateral), _reserve(market, "debt", debt)
    # Infinity is allowed: a cover above what is owed means the maximum.
    if cover is not None and not (isinstance(cover, float) and cover == np.inf):
        cover = checked_number("cover", cover, SMALLEST, rule="a positive number of tokens or None for the maximum")

    thresholds, factors = account_terms(market)
    threshold, factor = thresholds[market.emode[row]], float(factors[market.emode[row], c])
    held = _balances(market.collateral, row, market.n_reserves)
    owed = _balances(market.debt, row, market.n_reserves)
    value, owed_value = held * market.price, owed * market.price
    margin, total_debt = float(value @ threshold), float(owed_value.sum())
    health = margin / total_debt if total_debt > 0 else float("inf")

    error = _barred(market, c, d)
    if error is None and not margin < total_debt:
        error = "HealthFactorNotBelowThreshold"
    if error is None and held[c] <= 0:
        error = "CollateralCannotBeLiquidated"
    if error is None and owed[d] <= 0:
        error = "SpecifiedCurrencyNotBorrowedByUser"
    if error is not None:
        return _refused(error, held, owed, health)

    most = float(owed[d])  # in tokens: (debt * price) / price may miss the last bit, and a bit left over is dust
    if value[c] >= rule.SMALL_POSITION_USD and owed_value[d] >= rule.SMALL_POSITION_USD:
        half = rule.CLOSE_FACTOR * total_debt
        if margin > rule.HALF_ALLOWED_ABOVE * total_debt and owed_value[d] > half:
            most = half / float(market.price[d])
    repaid = min(cover, most) if cover is not None else most
    taken = repaid * market.price[d] / market.price[c] * factor
    collateral_cleared = taken >= held[c]
    if collateral_cleared:
        taken = float(held[c])
        if factor > 0:
            repaid = min(taken * market.price[c] / market.price[d] / factor, repaid)
    debt_cleared = repaid >= owed[d]
    if taken <= 0 or repaid <= 0:
        return _refused("InvalidBurnAmount", held, owed, health)
    if not debt_cleared and not collateral_cleared:
        left = (
            (owed[d] - repaid) * market.price[d],
            (held[c] - _rounded(market, c, d, repaid, factor)) * market.price[c],
        )
        # The contract counts in base units and rounds the debt up, so less than one unit below 1,000 is 1,000.
        if min(left) < rule.MIN_LEFTOVER_USD - 0.5 * rule.BASE_UNIT_USD:
            return _refused("MustNotLeaveDust", held, owed, health)

    fee = (taken - taken / factor) * market.reserves.protocol_fee[c]
    held[c] = 0.0 if collateral_cleared else held[c] - taken
    owed[d] = 0.0 if debt_cleared else owed[d] - repaid
    deficit = np.zeros(market.n_reserves)
    if collateral_cleared and not (held * market.price >= rule.BASE_UNIT_USD).any():
        deficit, owed = owed, np.zeros(market.n_reserves)
    after = float((owed * market.price).sum())
    return Liquidation(
        error=None,
        repaid=float(repaid),
        seized=float(taken - fee),
        fee=float(fee),
        deficit=deficit,
        collateral=held,
        debt=owed,
        health_factor=health,
        health_factor_after=float(held * market.price @ threshold) / after if after > 0 else float("inf"),
    )


def _rounded(market: Market, c: int, d: int, repaid: float, factor: float) -> float:
    """Collateral taken for `repaid` tokens of debt as the contract rounds it: to whole token units, twice.

    The worth of the debt in collateral is floored, then the bonus is floored (v3.7) or rounded half up (v3.6,
    LiquidationLogic.sol, _calculateAvailableCollateralToLiquidate). A unit of a dollar token with 6 decimals is a
    hundred base units, and decides whether 1,000 USD are left. Above 2^53 units a float cannot hold single units, and a
    unit is worth almost nothing.
    """
    unit = 10.0 ** market.reserves.decimals[c]
    base = repaid * market.price[d] / market.price[c] * unit
    if base * factor >= 2.0**53:
        return base * factor / unit
    whole = np.floor(base * (1.0 + 4e-16)) * factor
    return float(np.floor(whole if market.revision >= 11 else whole + 0.5)) / unit


def _reserve(market: Market, label: str, reserve: int | str) -> int:
    """Row of a reserve given by row, symbol or address. Raises `InputError`."""
    if isinstance(reserve, int | np.integer) and not isinstance(reserve, bool):
        if not 0 <= reserve < market.n_reserves:
            raise InputError(f"{label}: reserve index: expected [0, {market.n_reserves}), found {reserve!r:.60}")
        return int(reserve)
    return market.reserves.index(checked_text(label, reserve))


def _barred(market: Market, c: int, d: int) -> str | None:
    reserves = market.reserves
    if not (reserves.active[c] and reserves.active[d]):
        return "ReserveInactive"
    if reserves.paused[c] or reserves.paused[d]:
        return "ReservePaused"
    if max(reserves.grace_until[c], reserves.grace_until[d]) >= market.snapshot.block_time:
        return "LiquidationGraceSentinelCheckFailed"
    return None


def _balances(side, row: int, n_reserves: int) -> FloatArray:
    out = np.zeros(n_reserves)
    entries = slice(side.indptr[row], side.indptr[row + 1])
    out[side.reserve[entries]] = side.amount[entries]
    return out


def _refused(error: str, held: FloatArray, owed: FloatArray, health: float) -> Liquidation:
    return Liquidation(
        error=error, repaid=0.0, seized=0.0, fee=0.0, deficit=np.zeros(len(held)), collateral=held, debt=owed,
        health_factor=health, health_factor_after=health,
    )  # fmt: skip
