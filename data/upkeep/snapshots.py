"""List the stored snapshots: market and block, age, size, and how many risk runs use them."""

from __future__ import annotations

from dataclasses import dataclass

from data.store.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One snapshot.

    time, age: seconds. accounts, positions: rows. mode: how its accounts were read (`fact_snapshot.read_mode`, or
    "sample"). runs: stored risk runs that use it. touched: accounts of which a balance changed at this block.
    """

    market: str
    block: int
    time: int
    age: int
    accounts: int
    positions: int
    mode: str
    runs: int
    touched: int


def listed(store: Reader, now: int, market: str | None = None) -> list[Row]:
    """Every stored snapshot, or those of `market`, newest first. `now`: seconds UTC."""
    rows = store.rows(
        "SELECT s.market, s.block, s.block_time, s.n_accounts, s.n_positions, "
        "CASE WHEN s.is_synthetic THEN 'sample' ELSE coalesce(s.read_mode, 'full') END, "
        "(SELECT count(*) FROM fact_risk_run AS r WHERE r.snapshot_hash = s.snapshot_hash), coalesce(t.n, 0) "
        "FROM fact_snapshot AS s LEFT JOIN (SELECT market, at, count(*) AS n FROM "
        "(SELECT market, valid_from AS at, account FROM raw_aave_balances UNION "
        "SELECT market, valid_to, account FROM raw_aave_balances WHERE valid_to IS NOT NULL) GROUP BY market, at) AS t "
        "ON t.market = s.market AND t.at = s.block "
        "WHERE ?1 IS NULL OR s.market = ?1 ORDER BY s.block_time DESC, s.market, s.block DESC",
        (market,),
    )
    return [
        Row(market=m, block=b, time=t, age=now - t, accounts=a, positions=p, mode=mode, runs=runs, touched=touched)
        for m, b, t, a, p, mode, runs, touched in rows
    ]
