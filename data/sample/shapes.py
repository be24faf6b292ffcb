"""The kinds of borrower in the sample: how often each occurs, its collateral, its debt, how close it is to liquidation.

Weights are ours, set so that the book has the shape of the published one: collateral led by WETH, liquid staking
tokens, wrapped BTC and USDC; debt led by USDC, USDT, WETH and GHO; leveraged loops inside e-modes that sit close to
health factor 1; and a few hundred large accounts that hold most of the money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of borrower.

    `share`: of all borrowers. `emode`: category id, 0 for none. `collateral`, `debt`: weights by symbol.
    `n_collateral`, `n_debt`: probability of 1, 2, 3 ... legs. `health_factor`: (median, log-width) of the health
    factor; for a loop, of the health factor above 1. `size`: multiplies the debt.
    """

    name: str
    share: float
    emode: int = 0
    collateral: Mapping[str, float]
    debt: Mapping[str, float]
    n_collateral: tuple[float, ...]
    n_debt: tuple[float, ...]
    health_factor: tuple[float, float]
    loop: bool = False
    size: float = 1.0


VOLATILE = {
    "WETH": 30, "wstETH": 14, "WBTC": 13, "weETH": 7, "cbBTC": 6, "LINK": 3, "AAVE": 3, "rETH": 1.5, "tBTC": 0.7,
    "LBTC": 0.8, "cbETH": 0.8, "osETH": 0.6, "UNI": 0.7, "CRV": 0.4, "LDO": 0.3, "MKR": 0.4, "ENS": 0.15, "BAL": 0.1,
    "ETHx": 0.2, "FBTC": 0.1,
}  # fmt: skip
STABLE = {
    "USDC": 9, "USDT": 6, "DAI": 1.6, "USDe": 1.2, "sDAI": 0.9, "sUSDe": 0.9, "USDS": 0.8, "PYUSD": 0.2, "EURC": 0.2,
}  # fmt: skip
STABLE_DEBT = {
    "USDC": 36, "USDT": 33, "GHO": 8, "DAI": 5, "USDS": 2.5, "USDe": 2, "RLUSD": 1, "PYUSD": 0.6, "crvUSD": 0.5,
    "EURC": 0.3, "USDtb": 0.3, "LUSD": 0.2,
}  # fmt: skip
VOLATILE_DEBT = {"WETH": 10, "WBTC": 3, "wstETH": 0.8, "cbBTC": 0.5, "LINK": 0.5, "CRV": 0.2, "UNI": 0.1}
LOOP_STABLES = {"USDC": 5, "USDT": 4, "USDS": 1}

SHAPES = (
    Shape(
        name="one volatile collateral, one stablecoin debt", share=0.33, collateral=VOLATILE, debt=STABLE_DEBT,
        n_collateral=(1,), n_debt=(1,), health_factor=(2.02, 0.30),
    ),
    Shape(
        name="several legs", share=0.40, collateral=VOLATILE | STABLE, debt=STABLE_DEBT | VOLATILE_DEBT,
        n_collateral=(0.13, 0.48, 0.27, 0.12), n_debt=(0.66, 0.26, 0.08), health_factor=(1.98, 0.29),
    ),
    Shape(
        name="stablecoins against volatile debt", share=0.06, collateral=STABLE, debt=VOLATILE_DEBT,
        n_collateral=(0.9, 0.1), n_debt=(0.9, 0.1), health_factor=(1.95, 0.28),
    ),
    Shape(
        name="staked ether loop", share=0.12, emode=1, collateral={
            "weETH": 45, "wstETH": 38, "rETH": 4, "osETH": 4, "cbETH": 3, "ETHx": 2, "WBTC": 0.5, "USDC": 0.5,
        }, debt={"WETH": 1}, n_collateral=(0.85, 0.15), n_debt=(1,), health_factor=(0.20, 0.65), loop=True, size=5,
    ),
    Shape(
        name="restaked ether loop", share=0.02, emode=3, collateral={"rsETH": 1}, debt={"wstETH": 9, "ETHx": 1},
        n_collateral=(1,), n_debt=(1,), health_factor=(0.20, 0.65), loop=True, size=5,
    ),
    Shape(
        name="sUSDe loop", share=0.02, emode=2, collateral={"sUSDe": 1}, debt=LOOP_STABLES,
        n_collateral=(1,), n_debt=(0.8, 0.2), health_factor=(0.14, 0.6), loop=True, size=5,
    ),
    Shape(
        name="principal token loop", share=0.02, emode=8, collateral={"PT-sUSDE-31JUL2025": 4, "sUSDe": 1},
        debt=LOOP_STABLES, n_collateral=(0.8, 0.2), n_debt=(0.8, 0.2), health_factor=(0.14, 0.6), loop=True, size=5,
    ),
    Shape(
        name="eUSDe principal token loop", share=0.01, emode=13, collateral={"PT-eUSDE-14AUG2025": 3, "eUSDe": 1},
        debt=LOOP_STABLES, n_collateral=(0.7, 0.3), n_debt=(0.8, 0.2), health_factor=(0.14, 0.6), loop=True, size=5,
    ),
    Shape(
        name="USDe principal token loop", share=0.01, emode=12, collateral={"PT-USDe-31JUL2025": 1}, debt={"USDe": 1},
        n_collateral=(1,), n_debt=(1,), health_factor=(0.14, 0.6), loop=True, size=3,
    ),
    Shape(
        name="wrapped bitcoin loop", share=0.01, emode=4, collateral={"LBTC": 1}, debt={"WBTC": 1},
        n_collateral=(1,), n_debt=(1,), health_factor=(0.30, 0.6), loop=True, size=3,
    ),
)  # fmt: skip
"""Shares sum to 1. Every debt is borrowable (in its e-mode), every collateral has a liquidation threshold."""
