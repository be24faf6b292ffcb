"""What-if: who becomes liquidatable at shocked prices, how much is repaid and sold. Exact, every account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.market.drivers import BY_KEY, DRIVERS, Driver
from dashboard.market.governance import under
from dashboard.market.holdings import TABLE_ROWS, AccountRow, largest_reserve
from dashboard.market.loaded import ETH_FALLS, LoadedMarket, repaid_as_eth_falls
from dashboard.market.state import WhatIf

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure in the baseline and in the scenario."""

    baseline: float
    scenario: float

    @property
    def change(self) -> float:
        """Scenario minus baseline."""
        return self.scenario - self.baseline


@dataclass(frozen=True, slots=True)
class Curve:
    """Debt repaid in USD (S,), baseline and scenario, at each `fall` of ETH (positive shares)."""

    fall: Array
    baseline: Array
    scenario: Array
    handle: tuple[float, float]
    """(fall of ETH, debt repaid) of the scenario itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exact result of a what-if: liquidations are executed once, at the shocked prices."""

    state: WhatIf
    repaid: Pair
    seized: Pair
    deficit: Pair
    accounts: Pair
    n_with_debt: int
    sold: tuple[tuple[str, Pair], ...]
    curve: Curve
    first: tuple[AccountRow, ...]
    nearest: AccountRow | None
    """The closest account, when none is liquidatable."""
    captions: Mapping[str, str]


def outcome(loaded: LoadedMarket, state: WhatIf) -> Outcome:
    """What becomes liquidatable at these prices under these parameters, compared with the snapshot or another scenario.

    Deterministic, every account. Raises `InputError` for parameters that do not fit the market.
    """
    base, changed = under(loaded, state.base.terms), under(loaded, state.terms)
    now = base.today if not state.base.moved else rc.what_if(base.market, loaded.assets.moves(state.base.moves))
    then = rc.what_if(changed.market, loaded.assets.moves(state.moves))
    return Outcome(
        state=state,
        repaid=Pair(now.repaid_usd, then.repaid_usd),
        seized=Pair(now.seized_usd, then.seized_usd),
        deficit=Pair(now.deficit_usd, then.deficit_usd),
        accounts=Pair(len(now.liquidatable), len(then.liquidatable)),
        n_with_debt=int((loaded.debt_usd > 0).sum()),
        sold=_sold(loaded, now.seized_by_reserve, then.seized_by_reserve),
        curve=curve(loaded, state, then.repaid_usd),
        first=_largest_liquidations(loaded, then),
        nearest=_nearest(loaded, then) if len(then.liquidatable) == 0 else None,
        captions={
            d.key: rarity(d, getattr(state, d.key), loaded.daily_moves.get(d.key), loaded.history) for d in DRIVERS
        },
    )


def curve(loaded: LoadedMarket, state: WhatIf, at_handle: float) -> Curve:
    """Debt repaid for ETH at 0 to -60 %, with the other drivers of the scenario and with those of its base."""
    base, scenario = (
        repaid_as_eth_falls(under(loaded, one.terms).market, loaded.assets, one)
        if any(key != "eth" for key in one.moved)
        else under(loaded, one.terms).eth_curve
        for one in (state.base, state.alone)
    )
    return Curve(ETH_FALLS, base, scenario, (max(-state.eth, 0.0), at_handle))


def _sold(loaded: LoadedMarket, now: Array, then: Array, rows: int = 7) -> tuple[tuple[str, Pair], ...]:
    """Collateral seized by reserve, largest first; the rest is one line, so that the lines add up."""
    order = np.argsort(-np.maximum(now, then), kind="stable")
    order = order[np.maximum(now, then)[order] > 0]
    head, tail = (order, order[:0]) if len(order) <= rows else (order[: rows - 1], order[rows - 1 :])
    lines = [(loaded.market.reserves.symbol[r], Pair(float(now[r]), float(then[r]))) for r in head]
    if len(tail):
        lines.append((f"{len(tail)} others", Pair(float(now[tail].sum()), float(then[tail].sum()))))
    return tuple(lines)


def _largest_liquidations(loaded: LoadedMarket, then: rc.WhatIf) -> tuple[AccountRow, ...]:
    order = np.argsort(-then.account_repaid_usd, kind="stable")[:TABLE_ROWS]
    rows = then.liquidatable[order]
    names = largest_reserve(loaded.market, loaded.market.collateral, rows, then.price)
    return tuple(
        AccountRow(
            str(loaded.market.accounts[row]),
            float(then.liquidatable_health[k]),
            float(then.account_debt_usd[k]),
            name,
            repaid_usd=float(then.account_repaid_usd[k]),
            seized_usd=float(then.account_seized_usd[k]),
        )
        for row, k, name in zip(rows, order, names, strict=True)
    )


def _nearest(loaded: LoadedMarket, then: rc.WhatIf) -> AccountRow | None:
    health = then.health_factor
    candidates = np.where((loaded.debt_usd > 0) & (health > 0), health, np.inf)
    row = int(candidates.argmin()) if len(candidates) else -1
    if row < 0 or not np.isfinite(candidates[row]):
        return None
    name = largest_reserve(loaded.market, loaded.market.collateral, np.array([row]), then.price)[0]
    return AccountRow(str(loaded.market.accounts[row]), float(candidates[row]), float(loaded.debt_usd[row]), name)


def rarity(driver: Driver, value: float, history: Array | None, of: str = "prices") -> str:
    """How often such a day was seen in the warehouse's price history, sorted ascending; empty when it is not known.

    A fall is compared with daily moves at least as low, a rise with moves at least as high. Needs 90 days or more.
    """
    base = driver.baseline / driver.scale
    if history is None or len(history) < 90 or np.isclose(value, base) or driver.unit != "%":
        return ""
    days = len(history)
    hits = int(
        np.searchsorted(history, value, side="right") if value < base else days - np.searchsorted(history, value)
    )
    if hits == 0:
        return f"no such day in {fmt.count(days)} days of {of}"
    return f"1 in {fmt.count(round(days / hits))} days of {of}"


def driver_notes(loaded: LoadedMarket) -> dict[str, str]:
    """Driver key to what it moves in this market, in words, with the caps of the oracles it moves."""
    notes = {}
    for key, driver in BY_KEY.items():
        if driver.unit != "%":
            notes[key] = driver.note
            continue
        moved = loaded.assets.moved_by(key)
        notes[key] = driver.note + _capped(loaded, moved) if moved.any() else "No reserve of this market follows it."
    return notes


def _capped(loaded: LoadedMarket, moved: np.ndarray) -> str:
    """The price caps of the reserves `moved`, in words; empty without caps."""
    caps = loaded.market.reserves.price_cap[moved]
    highest = sorted({f"${cap:,.4g}" for cap in caps[np.isfinite(caps)].tolist()})
    return f"; oracles give at most {' or '.join(highest)}" if highest else ""
