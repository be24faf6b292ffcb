"""The daily brief, one row for each sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, seconds, text
from data.schemas.model import DAY, Numbered


class DailyBriefs(Numbered, key=["market", "block", "place"], optional=["before_block"], late_after=2 * DAY):
    """`mart_daily_brief`: what changed since the day before, by rules; every number names its rows."""

    market: Series[str] = name("market")
    block: Series[np.int64] = integer("block of the newest snapshot", "block")
    place: Series[np.int64] = integer("place of the sentence", "rank")
    block_time: Series[np.int64] = seconds("time of that block")
    before_block: Series[pd.Int64Dtype] = integer(
        "block of the day before that it is compared with; empty where none was stored", "block", nullable=True
    )
    topic: Series[str] = name("what the sentence is about")
    kind: Series[str] = text("change, state, or missing", isin=["change", "state", "missing"])
    sentence: Series[str] = text("the sentence", longest=None)
    parts: Series[str] = document("words, and numbers with the table and key of their rows")
    command: Series[str] = text("command that fetches what is missing; empty for none")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
