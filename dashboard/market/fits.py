"""The stored volatility fits of a price series or a portfolio of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import data
from dashboard.market.checks import Damaged
from risk_core import InputError
from risk_core.analytics.garch import NUMBERS, Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFit:
    """A fit to the days from `first_ts` to `fitted_ts` (their ends, UTC seconds); it holds for `refit_days`."""

    first_ts: int
    fitted_ts: int
    refit_days: int
    fit: Fit


def load_fits(portfolio: str, *, synthetic: bool, path: Path | str | None) -> tuple[StoredFit, ...]:
    """The fits of a portfolio, as `data.prices.portfolio.name_of` writes it, oldest first. Raises `Damaged`."""
    sql = (
        f"SELECT first_ts, fitted_ts, refit_days, n_returns, refused, {', '.join(NUMBERS)} FROM fact_volatility_fit "
        "WHERE portfolio = ? AND is_synthetic = ? ORDER BY fitted_ts"
    )
    with data.store.Reader.open(path) as store:
        rows = store.rows(sql, (portfolio, int(synthetic)))
    try:
        return tuple(
            StoredFit(first_ts=first, fitted_ts=last, refit_days=days, fit=_fit(n, refused, numbers))
            for first, last, days, n, refused, *numbers in rows
        )
    except InputError as wrong:
        raise Damaged(f"fact_volatility_fit: {portfolio!r:.60}: {wrong}") from wrong


def _fit(n: int, refused: str | None, numbers: list[float | None]) -> Fit:
    known = {name: float("nan") if value is None else value for name, value in zip(NUMBERS, numbers, strict=True)}
    return Fit(n=n, refused=refused or "", **known)
