"""Keep what a source received and could not turn into rows of a table."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

import pandas as pd

from data.store.refused import Batch, record
from data.store.store import Store
from data.store.validation import Judgement


def put_aside(
    store: Store,
    source: str,
    key: str,
    run_id: str,
    rows: Sequence[tuple[str, str, str]],
    *,
    instead: Callable[[sqlite3.Connection], None] | None = None,
) -> None:
    """Keep rows that a source received but could not read into the columns of a table.

    `rows`: the table they were meant for, the row as JSON text, the reason. They are kept as a batch of their own,
    which can be shown and dropped. To write the data, run the source again. The same rows are kept once. `instead`:
    what else happens in the same transaction, such as the removal of a stored row that turned out damaged.
    """
    if not rows:
        return
    batch = Batch(source, key, run_id, "", int(time.time()))
    meant_for = list(dict.fromkeys(table for table, _, _ in rows))
    frames = {table: pd.DataFrame({"unread": [row for meant, row, _ in rows if meant == table]}) for table in meant_for}
    with store.transaction() as connection:
        verdicts = [
            Judgement(
                table=table,
                n_rows=len(frames[table]),
                good=frames[table].iloc[:0],
                bad=dict(enumerate([reason] for meant, _, reason in rows if meant == table)),
            )
            for table in meant_for
        ]
        record(connection, batch, frames, verdicts, refused=False)
        if instead:
            instead(connection)
