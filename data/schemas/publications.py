"""Figures that were published on a chain, one row for each transaction."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import (
    address,
    block_hash,
    flag,
    ingested_at,
    integer,
    name,
    real,
    seconds,
    sha256,
    text,
    uint,
    written_by,
)
from data.schemas.model import Numbered

STATES = ["prepared", "sent", "confirmed", "replaced", "failed"]
SIGNED = r"-?[0-9]{1,78}"
"""int256 in decimal."""


class MetricPublications(
    Numbered,
    key=["chain_id", "transaction_hash"],
    optional=["round_id", "mined_block", "mined_block_hash", "mined_at"],
    indexes=[["inputs_hash"], ["publisher", "nonce"]],
    time="as_of",
):
    """`fact_metric_publication`: a transaction that publishes a figure, written before it is sent and updated later."""

    chain_id: Series[np.int64] = integer("EIP-155 id of the chain; 0 in the sample", "id")
    transaction_hash: Series[str] = block_hash("hash of the transaction")
    contract: Series[str] = address("the feed (flows/publication/metric_feed.vy)")
    metric: Series[str] = name("description of the metric in the feed")
    metric_id: Series[str] = block_hash("keccak256 of it")
    market: Series[str] = name("market name")
    measure: Series[str] = name("measure of fact_risk_scenarios")
    level: Series[np.float64] = real(
        "level of a quantile or a shortfall, 0.99 is 99 %; 0 where there is none", "1", ge=0
    )
    horizon_seconds: Series[np.int64] = integer("length of the window forecast", "s")
    as_of: Series[np.int64] = seconds("time of the figure: that of the snapshot's block")
    value: Series[np.float64] = real("the figure", "see column unit")
    unit: Series[str] = name("unit of value: USD, fraction, count")
    decimals: Series[np.int64] = integer("decimals of the feed", "digits")
    answer: Series[str] = text(
        "value times 10 ** decimals, to the nearest integer", "see unit", whole_text_matches=SIGNED
    )
    inputs_hash: Series[str] = sha256("inputs of the figure: the run_id of fact_risk_run")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
    publisher: Series[str] = address("the sender")
    nonce: Series[np.int64] = integer("nonce of the transaction", "number")
    gas: Series[np.int64] = integer("gas limit", "gas")
    max_fee_wei: Series[str] = uint("largest fee for a unit of gas", "wei")
    priority_fee_wei: Series[str] = uint("largest part of it for the block's producer", "wei")
    state: Series[str] = text(", ".join(STATES), isin=STATES)
    message: Series[str] = text("what happened to it, in words; empty where all went well")
    round_id: Series[pd.Int64Dtype] = integer("its round in the feed, once it is confirmed", "number", nullable=True)
    mined_block: Series[pd.Int64Dtype] = integer("block it was mined in", "block", nullable=True)
    mined_block_hash: Series[pd.StringDtype] = block_hash("hash of that block", nullable=True)
    mined_at: Series[pd.Int64Dtype] = seconds("time of that block", nullable=True)
    prepared_at: Series[np.int64] = seconds("when it was signed")
    ingested_at: Series[np.int64] = ingested_at()
    run_id: Series[str] = written_by()
