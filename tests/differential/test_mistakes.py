"""Deliberate mistakes: each wrong rule that a careful person could believe is caught by the recorded answers.

A witness that accepts a wrong rule is no witness. Every mistake below is made in the integer model for one test, and
the comparison must then show differences.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.differential import integer_layer
from tests.reference import truth
from tests.reference.aave_exact import Pool
from tests.reference.aave_records import Account, AccountData, Reverted, Seizure
from tests.reference.aave_rules import RulesV36, RulesV37, Spent
from tests.reference.fixed_point import BPS, RAY, WAD, div_ceil, div_half_up, linear_growth, percent_div, percent_mul

pytestmark = pytest.mark.differential

honest_most = RulesV36.most_repayable
honest_check = Pool._check


def half_of_the_reserve_debt(self, c, d, balance, debt, data):
    """Half of the debt in this reserve, as before v3.3."""
    return debt // 2 if data.health_factor > self.close_factor_health_factor else debt


def half_also_at_exactly_0_95(self, c, d, balance, debt, data):
    nudged = data._replace(health_factor=data.health_factor + 1)
    return honest_most(self, c, d, balance, debt, nudged)


def small_below_and_at_2000(self, c, d, balance, debt, data):
    if d.debt_value(debt) == self.full_close_below or c.supply_value(balance) == self.full_close_below:
        return debt
    return honest_most(self, c, d, balance, debt, data)


def small_by_the_whole_position(self, c, d, balance, debt, data):
    """2,000 USD of the account instead of this pair."""
    value = d.debt_value(debt)
    half = percent_mul(data.debt, self.close_factor)
    large = min(data.collateral, data.debt) >= self.full_close_below
    if large and data.health_factor > self.close_factor_health_factor and value > half:
        return half * d.unit // d.price
    return debt


def close_factor_without_the_2000_rule(self, c, d, balance, debt, data):
    value, half = d.debt_value(debt), percent_mul(data.debt, self.close_factor)
    if data.health_factor > self.close_factor_health_factor and value > half:
        return half * d.unit // d.price
    return debt


def fee_from_the_whole_seizure(self, take, bonus, fee_bps):
    return percent_mul(take, fee_bps)


def health_factor_from_the_average_threshold(self, data: AccountData, weighted: int) -> int:
    """As before v3.5: the average threshold is cut to whole basis points first."""
    return percent_mul(data.collateral, data.liquidation_threshold) * WAD // data.debt if data.debt else 2**256 - 1


def health_factor_rounded_down(self, data: AccountData, weighted: int) -> int:
    return weighted * WAD // data.debt // BPS if data.debt else 2**256 - 1


def no_dust_rule(self, weighed):
    return False


def dust_at_1000_itself(self, weighed):
    left = min(weighed.debt_value_left, weighed.collateral_value_left)
    return weighed.leaves_both and left <= self.leftover


def dust_by_the_debt_alone(self, weighed):
    return weighed.leaves_both and weighed.debt_value_left < self.leftover


def debt_rounded_down(self, scaled, index):
    return scaled * index // RAY


def supply_rounded_up(self, scaled, index):
    return div_ceil(scaled * index, RAY)


def the_reserves_own_bonus_inside_an_emode(self, reserve, emode):
    return reserve.liquidation_bonus


def the_emode_bonus_for_every_collateral(self, reserve, emode):
    return emode.liquidation_bonus if emode is not None else reserve.liquidation_bonus


def ltv_of_the_category_in_spite_of_ltvzero(self, reserve, emode, inside):
    return emode.ltv if inside else reserve.ltv


def bad_debt_stays(self, c, scaled, balance, moved, data):
    return Spent(reserve=moved.take == balance, account=False)


def bad_debt_only_of_the_liquidated_reserve(self, account):
    return []


def needed_debt_rounded_down(self, c, d, balance, debt, bonus):
    asked = take = self.with_bonus(d.price * debt * c.unit // (c.price * d.unit), bonus)
    if take > balance:
        take, debt = balance, c.price * balance * d.unit // (d.price * c.unit) * BPS // bonus
    return Seizure(debt, take, self.fee(take, bonus, c.protocol_fee), asked)


def burnt_debt_rounded_up(account, d, amount):
    scaled = min(div_ceil(amount * RAY, d.debt_index), account.debt[d.id])
    if scaled == 0:
        raise Reverted("InvalidBurnAmount")
    account.debt[d.id] -= scaled
    if account.debt[d.id] == 0:
        account.stop_borrowing(d.id)


def the_health_factor_before_the_pause(self, account, c, d, data, owed, liquidator):
    if data.health_factor >= self.rules.liquidation_health_factor:
        raise Reverted("HealthFactorNotBelowThreshold")
    honest_check(self, account, c, d, data, owed, liquidator)


def liquidatable_at_exactly_1(self, account, c, d, data, owed, liquidator):
    at_one = data.health_factor == self.rules.liquidation_health_factor
    data = data._replace(health_factor=data.health_factor - 1) if at_one else data
    honest_check(self, account, c, d, data, owed, liquidator)


def balances_decide_not_flags(self, reserve):
    return self.supply.get(reserve, 0) > 0


def simple_interest_on_debt(rate, seconds):
    return linear_growth(rate, seconds)


def bonus_of_v37(self, base, bonus):
    return base * bonus // BPS


MISTAKES: list[tuple[object, str, Callable]] = [
    (RulesV36, "most_repayable", half_of_the_reserve_debt),
    (RulesV36, "most_repayable", half_also_at_exactly_0_95),
    (RulesV36, "most_repayable", small_below_and_at_2000),
    (RulesV36, "most_repayable", small_by_the_whole_position),
    (RulesV36, "most_repayable", close_factor_without_the_2000_rule),
    (RulesV36, "fee", fee_from_the_whole_seizure),
    (RulesV36, "health_factor", health_factor_from_the_average_threshold),
    (RulesV36, "health_factor", health_factor_rounded_down),
    (RulesV36, "leaves_dust", no_dust_rule),
    (RulesV36, "leaves_dust", dust_at_1000_itself),
    (RulesV36, "leaves_dust", dust_by_the_debt_alone),
    (RulesV36, "debt_balance", debt_rounded_down),
    (RulesV36, "supply_balance", supply_rounded_up),
    (RulesV36, "bonus", the_reserves_own_bonus_inside_an_emode),
    (RulesV36, "bonus", the_emode_bonus_for_every_collateral),
    (RulesV36, "ltv", ltv_of_the_category_in_spite_of_ltvzero),
    (RulesV36, "collateral_spent", bad_debt_stays),
    (RulesV36, "seize", needed_debt_rounded_down),
    (RulesV36, "with_bonus", bonus_of_v37),
    (Pool, "_burn_bad_debt", bad_debt_only_of_the_liquidated_reserve),
    (Pool, "_burn_debt", staticmethod(burnt_debt_rounded_up)),
    (Pool, "_check", the_health_factor_before_the_pause),
    (Pool, "_check", liquidatable_at_exactly_1),
    (Account, "uses_as_collateral", balances_decide_not_flags),
    (truth, "compounded_growth", simple_interest_on_debt),
]


def name_of(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("owner", "rule", "wrong"), MISTAKES, ids=[name_of(m[2]) for m in MISTAKES])
def test_a_wrong_rule_of_v36_is_caught(owner, rule, wrong, small, monkeypatch):
    monkeypatch.setattr(owner, rule, wrong)

    assert integer_layer.check(small).differences


def v36_fee(self, take, bonus, fee_bps):
    return percent_mul(take - percent_div(take, bonus), fee_bps) if fee_bps else 0


def v36_bonus(self, base, bonus):
    return div_half_up(base * bonus, BPS)


# Emptiness judged on balances instead of scaled balances is not among them: no recorded case tells the two apart.
MISTAKES_V37 = [
    ("fee", v36_fee),
    ("with_bonus", v36_bonus),
    ("ltv", RulesV36.ltv),
]


@pytest.mark.parametrize(("rule", "wrong"), MISTAKES_V37, ids=[m[0] for m in MISTAKES_V37])
def test_a_rule_of_v36_is_caught_under_v37(rule, wrong, large_path, monkeypatch):
    book = truth.Truth.load(large_path("truth_A37"))
    monkeypatch.setattr(RulesV37, rule, wrong)

    assert integer_layer.check(book).differences
