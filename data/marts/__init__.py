"""Tables that SQL makes of other tables: typed staging, dimensions, facts and marts, one file for each.

    with Store.open() as store:
        marts.refresh(store)                        # everything that has new input
        marts.refresh(store, ["stg_prices"])        # one table, and what it is made from

A file is one SELECT under a header:

    -- target: stg_prices
    -- reads: raw_binance_klines
    -- Closing price of every finished candle in USD.          (what it is, in one line)
    SELECT ... WHERE batch > :since

`:since` is the newest batch (`fact_batch`) that the table has seen, 0 when it is built anew. The SELECT returns every
row whose inputs have a newer batch, in full; rows are put in by the table's key, and a row that is unchanged is left
alone. Each row carries `batch`, the greatest of the batches of all rows it is made from. The result may depend on the
inputs only: no clock, no random numbers, not the table itself. Then an update gives the same rows as building anew.

Where a newer input can make rows disappear, `-- scope: market from fact_snapshot` says that for each market among the
new rows of `fact_snapshot` the SELECT returns all there is, so other rows of these markets are removed. In place of the
table there may be a SELECT in brackets that gives these columns and `batch`.

A file may stand for several tables that differ in one word only (`data.marts.template`).

`data.marts.functions` has the functions that the SELECTs may use beside those of SQLite.

A table is built anew when its file changed, when an input was built anew, when an input lost rows and there is no scope
that says which, or when a table that the scope itself reads lost rows. Each table is brought up to date in one
transaction, or left as it was.
"""

from __future__ import annotations

from data.marts.refreshing import Refreshed, refresh
from data.marts.target import Target, targets

__all__ = ["Refreshed", "Target", "refresh", "targets"]
