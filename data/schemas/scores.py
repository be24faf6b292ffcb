"""Scores of lending protocols: the score, its parts, and the chance that lenders lose part of their principal."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, real, seconds, sha256, text
from data.schemas.model import Numbered
from risk_core.analytics.scores import LETTERS

NAMES = [letter for letter, _ in LETTERS]


class ProtocolScores(Numbered, key=["market", "block"], optional=["score"]):
    """`mart_protocol_score`: how risky a market is to lend to, 0 to 100; no standard has such a score."""

    market: Series[str] = name("market")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    score: Series[np.float64] = real(
        "weighted mean of the points of the parts that are known; higher is riskier", "points", ge=0, le=100,
        nullable=True,
    )  # fmt: skip
    weight_known: Series[np.float64] = real("stated weight of the parts that are known", "fraction", ge=0, le=1)
    supplied_usd: Series[np.float64] = real("supplied by all accounts, the principal of the letter", "USD", ge=0)
    collateral_usd: Series[np.float64] = real("supplied and enabled as collateral", "USD", ge=0)
    borrowed_usd: Series[np.float64] = real("owed", "USD", ge=0)
    n_accounts: Series[np.int64] = integer("accounts of the snapshot", "accounts")
    snapshot_hash: Series[str] = text("digest of the snapshot", "sha256")
    options: Series[str] = document("weights, depth, cover and other options of the score, and the code")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")


class ProtocolScoreParts(Numbered, key=["market", "block", "part"], optional=["value", "points"]):
    """`mart_protocol_score_part`: one part of a score. A part that is not known says why, and its weight is 0."""

    market: Series[str] = name("market")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    part: Series[str] = name("which part")
    place: Series[np.int64] = integer("its place in the list", "rank")
    title: Series[str] = name("the part in words")
    says: Series[str] = text("what its value is")
    value: Series[np.float64] = real("the value; empty where it is not known", "see column unit", nullable=True)
    unit: Series[str] = name("unit of value, none_at and full_at")
    points: Series[np.float64] = real("0 to 100; empty where it is not known", "points", ge=0, le=100, nullable=True)
    none_at: Series[np.float64] = real("value with 0 points", "see column unit")
    full_at: Series[np.float64] = real("value with 100 points", "see column unit")
    weight: Series[np.float64] = real("stated weight", "fraction", ge=0, le=1)
    used_weight: Series[np.float64] = real(
        "weight after the weight of unknown parts is shared among the others", "fraction", ge=0, le=1
    )
    missing: Series[str] = text("why it is not known; empty where it is")
    command: Series[str] = text("command that fetches what is missing; empty for none")
    figures: Series[str] = document("further figures of the value")
    tables: Series[str] = text("tables it was read from")


class PrincipalLosses(Numbered, key=["market", "block", "assumption"]):
    """`mart_principal_loss`: the chance that lenders lose more than 1 % of what they supplied within a year.

    One row for each assumption; each is changed alone, with the same random numbers. `*_horizon` is over the paths'
    own horizon, `*_year` over a year of independent ones (risk_core.analytics.scores.over_year).
    """

    market: Series[str] = name("market")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    assumption: Series[str] = name("which assumption; as_it_stands gives the letter")
    place: Series[np.int64] = integer("its place in the list", "rank")
    says: Series[str] = text("the assumption in words")
    run_id: Series[str] = sha256("risk run whose scenario is simulated again (fact_risk_run)")
    method: Series[str] = text("how paths were drawn", isin=["plain", "importance"])
    horizon_seconds: Series[np.int64] = integer("length of a path", "s")
    threshold_usd: Series[np.float64] = real("loss that is too much", "USD", gt=0)
    n_paths: Series[np.int64] = integer("paths", "paths")
    n_hits: Series[np.int64] = integer("paths with such a loss", "paths")
    few_draws: Series[np.int64] = flag("1 when fewer than 30 paths have such a loss: read the interval")
    probability_horizon: Series[np.float64] = real("chance over the horizon", "fraction", ge=0, le=1)
    low_horizon: Series[np.float64] = real("lower end of its 95 % interval", "fraction", ge=0, le=1)
    high_horizon: Series[np.float64] = real("upper end", "fraction", ge=0, le=1)
    probability_year: Series[np.float64] = real("chance within a year", "fraction", ge=0, le=1)
    low_year: Series[np.float64] = real("lower end of its 95 % interval", "fraction", ge=0, le=1)
    high_year: Series[np.float64] = real("upper end", "fraction", ge=0, le=1)
    letter: Series[str] = text("letter of probability_year", isin=NAMES)
    letter_low: Series[str] = text("letter of low_year", isin=NAMES)
    letter_high: Series[str] = text("letter of high_year", isin=NAMES)
    small_losses_year: Series[np.float64] = real(
        "mean loss a year from paths below the threshold, which the chance does not count", "fraction of principal",
        ge=0,
    )  # fmt: skip
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
