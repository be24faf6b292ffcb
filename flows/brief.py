"""Flow `brief`: what changed since the day before, by rules from stored rows; prints plain text and stores it."""

from __future__ import annotations

import pandas as pd

from data import brief
from data.store.store import Store
from flows.brief_options import BriefOptions
from flows.pipeline import recorded

SOURCE = "brief"


def run(arguments: BriefOptions) -> str:
    """Write and store the brief, and return it as plain text. Raises `data.errors.NoSnapshot`, `SnapshotIncomplete`."""
    with Store.open() as store, recorded(store, "brief", arguments.model_dump()) as run:
        found = brief.write(arguments.market, store.path)
        place = {"market": found.market, "block": found.block}
        run.write(SOURCE, f"{found.market}:{found.block}", {"mart_daily_brief": frame(found)}, scope=place)
    return found.plain()


def frame(found: brief.Brief) -> pd.DataFrame:
    """Rows of `mart_daily_brief`."""
    rows = [
        {
            "market": found.market, "block": found.block, "place": place, "block_time": found.block_time,
            "before_block": found.before_block, "topic": sentence.topic, "kind": sentence.kind,
            "sentence": sentence.text, "parts": sentence.record(), "command": sentence.command,
            "is_synthetic": int(found.synthetic),
        }
        for place, sentence in enumerate(found.sentences)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"before_block": "Int64"})
