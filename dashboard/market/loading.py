"""From stored rows to what pages share: the market of one snapshot with its drivers, and one stored risk run."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np

import data
import risk_core as rc
from dashboard.market.drivers import AssetMap
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from data.prices.rules import COLUMNS, mapped_reserves

TAIL = ("shares", "steps", "convergence", "envelope", "accounts", "histogram_of_most")
"""Curves of a run that only the Risk page shows."""
DAY = 86_400


def load_snapshot(wanted: str, path: Path | str | None) -> LoadedMarket:
    """The market of the snapshot with this hash. Raises a `DataError` where the warehouse has none or cannot tell."""
    at = next((s for s in data.snapshot.available(db=path) if s.hash == wanted), None)
    if at is None:
        raise data.errors.NoSnapshot(f"snapshot {wanted[:16]} is not in the warehouse any more; reload the page")
    market = data.load_market(block=at.block, market=at.market, db=path)
    assets = _assets(market, path)
    return LoadedMarket.build(market, assets, _daily_moves(market, assets, path))


def shown_run(stored: data.results.RiskRun) -> ShownRun:
    """The stored run as pages show it."""
    estimates = {
        (measure, round(level, 6)): ShownFigure(
            f.value, f.low, f.high, f.se, f.n_positive, f.few_draws, f.no_interval or ""
        )
        for (measure, level), f in stored.figures.items()
    }
    stressed = stored.stressed(0.99)
    return ShownRun(
        market=stored.market,
        block=stored.block,
        block_time=stored.block_time,
        scenario_id=stored.scenario_id,
        scenario=stored.scenario(),
        seed=stored.seed,
        n_paths=stored.n_paths,
        horizon_hours=stored.horizon_seconds / 3600,
        policy=stored.policy,
        code_version=stored.code_version,
        created_at=stored.created_at,
        synthetic=stored.is_synthetic,
        looks_ahead=stored.looks_ahead,
        estimates=MappingProxyType(estimates),
        law=stored.law[1],
        stressed_usd=stressed[0].value if stressed else None,
        stressed_words=stressed[1] if stressed else "",
        fan=MappingProxyType(stored.series.get("fan", {})),
        histogram=MappingProxyType(stored.series.get("histogram", {})),
        seized_by_reserve=MappingProxyType(stored.series.get("seized_by_reserve", {})),
        curves=MappingProxyType({name: stored.series[name] for name in TAIL if name in stored.series}),
    )


def _assets(market: rc.Market, path: Path | str | None) -> AssetMap:
    """What moves each reserve, in the market's order."""
    columns = COLUMNS
    rows = {
        row[columns.index("asset")]: row for row in mapped_reserves(market.snapshot.market, path, market.snapshot.block)
    }
    unknown = [s for s, a in zip(market.reserves.symbol, market.reserves.asset, strict=True) if a not in rows]
    if unknown:
        raise data.errors.UnmappedReserve(f"no price series is known for {', '.join(unknown)}; add rows to dim_asset")
    chosen = [
        [rows[asset][columns.index(name)] for asset in market.reserves.asset] for name in ("factor", "kind", "series")
    ]
    return AssetMap.build(market.reserves.symbol, *chosen)


def _daily_moves(market: rc.Market, assets: AssetMap, path: Path | str | None) -> dict[str, np.ndarray]:
    """Driver to its sorted daily moves; only for drivers that have a price series of their own.

    Plain rows, not a frame: pandas is never imported here. Dash looks for it in `sys.modules` when it writes JSON,
    and fails on the half-imported module while another thread is still importing it.
    """
    named = {driver: assets.own_series(driver) for driver in ("eth", "btc", "usdc")}
    sql = (
        "SELECT ts, price_usd FROM dim_prices WHERE symbol = ? AND interval = '1h' AND is_synthetic = ? AND ts % ? = 0 "
        "AND source = ?"
    )
    source = data.prices.SYNTHETIC if market.snapshot.synthetic else data.prices.SERVED
    with data.store.Reader.open(path) as store:
        rows = {d: store.rows(sql, (s, int(market.snapshot.synthetic), DAY, source)) for d, s in named.items() if s}
    return {d: daily_moves(*np.array(found).T) for d, found in rows.items() if found}


def daily_moves(ts: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Relative moves from one midnight (UTC) to the next, sorted ascending; days with a missing end are left out."""
    at = {int(t): float(p) for t, p in zip(ts, price, strict=True) if t % DAY == 0}
    moves = np.sort([at[t] / at[t - DAY] - 1 for t in at if t - DAY in at])
    moves.setflags(write=False)
    return moves
