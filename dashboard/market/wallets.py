"""The stored features of one wallet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import data
from risk_core.analytics.wallets import NAMES


@dataclass(frozen=True, slots=True)
class WalletFeatures:
    """The newest row of a wallet; a feature that has no value is None. `as_of`: UTC seconds."""

    as_of: int
    values: Mapping[str, float | None]
    n_days: int
    n_without_value: int


def load_wallet(address: str, *, synthetic: bool, path: Path | str | None) -> WalletFeatures | None:
    """The newest features of a wallet, None where none are stored."""
    sql = (
        f"SELECT as_of, n_days, n_without_value, {', '.join(NAMES)} FROM mart_wallet_features "
        "WHERE wallet = ? AND is_synthetic = ? ORDER BY as_of DESC LIMIT 1"
    )
    with data.store.Reader.open(path) as store:
        rows = store.rows(sql, (address, int(synthetic)))
    if not rows:
        return None
    as_of, n_days, n_without_value, *values = rows[0]
    features = {name: None if value is None else float(value) for name, value in zip(NAMES, values, strict=True)}
    return WalletFeatures(int(as_of), MappingProxyType(features), int(n_days), int(n_without_value))
