"""The stored features of one wallet, and whether it protects itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import data
from dashboard.market.checks import Damaged
from risk_core.analytics.protection import LEVELS, Rule
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
    told = {name: None if value is None else float(value) for name, value in zip(NAMES, values, strict=True)}
    return WalletFeatures(int(as_of), MappingProxyType(told), int(n_days), int(n_without_value))


@dataclass(frozen=True, slots=True)
class Protection:
    """The newest protection score of a wallet: its level, its inputs (room None where not known), and the rule."""

    as_of: int
    level: str
    room: float | None
    acts: int
    recent: int
    liquidations: int
    rule: Rule


def load_protection(address: str, *, synthetic: bool, path: Path | str | None) -> Protection | None:
    """The newest score of a wallet, None where none is stored. Raises `Damaged`."""
    sql = (
        "SELECT as_of, level, room, acts, recent, liquidations, rule FROM mart_wallet_protection "
        "WHERE wallet = ? AND is_synthetic = ? ORDER BY as_of DESC LIMIT 1"
    )
    with data.store.Reader.open(path) as store:
        rows = store.rows(sql, (address, int(synthetic)))
    if not rows:
        return None
    as_of, level, room, acts, recent, liquidations, rule = rows[0]
    if level not in LEVELS or (room is not None and not 0 <= room <= 1):
        raise Damaged(f"mart_wallet_protection: expected a level of {', '.join(LEVELS)} and a room in [0, 1], found "
                      f"{level!r:.40} and {room!r:.40}")  # fmt: skip
    given: dict[str, Any] = json.loads(rule)
    return Protection(int(as_of), level, room, int(acts), int(recent), int(liquidations), Rule(**given))
