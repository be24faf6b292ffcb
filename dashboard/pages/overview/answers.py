"""Today: what the market holds and owes, exactly, and what the newest run says about the next day, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dashboard.look import formatting as fmt
from dashboard.look.escaping import named
from dashboard.market.holdings import TABLE_ROWS, AccountRow, fall_to_liquidation, largest_reserve, same_asset_loops
from dashboard.market.loaded import LoadedMarket, ShownRun
from data.brief.reading import WATCHED

Array = NDArray[np.float64]

HF_EDGES = (0.0, 1.0, 1.02, 1.04, 1.06, 1.08, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, np.inf)
"""Edges of the health-factor buckets; the first bucket is what can be liquidated now."""
SEVERITY = ((0.01, "ok", "Calm"), (0.03, "watch", "Watch"), (0.10, "warn", "Tense"), (np.inf, "crit", "Critical"))
"""Upper limit of LaR 99 % over debt, colour, word: a stated rule of thumb, shown on the About page."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Debt by health factor, USD: `exposed` and `loops` are (len(labels),)."""

    labels: tuple[str, ...]
    exposed: Array
    loops: Array


@dataclass(frozen=True, slots=True)
class Position:
    """What the market holds and owes today, exactly."""

    collateral_usd: float
    borrowed_usd: float
    n_accounts: int
    n_with_debt: int
    n_reserves: int
    watch_debt_usd: float
    watch_exposed_usd: float
    n_watch: int
    n_below_one: int
    buckets: Buckets
    largest: tuple[AccountRow, ...]
    within: float
    """The largest accounts are those that fall when all crypto loses at most this share."""
    n_within: int


@lru_cache(maxsize=4)
def position(loaded: LoadedMarket) -> Position:
    """The exact half of the Overview: no sampling, every account. Cached for the last four markets."""
    hf, debt = loaded.health_factor, loaded.debt_usd
    loops = same_asset_loops(loaded)
    has_debt = debt > 0
    bucket = np.clip(np.searchsorted(HF_EDGES, hf, side="right") - 1, 0, len(HF_EDGES) - 2)
    n = len(HF_EDGES) - 1
    sums = [np.bincount(bucket[has_debt & m], weights=debt[has_debt & m], minlength=n) for m in (~loops, loops)]
    fall = fall_to_liquidation(loaded)
    within = next((w for w in (0.1, 0.2, 0.3, 0.5, 0.9) if np.count_nonzero(fall <= w) >= TABLE_ROWS), 0.9)
    near = np.flatnonzero(fall <= within)
    top = near[np.argsort(-debt[near], kind="stable")][:TABLE_ROWS]
    names = largest_reserve(loaded.market, loaded.market.collateral, top, loaded.market.price)
    watch = has_debt & (hf < WATCHED)
    return Position(
        collateral_usd=float(loaded.collateral_usd.sum()),
        borrowed_usd=float(debt.sum()),
        n_accounts=loaded.market.n_accounts,
        n_with_debt=int(has_debt.sum()),
        n_reserves=loaded.market.n_reserves,
        watch_debt_usd=float(debt[watch].sum()),
        watch_exposed_usd=float(debt[watch & ~loops].sum()),
        n_watch=int(watch.sum()),
        n_below_one=int((has_debt & (hf < 1)).sum()),
        buckets=Buckets(_bucket_labels(), *sums),
        largest=tuple(
            AccountRow(str(loaded.market.accounts[row]), float(hf[row]), float(debt[row]), name, fall=float(fall[row]))
            for row, name in zip(top, names, strict=True)
        ),
        within=within,
        n_within=len(near),
    )


def _bucket_labels() -> tuple[str, ...]:
    inner = [f"{edge:.2f}" if edge < 1.095 else f"{edge:.1f}" for edge in HF_EDGES[1:-1]]
    return ("< 1", *inner[:-1], "5+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence about today; `parts`: (text, whether it is bold)."""

    severity: str
    word: str
    parts: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        """The sentence without its emphasis."""
        return "".join(part for part, _ in self.parts)


def verdict(run: ShownRun, today: Position) -> Verdict:
    """The answer of the page in words: how much, how bad, and in which collateral."""
    lar, tail = run.estimate("lar_repaid", 0.99), run.estimate("es_deficit", 0.99)
    severity, word = severity_of(lar.value, today.borrowed_usd)
    hours = fmt.hours(run.horizon_hours)
    parts = [
        ("One day in a hundred, " if run.horizon_hours == 24 else f"Once in a hundred, over {hours}, ", False),
        (f"{fmt.money(lar.value)} of debt or more", True),
        (" would be liquidated. ", False),
    ]
    if run.stressed_usd is not None:
        parts += [(f"With {run.stressed_words}: ", False), (fmt.money(run.stressed_usd), True), (". ", False)]
    if tail.value > 0:
        parts += [
            ("In the worst 1\u202f% of outcomes Aave loses ", False),
            (fmt.money(tail.value), True),
            (" on average", False),
        ]
        parts.append(
            (f", a figure that only {fmt.paths_carry(tail.n_positive or 0)}. " if tail.few_draws else ". ", False)
        )
    else:
        parts.append((f"None of the {fmt.count(run.n_paths)} simulated days left Aave with a deficit. ", False))
    top = max(run.seized_by_reserve.items(), key=lambda item: item[1], default=("", 0.0))
    if top[1] > 0:
        part = top[1] / sum(run.seized_by_reserve.values())
        where = f"{fmt.share(part, 0)} of the collateral sold is {named(top[0])}"
        parts += [("On average over all paths, ", False), (where, True), (".", False)]
    return Verdict(severity, word, tuple(parts))


def severity_of(lar_usd: float, debt_usd: float) -> tuple[str, str]:
    """Colour and word for LaR 99 % against all debt, by the limits of `SEVERITY`."""
    part = lar_usd / debt_usd if debt_usd > 0 else 0.0
    return next((colour, word) for limit, colour, word in SEVERITY if part < limit)
