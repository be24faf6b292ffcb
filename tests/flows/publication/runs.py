"""Stored risk runs of small samples, one after another: what a publication begins with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np

import data
import risk_core as rc
from data import results
from data.store.store import Store

LAW = {"law": "test-law", "law_in_words": "a law of the tests"}


@cache
def _simulated(hours: int, paths: int) -> tuple[rc.Market, rc.Result]:
    book = data.sample.book(300, 7)
    at = book.snapshot
    later = replace(at, block=at.block + 300 * hours, block_time=at.block_time + 3_600 * hours, hash=f"{hours:064x}")
    market = replace(book, snapshot=later)
    scenario = rc.Scenario(
        name="baseline-24h", horizon=timedelta(hours=24), n_steps=4, factors=("ETH",), volatility=[1.5],
        correlation=[[1.0]], factor=np.where(["ETH" in symbol for symbol in market.reserves.symbol], 0, -1),
    )  # fmt: skip
    return market, rc.simulate(market, scenario, n_paths=paths, seed=5)


def stored_run(path: Path, hours: int = 0, paths: int = 4_000, law: dict[str, str] = LAW) -> results.RiskRun:
    """A sealed run of the sample as it would be `hours` later, in the warehouse at `path`."""
    market, result = _simulated(hours, paths)
    with Store.open(path) as store:
        return results.save_result(store, result, market, calibration=law)
