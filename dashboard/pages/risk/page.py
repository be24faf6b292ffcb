"""Risk: where the tail comes from, and how sure it is. Distribution, models, shares, time, reverse stress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, html

from dashboard import ids
from dashboard.look.components import graph
from dashboard.look.shell import Page
from dashboard.market.forecasts import Ledger
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.overview.distribution import repaid_distribution
from dashboard.pages.risk import answers, charts, parts, tables
from dashboard.pages.risk.answers import Answer, Envelope

NOTHING: dict[str, Any] = {"data": [], "layout": {"xaxis": {"visible": False}, "yaxis": {"visible": False}}}


def build(source: PageData, _search: str) -> html.Div:
    """The page of the newest run. Raises `Unavailable`."""
    found = answers.answer(source)
    return html.Div(parts.page(found, models(source, found)), className="page")


def models(source: PageData, found: Answer) -> Envelope | None:
    """The figure by every model; without the record of forecasts where that cannot be read."""
    ledger: Ledger | None = None
    try:
        ledger = source.forecasts()
    except Unavailable:
        ledger = None
    return answers.envelope(found, ledger)


def register(app: Dash, source: PageData) -> None:
    """Charts follow the theme, shares the chosen figure; the nearest moves are searched once the page is shown."""

    @app.callback(
        Output(ids.RISK_DISTRIBUTION, "figure"),
        Output(ids.RISK_ENVELOPE, "figure"),
        Output(ids.RISK_HEAT, "figure"),
        Output(ids.RISK_CONVERGENCE, "figure"),
        Output(ids.RISK_BEGUN, "figure"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT, "data"),
    )
    def show_charts(theme: str | None, snapshot: str | None) -> tuple[dict, ...]:
        return drawn(source, theme, snapshot)

    @app.callback(
        Output(ids.RISK_SHARES, "children"),
        Input(ids.RISK_MEASURE, "value"),
        Input(ids.RISK_LEVEL, "value"),
        State(ids.SNAPSHOT, "data"),
    )
    def show_shares(measure: str, level: str, snapshot: str | None) -> list[Any]:
        found = answers.answer(source, snapshot)
        return parts.cuts(found, *answers.chosen({"measure": measure, "level": level}))

    @app.callback(Output(ids.RISK_NEAREST, "children"), Input(ids.SNAPSHOT, "data"))
    def show_nearest(snapshot: str | None) -> list[Any]:
        return tables.nearest(answers.answer(source, snapshot))


def drawn(source: PageData, theme: str | None, snapshot: str | None) -> tuple[dict, ...]:
    """The figures of the page's five charts; an empty one where nothing is stored."""
    found = answers.answer(source, snapshot)
    beside, hot = models(source, found), answers.heat(found)
    return (
        distribution(found, theme) if found.run.histogram else NOTHING,
        charts.envelope(beside, theme, parts.TOP) if beside else NOTHING,
        charts.heat(hot, theme) if hot and hot.rows else NOTHING,
        charts.convergence(found, theme) if found.tail.convergence else NOTHING,
        charts.first_liquidation(found, theme) if found.tail.steps else NOTHING,
    )


def distribution(found: Answer, theme: str | None) -> dict:
    """The chart of debt repaid with every quantile that enough paths carry."""
    levels = tuple(
        level
        for level in answers.LEVELS
        if (one := found.run.get("lar_repaid", level)) is not None and not one.few_draws
    )
    most = found.tail.histogram
    fine = None if most is None else {"edges": most.edges, "count": most.count, "beyond": most.beyond}
    return repaid_distribution(found.run, theme, parts.TOP, fine, levels)


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    charted = (
        ids.RISK_DISTRIBUTION, ids.RISK_ENVELOPE, ids.RISK_HEAT, ids.RISK_CONVERGENCE, ids.RISK_BEGUN,
    )  # fmt: skip
    return html.Div(
        [
            *[graph(chart, 220, "") for chart in charted],
            *[dbc.RadioItems(id=choice) for choice in (ids.RISK_MEASURE, ids.RISK_LEVEL)],
            *[html.Div(id=part) for part in (ids.RISK_SHARES, ids.RISK_NEAREST)],
        ]
    )


def shares_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/risk/shares?measure=es_repaid&level=0.99`: the parts of one figure."""
    found = answers.answer(source)
    measure, level = answers.chosen(query)
    one = answers.shares_of(found, measure, level)
    if one is None:
        raise Unavailable("No shares yet", "The run was stored by an older version.", answers.NO_RUN)
    sets = {name: getattr(one, name) for name in ("reserves", "sold", "accounts", "drivers")}
    return {
        "measure": measure, "level": level, "value_usd": one.value, "n_draws": one.n_draws,
        "no_shares": one.reason or None, "other_accounts": one.other_accounts,
        **{name: [{field: getattr(part, field) for field in part.__slots__} for part in rows]
           for name, rows in sets.items()},
        **_stamp(found),
    }  # fmt: skip


def tail_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/risk/tail`: models, steps, convergence and the distribution, as the charts show them."""
    found = answers.answer(source)
    beside, hot = models(source, found), answers.heat(found)
    steps = found.tail.steps
    return {
        "models": [
            {"name": one.model.name, "group": one.model.group, "words": one.model.words, "in_use": one.model.in_use,
             "forecasts": one.standing or None, "n_paths": one.model.n_paths, "value_usd": one.model.figure.value,
             "low_usd": one.model.figure.low, "high_usd": one.model.figure.high,
             "few_draws": one.model.figure.few_draws}
            for one in (beside.models if beside else ())
        ],
        "envelope_usd": [beside.low, beside.high] if beside else None,
        "seized_usd": {"hours": hot.hours, "of_the_worst": hot.n_draws if hot.tail else None,
                       "rows": [{"reserve": row.name or "others", "usd": row.usd} for row in hot.rows]}
        if hot else None,
        "begun": {"hours": [0, *steps.hours], "all": answers.begun(steps.first),
                  "worst": answers.begun(steps.tail_first) if steps.tail_first else None} if steps else None,
        "convergence": [{name: getattr(one, name) for name in one.__slots__} for one in found.tail.convergence],
        "histogram": dict(found.run.histogram),
        **_stamp(found),
    }  # fmt: skip


def nearest_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/risk/nearest`: the nearest moves that reach the page's targets."""
    found = answers.answer(source)
    rows = []
    for words, usd, one in answers.nearest(found):
        row: dict[str, Any] = {"target": words, "target_usd": usd}
        if isinstance(one, str):
            rows.append(row | {"refused": one})
            continue
        rows.append(
            row
            | {
                "measure": one.stress.measure,
                "distance": one.stress.distance,
                "chance_this_direction": one.stress.chance,
                "moves": dict(one.moved),
                "query": one.sliders.to_query(),
            }
        )
    return {"nearest": rows, **_stamp(found)}


def _stamp(found: Answer) -> dict[str, Any]:
    run = found.run
    return {
        "unit": "USD", "horizon_hours": run.horizon_hours, "n_paths": run.n_paths, "seed": run.seed, "law": run.law,
        "block": run.block, "code_version": run.code_version, "is_synthetic": run.synthetic,
    }  # fmt: skip


PAGE = Page(
    "/risk", "Risk", "Where does the tail come from, and how sure is it?", "risk", "Risk", build, outline, register,
    {"risk/shares": shares_json, "risk/tail": tail_json, "risk/nearest": nearest_json},
)  # fmt: skip
