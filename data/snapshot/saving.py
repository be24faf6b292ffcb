"""Snapshots into the warehouse: one is written whole, with its counts and the digest of its content."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data.errors import SnapshotIncomplete
from data.snapshot.building import Columns, from_frames, plain, with_tokens
from data.snapshot.identity import rows_hash, snapshot_hash
from data.snapshot.loading import OF_THE_ENGINE, PARTS
from data.store.carried import n_rows, require_whole
from data.store.refused import Settling
from data.store.store import Store, WriteReport
from risk_core import InputError


def save_snapshot(
    store: Store,
    source: str,
    frames: Mapping[str, pd.DataFrame],
    run_id: str | None = None,
    *,
    payload_sha256: str | None = None,
    settles: Settling | None = None,
    carried: Mapping[str, Columns] | None = None,
) -> WriteReport:
    """Write one whole snapshot in one transaction, replacing whatever was stored for its market and block.

    `frames`: the four tables of `PARTS` and one row of `fact_snapshot`, in which the counts and `snapshot_hash` are
    filled in here, as are `supply` and `debt` of `stg_positions` where they are left out. Other tables (such as
    `ingest_checkpoint`) may come along. `settles`, `carried`: see `Store.write_batch`; carried rows are of accounts
    that are not in the frames. Every bad row refuses all of it. Raises `BatchRefused`.
    """
    frames = {name: frame.reset_index(drop=True) for name, frame in frames.items()}
    head = frames["fact_snapshot"]
    if len(head) != 1:
        raise ValueError(f"save_snapshot: expected one row of fact_snapshot, found {len(head)}")
    frames["stg_positions"] = with_tokens(frames["stg_positions"], frames["raw_aave_reserves"])
    further = carried or {}
    require_whole(further)
    counts = {count: len(frames[table]) + n_rows(further.get(table, {})) for table, count in PARTS.items()}
    head = head.assign(**counts, snapshot_hash="0" * 64)
    try:
        known = "protocol" not in head or head["protocol"].fillna(OF_THE_ENGINE).iloc[0] == OF_THE_ENGINE
        if further and not known:
            raise ValueError("only snapshots of the engine's own protocol can be carried forward")
        if known:
            digest = snapshot_hash(from_frames(frames | {"fact_snapshot": head}, further))
        else:
            digest = rows_hash({table: frames[table] for table in PARTS})
    except (InputError, SnapshotIncomplete, KeyError, TypeError, ValueError, OverflowError) as error:
        unsound: Exception | None = error
        head = head.assign(snapshot_hash="")  # no digest, so the schema refuses the batch and keeps what is wrong
    else:
        unsound = None
        head = head.assign(snapshot_hash=digest)
    scope = {"market": head["market"].iloc[0], "block": plain(head["block"].iloc[0])}
    key = f"{scope['market']}:{scope['block']}"
    try:
        return store.write_batch(
            source,
            key,
            {**frames, "fact_snapshot": head},
            run_id,
            payload_sha256=payload_sha256,
            scope=scope,
            settles=settles,
            carried=further,
        )
    except Exception as error:
        if unsound is not None:
            error.add_note(f"the snapshot cannot be built from its rows: {unsound}")
        raise
