"""What would it take? The nearest move of prices that liquidates a stated amount, and the sliders that come closest."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dash import dcc, html

import risk_core as rc
from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, graph, pill, segmented, skeleton, table
from dashboard.look.escaping import marked, named
from dashboard.market.drivers import BY_KEY, FIXED
from dashboard.market.loaded import LoadedMarket, ShownRun
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.state import WhatIf

NO_RUN = "python -m flows risk-scenarios"
MEASURES = {"liquidated": "debt repaid", "deficit": "deficit"}
"""What the target is an amount of, and its words."""
START = {"liquidated": 0.01, "deficit": 0.001}
"""Target that the page opens with, as a share of all debt, rounded to one digit."""
KEPT = 32
ACCOUNTS = 5
MILLION = 1e6

_found: OrderedDict[tuple[str, str, str, float], rc.ReverseStress] = OrderedDict()
_found_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Answer:
    """The nearest move, the sliders that come closest to it, and what those do by themselves."""

    stress: rc.ReverseStress
    sliders: WhatIf
    sliders_usd: float
    law: str

    @property
    def moved(self) -> tuple[tuple[str, float], ...]:
        """(factor, relative move) of those that move by 0.05 % or more; first what brings most of it about.

        That is the log move times the USD repaid and seized in its reserves: what only moves along comes last.
        """
        stress = self.stress
        usd = np.zeros(len(stress.log_move) + 1)
        np.add.at(usd, stress.scenario.factor, stress.outcome.repaid_by_reserve + stress.outcome.seized_by_reserve)
        order = np.lexsort((-np.abs(stress.log_move), -np.abs(stress.log_move) * usd[:-1]))
        moves, names = stress.moves, stress.scenario.factors
        return tuple((names[k], float(moves[k])) for k in order if abs(moves[k]) >= 5e-4)


def start_target(loaded: LoadedMarket, measure: str) -> float:
    """USD that the page opens with: a small share of the debt above what is liquidatable now, one digit."""
    now = loaded.today.repaid_usd if measure == "liquidated" else loaded.today.deficit_usd
    usd = now + START[measure] * float(loaded.debt_usd.sum())
    if usd <= 0:
        return MILLION
    size = 10.0 ** math.floor(math.log10(usd))
    return float(f"{math.ceil(usd / size) * size:.6g}")


def answer(loaded: LoadedMarket, run: ShownRun, measure: str, usd: float) -> Answer:
    """The nearest move found for a target in USD; the last few are kept. Raises `InputError`."""
    if measure not in MEASURES:
        raise rc.InputError(f"measure: expected one of {', '.join(MEASURES)}, found {measure[:40]!r}")
    key = (loaded.market.snapshot.hash, f"{run.scenario_id} {run.created_at}", measure, usd)
    with _found_lock:  # one search at a time: readers of one page share it
        if key not in _found:
            _found[key] = rc.reverse_stress(loaded.market, run.scenario, **{f"{measure}_usd": usd})
            while len(_found) > KEPT:
                _found.popitem(last=False)
        _found.move_to_end(key)
        stress = _found[key]
    sliders = nearest_sliders(loaded, stress)
    then = rc.what_if(loaded.market, loaded.assets.moves(sliders.moves))
    done = then.repaid_usd if measure == "liquidated" else then.deficit_usd
    return Answer(stress, sliders, done, run.law)


def nearest_sliders(loaded: LoadedMarket, stress: rc.ReverseStress) -> WhatIf:
    """The drivers that come closest: of a group the mean log move, weighted by what is held and owed of each reserve.

    Rounded away from today to the slider's step, less than a step to the nearer one, and no further than its ends.
    """
    market, factor = loaded.market, stress.scenario.factor
    usd = np.zeros(market.n_reserves)
    for side in (market.collateral, market.debt):
        np.add.at(usd, side.reserve, side.amount * market.price[side.reserve])
    log_move = np.append(np.log1p(stress.scenario.shock) + stress.log_move, 0.0)[factor]
    values = {}
    for key in dict.fromkeys(loaded.assets.driver):
        of = loaded.assets.moved_by(key) & (factor >= 0)
        weight = usd[of].sum()
        if key == FIXED or weight <= 0:
            continue
        driver = BY_KEY[key]
        shown = float(np.expm1((usd[of] * log_move[of]).sum() / weight)) * driver.scale
        steps = abs(shown) / driver.step
        whole = math.ceil(steps - 0.02) if steps > 1 else round(steps)
        values[key] = min(max(math.copysign(whole * driver.step, shown), driver.low), driver.high) / driver.scale + 0.0
    return WhatIf(**values)


def reverse_card(usd: float, stamp: str) -> Any:
    """The card with its question, which opens with `usd`; a callback fills the answer."""
    field = dcc.Input(
        id=ids.REVERSE_USD, type="number", min=0, value=usd / MILLION, debounce=True, className="find",
        style={"width": "110px"},
    )  # fmt: skip
    bar = html.Div(
        [
            html.Label("At least, in USD million", htmlFor=ids.REVERSE_USD, className="t2 micro"),
            field,
            segmented(
                ids.REVERSE_MEASURE,
                [("debt repaid", "liquidated"), ("deficit", "deficit")],
                "liquidated",
                "What the amount is of",
            ),
            html.Span(className="sp"),
            html.Button("Set the sliders to it", id=ids.REVERSE_SET, className="ctl", n_clicks=0, disabled=True),
        ],
        className="bar",
    )
    chart = graph(ids.REVERSE_MOVES, 230, "The nearest move of each price factor that reaches the amount, in per cent")
    body = [
        bar,
        html.Div(
            [
                html.Div(chart, style={"flex": "1 1 300px", "minWidth": 0}),
                html.Div(
                    skeleton(6),
                    id=ids.REVERSE_SAYS,
                    style={"flex": "1 1 320px", "minWidth": 0},
                    **{"aria-live": "polite"},
                ),
            ],
            style={"display": "flex", "flexWrap": "wrap", "gap": "16px"},
        ),
        dcc.Store(id=ids.REVERSE_VALUES),
    ]
    how = "exact, every account · oracle prices, parameters as on chain · calibrated covariance"
    footer = f"per cent from today · {how} · {stamp}"
    return card(
        "What would it take?", body, footer, "the nearest move of all prices together",
        source="/api/v1/what-if/reverse",
    )  # fmt: skip


def asked(millions: object) -> float:
    """USD of the field. Raises `InputError` for what is not a positive number."""
    good = isinstance(millions, int | float) and not isinstance(millions, bool) and math.isfinite(millions)
    if not good or millions <= 0:  # type: ignore[operator]
        raise rc.InputError("the amount: expected a number of USD million above 0")
    return float(millions) * MILLION  # type: ignore[arg-type]


def with_run(source: PageData, snapshot: str | None = None) -> tuple[LoadedMarket, ShownRun]:
    """The market and the run whose scenario measures the distance. Raises `Unavailable`."""
    loaded = source.loaded(snapshot)
    run = source.run(loaded.market.snapshot)
    if run is None:
        raise Unavailable(
            "No calibrated scenario yet", "How likely moves are is not known before one is stored:", NO_RUN
        )
    return loaded, run


def says(found: Answer, loaded: LoadedMarket) -> list[Any]:
    """The answer in words, and the accounts most hit."""
    stress, horizon = found.stress, found.stress.scenario.horizon.total_seconds() / 3600
    what = MEASURES[stress.measure]
    if stress.distance == 0:
        return [html.P(f"Nothing has to move: {fmt.money(stress.reached_usd)} of {what} follows from today's prices.")]
    largest = [f"{named(name)} {percent(move)}" for name, move in found.moved[:3]]
    law = f"the law of the newest run ({marked(found.law)})" if found.law else "the law of the newest run"
    if not stress.exact_law:
        law = "the normal law of the same covariance"
    n = stress.outcome.n_accounts
    some = f"{fmt.count(n)} account{'s' if n != 1 else ''}"
    rest = " and what moves with them" if len(found.moved) > len(largest) else ""
    lines = [
        html.P(
            [
                html.B(", ".join(largest)),
                f"{rest}: {fmt.money(stress.reached_usd)} of {what}, {some} below health factor 1.",
            ]
        ),
        html.P(
            [
                html.B(f"{stress.distance:.2f} standard deviations"),
                f" over {fmt.hours(horizon)}. A move as far in this direction has a chance of ",
                html.B(chance(stress.chance)),
                f", in any direction {chance(stress.chance_any)}, under {law}. These are chances of price moves at the "
                f"end of {fmt.hours(horizon)}, not of the loss: other moves reach it too.",
            ],
            className="t2",
        ),
        html.P(
            [
                pill("flat", "best found"),
                f" of {fmt.count(stress.n_tried)} moves looked at, not proven the least. The sliders move groups of "
                f"assets in whole steps: with them {fmt.money(found.sliders_usd)} of {what}.",
            ],
            className="t2 micro",
        ),
    ]
    at = stress.most_hit(ACCOUNTS)
    usd = stress.outcome.account_repaid_usd if stress.measure == "liquidated" else stress.outcome.account_deficit_usd
    rows = [
        (
            address(str(loaded.market.accounts[stress.outcome.liquidatable[k]])),
            fmt.health_factor(float(stress.outcome.liquidatable_health[k])),
            fmt.money(float(stress.outcome.account_debt_usd[k])),
            fmt.money(float(usd[k])),
        )
        for k in at
    ]
    head = (
        ("Most hit", False),
        ("HF", True),
        ("Debt", True),
        ("Repaid" if stress.measure == "liquidated" else "Deficit", True),
    )
    return [*lines, table(head, rows, tight=True)]


def percent(move: float) -> str:
    """A relative move in per cent with one decimal: `−12.3 %`."""
    return f"{100 * move:+.1f}\u202f%".replace("-", fmt.MINUS)


def chance(value: float) -> str:
    """A chance; a small one as `1 in n`."""
    if value >= 1e-3:
        return fmt.share(value, 2 if value < 0.1 else 1)
    if value < 1e-9:
        return "less than 1 in a billion"
    return f"1 in {fmt.count(float(f'{1 / value:.2g}'))}"


def refused(error: Exception) -> Any:
    """Why there is no answer."""
    if isinstance(error, Unavailable):
        return empty(error.title, error.text, error.command)
    return empty("No such move was found", marked(str(error), 400))


def reverse_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/what-if/reverse?liquidated_usd=5e6` or `?deficit_usd=1e5`; without either, what the page opens with."""
    loaded, run = with_run(source)
    given = [(name, query[f"{name}_usd"]) for name in MEASURES if f"{name}_usd" in query]
    if len(given) > 1:
        raise rc.InputError("the query: expected one of liquidated_usd and deficit_usd, found both")
    if given:
        measure, text = given[0]
        try:
            usd = float(text)
        except ValueError:
            raise rc.InputError(f"{measure}_usd: expected a number of USD, found {text[:40]!r}") from None
    else:
        measure, usd = "liquidated", start_target(loaded, "liquidated")
    found = answer(loaded, run, measure, usd)
    stress = found.stress
    at = stress.most_hit(100)
    outcome = stress.outcome
    return {
        "measure": measure,
        "target_usd": stress.target_usd,
        "reached_usd": stress.reached_usd,
        "distance": stress.distance,
        "chance_this_direction": stress.chance,
        "chance_any_direction": stress.chance_any,
        "chance_is_of_the_law": stress.exact_law,
        "law": run.law,
        "horizon_hours": run.horizon_hours,
        "proven_least": False,
        "moves_looked_at": stress.n_tried,
        "factors": [
            {"factor": name, "log_move": float(y), "move": float(m)}
            for name, y, m in zip(stress.scenario.factors, stress.log_move, stress.moves, strict=True)
        ],
        "n_accounts": outcome.n_accounts,
        "repaid_usd": outcome.repaid_usd,
        "seized_usd": outcome.seized_usd,
        "deficit_usd": outcome.deficit_usd,
        "most_hit": [
            {
                "address": str(loaded.market.accounts[outcome.liquidatable[k]]),
                "health_factor": float(outcome.liquidatable_health[k]),
                "debt_usd": float(outcome.account_debt_usd[k]),
                "repaid_usd": float(outcome.account_repaid_usd[k]),
                "deficit_usd": float(outcome.account_deficit_usd[k]),
            }
            for k in at
        ],
        "sliders": found.sliders.to_store() | {"query": found.sliders.to_query(), "usd": found.sliders_usd},
        "block": loaded.market.snapshot.block,
        "is_synthetic": loaded.market.snapshot.synthetic,
    }
