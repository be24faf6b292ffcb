"""Swaps of whole blocks, and how their rows are walked through: by entry, by transaction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.checks import FloatArray, IntArray, checked_array, require
from risk_core.errors import InputError

ABSENT = -1
"""Code of what is not known: a token, or a contract where a transaction creates one."""
_INTEGERS = ("block", "transaction", "log", "pool", "sender", "contract", "token0", "token1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swaps:
    """Swaps of whole blocks, ordered by (block, transaction, log); every array is (n,).

    block: block numbers. transaction, log: place of the transaction and of the log in the block. pool, sender (account
    that signed), contract (that it called), token0, token1: int64 codes of any kind, `ABSENT` for unknown, which is
    allowed for contract and tokens. amount0, amount1: float64, change of the pool's balances in smallest units; what
    the pool pays is negative. Raises `InputError`.
    """

    block: IntArray
    transaction: IntArray
    log: IntArray
    pool: IntArray
    sender: IntArray
    contract: IntArray
    token0: IntArray
    token1: IntArray
    amount0: FloatArray
    amount1: FloatArray

    def __post_init__(self) -> None:
        n = len(np.atleast_1d(np.asarray(self.block)))
        for name in _INTEGERS:
            object.__setattr__(self, name, checked_array(f"Swaps.{name}", getattr(self, name), np.int64, (n,)))
        for name in ("amount0", "amount1"):
            found = checked_array(f"Swaps.{name}", getattr(self, name), np.float64, (n,))
            require(f"Swaps.{name}", found, np.isfinite(found), "must be finite")
            object.__setattr__(self, name, found)
        block, transaction, log = (np.diff(column) for column in (self.block, self.transaction, self.log))
        rises = (block > 0) | ((block == 0) & ((transaction > 0) | ((transaction == 0) & (log > 0))))
        if not rises.all():
            wrong = int(np.argmin(rises)) + 1
            now, before = (f"({self.block[i]}, {self.transaction[i]}, {self.log[i]})" for i in (wrong, wrong - 1))
            raise InputError(
                f"Swaps: expected distinct rows ordered by block, transaction and log, found {now} after {before} at "
                f"entry {wrong}; sort them first"
            )

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The columns as lists: single entries of an array cost ten times as much."""

    block: list[int]
    transaction: list[int]
    sender: list[int]
    contract: list[int]
    inward: list[bool]
    amount0: list[float]
    amount1: list[float]

    @classmethod
    def of(cls, swaps: Swaps) -> Rows:
        """The columns of `swaps`; `inward`: the pool takes token 0 and pays token 1."""
        names = ("block", "transaction", "sender", "contract", "amount0", "amount1")
        return cls(inward=(swaps.amount0 > 0).tolist(), **{name: getattr(swaps, name).tolist() for name in names})


def transactions(swaps: Swaps) -> list[tuple[int, int]]:
    """First and one past the last row of each transaction."""
    if not len(swaps):
        return []
    new = np.flatnonzero((np.diff(swaps.block) != 0) | (np.diff(swaps.transaction) != 0)) + 1
    return list(zip([0, *new.tolist()], [*new.tolist(), len(swaps)], strict=True))
