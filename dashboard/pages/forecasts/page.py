"""Forecasts: was the model right? Each forecast with its outcome, and the record of every law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, html

from dashboard import ids
from dashboard.look.components import row
from dashboard.look.shell import Page
from dashboard.market.forecasts import Ledger
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.forecasts import answers
from dashboard.pages.forecasts.answers import Shown
from dashboard.pages.forecasts.cards import (
    FILL,
    calibration_card,
    count_card,
    evidence_card,
    exceptions_card,
    ledger_card,
    sealed_card,
    series_text,
    verdict,
)
from dashboard.pages.forecasts.law_cards import compared_card, record_card


def build(source: PageData, _search: str) -> html.Div:
    """The page with the most tested series; the choice selects another."""
    ledger = stored(source)
    shown = answers.chosen(ledger, None)
    options = [{"label": series_text(law, h), "value": answers.key_of(law, h)} for law, h in ledger.series()]
    pick = dbc.Select(
        options, answers.key_of(shown.law, shown.horizon_seconds), id=ids.FORECASTS_SERIES, className="pick"
    )
    bar = html.Div([html.Label("Law and window", htmlFor=ids.FORECASTS_SERIES, className="t2"), pick], className="bar")
    return html.Div(
        [bar, html.Div(parts(ledger, shown, None), id=ids.FORECASTS_PARTS, className="page")], className="page"
    )


def stored(source: PageData) -> Ledger:
    """The stored ledger. Raises `Unavailable`, which names the command."""
    found = source.forecasts()
    if found is None:
        text = "No forecast of this market was compared with its outcome yet. This joins them with the stored events:"
        raise Unavailable("Forecasts are not tested yet", text, FILL)
    return found


def parts(ledger: Ledger, shown: Shown, theme: str | None) -> list[Any]:
    """The page below the choice."""
    return [
        verdict(shown),
        row([(ledger_card(shown, theme), {})]),
        row([(count_card(shown, theme), {"xl": 4}), (calibration_card(shown, theme), {"md": 6, "xl": 4}),
             (evidence_card(shown, theme), {"md": 6, "xl": 4})]),
        row([(record_card(ledger, shown), {})]),
        row([(compared_card(ledger, shown, theme), {})]),
        row([(exceptions_card(shown), {"xl": 6}), (sealed_card(shown), {"xl": 6})]),
    ]  # fmt: skip


def register(app: Dash, source: PageData) -> None:
    """The page follows the chosen series and the theme."""

    @app.callback(
        Output(ids.FORECASTS_PARTS, "children"), Input(ids.FORECASTS_SERIES, "value"), Input(ids.THEME, "data")
    )
    def show(key: str | None, theme: str | None) -> list[Any]:
        ledger = stored(source)
        return parts(ledger, answers.chosen(ledger, key), theme)


def ledger_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/forecasts/ledger`: the forecasts of a series (`series`, default the one tested most)."""
    shown = answers.chosen(stored(source), query.get("series"))
    return _head(shown) | {"unit": "USD", "forecasts": [asdict(one) for one in shown.told]}


def records_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/forecasts/records`: every law and window at every level."""
    ledger = stored(source)
    return {"market": ledger.market, "unit": "USD", "records": [asdict(record) for record in ledger.records]}


def calibration_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/forecasts/calibration`: shares of outcomes by level, with the band of right forecasts."""
    shown = answers.chosen(stored(source), query.get("series"))
    return _head(shown) | {"unit": "share of windows", "places": [asdict(place) for place in answers.places(shown)]}


def evidence_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/forecasts/evidence`: the bet against the expected shortfall after each forecast."""
    shown = answers.chosen(stored(source), query.get("series"))
    steps = [{"ts": one.valid_until, "evidence": one.evidence} for one in shown.tested if one.evidence is not None]
    return _head(shown) | {"unit": "multiple of the stake", "alarm": answers.ALARM, "steps": steps}


def compared_json(source: PageData, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/forecasts/compared`: the loss of every other law of the same windows beyond that of a series."""
    ledger = stored(source)
    shown = answers.chosen(ledger, query.get("series"))
    found = [asdict(one) for one in answers.compared(ledger, shown)]
    return _head(shown) | {"unit": "USD a window", "level": answers.JUDGED, "laws": found}


def _head(shown: Shown) -> dict[str, Any]:
    return {"law": shown.law, "horizon_seconds": shown.horizon_seconds, "is_synthetic": shown.synthetic}


def outline() -> html.Div:
    """The parts that the callback fills."""
    return html.Div([dbc.Select(id=ids.FORECASTS_SERIES), html.Div(id=ids.FORECASTS_PARTS)])


PAGE = Page(
    "/forecasts", "Forecasts", "Was the model right?", "forecasts", "Risk", build, outline, register,
    {
        "forecasts/ledger": ledger_json, "forecasts/records": records_json, "forecasts/calibration": calibration_json,
        "forecasts/evidence": evidence_json, "forecasts/compared": compared_json,
    },
)  # fmt: skip
