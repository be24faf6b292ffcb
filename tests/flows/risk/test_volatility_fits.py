"""`volatility-fits` on the sample: a fit every twenty days, none of the future, none made twice."""

from __future__ import annotations

import numpy as np
import pytest

from data.prices.portfolio import DAY, combined
from data.prices.served import served_closes
from data.store.store import Store
from flows.risk import volatility_fits
from risk_core import InputError
from risk_core.analytics import garch
from tests.flows.running import ran

pytest.importorskip("arch")


def run(*words: str) -> str:
    return ran("volatility-fits", *words)


def rows(sql: str, parameters: tuple = ()) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, parameters)


@pytest.fixture(autouse=True)
def _two_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the sample's series are enough."""
    monkeypatch.setattr(volatility_fits, "served_series", lambda *_, **__: ["BTCUSDT", "ETHUSDT"])


def test_fits_are_those_of_the_days_before_each(sample):
    assert "fits made" in run("--portfolios", "ETHUSDT=75 BTCUSDT=25")
    with Store.open() as store:
        closes = [served_closes(store, series, DAY, synthetic=True) for series in ("ETHUSDT", "BTCUSDT")]
    ts, value = combined(closes, [0.75, 0.25])
    returns = value[1:] / value[:-1] - 1
    stored = rows(
        "SELECT fitted_ts, n_returns, first_ts, alpha, beta, coalesce(refused, '') FROM fact_volatility_fit "
        "WHERE portfolio = 'BTCUSDT=25 ETHUSDT=75' ORDER BY fitted_ts"
    )
    assert [(row[0], row[1]) for row in stored] == [(ts[n], n) for n in range(60, len(returns) + 1, 20)]
    for (_, n, first, alpha, beta, refused), expected in zip(stored, garch.refits(returns), strict=True):
        assert first == ts[1]
        assert n == expected.at + 1
        assert refused == expected.fit.refused
        if not refused:
            np.testing.assert_allclose([alpha, beta], [expected.fit.alpha, expected.fit.beta], rtol=1e-9)
        else:
            assert alpha is beta is None


def test_a_second_run_makes_none_and_a_day_more_only_what_is_due(sample, monkeypatch):
    run()
    before = rows("SELECT portfolio, fitted_ts, omega, batch FROM fact_volatility_fit ORDER BY 1, 2")
    monkeypatch.setattr(volatility_fits, "fit", lambda _: pytest.fail("fitted again"))
    assert "nothing to do" in run()
    assert rows("SELECT portfolio, fitted_ts, omega, batch FROM fact_volatility_fit ORDER BY 1, 2") == before
    monkeypatch.setattr(volatility_fits, "fit", lambda r: garch.Fit(n=len(r), refused="said so"))
    run("--refit-days", "10")
    due = rows("SELECT count(*) FROM fact_volatility_fit WHERE refused = 'said so' AND portfolio = 'ETHUSDT'")
    old = rows("SELECT count(*) FROM fact_volatility_fit WHERE refit_days = 10 AND portfolio = 'ETHUSDT'")
    assert (due, old) == ([(3,)], [(7,)])  # between 60 and 120 days: 70, 90, 110


def test_a_portfolio_of_what_is_not_stored_is_refused(sample):
    with pytest.raises(InputError, match="no prices of NOSUCH"):
        run("--portfolios", "NOSUCH=1 ETHUSDT=1")
    with pytest.raises(InputError, match="is named twice"):
        run("--portfolios", "ETHUSDT=1 ETHUSDT=1")
