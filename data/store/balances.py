"""Upgrade to layout 6: accounts and positions of every block become rows that hold until they change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from data import amounts
from data.schemas.tables import tables
from data.store import shape, validity
from data.store.validity import Kept, Moment

_RESERVE = (
    "reserve_id", "asset", "decimals", "liquidity_index", "liquidity_rate", "variable_borrow_index",
    "variable_borrow_rate", "last_update_timestamp",
)  # fmt: skip
_MADE_NOW = ("raw_aave_account_states", "raw_aave_balances", "raw_aave_account_data")


class Unexplained(Exception):
    """The amounts of a stored snapshot do not follow from its balances; nothing was changed."""


def _has_former_tables(connection: sqlite3.Connection) -> bool:
    tables_of_file = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return {"fact_snapshot", "raw_aave_reserves", "raw_aave_user_accounts", "stg_positions"} <= tables_of_file


def balances_with_validity(connection: sqlite3.Connection) -> None:
    """Store only the changes of each market's accounts and balances, block after block, and drop the former tables.

    Amounts are no longer stored: each is first compared with the balance times the index. Raises `Unexplained`.
    """
    db = shape.database(connection)
    if not _has_former_tables(connection):
        return
    for name in _MADE_NOW:
        shape.create_table(db, tables()[name])
        shape.create_triggers(db, tables()[name])
    protocol = "protocol" if "protocol" in shape.columns_of(db, "fact_snapshot") else "NULL"
    batch = "batch" if "batch" in shape.columns_of(db, "fact_snapshot") else "0"
    snapshots = connection.execute(
        f"SELECT market, block, block_time, {protocol}, {batch} FROM fact_snapshot ORDER BY market, block"
    ).fetchall()
    for market, block, time, rules, number in snapshots:
        at = Moment(market, block)
        rows = {
            "raw_aave_account_states": _states(connection, market, block),
            "raw_aave_balances": _balances(connection, market, block, time, rules),
        }
        for name, kept in rows.items():
            validity.put(connection, tables()[name], kept, number, at, in_order=True)
        connection.execute(
            "INSERT INTO raw_aave_account_data (market, block, account, total_collateral_base, total_debt_base, "
            "health_factor_raw, batch) SELECT market, block, account, total_collateral_base, total_debt_base, "
            "health_factor_raw, ? FROM raw_aave_user_accounts WHERE market = ? AND block = ? "
            "AND health_factor_raw IS NOT NULL",
            (number, market, block),
        )
    for name in ("raw_aave_user_accounts", "stg_positions"):
        db.table(name).drop()
    if shape.columns_of(db, "mart_state"):  # the tables made from it must be made again
        connection.execute("DELETE FROM mart_state WHERE target = 'stg_positions'")


def _states(connection: sqlite3.Connection, market: str, block: int) -> list[Kept]:
    rows = connection.execute(
        "SELECT account, emode_id, config_bitmap FROM raw_aave_user_accounts WHERE market = ? AND block = ?",
        (market, block),
    )
    return [((market, account), (emode, flags)) for account, emode, flags in rows]


def _balances(
    connection: sqlite3.Connection, market: str, block: int, time: int, protocol: str | None
) -> Iterator[Kept]:
    found = connection.execute(
        f"SELECT {', '.join(_RESERVE)} FROM raw_aave_reserves WHERE market = ? AND block = ?", (market, block)
    ).fetchall()
    reserve = {name: [row[place] for row in found] for place, name in enumerate(_RESERVE)}
    terms = amounts.terms(reserve, time, protocol)
    rows = connection.execute(
        "SELECT p.account, p.asset, p.reserve_id, p.scaled_supply, p.scaled_debt, p.supply_raw, p.debt_raw, "
        "p.is_collateral, a.config_bitmap FROM stg_positions AS p LEFT JOIN raw_aave_user_accounts AS a "
        "ON a.market = p.market AND a.block = p.block AND a.account = p.account WHERE p.market = ? AND p.block = ?",
        (market, block),
    )
    for account, asset, number, supply, debt, supply_raw, debt_raw, enabled, flags in rows:
        try:
            stable = terms[number].stable_debt(int(supply_raw), int(debt_raw), int(supply), int(debt))
            if flags is not None and int(flags) >> 2 * number + 1 & 1 != enabled:
                raise ValueError(f"collateral flag: expected {1 - enabled} from the account's flags, found {enabled}")
        except (KeyError, ValueError) as error:
            raise Unexplained(
                f"the snapshot of {market} at block {block} contradicts itself (account {account}, token {asset}: "
                f"{error if isinstance(error, ValueError) else f'no reserve {number}'}); nothing was changed. Remove "
                f"it with the version that wrote it (`DELETE FROM fact_snapshot WHERE market = '{market}' AND "
                f"block = {block}`, and its rows of stg_positions and raw_aave_user_accounts), or read the block again"
            ) from error
        yield (market, account, asset), (number, supply, debt, None if stable is None else str(stable))
