"""Why one account was liquidated, and where its loss came from and went.

Rules of Aave v3 (v3.6 and v3.7, `LiquidationLogic.sol`): for a repaid debt the liquidator is owed collateral worth the
debt at oracle prices, times 1 + bonus; the protocol keeps a share of the bonus, and of nothing else. Amounts are whole
token units. Money is `Fraction`, exact, so that parts add up to their sum to the last digit; losses are positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

import numpy as np
from numpy.typing import ArrayLike

from risk_core.checks import FloatArray, IntArray, checked_array, checked_int, checked_number
from risk_core.errors import InputError
from risk_core.types import require_rules
from risk_core.units import BPS

COLLATERAL_PRICE, COLLATERAL_ORACLE = "collateral price", "collateral oracle"
DEBT_PRICE, DEBT_ORACLE = "debt price", "debt oracle"
PARAMETERS, OWN_ACTIONS, INTEREST = "parameters", "own actions", "interest"
CAUSES = (COLLATERAL_PRICE, COLLATERAL_ORACLE, DEBT_PRICE, DEBT_ORACLE, PARAMETERS, OWN_ACTIONS, INTEREST)
"""What can move a health factor, in the order in which `fall` takes them."""
HALF_UP, ROUND_DOWN = 10, 11
"""Pool revisions by how they round what is seized: v3.6 to the nearest unit, v3.7 down (and the fee up)."""


@dataclass(frozen=True, slots=True)
class Seizure:
    """Collateral taken from a borrower in token units: `gross` of it, `fee` to the protocol, the rest to who repaid."""

    gross: int
    fee: int

    @property
    def net(self) -> int:
        """What the liquidator gets, as the event `LiquidationCall` says it."""
        return self.gross - self.fee


def seizure(gross: int, bonus_bps: int, fee_bps: int, revision: int) -> Seizure:
    """Collateral `gross` (token units) split between protocol and liquidator.

    bonus_bps: 100 % plus the bonus, 10500 is a bonus of 5 %. fee_bps: the protocol's share of the bonus. `revision`:
    the pool's; raises `UnknownRevision` for one without implemented rules, `InputError` for what is out of range.
    """
    bonus_bps, fee_bps = _terms(bonus_bps, fee_bps, revision)
    return _seizure(checked_int("gross", gross, 0, 2**256), bonus_bps, fee_bps, revision)


def owed_collateral(
    repaid: int,
    *,
    debt_price: int,
    collateral_price: int,
    debt_decimals: int,
    collateral_decimals: int,
    bonus_bps: int,
    revision: int,
) -> int:
    """Collateral in token units that repaying `repaid` units of debt earns, before the protocol's fee.

    Prices in the oracle's own integers (USD with 8 decimals). The pool gives less where the borrower has less.
    """
    bonus_bps, _ = _terms(bonus_bps, 0, revision)
    repaid = checked_int("repaid", repaid, 0, 2**256)
    paid = checked_int("debt_price", debt_price, 1, 2**256) * repaid * 10 ** _decimals(collateral_decimals)
    base = paid // (checked_int("collateral_price", collateral_price, 1, 2**256) * 10 ** _decimals(debt_decimals))
    return (base * bonus_bps + (BPS // 2 if revision == HALF_UP else 0)) // BPS


def needed_debt(
    gross: int,
    *,
    debt_price: int,
    collateral_price: int,
    debt_decimals: int,
    collateral_decimals: int,
    bonus_bps: int,
    revision: int,
) -> int:
    """Debt in token units that pays for `gross` units of collateral: what is repaid where all of it is taken."""
    bonus_bps, _ = _terms(bonus_bps, 0, revision)
    gross = checked_int("gross", gross, 0, 2**256)
    worth = checked_int("collateral_price", collateral_price, 1, 2**256) * gross * 10 ** _decimals(debt_decimals)
    base = worth // (checked_int("debt_price", debt_price, 1, 2**256) * 10 ** _decimals(collateral_decimals))
    return -(-base * BPS // bonus_bps)


def seizure_of(net: int, bonus_bps: int, fee_bps: int, revision: int) -> Seizure:
    """The seizure of which the liquidator got `net` token units: `seizure` turned round.

    Where two amounts give the same net, the smaller: the fee may then be one unit more. Raises like `seizure`.
    """
    bonus_bps, fee_bps = _terms(bonus_bps, fee_bps, revision)
    net = checked_int("net", net, 0, 2**256)
    # net = gross * (1 - (1 - 1 / bonus) * share), up to rounding.
    near = net * bonus_bps * BPS // (bonus_bps * BPS - (bonus_bps - BPS) * fee_bps)
    for gross in range(max(near - 4, net), near + 5):
        found = _seizure(gross, bonus_bps, fee_bps, revision)
        if found.net == net:
            return found
    raise InputError(f"net: no seizure leaves {net} units at a bonus of {bonus_bps} and a fee of {fee_bps} bp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a liquidation cost the borrower, in USD (exact); None is not known.

        oracle_collateral + oracle_debt = oracle_error
        bonus + protocol_fee            = at_oracle         what was taken, less what was repaid, at oracle prices
        oracle_error + at_oracle        = total             the same at market prices

    oracle_collateral: what was taken times (market - oracle): above 0 where the oracle said too little. oracle_debt:
    what was repaid times (oracle - market): above 0 where it said too much. bonus: the liquidator's part of it.
    to_liquidator: the total without the fee, at market prices. fee_market: the fee at the market's price.
    """

    oracle_collateral: Fraction | None
    oracle_debt: Fraction | None
    oracle_error: Fraction | None
    bonus: Fraction | None
    protocol_fee: Fraction | None
    at_oracle: Fraction | None
    total: Fraction | None
    to_liquidator: Fraction | None
    fee_market: Fraction | None


def loss(
    *,
    net: int,
    fee: int | None,
    repaid: int,
    collateral_decimals: int,
    debt_decimals: int,
    collateral_oracle: object = None,
    debt_oracle: object = None,
    collateral_market: object = None,
    debt_market: object = None,
) -> Loss:
    """The borrower's loss and its parts.

    net, fee, repaid: token units to the liquidator, to the protocol, and of debt. Prices: USD per token, an int, a
    float or a `Fraction`, taken exactly. None where something is not known: what rests on it is then None as well.
    Raises `InputError`.
    """
    collateral_unit, debt_unit = 10 ** _decimals(collateral_decimals), 10 ** _decimals(debt_decimals)
    got = Fraction(checked_int("net", net, 0, 2**256), collateral_unit)
    kept = None if fee is None else Fraction(checked_int("fee", fee, 0, 2**256), collateral_unit)
    paid = Fraction(checked_int("repaid", repaid, 0, 2**256), debt_unit)
    said, owed = _price("collateral_oracle", collateral_oracle), _price("debt_oracle", debt_oracle)
    worth, cost = _price("collateral_market", collateral_market), _price("debt_market", debt_market)

    taken = None if kept is None else got + kept
    wrong = _times(taken, _less(worth, said))
    over = _times(paid, _less(owed, cost))
    bonus = _less(_times(got, said), _times(paid, owed))
    share = _times(kept, said)
    error, at_oracle = _plus(wrong, over), _plus(bonus, share)
    return Loss(
        oracle_collateral=wrong,
        oracle_debt=over,
        oracle_error=error,
        bonus=bonus,
        protocol_fee=share,
        at_oracle=at_oracle,
        # Not the sum of the two: known at market prices alone, even where the oracle's are not.
        total=_less(_times(taken, worth), _times(paid, cost)),
        to_liquidator=_less(_times(got, worth), _times(paid, cost)),
        fee_market=_times(kept, worth),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Who got the borrower's loss, USD (exact), None where not known.

        protocol_fee + oev + slippage + rest = total        what is not known counts as 0 here

    `rest`: the liquidator's gain, less what of its costs is known; those that are not known are still in it.
    """

    protocol_fee: Fraction | None
    oev: Fraction | None
    slippage: Fraction | None
    rest: Fraction | None


def receipts(split: Loss, *, oev: object = None, slippage: object = None) -> Receipts:
    """Who got it: `oev` what the liquidator paid for being first, `slippage` what selling cost it; USD, not below 0."""
    paid, sold = _money("oev", oev), _money("slippage", slippage)
    rest = split.to_liquidator
    for part in (paid, sold):
        rest = rest if part is None or rest is None else rest - part
    return Receipts(protocol_fee=split.fee_market, oev=paid, slippage=sold, rest=rest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """An account at one time: K reserves, all arrays (K,) and read-only.

    collateral, debt: tokens, not negative. threshold: liquidation threshold as it counts for the account. price: USD
    per token; NaN where not known, and then a health factor that needs it is NaN.
    """

    collateral: FloatArray
    debt: FloatArray
    threshold: FloatArray
    price: FloatArray

    def __post_init__(self) -> None:
        n = len(checked_array("Account.collateral", self.collateral, np.float64, (None,)))
        for name in ("collateral", "debt", "threshold", "price"):
            array = checked_array(f"Account.{name}", getattr(self, name), np.float64, (n,))
            good = np.isfinite(array) & (array >= 0)
            if name == "price":
                good = np.isnan(array) | (good & (array > 0))
            if not good.all():
                at = int(np.argmax(~good))
                rule = "positive, or NaN for unknown" if name == "price" else "finite and not negative"
                raise InputError(f"Account.{name}: entry {at} is {array[at]}; must be {rule}")
            object.__setattr__(self, name, array)

    @property
    def health_factor(self) -> float:
        """Collateral times threshold over debt; inf without debt, NaN where a price that it needs is not known."""
        return float(health_path(self.collateral[None], self.debt[None], self.threshold, self.price[None])[0])


def health_path(collateral: ArrayLike, debt: ArrayLike, threshold: ArrayLike, price: ArrayLike) -> FloatArray:
    """Health factors (T,) of one account along T times.

    collateral, debt: (T, K) tokens. threshold: (K,). price: (T, K) USD per token, NaN where not known: only the health
    factors that need it are NaN. inf without debt.
    """
    backing = checked_array("collateral", collateral, np.float64, (None, None))
    owed = checked_array("debt", debt, np.float64, backing.shape)
    share = checked_array("threshold", threshold, np.float64, backing.shape[1:])
    at = checked_array("price", price, np.float64, backing.shape)
    return _health(backing, owed, share, at, at)


@dataclass(frozen=True, slots=True)
class Cause:
    """One of `CAUSES` and what it added to the health factor (negative: it fell); None where not told apart."""

    name: str
    change: float | None


@dataclass(frozen=True, slots=True)
class Fall:
    """How a health factor came from `before` to `after`; the known changes of `causes` add up to the difference."""

    before: float
    after: float
    causes: tuple[Cause, ...]

    @property
    def main(self) -> Cause | None:
        """The cause that took most, None where nothing took anything."""
        known = [cause for cause in self.causes if cause.change is not None and cause.change < 0]
        return min(known, key=lambda cause: cause.change or 0.0, default=None)


def fall(
    before: Account,
    after: Account,
    *,
    own_collateral: ArrayLike,
    own_debt: ArrayLike,
    market_price: ArrayLike | None = None,
) -> Fall:
    """What moved a health factor, one cause at a time in the order of `CAUSES`.

    own_collateral, own_debt: (K,) tokens that the account's own actions added (borrowed, repaid below 0 and so on);
    what is left of the change of the amounts is interest. market_price: (K,) what the prices of `after` would be had
    the oracle followed the market, NaN where not known; for a side that holds such a reserve the oracle is not told
    apart from the price. Each step takes what came before it as given, so another order gives other parts. Raises
    `InputError`, also where a health factor is not known or infinite.
    """
    n = len(before.collateral)
    if len(after.collateral) != n:
        raise InputError(f"after: expected {n} reserves as before, found {len(after.collateral)}")
    acted = [
        checked_array(name, value, np.float64, (n,))
        for name, value in (("own_collateral", own_collateral), ("own_debt", own_debt))
    ]
    market = (
        np.full(n, np.nan) if market_price is None else checked_array("market_price", market_price, np.float64, (n,))
    )
    middle = [_told(market, side) for side in (before.collateral, before.debt)]

    c, d, lt, pc, pd = before.collateral, before.debt, before.threshold, before.price, before.price
    own_c, own_d = (np.maximum(side + change, 0.0) for side, change in zip((c, d), acted, strict=True))
    steps: list[tuple[str, tuple[FloatArray, ...] | None]] = []
    if middle[0] is not None:
        steps += [(COLLATERAL_PRICE, (c, d, lt, middle[0], pd)), (COLLATERAL_ORACLE, (c, d, lt, after.price, pd))]
    else:
        steps += [(COLLATERAL_PRICE, (c, d, lt, after.price, pd)), (COLLATERAL_ORACLE, None)]
    pc = after.price
    if middle[1] is not None:
        steps += [(DEBT_PRICE, (c, d, lt, pc, middle[1])), (DEBT_ORACLE, (c, d, lt, pc, after.price))]
    else:
        steps += [(DEBT_PRICE, (c, d, lt, pc, after.price)), (DEBT_ORACLE, None)]
    pd = after.price
    steps += [
        (PARAMETERS, (c, d, after.threshold, pc, pd)),
        (OWN_ACTIONS, (own_c, own_d, after.threshold, pc, pd)),
        (INTEREST, (after.collateral, after.debt, after.threshold, pc, pd)),
    ]
    start, causes = before.health_factor, []
    here = start
    for name, step in steps:
        if step is None:
            causes.append(Cause(name, None))
            continue
        backing, owed, share, price_c, price_d = step
        there = float(_health(backing[None], owed[None], share, price_c[None], price_d[None])[0])
        if not (math.isfinite(here) and math.isfinite(there)):
            raise InputError(f"fall: the health factor is {here} before and {there} after {name}; both must be known")
        causes.append(Cause(name, there - here))
        here = there
    return Fall(start, here, tuple(causes))


@dataclass(frozen=True, slots=True)
class Waited:
    """Had everyone waited `wait` seconds: the health factor at the stored time `at`, and whether it was 1 or more.

    None where no price is stored near enough, or none of a reserve that is held.
    """

    wait: int
    at: int | None
    health_factor: float | None
    saved: bool | None


def waited(times: ArrayLike, health: ArrayLike, since: int, waits: Sequence[int], slack: int) -> tuple[Waited, ...]:
    """What waiting would have brought, for each of `waits` seconds after `since`.

    times: (T,) UTC seconds, strictly rising; health: (T,) without the liquidation, NaN where not known. The stored time
    that is nearest to the end of the wait speaks for it, if it is after `since` and no further away than `slack`
    seconds and a half of the wait.
    """
    t = checked_array("times", times, np.int64, (None,))
    h = checked_array("health", health, np.float64, (len(t),))
    if len(t) > 1 and not (np.diff(t) > 0).all():
        raise InputError("times: expected strictly rising seconds")
    since, slack = checked_int("since", since, 0), checked_int("slack", slack, 0)
    found = []
    for wait in waits:
        wait = checked_int("waits", wait, 1)
        after = np.flatnonzero(t > since)
        place = after[np.argmin(np.abs(t[after] - since - wait))] if len(after) else None
        if place is None or abs(int(t[place]) - since - wait) > min(slack, wait // 2) or np.isnan(h[place]):
            found.append(Waited(wait, None, None, None))
        else:
            found.append(Waited(wait, int(t[place]), float(h[place]), bool(h[place] >= 1)))
    return tuple(found)


def first_safe(times: IntArray, health: FloatArray, since: int) -> int | None:
    """The first of the times (T,) after `since` at which a health factor (T,) is 1 or more, None for none."""
    safe = np.flatnonzero((np.asarray(times) > since) & (np.asarray(health) >= 1))
    return int(times[safe[0]]) if len(safe) else None


def _health(
    collateral: FloatArray, debt: FloatArray, threshold: FloatArray, price_c: FloatArray, price_d: FloatArray
) -> FloatArray:
    """(T,) with the prices of both sides apart; a price counts only where something is held."""
    with np.errstate(invalid="ignore", divide="ignore"):
        backing = np.where(collateral * threshold > 0, collateral * threshold * price_c, 0.0).sum(axis=1)
        owed = np.where(debt > 0, debt * price_d, 0.0).sum(axis=1)
        return np.where(owed == 0, np.inf, backing / owed)


def _told(market: FloatArray, held: FloatArray) -> FloatArray | None:
    """The market's prices, None where one that is held is not known."""
    return None if np.isnan(market[held > 0]).any() else market


def _terms(bonus_bps: object, fee_bps: object, revision: int) -> tuple[int, int]:
    require_rules(revision)
    return checked_int("bonus_bps", bonus_bps, BPS, 2 * BPS), checked_int("fee_bps", fee_bps, 0, BPS)


def _seizure(gross: int, bonus_bps: int, fee_bps: int, revision: int) -> Seizure:
    if revision == HALF_UP:
        extra = gross - (gross * BPS + bonus_bps // 2) // bonus_bps
        return Seizure(gross, (extra * fee_bps + BPS // 2) // BPS)
    extra = gross - gross * BPS // bonus_bps
    return Seizure(gross, -(-extra * fee_bps // BPS))


def _decimals(value: object) -> int:
    return checked_int("decimals", value, 0, 77)


def _price(label: str, value: object) -> Fraction | None:
    found = _exact(label, value, "a positive price")
    if found is not None and found <= 0:
        raise InputError(f"{label}: expected a positive price, found {value!r:.60}")
    return found


def _money(label: str, value: object) -> Fraction | None:
    found = _exact(label, value, "an amount of money, not negative")
    if found is not None and found < 0:
        raise InputError(f"{label}: expected an amount of money, not negative, found {value!r:.60}")
    return found


def _exact(label: str, value: object, rule: str) -> Fraction | None:
    if value is None:
        return None
    if isinstance(value, Rational) and not isinstance(value, bool | int):
        return Fraction(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    return Fraction(checked_number(label, value, rule=rule))


def _plus(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a + b


def _less(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a - b


def _times(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a * b
