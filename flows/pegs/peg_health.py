"""Flow `peg-health`: the state of each followed stablecoin from every stored source, into `mart_peg_health`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from data.errors import NoPrices
from data.prices.pegs import every_source
from data.prices.series import SERVED, SYNTHETIC
from data.snapshot.loading import newest
from data.store.store import Store
from flows.pegs.options import PegHealthOptions
from flows.pipeline import Run, recorded
from risk_core.analytics import pegs

if TYPE_CHECKING:
    from data.prices.pegs import SourceOfPeg

SOURCE = "pegs"
TOKENS = ("USDC", "USDT", "DAI")
"""The stablecoins whose prices reserves follow (data/prices/asset_rules.csv)."""
DAY = 86_400


class State(NamedTuple):
    """The rows of one token, and its newest state in words."""

    rows: pd.DataFrame
    said: str


def run(arguments: PegHealthOptions) -> str:
    """Compute and store; returns one line a token. Raises `data.errors.NoPrices`, `NoSnapshot`."""
    with Store.open() as store, recorded(store, "peg-health", arguments.model_dump()) as run:
        synthetic = newest().synthetic
        served = SYNTHETIC if synthetic else SERVED
        found = {
            token: sources
            for token in TOKENS
            if (sources := every_source(store, token, synthetic=synthetic, served=served))
        }
        if not found:
            raise NoPrices(
                f"{store.path}: holds no prices of {', '.join(TOKENS)} in USD; run `python -m flows market-prices`, "
                "and `python -m flows oracle-prices` for Chainlink's rounds"
            )
        states = [_stored(run, token, sources, arguments, synthetic) for token, sources in found.items()]
    missing = [f"{token}: no prices" for token in TOKENS if token not in found]
    return "; ".join([*(state.said for state in states), *missing])


def _stored(run: Run, token: str, sources: list[SourceOfPeg], asked: PegHealthOptions, synthetic: bool) -> State:
    state = state_of(token, sources, asked, synthetic)
    run.write(SOURCE, f"{token}:{int(state.rows['ts'].max())}", {"mart_peg_health": state.rows})
    return state


def state_of(token: str, sources: list[SourceOfPeg], asked: PegHealthOptions, synthetic: bool) -> State:
    """Rows of `mart_peg_health` for a token from its sources, the leading one first."""
    leading = sources[0]
    (ts, price, _), *others = ((*np.array(found.rows).T, found.holds) for found in sources)
    ts = ts.astype(np.int64)
    rolling = pegs.rolling(ts, price, least_updates=asked.least_updates)
    states = pegs.status(
        ts,
        price,
        warning_bps=asked.warning_bps,
        critical_bps=max(asked.critical_bps, asked.warning_bps),
        confirmed=pegs.confirmed(ts, price, others, distance_bps=asked.critical_bps),
    )
    kept = ts > ts[-1] - asked.days * DAY
    rows = pd.DataFrame(
        {
            "token": token, "source": leading.source, "ts": ts, "price_usd": price, "deviation_bps": (price - 1) * 1e4,
            "mean_24h": rolling.mean, "deviation_24h": rolling.deviation, "z_24h": rolling.z,
            "updates_24h": rolling.updates, "status": states, "n_sources": len(sources), "is_synthetic": int(synthetic),
        }
    )[kept]  # fmt: skip
    z = rolling.z[-1]
    unusual = f"z {z:+.1f}" if np.isfinite(z) else f"no 24 h z-score, {int(rolling.updates[-1])} updates"
    summary = f"{token} {states[-1]}: {(price[-1] - 1) * 1e4:+.1f} bp by {leading.source}, {unusual}"
    return State(rows.reset_index(drop=True), summary)
