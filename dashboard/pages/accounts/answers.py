"""The table of all accounts of a market, sorted, filtered and searched; and one account in full."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.look.escaping import named
from dashboard.market.holdings import fall_to_liquidation
from dashboard.market.loaded import LoadedMarket
from risk_core.accounts import account_terms, main_reserve

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_ROWS = 1_000
"""Rows of one answer."""
SHARE = {"fall"}
"""Columns shown as per cent; their filters are in per cent too."""
NUMBERS = ("health", "debt", "collateral", "fall")
WORDS = ("address", "emode", "main")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns to sort and filter, one value for each account: numbers (n,), NaN for none, and words (n,)."""

    loaded: LoadedMarket
    numbers: Mapping[str, Array]
    words: Mapping[str, NDArray[np.str_]]


@lru_cache(maxsize=3)
def table(loaded: LoadedMarket) -> Table:
    """The table of a market, cached."""
    market = loaded.market
    fall = fall_to_liquidation(loaded)
    labels = np.array([*market.emodes.label, "none"])
    symbols = np.array([*market.reserves.symbol, ""])
    return Table(
        loaded,
        {
            "health": loaded.health_factor,
            "debt": loaded.debt_usd,
            "collateral": loaded.collateral_usd,
            "fall": np.where(np.isfinite(fall), -fall, np.nan),
        },
        {
            "address": np.asarray(market.accounts),
            "emode": labels[market.emode],
            "main": symbols[main_reserve(market, market.collateral)],
        },
    )


def chosen(of: Table, sort: Sequence[Mapping[str, str]], where: Mapping[str, Any], search: str = "") -> Rows:
    """Rows of the accounts that pass every filter, in the requested order; equal ones by address.

    sort: `colId` and `sort` (asc, desc) of each column, most important first. where: column -> filter. Both in the form
    of AG Grid. Accounts without a value come last in both directions. Raises `rc.InputError`.
    """
    keep = np.ones(of.loaded.market.n_accounts, dtype=bool)
    if search:
        keep &= np.char.find(of.words["address"], search.strip().lower()) >= 0
    for column, rule in where.items():
        keep &= _passes(of, column, rule)
    rows = np.flatnonzero(keep)
    keys: list[Any] = [of.words["address"][rows]]
    for rule in reversed(sort):
        column, down = str(rule.get("colId")), rule.get("sort") == "desc"
        if column in of.numbers:
            values = of.numbers[column][rows]
            keys.append(np.where(np.isnan(values), np.inf, -values if down else values))
            keys.append(np.isnan(values))
        elif column in of.words:
            _, rank = np.unique(of.words[column][rows], return_inverse=True)
            keys.append(-rank if down else rank)
        else:
            raise rc.InputError(f"sort: expected one of {', '.join((*NUMBERS, *WORDS))}, found {column[:40]!r}")
    return rows[np.lexsort(keys)]


def _passes(of: Table, column: str, rule: Mapping[str, Any]) -> NDArray[np.bool_]:
    if column not in of.numbers and column not in of.words:
        raise rc.InputError(f"filter: expected one of {', '.join((*NUMBERS, *WORDS))}, found {column[:40]!r}")
    if "conditions" in rule:
        parts = [_passes(of, column, part) for part in rule["conditions"]]
        return np.logical_or.reduce(parts) if rule.get("operator") == "OR" else np.logical_and.reduce(parts)
    kind = str(rule.get("type"))
    if column in of.words:
        return _text(of.words[column], kind, str(rule.get("filter") or ""))
    scale = 0.01 if column in SHARE else 1.0
    return _number(of.numbers[column], kind, rule.get("filter"), rule.get("filterTo"), scale)


def _text(values: NDArray[np.str_], kind: str, asked: str) -> NDArray[np.bool_]:
    lower, asked = np.char.lower(values), asked.strip().lower()
    tests: dict[str, Callable[[], Any]] = {
        "contains": lambda: np.char.find(lower, asked) >= 0,
        "notContains": lambda: np.char.find(lower, asked) < 0,
        "equals": lambda: lower == asked,
        "notEqual": lambda: lower != asked,
        "startsWith": lambda: np.char.startswith(lower, asked),
        "endsWith": lambda: np.char.endswith(lower, asked),
        "blank": lambda: lower == "",
        "notBlank": lambda: lower != "",
    }
    if kind not in tests:
        raise rc.InputError(f"filter: expected one of {', '.join(tests)}, found {kind[:40]!r}")
    return tests[kind]()


def _number(values: Array, kind: str, first: Any, last: Any, scale: float) -> NDArray[np.bool_]:
    if kind in ("blank", "notBlank"):
        return np.isnan(values) == (kind == "blank")
    low, high = _asked(first) * scale, _asked(last) * scale if kind == "inRange" else 0.0
    tests: dict[str, Callable[[], Any]] = {
        "equals": lambda: np.isclose(values, low, rtol=5e-4, atol=0.0),
        "notEqual": lambda: ~np.isclose(values, low, rtol=5e-4, atol=0.0),
        "lessThan": lambda: values < low,
        "lessThanOrEqual": lambda: values <= low,
        "greaterThan": lambda: values > low,
        "greaterThanOrEqual": lambda: values >= low,
        "inRange": lambda: (values >= low) & (values <= high),
    }
    if kind not in tests:
        raise rc.InputError(f"filter: expected one of {', '.join(tests)}, found {kind[:40]!r}")
    return tests[kind]() & ~np.isnan(values)


def _asked(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise rc.InputError(f"filter: expected a number, found {str(value)[:40]!r}")
    return float(value)


def shown(of: Table, rows: Rows) -> list[dict[str, Any]]:
    """The rows as text for the grid; `tone` is the severity of the health factor."""
    return [
        {
            "address": str(of.words["address"][row]),
            "health": health(factor),
            "tone": tone(factor),
            "debt": fmt.money(debt),
            "collateral": fmt.money(collateral),
            "emode": named(str(of.words["emode"][row])),
            "main": named(str(of.words["main"][row])) or fmt.MISSING,
            "fall": fall_text(fall),
            "price": _price(of, row),
        }
        for row, factor, debt, collateral, fall in zip(
            rows.tolist(), *(of.numbers[name][rows].tolist() for name in NUMBERS), strict=True
        )
    ]


def health(factor: float) -> str:
    """Health factor as text with three decimals; never rounded up from below 1 to 1."""
    return "∞" if np.isinf(factor) else fmt.health_factor(factor, 3)


def tone(factor: float) -> str:
    """Severity of a health factor, by fixed levels for all accounts; not a probability."""
    return "crit" if factor < 1 else "warn" if factor < 1.05 else "watch" if factor < 1.25 else "ok"


def fall_text(fall: float) -> str:
    """A move of all crypto together; a dash where no fall is enough."""
    return fmt.MISSING if np.isnan(fall) else fmt.move(fall)


def _price(of: Table, row: int) -> str:
    """The liquidation price of the main collateral, as text."""
    market, symbol = of.loaded.market, str(of.words["main"][row])
    if not symbol or not of.numbers["debt"][row] > 0:
        return fmt.MISSING
    at = rc.liquidation_prices(market, row)[_main_of(market, row)]
    return fmt.MISSING if np.isnan(at) else f"{named(symbol)} {price_text(at)}"


def _main_of(market: rc.Market, row: int) -> int:
    side = market.collateral
    entries = slice(side.indptr[row], side.indptr[row + 1])
    return int(side.reserve[entries][(side.amount[entries] * market.price[side.reserve[entries]]).argmax()])


def price_text(value: float) -> str:
    """A price of one token: whole dollars from 10,000 on, cents from 10 on, else four decimals."""
    return f"${value:,.0f}" if value >= 10_000 else f"${value:,.2f}" if value >= 10 else f"${value:,.4f}"


@dataclass(frozen=True, slots=True)
class Holding:
    """The position of an account in one reserve: collateral and debt in tokens and USD; `threshold` with its e-mode."""

    symbol: str
    price: float
    collateral: float
    debt: float
    threshold: float
    liquidation_price: float

    @property
    def collateral_usd(self) -> float:
        """Collateral at the oracle's price."""
        return self.collateral * self.price

    @property
    def debt_usd(self) -> float:
        """Debt at the oracle's price."""
        return self.debt * self.price


@dataclass(frozen=True, slots=True)
class Account:
    """One account in full; `fall`: move of all crypto that brings its health factor to 1, NaN for none."""

    address: str
    health_factor: float
    collateral_usd: float
    debt_usd: float
    emode: str
    fall: float
    holdings: tuple[Holding, ...]


ADDRESS = re.compile(r"0x[0-9a-f]{40}")


def account(loaded: LoadedMarket, address: str) -> Account:
    """An account by its address, upper or lower case. Raises `rc.InputError` for a malformed or unknown address."""
    asked = address.strip().lower()
    if not ADDRESS.fullmatch(asked):
        raise rc.InputError(f"address: expected 0x and 40 hexadecimal digits, found {address[:60]!r}")
    market, of = loaded.market, table(loaded)
    row = market.index(asked)
    threshold, _ = account_terms(market)
    prices = rc.liquidation_prices(market, row)
    held: dict[int, list[float]] = {}
    for place, side in enumerate((market.collateral, market.debt)):
        entries = slice(side.indptr[row], side.indptr[row + 1])
        for reserve, amount in zip(side.reserve[entries].tolist(), side.amount[entries].tolist(), strict=True):
            held.setdefault(reserve, [0.0, 0.0])[place] += amount
    holdings = [
        Holding(
            market.reserves.symbol[reserve],
            float(market.price[reserve]),
            supplied,
            owed,
            float(threshold[market.emode[row], reserve]),
            float(prices[reserve]),
        )
        for reserve, (supplied, owed) in held.items()
    ]
    holdings.sort(key=lambda holding: -max(holding.collateral_usd, holding.debt_usd))
    return Account(
        asked,
        float(of.numbers["health"][row]),
        float(of.numbers["collateral"][row]),
        float(of.numbers["debt"][row]),
        str(of.words["emode"][row]),
        float(of.numbers["fall"][row]),
        tuple(holdings),
    )
