"""What a liquidation cost its borrower, and who got it. Money is `Fraction`: the parts add up to their sum exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from risk_core.analytics.postmortem.seizures import checked_decimals
from risk_core.checks import checked_int, checked_number
from risk_core.errors import InputError


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
    collateral_unit, debt_unit = 10 ** checked_decimals(collateral_decimals), 10 ** checked_decimals(debt_decimals)
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
