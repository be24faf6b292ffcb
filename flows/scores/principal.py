"""The chance that lenders lose more than 1 % of what they supplied within a year, and which assumptions move it.

The scenario of the newest stored risk run is simulated again with more paths. The loss of lenders is the deficit that
the pool books, shared in proportion; the principal is all supplies. A year is a series of independent periods of the
run's horizon, each of which begins with the book of today: no account adds collateral, and no lender leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from risk_core import GBM, Impact, Scenario, StudentT, simulate, tails
from risk_core.analytics import scores
from risk_core.analytics.shares import clopper_pearson
from risk_core.measures import FEW_DRAWS
from risk_core.price_models import YEAR
from risk_core.units import SECONDS_PER_YEAR

if TYPE_CHECKING:
    from data.results import RiskRun
    from risk_core import Market

THIN_PATHS = 20_000
"""Most paths when sales move prices: each takes some ten times as long."""
SLOWER = 4
ROUGHER = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One assumption: the scenario, the effect of sales on prices, and the USD of loss that is covered."""

    key: str
    says: str
    scenario: Scenario
    impact: Impact | None = None
    cover_usd: float = 0.0


def assumptions(market: Market, run: RiskRun, cover_usd: float) -> Iterator[Assumption]:
    """First the assumptions of the letter, then each one changed alone."""
    base = replace(run.scenario(), sampling="plain")
    yield Assumption(key="as_it_stands", says="as it stands", scenario=base)
    if cover_usd > 0:
        yield Assumption(
            key="cover", says="cover pays first, whichever reserve", scenario=base, cover_usd=cover_usd
        )  # fmt: skip
    yield Assumption(key="thin", says="1 % sold moves a price 1 %", scenario=base, impact=thin(market))
    if base.n_steps % SLOWER == 0 and base.law.takes(base.factors, SLOWER * base.step / YEAR):
        every = base.step.total_seconds() * SLOWER / 3_600
        slower = replace(base, n_steps=base.n_steps // SLOWER)
        yield Assumption(key="slower", says=f"liquidators act every {every:g} h", scenario=slower)
    rougher = replace(base, volatility=base.volatility * ROUGHER)
    yield Assumption(key="rougher", says=f"volatility × {ROUGHER:g}", scenario=rougher)
    worst = run.series.get("stressed", {}).get("volatility", {})
    if set(worst) == set(base.factors):
        bad = replace(base, volatility=np.array([worst[name] for name in base.factors]))
        yield Assumption(key="bad_days", says="every day a bad day", scenario=bad)
    if isinstance(base.law, GBM):
        yield Assumption(key="tails", says="heavier tails (t, 4)", scenario=replace(base, law=StudentT(nu=4.0)))
    else:
        yield Assumption(key="tails", says="normal tails", scenario=replace(base, law=GBM()))


def thin(market: Market) -> Impact:
    """Liquidity in which selling 1 % of a market's collateral lowers its price by 1 %: assumed, not measured."""
    held = np.bincount(market.collateral.reserve, market.collateral.amount, market.n_reserves) * market.price
    return Impact.exponential(np.where(held > 0, held, np.inf))


def chance(
    market: Market, asked: Assumption, threshold_usd: float, *, paths: int, seed: int, policy: str
) -> dict[str, Any]:
    """P(loss above the threshold) over the horizon and within a year, with the interval of both and their letters.

    The interval is Clopper and Pearson's, which is exact for rare losses too. Where 1 to 29 paths have such a loss,
    importance sampling is tried if the law draws normals, and used where its draws weigh as much as 30.
    """
    n = min(paths, THIN_PATHS) if asked.impact is not None else paths
    how: dict[str, Any] = {"policy": policy, "impact": asked.impact}
    loss = np.maximum(simulate(market, asked.scenario, n_paths=n, seed=seed, **how).deficit_usd - asked.cover_usd, 0.0)
    above = loss > threshold_usd
    hits, method = int(above.sum()), "plain"
    p, (low, high) = hits / n, clopper_pearson(hits, n)
    few = hits < FEW_DRAWS
    if 0 < hits < FEW_DRAWS and asked.scenario.law.draws_normals:
        rare = tails.probability_of_deficit(
            market, asked.scenario, threshold_usd + asked.cover_usd, n_paths=n, seed=seed, **how
        )
        if not rare.few_draws and not rare.no_interval:
            p, low, high, hits, method, few = rare.value, rare.low, rare.high, rare.n_positive, "importance", False
    seconds = round(asked.scenario.horizon.total_seconds())
    ends = {"probability": p, "low": low, "high": high}
    year = {name: scores.over_year(value, seconds) for name, value in ends.items()}
    periods = SECONDS_PER_YEAR / seconds
    return {
        "assumption": asked.key, "says": asked.says, "method": method, "horizon_seconds": seconds,
        "threshold_usd": threshold_usd, "n_paths": n, "n_hits": hits, "few_draws": int(few),
        **{f"{name}_horizon": value for name, value in ends.items()},
        **{f"{name}_year": value for name, value in year.items()},
        "letter": scores.letter(year["probability"]), "letter_low": scores.letter(year["low"]),
        "letter_high": scores.letter(year["high"]),
        "small_losses_year": float(periods * loss[~above].sum() / n * scores.PRINCIPAL / threshold_usd),
    }  # fmt: skip


def chances(
    market: Market, run: RiskRun, principal_usd: float, cover_usd: float, *, paths: int, seed: int
) -> list[dict[str, Any]]:
    """A row of `mart_principal_loss` for each assumption, without market and block."""
    threshold = scores.PRINCIPAL * principal_usd
    every = list(assumptions(market, run, cover_usd))
    return [
        chance(market, asked, threshold, paths=paths, seed=seed, policy=run.policy)
        | {"place": place, "run_id": run.run_id}
        for place, asked in enumerate(tqdm(every, desc="chance of a loss of principal", unit="assumption"))
    ]
