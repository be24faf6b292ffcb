"""What is stored of the adapters behind a market's oracle prices: the newest row of each reserve up to its block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.store.reader import Reader
from risk_core import InputError, Market
from risk_core.price_caps import CapTerms

DECIMALS = 18
"""Decimals of a ratio where what is stored does not tell them."""
_TERMS = ("snapshot_ratio", "snapshot_timestamp", "max_yearly_growth_bps")

_NEWEST = """
SELECT a.asset, a.block, a.block_time, a.kind, a.description, a.parameters, a.parameters_status, a.ratio, a.max_ratio,
       a.implied_ratio, a.cap_binds, a.note
FROM dim_oracle_adapter AS a
JOIN (SELECT asset, max(block) AS block FROM dim_oracle_adapter WHERE market = :market AND block <= :block
      GROUP BY asset) AS n ON n.asset = a.asset AND n.block = a.block
WHERE a.market = :market
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """How one reserve's price is made, as it was read at `block`. Ratios in units of the base, None where not known.

    terms: the parameters in force of a ratio's cap; None where they were not read at the block. decimals: of the ratio.
    binds: whether the cap holds the price down, None where it cannot be told.
    """

    block: int
    block_time: int
    kind: str
    description: str
    terms: CapTerms | None
    decimals: int
    ratio: float | None
    largest_ratio: float | None
    binds: bool | None
    note: str


def load_adapters(market: Market, db: Path | str | None = None) -> Mapping[int, Adapter]:
    """By the place of the reserve in the market: its adapter, the newest that was read up to the market's block.

    `db`: file, None is `RISK_DB`. Reserves of which nothing is stored are absent; `python -m flows oracle-prices` reads
    them. Raises `InputError` for stored parameters that are no JSON object.
    """
    place = {asset: r for r, asset in enumerate(market.reserves.asset)}
    with Reader.open(db) as store:
        rows = store.rows(_NEWEST, {"market": market.snapshot.market, "block": market.snapshot.block})
    return {place[row[0]]: _adapter(*row) for row in rows if row[0] in place}


def _adapter(
    asset: str, block: int, block_time: int, kind: str, description: str, parameters: str, status: str,
    ratio: float | None, largest: float | None, implied: float | None, binds: int | None, note: str,
) -> Adapter:  # fmt: skip
    try:
        found = json.loads(parameters or "{}")
        if not isinstance(found, dict):
            raise ValueError
    except ValueError:
        raise InputError(
            f"dim_oracle_adapter.parameters of {asset} at block {block}: expected a JSON object, found "
            f"{parameters!r:.60}; run `python -m flows oracle-prices` again"
        ) from None
    terms = None
    if status == "chain" and all(name in found for name in _TERMS):
        terms = CapTerms(**{name: int(found[name]) for name in _TERMS})
    decimals = round(np.log10(ratio / implied)) if ratio and implied and ratio > 0 and implied > 0 else DECIMALS
    unit = 10.0**decimals
    return Adapter(
        block=int(block),
        block_time=int(block_time),
        kind=kind,
        description=description,
        terms=terms,
        decimals=decimals,
        ratio=None if ratio is None else ratio / unit,
        largest_ratio=None if largest is None else largest / unit,
        binds=None if binds is None else bool(binds),
        note=note,
    )
