"""Functions that the SQL of this folder calls and SQLite does not have: exact decimals and 256-bit integers."""

from __future__ import annotations

import sqlite3

from data.amounts import HALF_UP, Terms
from risk_core import interest


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection. Each gives NULL for NULL, and fails on text that is not a number.

    `to_real(text)`: the double nearest to a decimal text; CAST is off by a last digit now and then.
    `has_bit(text, n)`: 1 where bit n of an unsigned integer of any length is set, else 0.
    `normalized_income(index, rate, updated, now)`, `normalized_debt(...)`: an index of `raw_aave_reserves` brought to a
    block's time. `supplied(scaled, index, protocol)`, `owed(scaled, index, protocol, stable)`: token units as text.
    `tokens(units, decimals)`: the double nearest to the amount in tokens.
    """
    connection.create_function("to_real", 1, _to_real, deterministic=True)
    connection.create_function("has_bit", 2, _has_bit, deterministic=True)
    connection.create_function("normalized_income", 4, _normalized_income, deterministic=True)
    connection.create_function("normalized_debt", 4, _normalized_debt, deterministic=True)
    connection.create_function("supplied", 3, _supplied, deterministic=True)
    connection.create_function("owed", 4, _owed, deterministic=True)
    connection.create_function("tokens", 2, _tokens, deterministic=True)


def _normalized_income(index: str, rate: str, updated: int, now: int) -> str:
    return str(interest.normalized_income(int(index), int(rate), updated, now))


def _normalized_debt(index: str, rate: str, updated: int, now: int) -> str:
    return str(interest.normalized_debt(int(index), int(rate), updated, now))


def _supplied(scaled: str, index: str, protocol: str | None) -> str:
    return scaled if scaled == "0" else str(Terms(int(index), 0, 1, protocol == HALF_UP).supplied(int(scaled)))


def _owed(scaled: str, index: str, protocol: str | None, stable: str | None) -> str:
    owed = 0 if scaled == "0" else Terms(0, int(index), 1, protocol == HALF_UP).owed(int(scaled))
    return str(owed + int(stable or 0))


def _tokens(raw: str, decimals: int) -> float:
    return int(raw) / 10**decimals


def _to_real(text: str | None) -> float | None:
    return None if text is None else float(text)


def _has_bit(text: str | None, bit: int) -> int | None:
    return None if text is None else int(text) >> bit & 1
