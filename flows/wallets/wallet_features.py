"""Flow `wallet-features`: the 26 features and the protection score of every wallet, from stored states and events."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from data import marts
from data.snapshot.loading import newest
from data.store.store import Store
from flows.pipeline import Mark, recorded
from flows.wallets.options import WalletFeaturesOptions
from risk_core.analytics import protection
from risk_core.analytics.wallets import DAY, FEATURES, KINDS, NAMES, Events, States, features

if TYPE_CHECKING:
    from data.store.reader import Reader

SOURCE = "wallets"
TABLES = ("stg_wallet_now", "stg_wallet_daily", "stg_lending_events")
PARTS = "0123456789abcdef"
"""Wallets are read by the first digit of their address, so that only a sixteenth of the history is in memory."""
METHOD = 3
"""Raised when the same rows would give other figures."""


def rule_of(arguments: WalletFeaturesOptions) -> protection.Rule:
    """The thresholds of the protection score. Raises `risk_core.InputError`."""
    names = ("strong_room", "strong_acts", "strong_recent", "medium_room", "lookback_days")
    return protection.Rule(**{name: getattr(arguments, name) for name in names})


def run(arguments: WalletFeaturesOptions) -> str:
    """Compute and store; returns one line. Raises `data.errors.NoSnapshot`."""
    rule = rule_of(arguments)
    with Store.open() as store:
        synthetic = newest().synthetic
        marts.refresh(store, list(TABLES))
        with store.one_state():
            as_of, seen = _as_of(store, synthetic), _seen(store)
            state = {"as_of": as_of, "seen": seen, "method": METHOD, "rule": asdict(rule)}
            key = "sample" if synthetic else "live"
            if arguments.skip_if_stored and store.checkpoint(SOURCE, key) == state:
                return f"no state or event of a wallet changed since {_utc(as_of)}: nothing to do"
        with recorded(store, "wallet-features", arguments.model_dump()) as run:
            with store.one_state():
                parts = [
                    part_of(store, digit, as_of, synthetic, rule)
                    for digit in tqdm(PARTS, desc="wallets", unit="part", disable=None)
                ]
            frame, judged = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
            run.write(
                SOURCE,
                f"{key}:{as_of}",
                {"mart_wallet_features": frame, "mart_wallet_protection": judged},
                marks=[Mark(SOURCE, key, state)],
                scope={"as_of": as_of, "is_synthetic": int(synthetic)},
            )
    n_events = int((frame["deposit_count"] + frame["borrow_count"] > 0).sum())
    missing = int(frame["n_without_value"].sum())
    note = f"; {missing:,} events have no known value and are missing from sums" if missing else ""
    counted = judged["level"].value_counts()
    said = ", ".join(f"{counted.get(level, 0):,} {level}" for level in protection.LEVELS)
    return (
        f"{len(FEATURES)} features of {len(frame):,} wallets, {n_events:,} with events, as of {_utc(as_of)}{note}; "
        f"protection: {said}"
    )


def part_of(
    store: Reader, digit: str, as_of: int, synthetic: bool, rule: protection.Rule
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of `mart_wallet_features` and `mart_wallet_protection` of wallets whose address begins with a digit."""
    within = (f"0x{digit}", f"0x{digit}g", int(synthetic))
    state = "wallet, collateral_eth, available_borrows_eth, borrow_eth, risk_factor"
    mine = "wallet >= ? AND wallet < ? AND is_synthetic = ?"
    now = store.rows(f"SELECT {state} FROM stg_wallet_now WHERE {mine}", within)
    days = store.rows(
        f"SELECT {state}, CAST(strftime('%s', day) AS INTEGER) / {DAY} FROM stg_wallet_daily WHERE {mine} "
        "AND day <= date(?, 'unixepoch') ORDER BY wallet, day",
        (*within, as_of),
    )
    done = store.rows(
        "SELECT wallet, event_type, amount_eth, block_timestamp, protocol, part > 0, coalesce(self_initiated, 1) "
        "FROM stg_lending_events "
        "WHERE wallet >= ? AND wallet < ? AND (source = 'sample') = ? AND event_type <> 'deficit' "
        "AND block_timestamp <= ?",
        (*within, as_of),
    )
    wallets = sorted({row[0] for rows in (now, days, done) for row in rows})
    place = {wallet: i for i, wallet in enumerate(wallets)}
    protocols = {name: i for i, name in enumerate(sorted({row[4] for row in done}))}
    kinds = {name: i for i, name in enumerate(KINDS)}
    daily, events = _states(days, place, has_day=True), _events(done, place, kinds, protocols)
    out = features(len(wallets), _states(now, place), daily, events, as_of)
    frame = pd.DataFrame(out, columns=list(NAMES)).assign(wallet=wallets, as_of=as_of, is_synthetic=int(synthetic))
    for feature in FEATURES:
        if feature.whole:
            frame[feature.name] = frame[feature.name].astype("Int64")
    day = np.zeros(0, dtype=np.int64) if daily.day is None else daily.day
    days_of = pd.DataFrame({"wallet": daily.wallet, "day": day}).drop_duplicates()["wallet"].to_numpy()
    unvalued = events.wallet[np.isnan(events.eth)]
    # What somebody else repaid for a wallet is no act of its own.
    own = _events([row for row in done if row[6] or row[1] == "liquidation"], place, kinds, protocols)
    found = protection.inputs(out[:, NAMES.index("risk_factor")], own, as_of, rule)
    judged = pd.DataFrame({
        "wallet": wallets,
        "as_of": as_of,
        "level": [protection.LEVELS[level] for level in protection.levels(found, rule).tolist()],
        "room": found.room, "acts": found.acts, "recent": found.recent, "liquidations": found.liquidations,
        "rule": json.dumps(asdict(rule)),
        "is_synthetic": int(synthetic),
    })  # fmt: skip
    features_of = frame.assign(
        n_days=np.bincount(days_of, minlength=len(wallets)),
        n_without_value=np.bincount(unvalued, minlength=len(wallets)),
    )
    return features_of, judged


def _states(rows: list[tuple[Any, ...]], place: dict[str, int], *, has_day: bool = False) -> States:
    column = list(zip(*rows, strict=True)) if rows else [()] * 6
    return States(
        wallet=np.array([place[wallet] for wallet in column[0]], dtype=np.int64),
        collateral=np.array(column[1], dtype=np.float64),
        available=np.array(column[2], dtype=np.float64),
        borrow=np.array(column[3], dtype=np.float64),
        risk=np.array(column[4], dtype=np.float64),
        day=np.array(column[5], dtype=np.int64) if has_day else None,
    )


def _events(
    rows: list[tuple[Any, ...]], place: dict[str, int], kinds: dict[str, int], protocols: dict[str, int]
) -> Events:
    column = list(zip(*rows, strict=True)) if rows else [()] * 7
    return Events(
        wallet=np.array([place[wallet] for wallet in column[0]], dtype=np.int64),
        kind=np.array([kinds[kind] for kind in column[1]], dtype=np.int64),
        eth=np.array(column[2], dtype=np.float64),
        time=np.array(column[3], dtype=np.int64),
        protocol=np.array([protocols[name] for name in column[4]], dtype=np.int64),
        further=np.array(column[5], dtype=bool),
    )


def _as_of(store: Reader, synthetic: bool) -> int:
    """Time of the newest state of any market, UTC seconds."""
    [(time,)] = store.rows("SELECT max(newest_block_time) FROM dim_market WHERE is_synthetic = ?", (int(synthetic),))
    return int(time)


def _seen(store: Reader) -> dict[str, list[int]]:
    """Row count and newest batch of each table: equal values mean unchanged inputs."""
    return {
        table: [int(n) for n in store.rows(f"SELECT count(*), coalesce(max(batch), 0) FROM {table}")[0]]
        for table in TABLES
    }


def _utc(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")).replace("T", " ") + " UTC"
