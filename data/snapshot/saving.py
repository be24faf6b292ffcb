"""Write snapshots: each is written whole, with its row counts and the digest of its content."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data.errors import SnapshotIncomplete
from data.snapshot.building import from_frames, plain
from data.snapshot.choosing import OF_THE_ENGINE, PARTS
from data.snapshot.former import as_today
from data.snapshot.identity import rows_hash, snapshot_hash
from data.snapshot.untouched import ACCOUNT_TABLES, Untouched, moment_of
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
    untouched: Untouched | None = None,
) -> WriteReport:
    """Write one snapshot in one transaction; it replaces a snapshot of the same market and block.

    `frames`: the four tables of `PARTS` and one row of `fact_snapshot`, in which the counts and `snapshot_hash` are
    filled in here; `raw_aave_account_data` where the pool's valuations were read. Other tables (such as
    `ingest_checkpoint`) may be added. Accounts and balances are compared with the stored rows, and only differences are
    stored. `untouched`: the accounts that are not in the frames, from an earlier snapshot. `settles`: see
    `Store.write_batch`. One bad row refuses the whole snapshot. Raises `BatchRefused`; `WarehouseError` where that
    earlier snapshot was changed meanwhile.
    """
    frames = as_today({name: frame.reset_index(drop=True) for name, frame in frames.items()})
    head = frames["fact_snapshot"]
    if len(head) != 1:
        raise ValueError(f"save_snapshot: expected one row of fact_snapshot, found {len(head)}")
    kept = (len(untouched.account["account"]), len(untouched.position["account"])) if untouched else (0, 0)
    further = dict(zip(ACCOUNT_TABLES, kept, strict=True))
    counts = {count: len(frames[table]) + further.get(table, 0) for table, count in PARTS.items()}
    head = head.assign(**counts, snapshot_hash="0" * 64)
    try:
        known = "protocol" not in head or head["protocol"].fillna(OF_THE_ENGINE).iloc[0] == OF_THE_ENGINE
        if untouched and not known:
            raise ValueError("only snapshots of the engine's own protocol can be carried forward")
        if known:
            digest = snapshot_hash(from_frames(frames | {"fact_snapshot": head}, untouched))
        else:
            digest = rows_hash({table: frames[table] for table in PARTS})
    except (InputError, SnapshotIncomplete, KeyError, TypeError, ValueError, OverflowError) as error:
        unsound: Exception | None = error
        head = head.assign(snapshot_hash="")  # no digest: the schema refuses the batch, the quarantine keeps it
    else:
        unsound = None
        head = head.assign(snapshot_hash=digest)
    scope = {"market": head["market"].iloc[0], "block": plain(head["block"].iloc[0])}
    key = f"{scope['market']}:{scope['block']}"
    moment, beside = moment_of(store, scope["market"], scope["block"], untouched)
    try:
        return store.write_batch(
            source,
            key,
            # Last, so that what rests on an earlier snapshot is compared before this one takes its place.
            {name: frame for name, frame in frames.items() if name != "fact_snapshot"} | {"fact_snapshot": head},
            run_id,
            payload_sha256=payload_sha256,
            scope=scope,
            settles=settles,
            moment=moment,
            carried=beside,
        )
    except Exception as error:
        if unsound is not None:
            error.add_note(f"the snapshot cannot be built from its rows: {unsound}")
        raise
