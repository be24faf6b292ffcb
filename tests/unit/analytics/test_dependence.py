"""Volatility and correlation of a history of returns, and the factor of a covariance."""

from __future__ import annotations

import numpy as np
import pytest

import risk_core as rc
from risk_core.analytics import cholesky, ewma_volatility, hourly_decay, shrunk_correlation


def test_cholesky_gives_the_covariance_back():
    rng = np.random.default_rng(2)
    for rank in (1, 3, 6):
        root = rng.normal(size=(6, rank))
        covariance = root @ root.T
        lower = cholesky(covariance)
        np.testing.assert_allclose(lower @ lower.T, covariance, atol=1e-5 * np.abs(covariance).max())
        assert np.allclose(lower, np.tril(lower))


def test_ewma_volatility_forgets_and_has_a_floor():
    calm, wild = np.full((240, 1), 0.001), np.full((240, 1), 0.01)
    signs = np.where(np.arange(480) % 2, 1, -1)[:, None]
    returns = np.concatenate([calm, wild]) * signs
    assert ewma_volatility(returns, 365 * 24, decay=hourly_decay()) > 0.85 * 0.01 * np.sqrt(365 * 24) * 0.6
    assert ewma_volatility(returns, 365 * 24, decay=0.5) == pytest.approx(0.01 * np.sqrt(365 * 24), rel=1e-6)
    assert ewma_volatility(np.zeros((10, 1)), 365, floor=0.02).tolist() == [0.02]
    assert hourly_decay() ** 24 == pytest.approx(0.94)


def test_shrunk_correlation_is_a_correlation_matrix_and_shrinks():
    rng = np.random.default_rng(4)
    common = rng.normal(size=(60, 1))
    returns = common + 0.5 * rng.normal(size=(60, 5))
    returns[:, 4] = 0.0  # a feed that never moved
    found = shrunk_correlation(returns)
    np.testing.assert_allclose(np.diag(found), 1.0)
    assert np.linalg.eigvalsh(found).min() > 0
    assert (found[4, :4] == 0).all()
    raw = np.corrcoef(returns[:, :4].T)
    off = ~np.eye(4, dtype=bool)
    assert (np.abs(found[:4, :4][off]) < np.abs(raw[off])).all()
    assert (found[:4, :4][off] > 0.5).all()
    returns[3, 1] = np.nan
    with pytest.raises(rc.InputError, match="entry 3, 1 is nan"):
        shrunk_correlation(returns)
