"""What changed in a market between two stored blocks: how many accounts, and why debts and supplies changed.

The change of a side (supply or debt) of a reserve in USD is exactly the sum of three parts:

    by action:   (scaled2 - scaled1) x index1 x price1    borrowed, repaid, supplied, withdrawn, liquidated
    by interest: scaled2 x (index2 - index1) x price1
    by price:    scaled2 x index2 x (price2 - price1)
"""

from __future__ import annotations

from dataclasses import dataclass

from data import amounts
from data.errors import NoSnapshot, SnapshotRefused
from data.snapshot import scaled_sums
from data.snapshot.scaled_sums import Scaled
from data.store.holding import HOLDS
from data.store.reader import Reader
from risk_core.units import RAY, USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One side of a reserve, or the sum of all, in USD; `before` + `action` + `interest` + `price` = `after`."""

    symbol: str
    before: float
    action: float
    interest: float
    price: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A market at block `first` and at block `second` (times in UTC seconds).

    Numbers of accounts: `opened` had nothing at the first block, `closed` have nothing at the second; `grown` and
    `shrunk` owe more or less of some token, before interest (one account may be in both). `liquidated`: accounts with a
    stored liquidation event in between, None where events of that time were not all read. `debt`, `supply`: by reserve,
    largest change first. Where only accounts with debt were read at one of the blocks, `opened` and `closed` are None
    and `supply` is empty. `unpriced`: symbols of reserves without a price at one of the blocks, which are in no
    sum.
    """

    market: str
    first: int
    first_time: int
    second: int
    second_time: int
    opened: int | None
    closed: int | None
    grown: int
    shrunk: int
    liquidated: int | None
    debt: tuple[Moved, ...]
    supply: tuple[Moved, ...]
    unpriced: tuple[str, ...]

    def total(self, side: str) -> Moved:
        """The sum over reserves of "debt" or "supply"."""
        rows: tuple[Moved, ...] = getattr(self, side)
        return Moved(
            symbol="",
            before=sum(row.before for row in rows),
            action=sum(row.action for row in rows),
            interest=sum(row.interest for row in rows),
            price=sum(row.price for row in rows),
            after=sum(row.after for row in rows),
        )


def between(store: Reader, market: str, first: int, second: int) -> Changes:
    """The changes from block `first` to block `second`, both stored.

    Raises `NoSnapshot`, which names near blocks; `SnapshotRefused` for a market that does not count in dollars.
    """
    with store.one_state():
        heads = {block: _head(store, market, block) for block in (first, second)}
        reserves = {block: _reserves(store, market, block, *heads[block][:2]) for block in heads}
        early, late, grown, shrunk = _held(store, market, first, second)
        symbols: dict[str, str] = {}
        for block in (first, second):
            symbols |= {asset: row[0] for asset, row in reserves[block].items()}
        listed = {asset for block in heads for asset in reserves[block]}
        priced = {asset for asset in listed if all(_is_priced(reserves[b].get(asset)) for b in heads)}
        sides = []
        for place in (0, 1):
            rows = [
                _moved(
                    symbols[asset],
                    tuple(held.get(asset, (0, 0))[place] for held in (early, late)),
                    tuple(_index(reserves[block].get(asset), place) for block in (first, second)),
                    tuple(_price(reserves[block].get(asset)) for block in (first, second)),
                )
                for asset in priced
            ]
            rows = [row for row in rows if row.before or row.after]
            sides.append(tuple(sorted(rows, key=lambda row: (-abs(row.after - row.before), row.symbol))))
        is_whole = all(head[2] for head in heads.values())
        opened, closed = _turnover(store, market, first, second) if is_whole else (None, None)
        liquidated = _liquidated(store, market, heads[first][0], heads[second][0])
    return Changes(
        market=market,
        first=first,
        first_time=heads[first][0],
        second=second,
        second_time=heads[second][0],
        opened=opened,
        closed=closed,
        grown=grown,
        shrunk=shrunk,
        liquidated=liquidated,
        supply=sides[0] if is_whole else (),
        debt=sides[1],
        unpriced=tuple(sorted(symbols[asset] for asset in listed - priced)),
    )


Reserve = tuple[str, amounts.Terms, float | None]
"""Symbol, indices, and USD of one token unit; None without a price."""


def _head(store: Reader, market: str, block: int) -> tuple[int, str | None, bool]:
    """(time, protocol, whether all accounts were read, not those with debt alone)."""
    rows = store.rows(
        "SELECT block_time, protocol, base_currency_unit, read_mode FROM fact_snapshot WHERE market = ? AND block = ?",
        (market, block),
    )
    if rows:
        time, protocol, unit, mode = rows[0]
        if unit != str(USD):
            raise SnapshotRefused(
                f"{market} at block {block}: its prices are not in USD with 8 decimals (one unit is {unit}), so its "
                "changes cannot be told in USD; query raw_aave_balances for the amounts"
            )
        return time, protocol, mode != "borrowers"
    near = [
        str(number)
        for (number,) in store.rows(
            "SELECT block FROM fact_snapshot WHERE market = ? ORDER BY abs(block - ?), block LIMIT 3", (market, block)
        )
    ]
    raise NoSnapshot(
        f"{store.path}: block {block} of {market} is not stored; nearest stored blocks: {', '.join(near) or 'none'}. "
        "`python -m data snapshots` lists them"
    )


def _reserves(store: Reader, market: str, block: int, time: int, protocol: str | None) -> dict[str, Reserve]:
    names = (
        "reserve_id", "asset", "symbol", "decimals", "price_raw", "liquidity_index", "liquidity_rate",
        "variable_borrow_index", "variable_borrow_rate", "last_update_timestamp",
    )  # fmt: skip
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM raw_aave_reserves WHERE market = ? AND block = ?", (market, block)
    )
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    terms = amounts.terms(columns, time, protocol)
    return {
        asset: (symbol, terms[number], None if price is None else int(price) / USD / 10**decimals)
        for number, asset, symbol, decimals, price in zip(
            *(columns[name] for name in ("reserve_id", "asset", "symbol", "decimals", "price_raw")), strict=True
        )
    }


def _is_priced(reserve: Reserve | None) -> bool:
    return reserve is None or reserve[2] is not None  # a reserve that was not listed yet has no amount to price


def _index(reserve: Reserve | None, place: int) -> float:
    if reserve is None:
        return 0.0
    return (reserve[1].income, reserve[1].debt)[place] / RAY


def _price(reserve: Reserve | None) -> float:
    return 0.0 if reserve is None or reserve[2] is None else reserve[2]


def _moved(symbol: str, scaled: tuple[int, ...], index: tuple[float, ...], price: tuple[float, ...]) -> Moved:
    if not index[0]:  # listed in between: at its first index and price, all of the change is by action
        index, price = (index[1], index[1]), (price[1], price[1])
    if not index[1]:
        index, price = (index[0], index[0]), (price[0], price[0])
    return Moved(
        symbol=symbol,
        before=scaled[0] * index[0] * price[0],
        action=(scaled[1] - scaled[0]) * index[0] * price[0],
        interest=scaled[1] * (index[1] - index[0]) * price[0],
        price=scaled[1] * index[1] * (price[1] - price[0]),
        after=scaled[1] * index[1] * price[1],
    )


_CHANGED = """
SELECT account, asset,
  max(CASE WHEN at = 1 THEN scaled_supply END), max(CASE WHEN at = 2 THEN scaled_supply END),
  max(CASE WHEN at = 1 THEN scaled_debt END), max(CASE WHEN at = 2 THEN scaled_debt END)
FROM (
  SELECT 1 AS at, account, asset, scaled_supply, scaled_debt FROM raw_aave_balances
  WHERE market = ?1 AND valid_from <= ?2 AND valid_to > ?2 AND valid_to <= ?3
  UNION ALL
  SELECT 2, account, asset, scaled_supply, scaled_debt FROM raw_aave_balances
  WHERE market = ?1 AND valid_from > ?2 AND valid_from <= ?3 AND (valid_to IS NULL OR valid_to > ?3)
) GROUP BY account, asset
"""
"""Balances that are not one row from block ?2 to block ?3, as they were at each of the two."""


def _held(store: Reader, market: str, first: int, second: int) -> tuple[Scaled, Scaled, int, int]:
    """Sums at the first and at the second block, and how many accounts owe more of some token at the second, and less.

    All balances are read once, at the earlier block; from there on only what changed.
    """
    low, high = sorted((first, second))
    early, late, more, less = scaled_sums.between(store, market, low, high) or _row_by_row(store, market, low, high)
    return (early, late, more, less) if first <= second else (late, early, less, more)


def _row_by_row(store: Reader, market: str, low: int, high: int) -> tuple[Scaled, Scaled, int, int]:
    """The same for the earlier and the later block, in Python integers."""
    supply: dict[str, int] = {}
    debt: dict[str, int] = {}
    rows = store.rows(f"SELECT asset, scaled_supply, scaled_debt FROM raw_aave_balances WHERE {HOLDS}", (market, low))
    for asset, supplied, owed in rows:
        supply[asset] = supply.get(asset, 0) + int(supplied)
        if owed != "0":
            debt[asset] = debt.get(asset, 0) + int(owed)
    early = {asset: (total, debt.get(asset, 0)) for asset, total in supply.items()}
    up: set[str] = set()
    down: set[str] = set()
    for account, asset, supply_then, supply_now, debt_then, debt_now in store.rows(_CHANGED, (market, low, high)):
        supply[asset] = supply.get(asset, 0) + int(supply_now or 0) - int(supply_then or 0)
        moved = int(debt_now or 0) - int(debt_then or 0)
        if moved:
            debt[asset] = debt.get(asset, 0) + moved
            (up if moved > 0 else down).add(account)
    late = {asset: (total, debt.get(asset, 0)) for asset, total in supply.items()}
    return early, late, len(up), len(down)


def _turnover(store: Reader, market: str, first: int, second: int) -> tuple[int, int]:
    """(number of accounts that exist only at the second block, only at the first)."""
    low, high = sorted((first, second))
    [(came, went)] = store.rows(
        "SELECT "
        "(SELECT count(*) FROM (SELECT account FROM raw_aave_account_states WHERE market = ?1 AND valid_from > ?2 "
        "AND valid_from <= ?3 AND (valid_to IS NULL OR valid_to > ?3) EXCEPT SELECT account FROM "
        "raw_aave_account_states WHERE market = ?1 AND valid_from <= ?2 AND (valid_to IS NULL OR valid_to > ?2))), "
        "(SELECT count(*) FROM (SELECT account FROM raw_aave_account_states WHERE market = ?1 AND valid_from <= ?2 "
        "AND valid_to > ?2 AND valid_to <= ?3 EXCEPT SELECT account FROM raw_aave_account_states WHERE market = ?1 "
        "AND valid_from <= ?3 AND (valid_to IS NULL OR valid_to > ?3)))",
        (market, low, high),
    )
    return (came, went) if first <= second else (went, came)


def _liquidated(store: Reader, market: str, start: int, end: int) -> int | None:
    """Number of accounts liquidated in (start, end]; None where `raw_lending_reads` does not cover that time."""
    low, high = sorted((start, end))
    read = store.rows(
        "SELECT 1 FROM raw_lending_reads WHERE market = ? AND first_time <= ? AND last_time >= ? LIMIT 1",
        (market, low, high),
    )
    if not read:
        return None
    [(found,)] = store.rows(
        "SELECT count(DISTINCT wallet) FROM stg_lending_events WHERE market = ? AND event_type = 'liquidation' "
        "AND block_timestamp > ? AND block_timestamp <= ?",
        (market, low, high),
    )
    return found
