"""How long debt below health factor 1 waits where liquidators must earn, and have finite depth and capital."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered

MODELS = ["unlimited", "quoted depth", "half depth", "record capital", "late oracle"]


class LiquidationQueues(Numbered, key=["queue", "model"], optional=["capital_usd"], indexes=[["market", "block"]]):
    """`mart_liquidation_queue`: one simulation of a snapshot by limited liquidators, all models on the same paths.

    Each figure is a document {value, low, high, se, n_positive, few_draws, n_paths, ..}: USD with its 95 % interval.
    """

    queue: Series[str] = sha256("digest of snapshot, scenario, quotes and engine")
    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    model: Series[str] = text(
        "unlimited: all calls at once; quoted depth: by the newest quotes; half depth; record capital: quoted depth, "
        "and debt repaid in 24 h is at most the largest that is stored; late oracle: quoted depth, "
        "and feeds that answer late",
        isin=MODELS,
    )
    depth: Series[np.float64] = real("depth over the quoted one; 0 for endless", "1", ge=0)
    capital_usd: Series[np.float64] = real("most debt repaid in 24 h; empty for no limit", "USD", nullable=True)
    cost: Series[np.float64] = real("cost of a call, of the debt repaid", "1")
    half_life_hours: Series[np.float64] = real("time in which half of what was sold is absorbed", "hours", gt=0)
    feedback: Series[np.float64] = real("share of an impact that the oracle sees", "1", ge=0, le=1)
    oracle_lag_seconds: Series[np.float64] = real("seconds until a feed's answer is read; 0, at once", "s", ge=0)
    oracle_deviation: Series[np.float64] = real("move at which a feed answers; 0, at each step", "1", ge=0)
    lar_repaid: Series[str] = document("debt repaid, 99 % quantile")
    waiting: Series[str] = document("most debt that waits at the end of a step, 99 % quantile")
    waiting_at_end: Series[str] = document("debt that waits at the end of the horizon, 99 % quantile")
    shortfall: Series[str] = document("deficit and what waits above its collateral at the end, mean of the worst 1 %")
    by_hour: Series[str] = document("{hours: [..], waiting_usd: [..]}: mean debt that waits at the end of each step")
    horizon_seconds: Series[np.int64] = integer("length of a path", "s")
    n_steps: Series[np.int64] = integer("steps of a path", "steps")
    n_paths: Series[np.int64] = integer("paths", "paths")
    seed: Series[np.int64] = integer("seed of the random numbers", "seed")
    law: Series[str] = name("law of the price moves")
    calibration_id: Series[str] = sha256("volatility and correlation used (fact_calibration)")
    code_version: Series[str] = name("version and source digest of the engine")
    unquoted: Series[str] = document(
        "collateral reserves without quotes, of which all can be sold at no cost: [symbol]"
    )
    is_assumed: Series[np.int64] = flag("1 where no quote is anybody's")
    looks_ahead: Series[np.int64] = flag("1 where the calibration saw prices later than the block")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
