"""Select a liquidation and read its row."""

from __future__ import annotations

import re
from typing import NamedTuple

from data.errors import NoLiquidation
from data.postmortem.record import Event
from data.store.reader import Reader

HASH = r"0x[0-9a-fA-F]{64}"
READ_EVENTS = "python -m flows lending-events"

_COLUMNS = (
    "market, protocol, chain_id, block_number, log_index, tx_hash, block_timestamp, wallet, counterparty, asset, "
    "debt_asset, amount_raw, debt_amount_raw, amount_usd, part, source"
)


class Key(NamedTuple):
    """A liquidation: the hash of its transaction, and the index of its log where the transaction has several."""

    transaction: str
    log_index: int | None = None


def key_of(transaction: str, log_index: str | int | None = None) -> Key:
    """A key from text of a page address or a command line. Raises `NoLiquidation`."""
    text = str(transaction).strip()
    if not re.fullmatch(HASH, text):
        raise NoLiquidation(f"transaction: expected 0x and 64 hex digits, found {text[:80]!r}")
    if log_index is None or log_index == "":
        return Key(text.lower())
    number = str(log_index).strip()
    if not re.fullmatch(r"[0-9]{1,10}", number):
        raise NoLiquidation(f"log_index: expected a whole number, found {number[:80]!r}")
    return Key(text.lower(), int(number))


def find(store: Reader, key: Key) -> Event:
    """The stored liquidation of a key. Raises `NoLiquidation` where none or several match."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM stg_lending_events WHERE event_type = 'liquidation' AND tx_hash = ? "
        "AND log_index = coalesce(?, log_index) ORDER BY log_index",
        (key.transaction, key.log_index),
    )
    if not rows:
        n, first, last = store.rows(
            "SELECT count(*), min(block_number), max(block_number) FROM stg_lending_events "
            "WHERE event_type = 'liquidation'"
        )[0]
        held = f"it holds {n:,} of blocks {first:,} to {last:,}" if n else "it holds none"
        with_log = "" if key.log_index is None else f" at log index {key.log_index}"
        raise NoLiquidation(
            f"{store.path}: no liquidation of transaction {key.transaction}{with_log} is stored; {held}. "
            f"`{READ_EVENTS}` reads them"
        )
    if len(rows) > 1:
        places = ", ".join(str(row[4]) for row in rows[:20])
        raise NoLiquidation(
            f"{store.path}: transaction {key.transaction} holds {len(rows)} liquidations, at log indices {places}; "
            "name one"
        )
    row = rows[0]
    return Event(
        market=row[0], protocol=row[1], chain_id=row[2], block=row[3], log_index=row[4], tx_hash=row[5], ts=row[6],
        wallet=row[7], liquidator=row[8], collateral=row[9], debt=row[10], seized_raw=int(row[11]),
        repaid_raw=None if row[12] is None else int(row[12]), seized_usd=row[13], part=row[14], source=row[15],
    )  # fmt: skip
