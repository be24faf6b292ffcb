"""Flow `health-factor-bands`: for each pair of main collateral and main debt, the health factors that are a chance.

The law and the calibration are those of `risk-scenarios`, the prices are simulated by the engine, and the band is read
off them (`risk_core.bands`). Nothing is computed when the same bands are stored already.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data import load_market
from data.store import Reader
from flows.pipeline import recorded
from flows.risk.options import HealthFactorBandsOptions
from flows.risk.risk_scenarios import calibrated, save_calibration
from risk_core import HealthBand, Market, Scenario, code_version, health_bands
from risk_core.accounts import main_reserve

SOURCE = "health-factor-bands"
CHANCES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""Chances with a health factor. 20, 5 and 1 % are the band, the others draw the curve between and beyond."""


class Pairs(NamedTuple):
    """The pairs of a market: reserves (P,), and of the accounts that have them their number and debt in USD, (P,)."""

    collateral: np.ndarray
    debt: np.ndarray
    n_accounts: np.ndarray
    debt_usd: np.ndarray


def run(arguments: HealthFactorBandsOptions) -> str:
    """Calibrate, simulate and store; returns one line on the pairs.

    Raises `data.errors.NoSnapshot`, `UnmappedReserve`, `NoPrices` and `flows.risk.calibration.InsufficientHistory`.
    """
    market = load_market(arguments.block, arguments.market)
    with Reader.open() as store:
        calibration = calibrated(store, market, arguments.law, look_ahead=arguments.allow_look_ahead)
        passport = {
            "horizon_seconds": round(arguments.days * 86_400),
            "n_steps": arguments.steps,
            "n_paths": arguments.paths,
            "seed": arguments.seed,
            "law": arguments.law,
            "calibration_id": calibration.inputs.id,
            "code_version": code_version(),
        }
        looks_ahead = int(calibration.inputs.looks_ahead)
        at = f"{market.snapshot.market} at block {market.snapshot.block}"
        if not arguments.force and _is_stored(store, market, passport):
            return f"{at}: these bands are stored already; --force computes them again"
    pairs = pairs_of(market)
    if not len(pairs.debt):
        return f"{at}: no account has debt and collateral, so there is no pair: nothing to do"
    name, horizon = f"bands-{arguments.days:g}d", timedelta(days=arguments.days)
    scenario: Scenario = calibration.scenario(name, horizon, arguments.steps, market.snapshot.block_time)
    # Not before there is something to write: the writer loads the validation library (1.2 s of processor time).
    from data.store import Store

    with Store.open() as store, recorded(store, "health-factor-bands", dict(arguments)) as run:
        save_calibration(run, calibration, market)
        bands = health_bands(market, scenario, pairs.collateral, pairs.debt, CHANCES, arguments.paths, arguments.seed)
        frame = frame_of(market, pairs, bands, passport | {"looks_ahead": looks_ahead})
        place = {"market": market.snapshot.market, "block": market.snapshot.block}
        run.write(SOURCE, f"{place['market']}:{place['block']}", {"mart_health_factor_bands": frame}, scope=place)
    with_band = [band for band in bands if band.at]
    few = sum(any(one.few_draws for one in band.at) for band in with_band)
    said = f", {few} of them with too few paths for an interval at the smallest chances" if few else ""
    widest = max((band.at[CHANCES.index(0.01)].value for band in with_band), default=1.0)
    return (
        f"{at}: {len(bands)} pairs of main collateral and debt, {len(with_band)} with a band{said}; the health factor "
        f"with a 1 % chance of liquidation within {arguments.days:g} days goes from 1 to {widest:.2f}"
        + "".join(f"; {note}" for note in calibration.inputs.notes)
    )


def pairs_of(market: Market) -> Pairs:
    """Every pair that is the main collateral and main debt of an account, the most debt first."""
    collateral, debt = main_reserve(market, market.collateral), main_reserve(market, market.debt)
    rows = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
    usd = np.bincount(rows, weights=market.debt.amount * market.price[market.debt.reserve], minlength=market.n_accounts)
    kept = (collateral >= 0) & (debt >= 0) & (usd > 0)
    both, of = np.unique(np.stack([collateral[kept], debt[kept]], axis=1), axis=0, return_inverse=True)
    of = of.reshape(-1)
    count = np.bincount(of, minlength=len(both))
    owed = np.bincount(of, weights=usd[kept], minlength=len(both))
    order = np.argsort(-owed, kind="stable")
    return Pairs(both[order, 0], both[order, 1], count[order], owed[order])


def frame_of(market: Market, pairs: Pairs, bands: list[HealthBand], passport: dict[str, Any]) -> pd.DataFrame:
    """Rows of `mart_health_factor_bands`."""
    at, reserves = market.snapshot, market.reserves
    rows = []
    for band, n_accounts, debt_usd in zip(bands, pairs.n_accounts.tolist(), pairs.debt_usd.tolist(), strict=True):
        pair = {
            "market": at.market,
            "block": at.block,
            "block_time": at.block_time,
            "collateral": reserves.asset[band.collateral],
            "debt": reserves.asset[band.debt],
            "collateral_symbol": reserves.symbol[band.collateral],
            "debt_symbol": reserves.symbol[band.debt],
            "n_accounts": n_accounts,
            "debt_usd": debt_usd,
            "is_synthetic": int(at.synthetic),
        }
        for chance, estimate in zip(CHANCES, band.at or [None] * len(CHANCES), strict=True):
            known = None if estimate is None or estimate.no_interval else estimate
            rows.append(
                pair
                | passport
                | {
                    "chance": chance,
                    "health_factor": None if estimate is None else estimate.value,
                    "low": known.low if known else None,
                    "high": known.high if known else None,
                    "few_draws": int(estimate is not None and estimate.few_draws),
                    "reason": (band.reason if estimate is None else estimate.no_interval) or None,
                }
            )
    return pd.DataFrame(rows).astype({"health_factor": "float64", "low": "float64", "high": "float64"})


def _is_stored(store: Reader, market: Market, passport: dict[str, Any]) -> bool:
    """Whether the bands of this block and passport are stored; the snapshot of a block may have been read again."""
    named = " AND ".join(f"b.{name} = ?" for name in passport)
    sql = (
        "SELECT count(*) FROM mart_health_factor_bands AS b JOIN fact_snapshot AS s "
        "ON s.market = b.market AND s.block = b.block WHERE b.market = ? AND b.block = ? "
        f"AND b.batch >= s.batch AND {named}"
    )
    place = (market.snapshot.market, market.snapshot.block)
    return bool(store.rows(sql, (*place, *passport.values()))[0][0])
