"""Decide, for every stored time at which USDC and USDT differed, which of the two had moved, by stored quotes.

Quotes come from three places, asked in this order: Chainlink's rounds of USDC/USD and USDT/USD (`oracle-prices`),
DefiLlama's prices of the two (`market-prices --sources binance defillama`), and another dollar's pair with USDT on the
same exchange (`market-prices --symbols FDUSDUSDT`). A quote may arrive long after the price, so each run judges all
times again; the decisions are kept in `dim_dollar`, and the prices of those times follow them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from data.prices import feeds
from data.prices.dollar import (
    NOT_DECIDED,
    PEG,
    PEG_TOLERANCE,
    PLAUSIBLE_PEG,
    USDC_HELD,
    USDT_HELD,
    Decision,
    Quote,
    decide,
    is_apart,
    readings,
)
from data.prices.series import LATEST, SERVED
from data.store.store import Store

CHECK = "a third quote tells which of USDC and USDT moved"
OTHER_DOLLARS = ("BUSDUSDT", "FDUSDUSDT", "TUSDUSDT", "USDPUSDT")
"""Pairs of further dollars with USDT. Not DAI's: it is backed by USDC, and fell with it."""
SOON = 3600
"""Seconds after a time within which a feed's first round is used for it, where there is no earlier one."""
NEAR = 900
"""Seconds by which last prices (`latest`) of two sources may be apart and still count as the same time."""
ADVICE = "`oracle-prices` or `market-prices --sources binance defillama` brings a quote that decides"


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of `settle`, over all stored times at which the two dollars differed.

    `apart`: number of such times; `undecided`: those that no quote decides; `corrected`: prices that are divided by
    USDCUSDT; `changed`: prices that another decision changed in this run; `example`: both readings of one undecided
    time.
    """

    apart: int = 0
    undecided: int = 0
    corrected: int = 0
    changed: int = 0
    example: str = ""

    def __str__(self) -> str:
        exceptions = f" except for {self.corrected:,} prices at which USDT had moved" if self.corrected else ""
        if self.undecided:
            exceptions += (
                f"; NOT DECIDED which of USDC and USDT had moved at {self.undecided:,} times, the first "
                f"{self.example}; {ADVICE}"
            )
        return exceptions


def settle(store: Store, run_id: str) -> Settled:
    """Decide for every time at which USDCUSDT was off 1, and update `dim_dollar` and the prices of those times.

    Undecided times are noted in `fact_validation`, with both readings. Writes nothing where nothing changed.
    """
    apart = _apart(store)
    known = {
        (interval, ts): Decision(ratio, proxy, by or "")
        for interval, ts, ratio, proxy, by in store.rows(
            "SELECT interval, ts, ratio, usd_proxy, decided_by FROM dim_dollar"
        )
    }
    made = dict(_decisions(store, apart)) | dict(_withdrawn(store, known, apart))
    new = {key: one for key, one in made.items() if known.get(key) != one}
    if new:
        rows = [
            {"interval": interval, "ts": ts, "ratio": one.ratio, "usd_proxy": one.proxy, "decided_by": one.by or None}
            for (interval, ts), one in new.items()
        ]
        frame = pd.DataFrame(rows).astype({"decided_by": "string"})
        store.write_batch(SERVED, "dollar", {"dim_dollar": frame}, run_id)
    changed = _follow(store, run_id)
    undecided = sorted(key for key, one in made.items() if one.by == NOT_DECIDED)
    example = ""
    if undecided:
        interval, ts = undecided[0]
        example = f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(ts))} {readings(made[interval, ts].ratio)}"
        _note(store, run_id, len(undecided), len(apart), example)
    return Settled(len(apart), len(undecided), _corrected(store, made), changed, example)


def decisions(store: Store, interval: str, first: int, last: int) -> dict[int, Decision]:
    """Stored decisions by time, for the times in [first, last]; used for prices that are about to be written."""
    rows = store.rows(
        "SELECT ts, ratio, usd_proxy, decided_by FROM dim_dollar WHERE interval = ? AND ts BETWEEN ? AND ?",
        (interval, first, last),
    )
    return {ts: Decision(ratio, proxy, by) for ts, ratio, proxy, by in rows if by}


def _apart(store: Store) -> dict[tuple[str, int], float]:
    low, high = 1 / (1 + PEG_TOLERANCE), 1 / (1 - PEG_TOLERANCE)
    rows = store.rows(
        "SELECT interval, ts, price_usdt FROM dim_prices WHERE symbol = ? AND source = ? AND price_usdt IS NOT NULL "
        "AND price_usdt > ? AND price_usdt < ? AND (price_usdt <= ? OR price_usdt >= ?)",
        (PEG, SERVED, *PLAUSIBLE_PEG, low * (1 + 1e-12), high * (1 - 1e-12)),
    )
    return {(interval, ts): ratio for interval, ts, ratio in rows if is_apart(ratio)}


def _decisions(store: Store, apart: Mapping[tuple[str, int], float]) -> Iterator[tuple[tuple[str, int], Decision]]:
    if not apart:
        return
    times = [ts for _, ts in apart]
    window = min(times) - 2 * feeds.DAY, max(times) + SOON
    histories = {of: feeds.history(store, f"{of}/USD", *window) for of in ("USDC", "USDT")}
    beside = _quotes_beside(store, min(times) - NEAR, max(times) + NEAR)
    for (interval, ts), ratio in apart.items():
        quotes = [
            Quote(f"chainlink {of}/USD", of, price)
            for of, found in histories.items()
            if found and (price := found.at(ts, after=SOON)) is not None
        ]
        quotes += _at(beside.get(interval, {}), ts, NEAR if interval == LATEST else 0)
        yield (interval, ts), decide(ratio, quotes)


def _quotes_beside(store: Store, first: int, last: int) -> dict[str, dict[int, list[Quote]]]:
    """Quotes among the stored prices, by interval and time: other sources' of the two, and other dollars' pairs."""
    marks = ", ".join("?" * len(OTHER_DOLLARS))
    rows = store.rows(
        "SELECT interval, ts, symbol, source, price_usd, price_usdt FROM dim_prices "
        f"WHERE symbol IN ('USDCUSDT', 'USDT/USD', {marks}) AND ts BETWEEN ? AND ? AND is_synthetic = 0 "
        "AND (source = ?) = (symbol NOT IN ('USDCUSDT', 'USDT/USD')) ORDER BY symbol, source",
        (*OTHER_DOLLARS, first, last, SERVED),
    )
    found: dict[str, dict[int, list[Quote]]] = {}
    for interval, ts, symbol, source, usd, usdt in rows:
        if source != SERVED:
            of = "USDC" if symbol == PEG else "USDT"
            quote = Quote(f"{source} {of}/USD", of, usd)
        elif usdt:  # a further dollar counts as 1 USD: one USDT is then worth the inverse of its price in USDT
            quote = Quote(f"{source} {symbol}", "USDT", 1 / usdt)
        else:
            continue
        found.setdefault(interval, {}).setdefault(ts, []).append(quote)
    return found


def _at(beside: Mapping[int, list[Quote]], ts: int, near: int) -> list[Quote]:
    """The quotes of a time; of last prices, the nearest quote of each name within `near` seconds."""
    if not near:
        return beside.get(ts, [])
    some = sorted((abs(at - ts), quote) for at, quotes in beside.items() if abs(at - ts) <= near for quote in quotes)
    return list({quote.name: quote for _, quote in reversed(some)}.values())


def _withdrawn(
    store: Store, known: Mapping[tuple[str, int], Decision], apart: Mapping[tuple[str, int], float]
) -> Iterator[tuple[tuple[str, int], Decision]]:
    """Decisions for times whose candle was corrected since: the dollars did not differ then."""
    for (interval, ts), one in known.items():
        if (interval, ts) in apart:
            continue
        now = store.rows(
            "SELECT price_usdt FROM dim_prices WHERE symbol = ? AND interval = ? AND ts = ? AND source = ?",
            (PEG, interval, ts, SERVED),
        )
        ratio = now[0][0] if now and now[0][0] else one.ratio
        yield (interval, ts), Decision(ratio, USDT_HELD, "")


def _follow(store: Store, run_id: str) -> int:
    """Update the prices of the judged times by `dim_dollar`; returns how many changed."""
    rows = []
    for (symbol,) in store.rows("SELECT DISTINCT symbol FROM dim_prices WHERE source = ?", (SERVED,)):
        rows += store.rows(
            """
            SELECT p.symbol, p.interval, p.ts, p.source, p.price_usdt, d.ratio, d.usd_proxy, d.decided_by
            FROM dim_dollar AS d CROSS JOIN dim_prices AS p
              ON p.symbol = ? AND p.interval = d.interval AND p.ts = d.ts AND p.source = ?
            WHERE p.is_synthetic = 0 AND p.price_usdt IS NOT NULL
              AND (p.usd_proxy <> d.usd_proxy OR p.usd_decided_by IS NOT d.decided_by
                OR p.price_usd <> CASE d.usd_proxy WHEN 'USDC' THEN p.price_usdt / d.ratio ELSE p.price_usdt END)
            """,
            (symbol, SERVED),
        )
    if not rows:
        return 0
    frame = pd.DataFrame(
        [
            {
                "symbol": symbol,
                "interval": interval,
                "ts": ts,
                "source": source,
                "price_usd": usdt / ratio if proxy == USDC_HELD else usdt,
                "price_usdt": usdt,
                "usd_proxy": proxy,
                "usd_decided_by": by,
                "is_synthetic": 0,
            }
            for symbol, interval, ts, source, usdt, ratio, proxy, by in rows
        ]
    ).astype({"usd_decided_by": "string"})
    return store.write_batch(SERVED, "dollar:prices", {"dim_prices": frame}, run_id).changed["dim_prices"]


def _corrected(store: Store, made: Mapping[tuple[str, int], Decision]) -> int:
    if not any(one.proxy == USDC_HELD for one in made.values()):
        return 0
    return store.rows("SELECT count(*) FROM dim_prices WHERE source = ? AND usd_proxy = ?", (SERVED, USDC_HELD))[0][0]


def _note(store: Store, run_id: str, undecided: int, apart: int, example: str) -> None:
    row = {
        "run_id": run_id, "source": SERVED, "batch_key": PEG, "table_name": "dim_prices", "check_name": CHECK,
        "column_name": "price_usd", "n_failed": undecided, "n_rows": apart, "example": example,
        "checked_at": int(time.time()),
    }  # fmt: skip
    store.write_batch("dollar", run_id, {"fact_validation": pd.DataFrame([row])}, run_id)
