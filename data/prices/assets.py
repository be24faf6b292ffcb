"""The map of reserves to the price series they follow (`dim_asset`): made by the rules, corrected by hand, stored.

To say what a reserve without a rule follows:

    from data.prices import assets
    assets.set_series("AaveV3Ethereum", "0x…", series="ARBUSDT", kind="series", factor="ARB", note="own price")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import data.store
from data.prices.rules import COLUMNS, Rule, mapped_reserves, rule_for, rules

if TYPE_CHECKING:
    from data.store.store import Store

__all__ = ["COLUMNS", "Rule", "asset_map", "mapped_reserves", "rule_for", "rules", "save_map", "set_series"]


def asset_map(market: str | None = None, db: Path | str | None = None, block: int | None = None) -> pd.DataFrame:
    """Each reserve of the newest snapshot, or of that of a `block`, with what it follows, in the order of reserve ids.

    Columns: market, asset, symbol, series, kind (series, ratio, proxy, fixed), factor, note. `market`: name, None as
    for `load_market`. Rows of `dim_asset` set by hand win over the rules. Raises `UnmappedReserve` with every reserve
    that has neither, and `NoSnapshot`.
    """
    return pd.DataFrame(mapped_reserves(market, db, block), columns=list(COLUMNS))


def set_series(
    market: str, asset: str, *, series: str, kind: str, factor: str, note: str, db: Path | str | None = None
) -> None:
    """Say by hand what a reserve follows; kept across runs. `kind` fixed takes an empty series and factor.

    Raises `BatchRefused` when the row breaks the schema of `dim_asset`.
    """
    with data.store.Store.open(db) as store:
        named = store.rows(
            "SELECT symbol FROM raw_aave_reserves WHERE market = ? AND asset = ? ORDER BY block DESC LIMIT 1",
            (market, asset.lower()),
        )
        row = {
            "market": market,
            "asset": asset.lower(),
            "symbol": named[0][0] if named else asset.lower(),
            "series": series,
            "kind": kind,
            "factor": factor,
            "note": note,
            "origin": "user",
        }
        store.write_batch("user", f"{market}:{asset.lower()}", {"dim_asset": pd.DataFrame([row])})


def save_map(store: Store, mapping: pd.DataFrame, run_id: str | None = None) -> None:
    """Write an `asset_map` to `dim_asset`; rows set by hand stay as they are."""
    by_hand = set(store.rows("SELECT market, asset FROM dim_asset WHERE origin = 'user'"))
    ours = [pair not in by_hand for pair in zip(mapping["market"], mapping["asset"], strict=True)]
    rows = mapping.loc[ours].assign(origin="rule")
    if len(rows):
        store.write_batch("rules", str(rows["market"].iloc[0]), {"dim_asset": rows}, run_id=run_id)
