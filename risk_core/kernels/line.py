"""The queue of accounts below 1 in one round: a heap, the most profitable first, of equal profits by account."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from risk_core.kernels._jit import merged


class Queue(NamedTuple):
    """State of one path beside `PathState`."""

    market: np.ndarray  # (M + 1,) multipliers of the market's prices
    gain: np.ndarray  # (n + 1,) float64 heap of profits
    slot: np.ndarray  # (n + 1,) int64 its slots


@merged
def before(queue, state, a, b):
    """Whether entry a of the heap is served before entry b."""
    if queue.gain[a] != queue.gain[b]:
        return queue.gain[a] > queue.gain[b]
    return state.account[queue.slot[a]] < state.account[queue.slot[b]]


@merged
def swap(queue, a, b):
    """Exchange two entries of the heap."""
    gain, slot = queue.gain[a], queue.slot[a]
    queue.gain[a], queue.slot[a] = queue.gain[b], queue.slot[b]
    queue.gain[b], queue.slot[b] = gain, slot


@merged
def push(queue, state, n, gain, slot):
    """Add an entry to a heap of n entries."""
    queue.gain[n] = gain
    queue.slot[n] = slot
    at = n
    while at > 0:
        parent = (at - 1) // 2
        if not before(queue, state, at, parent):
            break
        swap(queue, at, parent)
        at = parent


@merged
def pop(queue, state, n):
    """Take the first of a heap of n entries: its slot."""
    first = queue.slot[0]
    queue.gain[0] = queue.gain[n - 1]
    queue.slot[0] = queue.slot[n - 1]
    at = np.int64(0)
    while True:
        child = 2 * at + 1
        if child >= n - 1:
            break
        if child + 1 < n - 1 and before(queue, state, child + 1, child):
            child += 1
        if not before(queue, state, child, at):
            break
        swap(queue, at, child)
        at = child
    return first
