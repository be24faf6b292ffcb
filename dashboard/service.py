"""Everything that thinks, without a browser: from a book and a question to the figures on screen.

Pure functions of immutable arguments. Amounts are US dollars, moves are relative (-0.18 is a fall by 18 %).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard import formatting as fmt
from dashboard.book import ETH_FALLS, Book, Estimate, Run, repaid_as_eth_falls
from dashboard.drivers import BY_KEY, DRIVERS, Driver
from dashboard.state import WhatIf

Array = NDArray[np.float64]

HF_EDGES = (0.0, 1.0, 1.02, 1.04, 1.06, 1.08, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, np.inf)
"""Edges of the health-factor buckets; the first bucket is what can be liquidated now."""
WATCH_HF = 1.1
LOOP_SHARE = 0.95
"""An account is a same-asset loop when this share of its collateral and of its debt is worth the same thing."""
SEVERITY = ((0.01, "ok", "Calm"), (0.03, "watch", "Watch"), (0.10, "warn", "Tense"), (np.inf, "crit", "Critical"))
"""Upper limit of LaR 99 % over debt, colour, word: a stated rule of thumb, shown on the About page."""
PATHS = 4_000
"""Paths of the Monte Carlo that a reader starts; the warehouse's own runs use more.

Enough that 40 of them lie beyond 99 %: below 30 the error of the tail is not shown."""
TABLE_ROWS = 8


# ---- accounts -------------------------------------------------------------------------------------------------


def side_worth(side: rc.Positions, price: Array) -> Array:
    """(nnz,) USD of each entry of one side."""
    return side.amount * price[side.reserve]


def by_account(side: rc.Positions, worth: Array) -> Array:
    """Sum entry values (nnz,) over each account: (n_accounts,)."""
    rows = np.repeat(np.arange(len(side)), np.diff(side.indptr))
    return np.bincount(rows, weights=worth, minlength=len(side))


def largest_reserve(market: rc.Market, side: rc.Positions, rows: NDArray[np.int64], price: Array) -> list[str]:
    """Symbol of the largest holding on one side for each of the given account rows, empty when there is none."""
    names = []
    for row in rows:
        entries = slice(side.indptr[row], side.indptr[row + 1])
        worth = side.amount[entries] * price[side.reserve[entries]]
        names.append(market.reserves.symbol[side.reserve[entries][worth.argmax()]] if len(worth) else "")
    return names


def same_asset_loops(book: Book) -> NDArray[np.bool_]:
    """(n_accounts,) true where collateral and debt are worth the same thing (staked ETH against ETH, USD against USD).

    Such an account has a low health factor by design and little of it can fall against its debt.
    """
    market = book.market
    names = sorted(set(book.assets.family))
    family = np.array([names.index(f) for f in book.assets.family])
    worth_by_family = []
    for side in (market.collateral, market.debt):
        rows = np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))
        cell = rows * len(names) + family[side.reserve]
        worth = np.bincount(cell, weights=side_worth(side, market.price), minlength=market.n_accounts * len(names))
        worth_by_family.append(worth.reshape(market.n_accounts, len(names)))
    mostly = [(worth >= LOOP_SHARE * worth.sum(axis=1, keepdims=True)) & (worth > 0) for worth in worth_by_family]
    return np.logical_and(*mostly).any(axis=1)


def fall_to_liquidation(book: Book, keys: tuple[str, ...] = ("eth", "btc", "other")) -> Array:
    """(n_accounts,) by how much the named drivers must fall together until health factor is 1; inf when never.

    Collateral x threshold and debt are both linear in such a fall x, so two health factors give the exact answer:
    weighted(0) - x a = debt(0) - x b. An account below 1 already gets 0.
    """
    market = book.market
    shocked = market.shocked(book.assets.moves(dict.fromkeys(keys, -0.5)))
    debt = (book.debt_usd, by_account(market.debt, side_worth(market.debt, shocked)))
    factor = (book.health_factor, rc.health_factor(market, shocked))
    has_debt = book.debt_usd > 0
    weighted = [np.where(has_debt, np.where(has_debt, h, 0) * d, 0.0) for h, d in zip(factor, debt, strict=True)]
    slope = 2 * ((weighted[0] - weighted[1]) - (debt[0] - debt[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = (weighted[0] - debt[0]) / slope
    return np.where(has_debt & (factor[0] < 1), 0.0, np.where(has_debt & (slope > 0) & (fall < 1), fall, np.inf))


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One line of a table of accounts; `fall` is the move of all crypto that makes it liquidatable."""

    address: str
    health_factor: float
    debt_usd: float
    collateral: str
    fall: float = np.nan
    repaid_usd: float = np.nan
    seized_usd: float = np.nan


# ---- overview ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Buckets:
    """Debt by health factor, USD: `exposed` and `loops` are (len(labels),)."""

    labels: tuple[str, ...]
    exposed: Array
    loops: Array


@dataclass(frozen=True, slots=True)
class Position:
    """What the book is worth today, exactly."""

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


def position(book: Book) -> Position:
    """The exact half of the Overview: no sampling, every account."""
    hf, debt = book.health_factor, book.debt_usd
    loops = same_asset_loops(book)
    has_debt = debt > 0
    bucket = np.clip(np.searchsorted(HF_EDGES, hf, side="right") - 1, 0, len(HF_EDGES) - 2)
    n = len(HF_EDGES) - 1
    sums = [np.bincount(bucket[has_debt & m], weights=debt[has_debt & m], minlength=n) for m in (~loops, loops)]
    fall = fall_to_liquidation(book)
    within = next((w for w in (0.1, 0.2, 0.3, 0.5, 0.9) if np.count_nonzero(fall <= w) >= TABLE_ROWS), 0.9)
    near = np.flatnonzero(fall <= within)
    top = near[np.argsort(-debt[near], kind="stable")][:TABLE_ROWS]
    names = largest_reserve(book.market, book.market.collateral, top, book.market.price)
    watch = has_debt & (hf < WATCH_HF)
    return Position(
        collateral_usd=float(book.collateral_usd.sum()),
        borrowed_usd=float(debt.sum()),
        n_accounts=book.market.n_accounts,
        n_with_debt=int(has_debt.sum()),
        n_reserves=book.market.n_reserves,
        watch_debt_usd=float(debt[watch].sum()),
        watch_exposed_usd=float(debt[watch & ~loops].sum()),
        n_watch=int(watch.sum()),
        n_below_one=int((has_debt & (hf < 1)).sum()),
        buckets=Buckets(_bucket_labels(), *sums),
        largest=tuple(
            AccountRow(str(book.market.accounts[row]), float(hf[row]), float(debt[row]), name, fall=float(fall[row]))
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
    """One sentence about today; `parts` alternate between plain and bold text."""

    severity: str
    word: str
    parts: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        return "".join(part for part, _ in self.parts)


def verdict(run: Run, today: Position) -> Verdict:
    """The answer of the page in words: how much, how bad, and in which collateral."""
    lar, tail = run.estimate("lar_repaid", 0.99), run.estimate("es_deficit", 0.99)
    severity, word = severity_of(lar.value, today.borrowed_usd)
    hours = fmt.hours(run.horizon_hours)
    parts = [
        ("One day in a hundred, " if run.horizon_hours == 24 else f"Once in a hundred, over {hours}, ", False),
        (f"{fmt.money(lar.value)} of debt or more", True),
        (" would be liquidated. ", False),
    ]
    if tail.value > 0:
        parts += [
            ("In the worst 1\u202f% of outcomes Aave loses ", False),
            (fmt.money(tail.value), True),
            (" on average", False),
        ]
        parts.append((f", a figure that only {tail.n_positive or 0} paths carry. " if tail.few_draws else ". ", False))
    else:
        parts.append((f"None of the {fmt.count(run.n_paths)} simulated days left Aave with a deficit. ", False))
    top = max(run.seized_by_reserve.items(), key=lambda item: item[1], default=("", 0.0))
    if top[1] > 0:
        part = top[1] / sum(run.seized_by_reserve.values())
        parts += [("Of the collateral sold, ", False), (f"{fmt.share(part, 0)} would be {top[0]}", True), (".", False)]
    return Verdict(severity, word, tuple(parts))


def severity_of(lar_usd: float, debt_usd: float) -> tuple[str, str]:
    """Colour and word for LaR 99 % against all debt, by the limits of `SEVERITY`."""
    part = lar_usd / debt_usd if debt_usd > 0 else 0.0
    return next((colour, word) for limit, colour, word in SEVERITY if part < limit)


# ---- what-if ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure in the baseline and in the scenario."""

    baseline: float
    scenario: float

    @property
    def change(self) -> float:
        return self.scenario - self.baseline


@dataclass(frozen=True, slots=True)
class Curve:
    """Debt repaid as ETH falls, both with the same x: falls as positive shares, (S,)."""

    fall: Array
    baseline: Array
    scenario: Array
    handle: tuple[float, float]
    """(fall of ETH, debt repaid) of the scenario itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The exact answer to a what-if: liquidations executed once, at the shocked prices."""

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


def answer(book: Book, state: WhatIf) -> Answer:
    """What becomes liquidatable at these prices, against the snapshot's own. Deterministic, every account."""
    moves = book.assets.moves(state.moves)
    now, then = book.today, rc.what_if(book.market, moves)
    return Answer(
        state=state,
        repaid=Pair(now.repaid_usd, then.repaid_usd),
        seized=Pair(now.seized_usd, then.seized_usd),
        deficit=Pair(now.deficit_usd, then.deficit_usd),
        accounts=Pair(len(now.liquidatable), len(then.liquidatable)),
        n_with_debt=int((book.debt_usd > 0).sum()),
        sold=_sold(book, now.seized_by_reserve, then.seized_by_reserve),
        curve=curve(book, state, then.repaid_usd),
        first=_largest_liquidations(book, then),
        nearest=_nearest(book, then) if len(then.liquidatable) == 0 else None,
        captions={d.key: rarity(d, getattr(state, d.key), book.daily_moves.get(d.key)) for d in DRIVERS},
    )


def curve(book: Book, state: WhatIf, at_handle: float) -> Curve:
    """ETH from as it is down to -60 %, the other drivers held: the scenario's, and the snapshot's own."""
    if any(key != "eth" for key in state.changed if key != "vol"):
        scenario = repaid_as_eth_falls(book.market, book.assets, state)
    else:
        scenario = book.eth_curve
    return Curve(ETH_FALLS, book.eth_curve, scenario, (max(-state.eth, 0.0), at_handle))


def _at(market: rc.Market, moves: Array) -> rc.Market:
    return replace(market, price=market.shocked(moves))


def _sold(book: Book, now: Array, then: Array, rows: int = 7) -> tuple[tuple[str, Pair], ...]:
    """Collateral seized by reserve, largest first; the rest is one line, so that the lines add up."""
    order = np.argsort(-np.maximum(now, then), kind="stable")
    order = order[np.maximum(now, then)[order] > 0]
    head, tail = (order, order[:0]) if len(order) <= rows else (order[: rows - 1], order[rows - 1 :])
    lines = [(book.market.reserves.symbol[r], Pair(float(now[r]), float(then[r]))) for r in head]
    if len(tail):
        lines.append((f"{len(tail)} others", Pair(float(now[tail].sum()), float(then[tail].sum()))))
    return tuple(lines)


def _largest_liquidations(book: Book, then: rc.WhatIf) -> tuple[AccountRow, ...]:
    order = np.argsort(-then.account_repaid_usd, kind="stable")[:TABLE_ROWS]
    rows = then.liquidatable[order]
    names = largest_reserve(book.market, book.market.collateral, rows, then.price)
    return tuple(
        AccountRow(
            str(book.market.accounts[row]), float(then.liquidatable_health[k]), float(then.account_debt_usd[k]), name,
            repaid_usd=float(then.account_repaid_usd[k]), seized_usd=float(then.account_seized_usd[k]),
        )
        for row, k, name in zip(rows, order, names, strict=True)
    )  # fmt: skip


def _nearest(book: Book, then: rc.WhatIf) -> AccountRow | None:
    health = then.health_factor
    candidates = np.where((book.debt_usd > 0) & (health > 0), health, np.inf)
    row = int(candidates.argmin()) if len(candidates) else -1
    if row < 0 or not np.isfinite(candidates[row]):
        return None
    name = largest_reserve(book.market, book.market.collateral, np.array([row]), then.price)[0]
    return AccountRow(str(book.market.accounts[row]), float(candidates[row]), float(book.debt_usd[row]), name)


def rarity(driver: Driver, value: float, history: Array | None) -> str:
    """How often such a day was seen in the warehouse's price history, sorted ascending; empty when it cannot be said.

    A fall is compared with daily moves at least as low, a rise with moves at least as high. At least 90 days.
    """
    base = driver.baseline / driver.scale
    if history is None or len(history) < 90 or np.isclose(value, base) or driver.unit != "%":
        return ""
    days = len(history)
    hits = int(
        np.searchsorted(history, value, side="right") if value < base else days - np.searchsorted(history, value)
    )
    if hits == 0:
        return f"no such day in {fmt.count(days)} days of prices"
    return f"1 in {fmt.count(round(days / hits))} days" if hits > 1 else f"1 day in {fmt.count(days)}"


# ---- Monte Carlo on request ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure under both scenarios with the same random numbers. `error` is the half width of 95 %."""

    label: str
    unit: str
    baseline: Estimate
    scenario: Estimate
    change: float
    error: float

    @property
    def clear(self) -> bool:
        """The difference is larger than its error."""
        return abs(self.change) > self.error


@dataclass(frozen=True, slots=True)
class Simulation:
    """Baseline and scenario side by side, and what they rest on."""

    query: str
    n_paths: int
    seed: int
    horizon_hours: float
    code_version: str
    rows: tuple[Comparison, ...]


def simulate(book: Book, state: WhatIf, n_paths: int = PATHS, seed: int = 7) -> Simulation:
    """Both worlds from the same seed: the scenario starts at the shocked prices and multiplies volatility.

    Raises `ValueError` when the warehouse holds no scenario to start from.
    """
    if book.scenario is None:
        raise ValueError("The warehouse holds no calibrated scenario. Fill it with: python -m flows risk-scenarios")
    scenario = replace(book.scenario, name="what-if", volatility=book.scenario.volatility * state.vol)
    base = rc.simulate(book.market, book.scenario, n_paths=n_paths, seed=seed)
    then = rc.simulate(_at(book.market, book.assets.moves(state.moves)), scenario, n_paths=n_paths, seed=seed)
    measures = rc.measures
    spec: tuple[tuple[str, str, Callable, str, Callable[[Array], float]], ...] = (
        ("Debt repaid, LaR 95 %", "USD", lambda r: measures.lar(r, 0.95), "repaid_usd", _quantile(0.95)),
        ("Debt repaid, LaR 99 %", "USD", lambda r: measures.lar(r, 0.99), "repaid_usd", _quantile(0.99)),
        ("Collateral seized, 99 %", "USD", lambda r: measures.lar(r, 0.99, of="seized"), "seized_usd", _quantile(0.99)),
        ("Deficit, VaR 99 %", "USD", lambda r: measures.var(r, 0.99), "deficit_usd", _quantile(0.99)),
        ("Deficit, ES 99 %", "USD", lambda r: measures.expected_shortfall(r, 0.99), "deficit_usd", _shortfall(0.99)),
        ("P(deficit above $0)", "share", measures.probability_of_loss, "deficit_usd", lambda x: float((x > 0).mean())),
    )
    rows = []
    for label, unit, measure, column, statistic in spec:
        one, two = Estimate.of(measure(base)), Estimate.of(measure(then))
        error = paired_error(getattr(base, column), getattr(then, column), statistic)
        rows.append(Comparison(label, unit, one, two, two.value - one.value, error))
    hours = book.scenario.horizon.total_seconds() / 3600
    return Simulation(state.to_query(), n_paths, seed, hours, rc.code_version(), tuple(rows))


def paired_error(one: Array, two: Array, statistic: Callable[[Array], float], n: int = 200, seed: int = 1) -> float:
    """Half width of a 95 % interval for the difference of a statistic: paths are resampled in pairs (bootstrap).

    Both runs share their random numbers, so most of the sampling error cancels in the difference.
    """
    rng = np.random.default_rng(seed)
    pick = rng.integers(0, len(one), size=(n, len(one)))
    differences = np.array([statistic(two[p]) - statistic(one[p]) for p in pick])
    return float(1.96 * differences.std(ddof=1))


def _quantile(level: float) -> Callable[[Array], float]:
    return lambda x: float(np.quantile(x, level))


def _shortfall(level: float) -> Callable[[Array], float]:
    def mean_of_worst(x: Array) -> float:
        worst = max(1, round(len(x) * (1 - level)))
        return float(np.partition(x, len(x) - worst)[-worst:].mean())

    return mean_of_worst


def driver_notes(book: Book) -> dict[str, str]:
    """What each driver moves in this very market: the rule in words, then the reserves it found."""
    notes = {}
    for key, driver in BY_KEY.items():
        if driver.unit != "%":
            notes[key] = driver.note
            continue
        named = [s for s, hit in zip(book.assets.symbol, book.assets.moved_by(key), strict=True) if hit]
        notes[key] = driver.note if named else "No reserve of this market follows it."
    return notes
