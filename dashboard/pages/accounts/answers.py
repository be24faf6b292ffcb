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
from risk_core.accounts import account_terms, liquidation_price_of, main_reserve

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
    """Columns to sort and filter, one value for each account: numbers (n,), NaN for none, and words (n,).

    labels: the different words of each column of words, ascending, in lower case; codes: (n,) the place of each
    account's word in them. price: (n,) liquidation price of the main collateral, USD, NaN for none.
    """

    loaded: LoadedMarket
    numbers: Mapping[str, Array]
    words: Mapping[str, NDArray[np.str_]]
    labels: Mapping[str, NDArray[np.str_]]
    codes: Mapping[str, Rows]
    price: Array


@lru_cache(maxsize=3)
def table(loaded: LoadedMarket) -> Table:
    """The table of a market, cached."""
    market = loaded.market
    fall = fall_to_liquidation(loaded)
    main = main_reserve(market, market.collateral)
    words = {
        "address": np.asarray(market.accounts),
        "emode": np.array([*market.emodes.label, "none"])[market.emode],
        "main": np.array([*market.reserves.symbol, ""])[main],
    }
    told = {name: np.unique(values, return_inverse=True) for name, values in words.items()}
    return Table(
        loaded,
        {
            "health": loaded.health_factor,
            "debt": loaded.debt_usd,
            "collateral": loaded.collateral_usd,
            "fall": np.where(np.isfinite(fall), -fall, np.nan),
        },
        words,
        {name: np.char.lower(labels) for name, (labels, _) in told.items()},
        {name: codes for name, (_, codes) in told.items()},
        liquidation_price_of(market, np.arange(market.n_accounts), main),
    )


@lru_cache(maxsize=3 * 2 * len((*NUMBERS, *WORDS)))
def order(of: Table, column: str, down: bool) -> Rows:
    """All accounts in the order of one column, equal ones by address, those without a value last; cached."""
    if column in of.numbers:
        values = of.numbers[column]
        return np.lexsort((of.codes["address"], -values if down else values))  # NaN comes last
    codes = of.codes[column]
    return np.lexsort((of.codes["address"], -codes if down else codes))


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
    keys = [(str(rule.get("colId")), rule.get("sort") == "desc") for rule in sort]
    for column, _ in keys:
        if column not in of.numbers and column not in of.words:
            raise rc.InputError(f"sort: expected one of {', '.join((*NUMBERS, *WORDS))}, found {column[:40]!r}")
    if len(keys) <= 1:
        # The order of a column is known: only what does not pass is left out.
        rows = order(of, *keys[0]) if keys else order(of, "address", False)
        return rows[keep[rows]]
    rows = np.flatnonzero(keep)
    ranked = [of.codes["address"][rows]]
    for column, down in reversed(keys):
        values = (of.numbers[column] if column in of.numbers else of.codes[column])[rows]
        ranked.append(-values if down else values)
    return rows[np.lexsort(ranked)]


def _passes(of: Table, column: str, rule: Mapping[str, Any]) -> NDArray[np.bool_]:
    if column not in of.numbers and column not in of.words:
        raise rc.InputError(f"filter: expected one of {', '.join((*NUMBERS, *WORDS))}, found {column[:40]!r}")
    if "conditions" in rule:
        parts = [_passes(of, column, part) for part in rule["conditions"]]
        return np.logical_or.reduce(parts) if rule.get("operator") == "OR" else np.logical_and.reduce(parts)
    kind = str(rule.get("type"))
    if column in of.words:
        # Of a few labels each is looked at once, however many accounts have it; an address is one of a kind.
        return _text(of.labels[column], kind, str(rule.get("filter") or ""))[of.codes[column]]
    scale = 0.01 if column in SHARE else 1.0
    return _number(of.numbers[column], kind, rule.get("filter"), rule.get("filterTo"), scale)


def _text(values: NDArray[np.str_], kind: str, asked: str) -> NDArray[np.bool_]:
    """values: in lower case."""
    asked = asked.strip().lower()
    tests: dict[str, Callable[[], Any]] = {
        "contains": lambda: np.char.find(values, asked) >= 0,
        "notContains": lambda: np.char.find(values, asked) < 0,
        "equals": lambda: values == asked,
        "notEqual": lambda: values != asked,
        "startsWith": lambda: np.char.startswith(values, asked),
        "endsWith": lambda: np.char.endswith(values, asked),
        "blank": lambda: values == "",
        "notBlank": lambda: values != "",
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
    symbol, at = str(of.words["main"][row]), float(of.price[row])
    if not symbol or not of.numbers["debt"][row] > 0 or np.isnan(at):
        return fmt.MISSING
    return f"{named(symbol)} {price_text(at)}"


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
