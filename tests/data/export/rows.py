"""Rows for any table, from its columns alone: hostile ones for the way out, plausible ones for questions."""

from __future__ import annotations

import math

import numpy as np

from data.schemas.tables import Column, Table

MIDNIGHT = 1_767_225_600
TEXTS = [
    "", " ", "0", "-0", "1e5", "null", "NULL", "\\N", "\\.", "a\tb", "a\nb\r\nc", "it's", 'say "so"', "$$", "{}",
    "1,2;3",
    "Ünïcode → 日本語 🦄", "\u202eright to left", "\x01\x1f", "a/b=c%20", str(2**256 - 1), "0x" + "f" * 64, "x" * 1_500,
]  # fmt: skip
INTEGERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
REALS = [0.0, 1.0, -1.5, 0.1 + 0.2, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22,
         123456789.123456789, math.inf, -math.inf]  # fmt: skip


def hostile(table: Table, random: np.random.Generator, n: int) -> list[tuple]:
    """`n` rows of values at the edge of their types; NULL wherever it is allowed, one time in four."""
    return [tuple(_hostile(column, random) for column in table.columns) for _ in range(n)]


def _hostile(column: Column, random: np.random.Generator) -> object:
    if column.nullable and random.random() < 0.25:
        return None
    if column.name == "market":  # names a folder, which has 255 bytes
        return TEXTS[random.integers(len(TEXTS) - 1)]
    pool = {"TEXT": TEXTS, "INTEGER": INTEGERS, "REAL": REALS}[column.type]
    return pool[random.integers(len(pool))]


CHOICES: dict[str, list[object]] = {
    "market": ["AaveV3Ethereum", "AaveV3Polygon"], "protocol": ["aave_v3", "compound_v3"],
    "chain_id": [1, 137], "symbol": ["WETH", "USDC", "wstETH", "ETHUSDT"], "debt_asset": ["0x" + "d1" * 20, None],
    "asset": ["0x" + f"a{n}" * 20 for n in range(4)], "token": ["0x" + f"b{n}" * 20 for n in range(3)],
    "wallet": ["0x" + f"c{n}" * 20 for n in range(6)], "account": ["0x" + f"c{n}" * 20 for n in range(6)],
    "event_type": ["borrow", "deposit", "repay", "withdraw", "liquidation"],
    "measure": ["lar_usd", "var_usd", "expected_shortfall_usd"], "level": [0.95, 0.99], "source": ["logs", "binance"],
    "scenario_id": ["base", "stress"], "run_id": ["r1", "r2", "r3"], "standard": ["ERC20", "ERC721"],
}  # fmt: skip


def plausible(table: Table, random: np.random.Generator, n: int) -> list[tuple]:
    """`n` rows over few markets, wallets, assets and days, so that questions find groups."""
    return [tuple(_plausible(column, random, row) for column in table.columns) for row in range(n)]


def _plausible(column: Column, random: np.random.Generator, row: int) -> object:
    if column.nullable and random.random() < 0.2:
        return None
    if column.name in CHOICES:
        pool = CHOICES[column.name]
        value = pool[random.integers(len(pool))]
        return value if value is not None or column.nullable else pool[0]
    if column.unit == "unix seconds UTC" or column.name in ("hour", "timestamp"):
        return MIDNIGHT + 3_600 * int(random.integers(0, 96))
    if column.unit == "0/1":
        return int(random.integers(0, 2))
    if column.type == "INTEGER":
        return int(random.integers(0, 1_000))
    if column.type == "REAL":
        return float(random.lognormal(3.0, 2.0))
    return f"{column.name} {row}" if random.random() < 0.5 else str(int(random.integers(0, 2**62)))
