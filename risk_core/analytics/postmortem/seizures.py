"""What is taken from a borrower: the pool's own amounts, in whole token units."""

from __future__ import annotations

from dataclasses import dataclass

from risk_core.checks import checked_int
from risk_core.errors import InputError
from risk_core.types import require_rules
from risk_core.units import BPS

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
    paid = checked_int("debt_price", debt_price, 1, 2**256) * repaid * 10 ** checked_decimals(collateral_decimals)
    base = paid // (
        checked_int("collateral_price", collateral_price, 1, 2**256) * 10 ** checked_decimals(debt_decimals)
    )
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
    worth = checked_int("collateral_price", collateral_price, 1, 2**256) * gross * 10 ** checked_decimals(debt_decimals)
    base = worth // (checked_int("debt_price", debt_price, 1, 2**256) * 10 ** checked_decimals(collateral_decimals))
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


def _terms(bonus_bps: object, fee_bps: object, revision: int) -> tuple[int, int]:
    require_rules(revision)
    return checked_int("bonus_bps", bonus_bps, BPS, 2 * BPS), checked_int("fee_bps", fee_bps, 0, BPS)


def _seizure(gross: int, bonus_bps: int, fee_bps: int, revision: int) -> Seizure:
    if revision == HALF_UP:
        extra = gross - (gross * BPS + bonus_bps // 2) // bonus_bps
        return Seizure(gross, (extra * fee_bps + BPS // 2) // BPS)
    extra = gross - gross * BPS // bonus_bps
    return Seizure(gross, -(-extra * fee_bps // BPS))


def checked_decimals(value: object) -> int:
    """Decimals of a token, 0 to 77. Raises `InputError`."""
    return checked_int("decimals", value, 0, 77)
