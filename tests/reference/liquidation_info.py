"""What the protocol's own adviser proposes: `LiquidationDataProvider.getLiquidationInfo`, in integers.

Its amounts are advice, not rules: it rounds half up and down where the pool rounds up or down, so its `amount` may
revert by a hair. It is modelled because liquidators use it, and because its rows test the pool's rules once more.
Source: aave-v3-origin `LiquidationDataProvider.sol` (3.6.0; 3.7.0 rounds as its pool does), formulae only.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.reference.aave_exact import Pool
from tests.reference.aave_records import Account, Reserve, Seizure
from tests.reference.fixed_point import BPS, MAX_UINT256, div_ceil


class Advice(NamedTuple):
    """Token units: `collateral` reaches the liquidator, `fee` the treasury, `amount` is the `cover` to pass."""

    collateral: int = 0
    debt: int = 0
    fee: int = 0
    amount: int = 0


def liquidation_info(pool: Pool, account: Account, collateral: int, debt: int) -> Advice:
    """The largest call that leaves no dust, as the adviser computes it; zeros where nothing can be liquidated."""
    c, d = pool.reserves[collateral], pool.reserves[debt]
    balance, owed = pool.supply(account, collateral), pool.debt(account, debt)
    data = pool.account_data(account)
    barred = any(not r.active or r.paused or r.grace_until >= pool.time for r in (c, d))
    if owed == 0 or data.health_factor >= pool.rules.liquidation_health_factor or barred:
        return Advice()
    if not account.uses_as_collateral(collateral):
        return Advice()

    bonus = pool.rules.bonus(c, pool.emodes.get(account.emode))
    # The adviser values debt by the floor, the pool by the ceiling; one unit of base currency apart at most.
    floored = _FlooredDebt(**{name: getattr(d, name) for name in Reserve.__slots__})
    most = pool.rules.most_repayable(c, floored, balance, owed, data)
    moved = pool.rules.seize(c, d, balance, most, bonus)
    if moved.take < balance and moved.debt < owed:
        moved = _without_dust(pool, c, d, balance, owed, moved, bonus)
    # Net of the fee, as the adviser compares it: with a fee, taking all collateral is not seen as taking all.
    everything = moved.debt == owed or (moved.take != 0 and moved.take - moved.fee == balance)
    return Advice(moved.take - moved.fee, moved.debt, moved.fee, MAX_UINT256 if everything else moved.debt)


class _FlooredDebt(Reserve):
    def debt_value(self, balance: int) -> int:
        return self.supply_value(balance)


def _without_dust(pool: Pool, c: Reserve, d: Reserve, balance: int, owed: int, moved: Seizure, bonus: int) -> Seizure:
    """Shrink the call until 1,000 USD stay on the side that lacks more of it."""
    rules = pool.rules
    short_collateral = max(rules.leftover - c.supply_value(balance - moved.take), 0)
    short_debt = max(rules.leftover - rules.advised_debt_value(d, owed - moved.debt), 0)
    if short_collateral == 0 and short_debt == 0:
        return moved
    if short_collateral > short_debt:
        # The adviser starts from the amount net of the fee here, so it gives away a little more than needed.
        take = moved.take - moved.fee - short_collateral * c.unit // c.price
        repay = div_ceil((c.price * take * d.unit // (d.price * c.unit)) * BPS, bonus)
    else:
        repay = moved.debt - short_debt * d.unit // d.price
        take = rules.with_bonus(d.price * repay * c.unit // (c.price * d.unit), bonus)
    return Seizure(repay, take, rules.fee(take, bonus, c.protocol_fee), take)
