"""The identity of a market's content: a digest that every result carries, and that a reload must reproduce."""

from __future__ import annotations

import hashlib

import numpy as np

from risk_core.types import Market


def snapshot_hash(market: Market) -> str:
    """SHA-256 over everything the engine reads from a market: where, when, rules, parameters, prices, accounts.

    Does not depend on how the rows were read, nor on `market.notes`. Balances are hashed as floats, so raw integers
    that give the same float give the same digest. Arrays are hashed in little-endian order.
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
    # Only where a reserve has an oracle model: other markets keep the digest that they had before there were such
    # models.
    if reserves.oracle.any:
        for name, array in reserves.oracle._asdict().items():
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{name}{little.dtype.str}{little.shape}".encode())
            digest.update(little)
    return digest.hexdigest()
