"""Stored data around one liquidation: the account's snapshot and events, prices, terms.

The borrower's account is not stored at the block of a liquidation. It is taken from the nearest snapshot that has it,
and its stored events are applied up to that time (`data.postmortem.account`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from data.errors import DataError
from data.foreign_text import marked
from data.postmortem.bars import FARTHEST, Bars, Follows, bars, follows
from data.postmortem.record import Event, between
from data.settings import SAMPLE_MARKET
from data.snapshot.loading import available, load_market
from data.store.reader import Reader
from risk_core import Market, Snapshot
from risk_core.accounts import account_terms
from risk_core.units import RAY, USD

DAY = 86_400
WINDOW = DAY
"""Seconds before and after the liquidation of which prices and events are used."""
SLACK = 1_800
"""Most seconds between the end of a wait and its stored price."""
NEAR = 7 * DAY
"""Snapshots further away, in seconds, are not used for the account."""
TRIED = 2
"""Most snapshots in which the account is looked up, nearest first."""
BLOCKS = 400_000
"""More blocks than a chain makes in a day: limit of the search for later oracle prices."""
SYMBOL_LENGTH = 32
READ_PRICES = "python -m flows market-prices"
READ_MARKET = "python -m flows aave-market"


class Book(NamedTuple):
    """The account in the nearest snapshot that has it, by reserve of that snapshot: (R,) tokens and parameters."""

    market: Market
    row: int
    collateral: np.ndarray
    debt: np.ndarray
    threshold: np.ndarray
    bonus: np.ndarray
    lent_rate: np.ndarray
    owed_rate: np.ndarray


class Case:
    """Stored data around one liquidation. `why`: name of a figure that is not known -> reason."""

    def __init__(self, store: Reader, event: Event) -> None:
        self.store, self.event = store, event
        self.why: dict[str, str] = {}
        self.snapshots = self._snapshots()
        self.synthetic = event.market == SAMPLE_MARKET or any(one.synthetic for one in self.snapshots)
        self.book = self.account_then()
        symbols = self._symbols()
        self.symbols = {asset: symbol for asset, (symbol, _) in symbols.items()}
        self.decimals = {asset: decimals for asset, (_, decimals) in symbols.items()}
        self.rules = follows(store, event.market, event.chain_id, self.symbols)
        self._series: dict[str, Bars] = {}

    # What is stored

    def _snapshots(self) -> list[Snapshot]:
        """Snapshots of the market near the liquidation, the nearest in time first."""
        e = self.event
        found = [
            one
            for one in available(self.store.path)
            if one.market == e.market and one.chain_id == e.chain_id and abs(one.block_time - e.ts) <= NEAR
        ]
        return sorted(found, key=lambda one: abs(one.block_time - e.ts))

    def account_then(self) -> Book | None:
        """The account in the nearest snapshot that has it; None, with the reason, where none has."""
        e = self.event
        if not self.snapshots:
            self.why["health"] = (
                f"no snapshot of {e.market} within {NEAR // DAY} days of the liquidation is stored (`{READ_MARKET}`)"
            )
            return None
        reasons = []
        for at in self.snapshots[:TRIED]:
            try:
                market = load_market(block=at.block, market=at.market, db=self.store.path)
            except DataError as error:
                reasons.append(f"the snapshot at block {at.block} cannot be used: {error}")
                continue
            row = int(np.searchsorted(market.accounts, e.wallet))
            if row == market.n_accounts or market.accounts[row] != e.wallet:
                reasons.append(f"the account is not in the snapshot at block {at.block}")
                continue
            return self._account(market, row)
        self.why["health"] = "; ".join(reasons)
        return None

    def _account(self, market: Market, row: int) -> Book:
        n = market.n_reserves
        sides = []
        for side in (market.collateral, market.debt):
            mine = slice(side.indptr[row], side.indptr[row + 1])
            held = np.zeros(n)
            held[side.reserve[mine]] = side.amount[mine]
            sides.append(held)
        threshold, factor = account_terms(market)
        of = market.emode[row]
        rates = {
            asset: (int(lent or 0) / RAY, int(owed or 0) / RAY)
            for asset, lent, owed in self.store.rows(
                "SELECT asset, liquidity_rate, variable_borrow_rate FROM raw_aave_reserves WHERE market = ? AND "
                "block = ?",
                (market.snapshot.market, market.snapshot.block),
            )
        }
        lent, owed = (np.array([rates.get(asset, (0.0, 0.0))[i] for asset in market.reserves.asset]) for i in range(2))
        return Book(market, row, sides[0], sides[1], threshold[of], factor[of], lent, owed)

    def thresholds_beyond(self) -> np.ndarray | None:
        """(R,) the account's thresholds at the nearest snapshot on the liquidation's other side; None without one."""
        if self.book is None:
            return None
        here, e = self.book.market, self.event
        late = here.snapshot.block_time > e.ts
        at = next((one for one in self.snapshots if (one.block_time > e.ts) != late), None)
        if at is None:
            return None
        try:
            there = load_market(block=at.block, market=at.market, db=self.store.path)
        except DataError:
            return None
        of = here.emode[self.book.row]
        same = np.flatnonzero(there.emodes.id == here.emodes.id[of]) if of >= 0 else np.zeros(0, dtype=np.int64)
        found = account_terms(there)[0][int(same[0]) if len(same) else -1]
        known = dict(zip(there.reserves.asset, found.tolist(), strict=True))
        own = zip(here.reserves.asset, self.book.threshold.tolist(), strict=True)
        return np.array([known.get(asset, threshold) for asset, threshold in own])

    def _symbols(self) -> dict[str, tuple[str, int | None]]:
        """Asset to symbol and decimals."""
        found: dict[str, tuple[str, int | None]] = {}
        if self.book is not None:
            reserves = self.book.market.reserves
            found = {
                asset: (symbol, int(decimals))
                for asset, symbol, decimals in zip(reserves.asset, reserves.symbol, reserves.decimals, strict=True)
            }
        rows = self.store.rows(
            "SELECT asset, symbol, decimals FROM dim_lending_asset WHERE chain_id = ?", (self.event.chain_id,)
        )
        found |= {asset: (symbol, decimals) for asset, symbol, decimals in rows if asset not in found}
        for asset in (self.event.collateral, self.event.debt):
            if asset is not None and asset not in found:
                found[asset] = (asset, None)
        return found

    def bars_of(self, symbol: str) -> Bars:
        """Stored prices of a series from a day before the liquidation to a day after, and up to the snapshot."""
        if symbol not in self._series:
            e = self.event
            times = [e.ts - WINDOW, e.ts + WINDOW, *([self.book.market.snapshot.block_time] if self.book else [])]
            self._series[symbol] = bars(
                self.store, symbol, min(times) - FARTHEST, max(times) + FARTHEST, synthetic=self.synthetic
            )
        return self._series[symbol]

    def events(self) -> list[tuple[Any, ...]]:
        """The account's events between the snapshot and the window's ends, in the order of the chain."""
        e = self.event
        times = [e.ts - WINDOW, e.ts + WINDOW, *([self.book.market.snapshot.block_time] if self.book else [])]
        return self.store.rows(
            "SELECT block_timestamp, block_number, log_index, event_type, asset, amount_raw, debt_asset, "
            "debt_amount_raw, tx_hash, amount FROM stg_lending_events WHERE wallet = ? AND market = ? AND chain_id = ? "
            "AND block_timestamp BETWEEN ? AND ? ORDER BY block_timestamp, block_number, log_index",
            (e.wallet, e.market, e.chain_id, min(times), max(times)),
        )

    def oracle_prices_later(self, asset: str) -> list[tuple[int, float]]:
        """(UTC seconds, USD per token) of the market's oracle, stored for the day after."""
        e = self.event
        rows = self.store.rows(
            "SELECT block_timestamp, price_raw FROM raw_lending_prices WHERE chain_id = ? AND block_number BETWEEN ? "
            "AND ? AND asset = ? AND market = ? AND block_timestamp <= ? ORDER BY block_number, batch",
            (e.chain_id, e.block + 1, e.block + BLOCKS, asset, e.market, e.ts + WINDOW + SLACK),
        )
        return [(ts, int(price) / USD) for ts, price in rows if int(price) > 0]

    # Prices

    def scale(self, asset: str) -> float | None:
        """Oracle price of the asset over the price of its series at the snapshot; 1 for a series of its own."""
        rule = self.rules[asset]
        if rule.own:
            return 1.0
        at = self.place(asset)
        if at is None or self.book is None:
            return None
        price = float(self.book.market.price[at])
        if rule.kind == "fixed":
            return price
        if not rule.series:
            return None
        at_snapshot = self.book.market.snapshot.block_time
        then = between(*self.bars_of(rule.series).around(at_snapshot), at_snapshot)
        return None if then is None else price / then

    def called(self, asset: str) -> str:
        """The symbol, made safe for a sentence: the token's author chose it."""
        return marked(self.symbols[asset], SYMBOL_LENGTH)

    def place(self, asset: str) -> int | None:
        """Row of the asset in the snapshot, or None."""
        if self.book is None or asset not in self.book.market.reserves.asset:
            return None
        return self.book.market.reserves.asset.index(asset)

    def path_of(self, asset: str, times: np.ndarray) -> np.ndarray:
        """(T,) price of the asset at stored times if its oracle follows the market, NaN where not known."""
        rule, scale = self.rules[asset], self.scale(asset)
        if scale is None or not (rule.series or rule.kind == "fixed"):
            return np.full(len(times), np.nan)
        return np.full(len(times), scale) if rule.kind == "fixed" else scale * self.bars_of(rule.series).at(times)

    def market_price(self, asset: str, name: str) -> tuple[float | None, str, Follows, float, tuple[Any, Any]]:
        """Market price: (USD, source, rule, scale, bars on either side). `why` has the reason of None."""
        e, rule = self.event, self.rules[asset]
        symbol = self.called(asset)
        nothing = (None, "", rule, 1.0, (None, None))
        at = self.place(asset)
        linked = at is not None and self.book is not None and self.book.market.reserves.linked_to[at] >= 0
        key = f"{name} market"
        if not rule.kind:
            self.why[key] = f"no price series is known for {symbol}"
        elif rule.kind in ("fixed", "proxy") or linked:
            stands = {"fixed": "its oracle price is a constant", "proxy": f"{rule.series} stands in for it"}
            self.why[key] = (
                f"no traded price of {symbol} is stored: {stands.get(rule.kind, 'its oracle follows another token')}"
            )
        else:
            scale = self.scale(asset)
            around = self.bars_of(rule.series).around(e.ts)
            price = between(*around, e.ts)
            if scale is None:
                self.why[key] = f"the ratio of {symbol} to {rule.series} needs a snapshot near the liquidation"
            elif price is None:
                self.why[key] = (
                    f"no price of {rule.series} within {FARTHEST // 3_600} h of the liquidation is stored "
                    f"(`{READ_PRICES}`)"
                )
            else:
                before, after = (None if one is None else (one[0], one[1] * scale) for one in around)
                block = self.book.market.snapshot.block if self.book else 0
                came = (
                    rule.series
                    if rule.own
                    else f"{rule.series} × {scale:.6g}, the ratio that the oracle had at block {block}"
                )
                return scale * price, came, rule, scale, (before, after)
        return nothing

    def oracle(self, asset: str, stored: Mapping[str, int]) -> tuple[int | None, str]:
        """(oracle price that the protocol used, 1e-8 USD, or None; where it is stored)."""
        if asset in stored:
            return stored[asset], f"the market's oracle at block {self.event.block}"
        at = self.place(asset)
        if at is None or self.book is None:
            return None, ""
        price = round(float(self.book.market.price[at]) * USD)
        if self.book.market.reserves.fixed_price[at]:
            return price, "a constant of the oracle"
        if self.book.market.snapshot.block == self.event.block:
            return price, f"the snapshot of block {self.event.block}"
        return None, ""
