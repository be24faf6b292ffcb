"""Philox by its published answers; the elementary functions by the platform's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from risk_core.kernels import randomness

KNOWN_ANSWERS = [  # Random123 1.14, tests/kat_vectors, philox4x32 10
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter, key, answer):
    out = np.zeros(4, dtype=np.uint64)
    randomness.philox_words(np.array(counter, dtype=np.uint64), np.array(key, dtype=np.uint64), out)
    assert out.tolist() == answer


@njit
def _both(x, logs, exps):
    for i in range(len(x)):
        logs[i] = randomness.log(x[i])
        exps[i] = randomness.exp(np.log(x[i]))


def test_log_and_exp_are_within_two_units_in_the_last_place():
    x = np.exp(np.random.default_rng(0).normal(0, 40, 200_000))
    logs, exps = np.empty_like(x), np.empty_like(x)
    _both(x, logs, exps)
    assert np.abs(logs / np.log(x) - 1).max() <= 2 * np.finfo(float).eps
    assert np.abs(exps / np.exp(np.log(x)) - 1).max() <= 2 * np.finfo(float).eps


def test_log_keeps_its_precision_near_one():
    x = 1 + np.array([1e-15, -1e-15, 1e-9, -1e-9, 1e-3, -1e-3])
    logs, exps = np.empty_like(x), np.empty_like(x)
    _both(x, logs, exps)
    np.testing.assert_allclose(logs, np.log(x), rtol=4e-16)


def draw(seed: int, path: int, n_factors: int, n_steps: int) -> np.ndarray:
    out = np.empty((n_factors + n_factors % 2, n_steps))
    randomness.normals(np.uint64(seed), path, 0, n_factors, n_steps, out)
    return out[:n_factors]


@given(seed=st.integers(0, 2**64 - 1), path=st.integers(0, 2**40), factors=st.integers(1, 9), steps=st.integers(1, 20))
def test_a_draw_depends_on_seed_path_step_and_factor_alone(seed, path, factors, steps):
    few = draw(seed, path, factors, steps)
    many = draw(seed, path, factors + 5, steps + 7)
    np.testing.assert_array_equal(few, many[:factors, :steps])
    assert np.isfinite(few).all()


def test_other_seeds_and_paths_give_other_draws():
    base = draw(1, 1, 4, 4)
    for seed, path in [(2, 1), (1, 2), (1 + 2**32, 1), (1, 1 + 2**32)]:
        assert not (draw(seed, path, 4, 4) == base).any()


@pytest.mark.statistical
def test_draws_are_standard_normal_and_independent():
    """Seed 11; mean, variance, skew and kurtosis, and every cross-correlation, within 4.5 standard errors."""
    z = np.concatenate([draw(11, path, 6, 50) for path in range(4000)], axis=1)
    n = z.shape[1]
    assert np.abs(z.mean(axis=1)).max() < 4.5 / np.sqrt(n)
    assert np.abs(z.var(axis=1) - 1).max() < 4.5 * np.sqrt(2 / n)
    assert np.abs((z**3).mean(axis=1)).max() < 4.5 * np.sqrt(15 / n)
    assert np.abs((z**4).mean(axis=1) - 3).max() < 4.5 * np.sqrt(96 / n)
    correlation = np.corrcoef(z)[np.triu_indices(6, 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)
    serial = (z[:, 1:] * z[:, :-1]).mean(axis=1)
    assert np.abs(serial).max() < 4.5 / np.sqrt(n)
