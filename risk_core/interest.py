"""From stored indices to balances at a block's time, exactly as the pool computes them. Pure Python integers.

The pool stores each reserve's indices as of its last update, and holders' *scaled* balances. What an account owns
or owes at a time t follows from the two: bring the index to t, multiply, round against the account.

Formats: indices, rates and growth factors are rays (1e27); times are UTC epoch seconds; balances are token units.
Sources: aave-v3-origin 3.6, `MathUtils.sol` (growth), `ReserveLogic.sol` (normalized indices), `TokenMath.sol`
(rounding; v3.5 and later: down for supply, up for debt).
"""

from __future__ import annotations

from risk_core.errors import InputError
from risk_core.units import RAY, SECONDS_PER_YEAR


def normalized_income(liquidity_index: int, liquidity_rate: int, last_update: int, time: int) -> int:
    """Supply index at `time` (ray): the stored index grown linearly at the supply rate since `last_update`.

    `half_up((RAY + rate * dt // YEAR) * index / RAY)`. Raises `InputError` when `time` precedes `last_update`.

    >>> normalized_income(10**27, 10**26, 0, 365 * 86_400) == 11 * 10**26     # 10 % for a year
    True
    """
    dt = _elapsed(last_update, time)
    return _ray_mul(RAY + liquidity_rate * dt // SECONDS_PER_YEAR, liquidity_index)


def normalized_debt(variable_borrow_index: int, variable_borrow_rate: int, last_update: int, time: int) -> int:
    """Debt index at `time` (ray): the stored index compounded at the borrow rate since `last_update`.

    The contract expands exp(x), x = rate * dt / year, to the third order:
    `RAY + x + x * (x // 2 + x * (x // 6))` with half-up ray products. It grows even while nobody borrows, as the
    pool's view functions do. Raises `InputError` when `time` precedes `last_update`.

    >>> normalized_debt(10**27, 10**26, 0, 365 * 86_400)                      # 1 + 0.1 + 0.01/2 + 0.001/6
    1105166666666666666666666667
    """
    dt = _elapsed(last_update, time)
    x = variable_borrow_rate * dt // SECONDS_PER_YEAR
    growth = RAY + x + _ray_mul(x, x // 2 + _ray_mul(x, x // 6))
    return _ray_mul(growth, variable_borrow_index)


def supply_balance(scaled: int, index: int) -> int:
    """Token units behind a scaled aToken balance at a supply index (ray); rounded down, never more than is backed.

    >>> supply_balance(3, 15 * 10**26)
    4
    """
    return scaled * index // RAY


def debt_balance(scaled: int, index: int) -> int:
    """Token units owed for a scaled debt balance at a debt index (ray); rounded up, never less than is owed.

    >>> debt_balance(3, 15 * 10**26)
    5
    """
    return -(-scaled * index // RAY)


def _ray_mul(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def _elapsed(last_update: int, time: int) -> int:
    if time < last_update:
        raise InputError(
            f"time: expected a block time at or after the reserve's last update {last_update}, found {time}; "
            "read indices and balances at one and the same block"
        )
    return time - last_update
