"""The arithmetic of the pool and its tokens, by the pool's revision. Exact Python integers; no state, no I/O.

Indices, rates and growth factors are rays (1e27), shares are basis points (1e4), balances are token units, times UTC
epoch seconds. A name with `half` rounds half up.

Sources: aave-v3-core 1.16 to 1.19 and aave-v3-origin 3.1 to 3.7, `WadRayMath.sol`, `PercentageMath.sol`,
`MathUtils.sol`, `TokenMath.sol`, `ReserveLogic.sol`. v3.4 (revision 8) changed the compounding, v3.5 (revision 9)
rounds in one direction.
"""

from __future__ import annotations

from risk_core.units import RAY, SECONDS_PER_YEAR

HALF_RAY = RAY // 2
RATIO = 10**9
"""A wad times this is a ray."""
V3_1, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7 = 4, 5, 7, 8, 9, 10, 11
"""`POOL_REVISION` from which a version's rules hold. 1 to 3 are v3.0.x, 5 and 6 are v3.2."""
REVISIONS = range(1, V3_7 + 1)


def half_mul(a: int, b: int) -> int:
    """Product of two rays, half-up."""
    return (a * b + HALF_RAY) // RAY


def half_div(a: int, b: int) -> int:
    """Quotient of two rays, half-up. Raises `ZeroDivisionError` for b = 0, where the contract reverts."""
    return (a * RAY + b // 2) // b


def share(amount: int, bps: int) -> int:
    """`bps` basis points of an amount, half-up."""
    return (amount * bps + 5_000) // 10_000


def linear(rate: int, seconds: int) -> int:
    """Growth factor of a supply index (ray), every revision."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compound(revision: int, rate: int, seconds: int) -> int:
    """Growth factor of a debt index (ray): three terms of exp(rate * seconds / year).

    From v3.4 they are terms of exp itself, before of the binomial (1 + rate / year) ** seconds.
    """
    if revision >= V3_4:
        x = rate * seconds // SECONDS_PER_YEAR
        return RAY + x + half_mul(x, x // 2 + half_mul(x, x // 6))
    if seconds == 0:
        return RAY
    second = half_mul(rate, rate) // SECONDS_PER_YEAR**2
    third = half_mul(second, rate) // SECONDS_PER_YEAR
    pairs = seconds * (seconds - 1)
    return RAY + rate * seconds // SECONDS_PER_YEAR + pairs * second // 2 + pairs * max(seconds - 2, 0) * third // 6


def balance(revision: int, debt: bool, scaled: int, index: int) -> int:
    """Token units of a scaled balance: half up before v3.5; from v3.5 against the account (debt up, supply down)."""
    if revision < V3_5:
        return (scaled * index + HALF_RAY) // RAY
    return -(-scaled * index // RAY) if debt else scaled * index // RAY


def scaled_for(debt: bool, units: int, index: int) -> int:
    """The scaled amount whose balance is `units` at `index`, from v3.5.

    There is at most one, as an index is at least a ray. The caller checks that its balance is `units`: some values of
    `units` have no such amount.
    """
    return units * RAY // index if debt else -(-units * RAY // index)


def treasury_share(revision: int, debt: int, before: int, now: int, factor: int, liquidity_index: int) -> int:
    """Scaled supply that the treasury gets for one update of a reserve (token units at `liquidity_index`).

    `debt` is the scaled total debt, `before` and `now` the debt index, `factor` the reserve factor in basis points.
    """
    if revision >= V3_5:
        return share(debt * (now - before) // RAY, factor) * RAY // liquidity_index
    return half_div(share(half_mul(debt, now) - half_mul(debt, before), factor), liquidity_index)


def index_with_premium(index: int, premium: int, total: int) -> int:
    """Supply index after suppliers got `premium` token units on top of their `total`; before v3.4."""
    return half_mul(half_div(premium * RATIO, total * RATIO) + RAY, index)
