"""Swaps of whole blocks, and how their rows are walked through: by entry, by transaction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk_core.checks import FloatArray, IntArray, frozen, require
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
        check_columns(self, _INTEGERS)

    def __len__(self) -> int:
        return len(self.block)


def check_columns(owner: object, integers: tuple[str, ...]) -> None:
    """Make read-only columns of one length of what happened in blocks; they are ordered and no row stands twice.

    `integers` names the columns of codes and places, among them block, transaction and log; amount0 and amount1 are
    finite numbers. Raises `InputError`.
    """
    name = type(owner).__name__
    n = len(np.atleast_1d(np.asarray(owner.block)))  # type: ignore[attr-defined]
    for column in integers:
        frozen(owner, column, getattr(owner, column), np.int64, (n,))
    for column in ("amount0", "amount1"):
        found = frozen(owner, column, getattr(owner, column), np.float64, (n,))
        require(f"{name}.{column}", found, np.isfinite(found), "must be finite")
    places = [getattr(owner, column) for column in ("block", "transaction", "log")]
    block, transaction, log = (np.diff(place) for place in places)
    rises = (block > 0) | ((block == 0) & ((transaction > 0) | ((transaction == 0) & (log > 0))))
    if not rises.all():
        wrong = int(np.argmin(rises)) + 1
        now, before = ("({}, {}, {})".format(*(place[i] for place in places)) for i in (wrong, wrong - 1))
        raise InputError(
            f"{name}: expected distinct rows ordered by block, transaction and log, found {now} after {before} at "
            f"entry {wrong}; sort them first"
        )


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
