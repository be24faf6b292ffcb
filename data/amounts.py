"""Supplies and debts of accounts at a block: scaled balances times the indices at its time, exactly.

Stored balances become amounts only here. Rules: Aave v3 rounds a supply down and a debt up
(`risk_core.interest`), Aave v2 rounds each product half up, a Comet and a cToken round down like v3 (their debts are
stored in token units, with an index of 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from risk_core.interest import debt_balance, normalized_debt, normalized_income, supply_balance
from risk_core.units import RAY

Columns = Mapping[str, Sequence[Any]]
"""Column name to plain values, one for each row."""

HALF_UP = "aave_v2"
"""The protocol whose products are rounded half up."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Indices of a reserve at a block (ray), base units of one token, and whether products are rounded half up."""

    income: int
    debt: int
    unit: int
    half_up: bool = False

    def supplied(self, scaled: int) -> int:
        """Token units of a scaled supply."""
        return _half_up(scaled * self.income) if self.half_up else supply_balance(scaled, self.income)

    def owed(self, scaled: int) -> int:
        """Token units owed for a scaled debt."""
        return _half_up(scaled * self.debt) if self.half_up else debt_balance(scaled, self.debt)

    def stable_debt(self, supply_raw: int, debt_raw: int, scaled_supply: int, scaled_debt: int) -> int | None:
        """The stated debt minus its scaled part, in token units: debt at a stable rate (Aave v2); None where it is 0.

        Raises `ValueError` where the stated amounts differ from those of the scaled balances and indices.
        """
        supplied, owed = self.supplied(scaled_supply), self.owed(scaled_debt)
        if supply_raw != supplied:
            raise ValueError(f"supply: expected {supplied} from the scaled balance {scaled_supply}, found {supply_raw}")
        if debt_raw != owed and not (self.half_up and debt_raw > owed):
            raise ValueError(f"debt: expected {owed} from the scaled balance {scaled_debt}, found {debt_raw}")
        return debt_raw - owed or None


def _half_up(product: int) -> int:
    return (product + RAY // 2) // RAY


def terms(reserve: Columns, time: int, protocol: str | None = None) -> dict[int, Terms]:
    """Reserve id -> its terms, from columns of `raw_aave_reserves`; `time`: of the block, seconds UTC.

    Raises `InputError` where an index was set after the block, `ValueError` for a value that is not an integer.
    """
    return {
        number: Terms(
            normalized_income(int(index), int(rate), updated, time),
            normalized_debt(int(debt_index), int(debt_rate), updated, time),
            10**decimals,
            protocol == HALF_UP,
        )
        for number, index, rate, debt_index, debt_rate, updated, decimals in zip(
            *(
                reserve[name]
                for name in (
                    "reserve_id", "liquidity_index", "liquidity_rate", "variable_borrow_index", "variable_borrow_rate",
                    "last_update_timestamp", "decimals",
                )
            ),
            strict=True,
        )
    }  # fmt: skip


def positions(state: Columns, balance: Columns, by_reserve: Mapping[int, Terms]) -> Columns:
    """Columns account, reserve_id, is_collateral (0 or 1), supply and debt (tokens, float64, correctly rounded).

    `state`: account, config_bitmap; `balance`: account, reserve_id, scaled_supply, scaled_debt, stable_debt (or None).
    An account without a state has no flag. Raises `KeyError` for an unknown reserve, `ValueError` for a value
    that is not an integer.
    """
    flags = dict(zip(state["account"], map(int, state["config_bitmap"]), strict=True))
    who, what, stable = balance["account"], balance["reserve_id"], balance["stable_debt"]
    supply, debt = balance["scaled_supply"], balance["scaled_debt"]
    if any(at.half_up for at in by_reserve.values()) or any(stable):
        held = [by_reserve[i].supplied(int(s)) / by_reserve[i].unit for i, s in zip(what, supply, strict=True)]
        owed = [
            (by_reserve[i].owed(int(s)) + int(more or 0)) / by_reserve[i].unit
            for i, s, more in zip(what, debt, stable, strict=True)
        ]
    else:
        # `Terms.supplied` and `Terms.owed` written out: half a million calls would take as long as the rest.
        income = {i: at.income for i, at in by_reserve.items()}
        owing = {i: at.debt for i, at in by_reserve.items()}
        unit = {i: at.unit for i, at in by_reserve.items()}
        nothing = ("0", 0)
        held = [0.0 if s in nothing else int(s) * income[i] // RAY / unit[i] for i, s in zip(what, supply, strict=True)]
        owed = [
            0.0 if s in nothing else -(-int(s) * owing[i] // RAY) / unit[i] for i, s in zip(what, debt, strict=True)
        ]
    place = {i: 2 * i + 1 for i in by_reserve}
    return {
        "account": who,
        "reserve_id": what,
        "is_collateral": [flags.get(account, 0) >> place[i] & 1 for account, i in zip(who, what, strict=True)],
        "supply": held,
        "debt": owed,
    }
