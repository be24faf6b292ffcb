"""Plain Python twins of the laws that draw rows of a history or follow their own variance: one path, one number at a
time."""

from __future__ import annotations

import numpy as np

from risk_core.kernels.randomness import philox_words

ROWS, STEP_CHI = 5, 6
"""Streams of counters: which row a step takes."""


def words(seed: int, path: int, first: int, stream: int) -> list[int]:
    """Four 32-bit words of one counter."""
    counter = np.array([first, stream << 16, path & 0xFFFFFFFF, path >> 32], dtype=np.uint64)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint64)
    out = np.empty(4, dtype=np.uint64)
    philox_words(counter, key, out)
    return [int(word) for word in out]


def uniform(seed: int, path: int, step: int) -> float:
    """The number in (0, 1) that decides which row a step takes."""
    a, b, _, _ = words(seed, path, step, ROWS)
    return (float(((a << 32) | b) >> 11) + 0.5) * 2.0**-53


def rows_taken(seed: int, path: int, n_steps: int, n_rows: int, fresh: float, stride: int = 1) -> list[int]:
    """Row of each step: a new block with chance `fresh`, else the row `stride` further, around the end."""
    taken: list[int] = []
    for step in range(n_steps):
        u = uniform(seed, path, step)
        if step == 0:
            taken.append(min(int(u * n_rows), n_rows - 1))
        elif u < fresh:
            taken.append(min(int(u / fresh * n_rows), n_rows - 1))
        else:
            taken.append((taken[-1] + stride) % n_rows)
    return taken


def recursion(moves: np.ndarray, sigma: float, alpha: float, beta: float, long_run: float) -> np.ndarray:
    """Log price of one factor after each step: `moves` have the deviation `sigma` of the first step."""
    variance, level, out = sigma**2, 0.0, []
    for move in moves:
        wide = move * np.sqrt(variance) / sigma
        level += wide - variance / 2
        out.append(level)
        variance = long_run * sigma**2 * (1 - alpha - beta) + alpha * wide**2 + beta * variance
    return np.array(out)
