"""The engine's market, built from a truth file: what the engine would have loaded at that time and those prices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import risk_core as rc
from risk_core import units
from tests.reference.aave_exact import Pool
from tests.reference.aave_records import Account
from tests.reference.truth import Truth


def market_of(truth: Truth, pool: Pool, accounts: Sequence[Account], like: rc.Market | None = None) -> rc.Market:
    """Balances at the pool's time as tokens; collateral is what the flags enable; rules by the file's revision.

    Reserve indices are the file's order of reserves (`Pool.reserves` keeps it); integers become floats once, here.
    like: a market of the same pool, whose reserves and categories are taken as they are.
    """
    reserves = list(pool.reserves.values())
    return rc.Market(
        reserves=_reserves(truth, pool) if like is None else like.reserves,
        emodes=_emodes(truth, pool) if like is None else like.emodes,
        accounts=np.array([account.address.lower() for account in accounts], dtype=np.str_),
        emode=[_row_of(pool, account) for account in accounts],
        collateral=_side(pool, accounts, collateral=True),
        debt=_side(pool, accounts, collateral=False),
        price=[units.price_usd(r.price) for r in reserves],
        snapshot=rc.Snapshot(
            market=truth.name,
            chain_id=int(truth.raw["meta"].get("chain_id", 0)),
            block=int(truth.raw["meta"].get("tip_block", 0)),
            block_time=pool.time,
            revision=truth.revision,
        ),
    )


def _row_of(pool: Pool, account: Account) -> int:
    return list(pool.emodes).index(account.emode) if account.emode in pool.emodes else -1


def _reserves(truth: Truth, pool: Pool) -> rc.Reserves:
    reserves = list(pool.reserves.values())
    assets = [str(record.get("underlyingAsset", record["id"])).lower() for record in truth.raw["reserves"]]
    return rc.Reserves(
        id=[r.id for r in reserves],
        symbol=tuple(r.symbol for r in reserves),
        asset=tuple(assets),
        decimals=[r.decimals for r in reserves],
        ltv=[units.fraction(r.ltv) for r in reserves],
        liquidation_threshold=[units.fraction(r.liquidation_threshold) for r in reserves],
        liquidation_bonus=[units.bonus(r.liquidation_bonus) for r in reserves],
        protocol_fee=[units.fraction(r.protocol_fee) for r in reserves],
        active=[r.active for r in reserves],
        paused=[r.paused for r in reserves],
        grace_until=[r.grace_until for r in reserves],
    )


def _emodes(truth: Truth, pool: Pool) -> rc.EModes:
    if not pool.emodes:
        return rc.EModes.none()
    emodes, ids = list(pool.emodes.values()), list(pool.reserves)
    records = truth.raw["emodes"]

    def spread(bitmaps: Sequence[int]) -> list[list[bool]]:
        return [[bool(bitmap >> j & 1) for j in ids] for bitmap in bitmaps]

    return rc.EModes(
        id=[e.id for e in emodes],
        label=tuple(str(record.get("label", record["id"])) for record in records),
        ltv=[units.fraction(e.ltv) for e in emodes],
        liquidation_threshold=[units.fraction(e.liquidation_threshold) for e in emodes],
        liquidation_bonus=[units.bonus(e.liquidation_bonus) for e in emodes],
        collateral=spread([e.collateral_bitmap for e in emodes]),
        borrowable=spread([int(record.get("borrowableBitmap", 0)) for record in records]),
        ltvzero=spread([e.ltvzero_bitmap for e in emodes]),
        isolated=[e.isolated for e in emodes],
    )


def _side(pool: Pool, accounts: Sequence[Account], *, collateral: bool) -> rc.Positions:
    who: list[int] = []
    what: list[int] = []
    much: list[float] = []
    for row, account in enumerate(accounts):
        for index, (j, reserve) in enumerate(pool.reserves.items()):
            if not (account.uses_as_collateral(j) if collateral else account.borrows(j)):
                continue
            balance = pool.supply(account, j) if collateral else pool.debt(account, j)
            who.append(row)
            what.append(index)
            much.append(units.tokens(balance, reserve.decimals))
    return rc.Positions.from_entries(who, what, much, len(accounts))
