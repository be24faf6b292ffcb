"""Events about the data, in order, and how far each consumer has read them."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import document, integer, name, seconds, text
from data.schemas.model import TableModel

TYPES = ["new_block", "new_raw_dataset", "updated_aggregated_dataset"]


class PipelineEvents(TableModel, key=["event_id"], sealed=True, indexes=[["topic", "event_id"]]):
    """`fact_pipeline_event`: one row for each event, written in the transaction of the change it is about."""

    event_id: Series[np.int64] = integer("number of the event, from 1, without gaps, in the order of commits", "id")
    topic: Series[str] = name("what it is about: chain-1 for a block, else the source or the table")
    type: Series[str] = text(", ".join(TYPES), isin=TYPES)
    payload: Series[str] = document("what happened; its fields are described in data.events")
    created_at: Series[np.int64] = seconds("when it was written")


class PipelineOffsets(TableModel, key=["consumer", "topic"]):
    """`pipeline_offset`: the last event that each consumer has processed."""

    consumer: Series[str] = name("who reads")
    topic: Series[str] = name("topic it reads, * for all")
    last_id: Series[np.int64] = integer("last event processed (fact_pipeline_event)", "id")
    updated_at: Series[np.int64] = seconds("when the consumer committed it")
