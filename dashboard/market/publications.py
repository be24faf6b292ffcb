"""Figures of the market that were published on a chain, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import data
from dashboard.market.checks import Damaged
from dashboard.market.series import YEAR_10000

SHOWN = 5
"""Most transactions that are read."""
STATES = ("prepared", "sent", "confirmed", "replaced", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A transaction with a figure; `round_id`, `mined_block`: None while it is in no block. Times: UTC seconds."""

    metric: str
    measure: str
    level: float
    horizon_seconds: int
    value: float
    unit: str
    as_of: int
    chain_id: int
    contract: str
    transaction_hash: str
    inputs_hash: str
    state: str
    message: str
    round_id: int | None
    mined_block: int | None
    mined_at: int | None
    prepared_at: int
    synthetic: bool


COLUMNS = (
    "metric", "measure", "level", "horizon_seconds", "value", "unit", "as_of", "chain_id", "contract",
    "transaction_hash", "inputs_hash", "state", "message", "round_id", "mined_block", "mined_at", "prepared_at",
    "is_synthetic",
)  # fmt: skip


def load_publications(market: str, path: Path | str | None) -> tuple[Publication, ...]:
    """The newest transactions of a market's figures; may be empty. Raises `Damaged`."""
    sql = (
        f"SELECT {', '.join(COLUMNS)} FROM fact_metric_publication WHERE market = ? "
        "ORDER BY as_of DESC, prepared_at DESC, nonce DESC, transaction_hash LIMIT ?"
    )
    with data.store.Reader.open(path) as store:
        rows = store.rows(sql, (market, SHOWN))
    return tuple(
        check_publication(Publication(**dict(zip(COLUMNS[:-1], row, strict=False)), synthetic=bool(row[-1])))
        for row in rows
    )


def check_publication(found: Publication) -> Publication:
    """Return the publication when it can be shown. Raises `Damaged`."""
    if found.state not in STATES:
        raise Damaged(f"fact_metric_publication: state: expected one of {', '.join(STATES)}, found {found.state!r:.40}")
    if not abs(found.value) < float("inf"):
        raise Damaged(f"fact_metric_publication: value: expected a number, found {found.value!r}")
    for name in ("as_of", "prepared_at", "mined_at"):
        at = getattr(found, name)
        if at is not None and not 0 <= at < YEAR_10000:
            raise Damaged(f"fact_metric_publication: {name}: expected seconds since 1970, found {at!r:.60}")
    return found
