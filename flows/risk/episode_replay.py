"""Flow `episode-replay`: today's book along the prices of a past episode, as they were or scaled.

Each factor repeats its own stored hourly moves of the window, from today's prices: one path, no chance and no
probability. A factor without stored prices in the window is refused, unless an option says what stands for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from data import load_market
from data.errors import NoPrices
from data.prices import assets
from data.prices.series import load_prices
from data.store import Store
from flows.errors import FlowError, WrongOption
from flows.pipeline import recorded
from flows.risk.episodes import EPISODES
from flows.risk.factors import factors_of
from flows.risk.options import EpisodeReplayOptions
from flows.risk.price_file import LONGEST_GAP
from flows.risk.report import amount
from risk_core import Market, PricePaths, Result, code_version, simulate

SOURCE = "episode-replay"
DAY = 86_400
HOUR = 3_600
MOST_DAYS = 31
STILL = "still"
"""What a factor is said to follow where its price is taken to stand still."""
SHOWN = 8


class NoEpisode(FlowError):
    """The stored prices do not cover the episode; the message names factors, series and window."""


class Window(NamedTuple):
    """First and last price, UTC seconds, and what the episode is called."""

    first: int
    last: int
    name: str


def run(arguments: EpisodeReplayOptions) -> str:
    """Replay, store and report. Raises `WrongOption`, `NoEpisode`, and what `load_market` raises."""
    window, proxies = window_of(arguments), proxies_of(arguments.proxy)
    market = load_market(arguments.block, arguments.market)
    series, factor = factors_of(market, assets.asset_map(market.snapshot.market, block=market.snapshot.block))
    moves, bridged, digest = moves_of(series, proxies, window, synthetic=market.snapshot.synthetic)
    path = PricePaths.replay(market, factor, moves, timedelta(hours=1), arguments.scale, window.name)
    result = simulate(market, path, policy=arguments.policy)
    ends = {name: float(total) for name, total in zip(series, arguments.scale * moves.sum(axis=1), strict=True)}
    at = market.snapshot
    row = {
        "market": at.market,
        "block": at.block,
        "block_time": at.block_time,
        "episode": window.name,
        "first_ts": window.first,
        "last_ts": window.last,
        "scale": arguments.scale,
        "policy": arguments.policy,
        "proxies": json.dumps(proxies, sort_keys=True),
        "log_moves": json.dumps(ends),
        "prices_sha256": digest,
        "repaid_usd": float(result.repaid_usd[0]),
        "seized_usd": float(result.seized_usd[0]),
        "deficit_usd": float(result.deficit_usd[0]),
        "liquidated_accounts": int(result.n_accounts_liquidated[0]),
        "code_version": code_version(),
        "is_synthetic": int(at.synthetic),
    }
    key = hashlib.sha256(json.dumps([row, at.hash], sort_keys=True).encode()).hexdigest()
    with Store.open() as store, recorded(store, SOURCE, dict(arguments)) as run:
        run.write(SOURCE, key, {"fact_episode_replay": pd.DataFrame([{"replay": key} | row])}, scope={"replay": key})
    return "\n".join(report(market, result, window, arguments, ends, proxies, bridged))


def window_of(arguments: EpisodeReplayOptions) -> Window:
    """The window that the options name. Raises `WrongOption`."""
    if arguments.name:
        known = EPISODES[arguments.name]
        first, last = (round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) for day in known[:2])
        return Window(first, last + DAY, f"{arguments.name}: {known.words}")
    if arguments.since is None or arguments.until is None:
        raise WrongOption(
            f"--name: expected one of {', '.join(EPISODES)}, or a window by --from and --until, such as "
            "`episode-replay --from 2022-11-08 --until 2022-11-11`"
        )
    first, last = (moment // HOUR * HOUR for moment in (arguments.since, arguments.until))
    if not HOUR <= last - first <= MOST_DAYS * DAY:
        raise WrongOption(
            f"--until: expected 1 hour to {MOST_DAYS} days after --from, found {(last - first) / DAY:g} days"
        )
    return Window(first, last, f"{_utc(first)} to {_utc(last)}")


def proxies_of(given: list[str]) -> dict[str, str]:
    """{factor: what stands for it} of the option. Raises `WrongOption`."""
    found: dict[str, str] = {}
    for text in given:
        factor, sign, other = text.partition("=")
        if not sign or not factor or not other or factor == other or factor in found:
            raise WrongOption(
                f"--proxy: expected FACTOR=FACTOR or FACTOR={STILL}, each factor once, found {text!r:.60}"
            )
        found[factor] = other
    return found


def moves_of(
    series: Mapping[str, str], proxies: Mapping[str, str], window: Window, *, synthetic: bool
) -> tuple[np.ndarray, dict[str, int], str]:
    """(hourly log moves (F, T) of the factors in their order, hours bridged by factor, digest of the prices).

    Raises `NoEpisode` that names every factor without prices, and `WrongOption` for a proxy that is none.
    """
    unknown = sorted({*proxies, *proxies.values()} - {*series, STILL})
    chained = sorted(name for name, other in proxies.items() if other in proxies)
    if unknown or chained:
        wrong = f"factors of this market, found {', '.join(unknown)}" if unknown else f"no chain, found {chained[0]}"
        raise WrongOption(f"--proxy: expected {wrong}; the factors are {', '.join(series)}")
    prices, missing = {}, []
    for factor, name in series.items():
        if factor in proxies:
            continue
        found = _prices(name, window, synthetic)
        if isinstance(found, str):
            missing.append(f"{factor} ({found})")
        else:
            prices[factor] = found
    if missing:
        days = [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" for at in (window.first, window.last)]
        read = f"`python -m flows market-prices --from {days[0]} --until {days[1]}` reads them"
        raise NoEpisode(
            f"{window.name}: no whole hourly prices of {', '.join(missing)} are stored from {_utc(window.first)} to "
            f"{_utc(window.last)}. {'A sample has generated prices of its last days alone' if synthetic else read}; "
            f"`--proxy {missing[0].split()[0]}=FACTOR` names another factor that stands for it, or {STILL}"
        )
    digest, n = hashlib.sha256(json.dumps([dict(series), dict(proxies)]).encode()), (window.last - window.first) // HOUR
    moves = np.zeros((len(series), n))
    for row, factor in enumerate(series):
        source = proxies.get(factor, factor)
        if source != STILL:
            values = prices[source].to_numpy(dtype=np.float64)
            digest.update(values.astype("<f8").tobytes())
            moves[row] = np.diff(np.log(values))
    bridged = {factor: int(found.attrs["bridged"]) for factor, found in prices.items() if found.attrs["bridged"]}
    return moves, bridged, digest.hexdigest()


def _prices(name: str, window: Window, synthetic: bool) -> pd.Series | str:
    """The series' price at each hour of the window; or what is missing, in words."""
    try:
        own = load_prices([name], "1h", window.first, window.last, synthetic=synthetic)[name]
    except NoPrices:
        return name
    hours = range(window.first, window.last + 1, HOUR)
    whole = own.reindex(hours)
    if pd.isna(whole.iloc[0]) or pd.isna(whole.iloc[-1]):
        return f"{name}: only from {_utc(own.index[0])} to {_utc(own.index[-1])}"
    gone = whole.isna()
    longest = int(gone.groupby((~gone).cumsum()).sum().max())
    if longest > LONGEST_GAP:
        return f"{name}: a hole of {longest} hours"
    whole = whole.ffill()
    whole.attrs["bridged"] = int(gone.sum())
    return whole


def report(
    market: Market, result: Result, window: Window, asked: EpisodeReplayOptions, ends: Mapping[str, float],
    proxies: Mapping[str, str], bridged: Mapping[str, int],
) -> list[str]:  # fmt: skip
    """The replay in lines of text."""
    at = market.snapshot
    lines = ["SAMPLE: synthetic accounts and prices"] if at.synthetic else []
    dates = f" ({_utc(window.first)} to {_utc(window.last)} UTC)" if asked.name else " UTC"
    times = "" if asked.scale == 1 else f", every log move times {asked.scale:g}"
    moved = sorted(ends.items(), key=lambda item: item[1])
    shown = ", ".join(f"{name} {np.expm1(move):+.1%}" for name, move in moved[:SHOWN])
    lines += [
        f"{at.market}, block {at.block:,} of {_utc(at.block_time)} UTC, {market.n_accounts:,} accounts as they are",
        f"{window.name}{dates}, hour by hour{times}: one path, no probability",
        f"  prices at the end: {shown}" + (f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""),
        f"  debt repaid        {amount(float(result.repaid_usd[0]), 'USD')}",
        f"  collateral seized  {amount(float(result.seized_usd[0]), 'USD')}",
        f"  deficit            {amount(float(result.deficit_usd[0]), 'USD')}",
        f"  accounts           {int(result.n_accounts_liquidated[0]):,} are liquidated",
    ]
    by_hour = result.repaid_by_step.sum(axis=1)
    if by_hour.any():
        hour = int(by_hour.argmax())
        lines.append(
            f"  worst hour         {amount(float(by_hour[hour]), 'USD')} is repaid in the hour up to "
            f"{_utc(window.first + HOUR * (hour + 1))}"
        )
    for factor, other in proxies.items():
        lines.append(f"  note: {factor} {'stands still' if other == STILL else f'moves as {other}'}, as stated")
    if bridged:
        lines.append("  note: hours bridged: " + ", ".join(f"{n} of {factor}" for factor, n in bridged.items()))
    return [*lines, "Stored in fact_episode_replay."]


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M}"
