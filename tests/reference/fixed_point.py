"""Integer arithmetic as the Aave v3 contracts do it. Everything is a Python int; nothing here is a float.

Formats: ray (1e27) for indices and rates, wad (1e18) for health factors, basis points (1e4) for percentages.
Sources: `WadRayMath.sol`, `PercentageMath.sol`, `MathUtils.sol` of aave-v3-origin 3.6, formulae in words only.
"""

from __future__ import annotations

RAY = 10**27
WAD = 10**18
BPS = 10_000
YEAR = 365 * 86_400
MAX_UINT256 = 2**256 - 1


def div_half_up(numerator: int, denominator: int) -> int:
    """Quotient rounded to the nearest integer, ties up.

    >>> [div_half_up(n, 10) for n in (4, 5, 15)]
    [0, 1, 2]
    """
    return (numerator + denominator // 2) // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """Quotient rounded up.

    >>> div_ceil(10, 5), div_ceil(11, 5)
    (2, 3)
    """
    return -(-numerator // denominator)


def ray_mul(a: int, b: int) -> int:
    """Product of two rays, half up."""
    return div_half_up(a * b, RAY)


def percent_mul(value: int, bps: int) -> int:
    """`bps` of `value`, half up: 2.5 % of 100 is 3."""
    return div_half_up(value * bps, BPS)


def percent_div(value: int, bps: int) -> int:
    """What `value` is `bps` of, half up."""
    return div_half_up(value * BPS, bps)


def linear_growth(rate: int, seconds: int) -> int:
    """Growth factor (ray) of the supply side at a yearly `rate` (ray)."""
    return RAY + rate * seconds // YEAR


def compounded_growth(rate: int, seconds: int) -> int:
    """Growth factor (ray) of debt: the contract's third-order expansion of exp(rate * time)."""
    x = rate * seconds // YEAR
    return RAY + x + ray_mul(x, x // 2 + ray_mul(x, x // 6))


def supply_balance(scaled: int, index: int) -> int:
    """Token units behind a scaled supply; rounded down, against the supplier."""
    return scaled * index // RAY


def debt_balance(scaled: int, index: int) -> int:
    """Token units owed for a scaled debt; rounded up, against the borrower."""
    return div_ceil(scaled * index, RAY)
