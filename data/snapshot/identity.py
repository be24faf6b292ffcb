"""The identity of a market's content: a digest that every result carries, and that a reload must reproduce."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from risk_core import Market

if TYPE_CHECKING:
    import pandas as pd


def rows_hash(frames: Mapping[str, pd.DataFrame]) -> str:
    """SHA-256 over the rows of a snapshot that the engine cannot build a market from, whatever their order."""
    digest = hashlib.sha256()
    for table, frame in sorted(frames.items()):
        names = sorted(map(str, frame.columns))
        digest.update(repr((table, names)).encode())
        for row in sorted(frame[names].astype("str").itertuples(index=False, name=None)):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def snapshot_hash(market: Market) -> str:
    """SHA-256 over everything the engine reads from a market: where, when, rules, parameters, prices, accounts.

    Independent of how the rows came and of `market.notes`. Raw integers enter through the floats they give, so
    balances that differ by less than a float can hold share a digest. Arrays are hashed in little-endian order.
    """
    digest = hashlib.sha256()
    at = market.snapshot
    digest.update(repr((at.market, at.chain_id, at.block, at.block_time, at.revision, at.synthetic)).encode())
    reserves, emodes = market.reserves, market.emodes
    digest.update(repr((reserves.symbol, reserves.asset, emodes.label)).encode())
    for array in (
        reserves.id, reserves.decimals, reserves.ltv, reserves.liquidation_threshold, reserves.liquidation_bonus,
        reserves.protocol_fee, reserves.active, reserves.paused, reserves.grace_until,
        emodes.id, emodes.ltv, emodes.liquidation_threshold, emodes.liquidation_bonus, emodes.collateral,
        emodes.borrowable, emodes.ltvzero, emodes.isolated, market.price, market.emode,
        market.collateral.indptr, market.collateral.reserve, market.collateral.amount,
        market.debt.indptr, market.debt.reserve, market.debt.amount, market.accounts.astype("S"),
    ):  # fmt: skip
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little)
    return digest.hexdigest()
