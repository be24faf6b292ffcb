"""Clusters: do liquidations come in bursts, and how likely is one?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import Dash, Input, Output, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, graph, legend, pill, row, segmented, strip, table
from dashboard.look.escaping import named
from dashboard.look.shell import Page
from dashboard.market.clusters import ClusterFit
from dashboard.market.page_data import PageData, Unavailable
from dashboard.pages.clusters import charts
from dashboard.pages.clusters.compared import compared_card, compared_json
from data.liquidations import HOUR

FILL = "python -m flows liquidation-clusters"
MODELS = 5
"""Models that a run of this version fits."""
DAYS = {"7": "7 d", "30": "30 d", "90": "90 d"}


def build(source: PageData, _search: str) -> html.Div:
    """The page of the newest fit; its charts are filled by the callbacks."""
    fit = stored(source)
    chances = fit.chances
    days = html.Div(
        [segmented(ids.CLUSTERS_DAYS, [(text, key) for key, text in DAYS.items()], "30", "Time shown")], className="bar"
    )
    chance = card(
        "Chance of a burst",
        graph(ids.CLUSTERS_CHANCE, 240, "Chance of a burst in the day after each midnight"),
        f"{fmt.count(chances.n_paths)} paths each · band: 95\u202f% of the simulation · "
        "parameters of the whole window, "
        "so past values are not forecasts made at the time",
        burst(fit),
        legend([("scenario", "fitted", "solid"), ("text-3", "Poisson", "dashed")]),
        source="/api/v1/clusters/chances",
    )
    models = card(
        "Better than a simpler model?",
        models_table(fit),
        "log-likelihood in nats; per event above Poisson below it and on days not seen · the last quarter is judged "
        "by a fit to the rest · chances and charts are those of one exponential",
        "smaller AIC is better",
        flush=True,
        source="/api/v1/clusters/fit",
    )
    seen = card(
        "Expected per hour, and seen",
        [days, graph(ids.CLUSTERS_INTENSITY, 320, "Expected liquidations per hour, and each liquidation as a tick")],
        f"one tick per liquidation, its height by amount · dashed: rate without earlier liquidations · {window(fit)}",
        "all kinds, UTC",
        source="/api/v1/clusters/fit",
    )
    matrix = card(
        "What sets off what",
        branching_table(fit),
        "row: followers brought by one liquidation of the column · 95\u202f% interval · ≈ 0: it reaches below 0.01",
        "direct followers",
        flush=True,
        source="/api/v1/clusters/fit",
    )
    check = card(
        "Does the model fit?",
        graph(ids.CLUSTERS_RESIDUALS, 240, "Rescaled waiting times against those of a right model"),
        f"grey: 95\u202f% band of a right model · KS distance {fit.ks_statistic:.3f}, P {fit.ks_p:.2f}, too large "
        "for a model fitted to the same events",
        "rescaled waiting times",
        legend([("scenario", "fitted", "solid"), ("text-3", "Poisson", "dashed")]),
        source="/api/v1/clusters/fit",
    )
    return html.Div(
        [
            verdict(fit),
            strip(facts(fit)),
            row([(chance, {"xl": 6}), (models, {"xl": 6})]),
            row([(seen, {})]),
            row([(compared_card(fit), {})]),
            row([(matrix, {"xl": 6}), (check, {"xl": 6})]),
            row([(hours_card(fit), {})]),
        ],
        className="page",
    )


def hours_card(fit: ClusterFit) -> Any:
    """The base rate by hour of the day."""
    title = "Does the hour of the day matter?"
    if fit.day_rates is None:
        return card(title, empty("Not fitted yet", "The next run fits a rate for each hour:", FILL), source="")
    model = next((one for one in fit.models if "hour" in one.name), None)
    gain = "" if model is None else f" · {_gain(model.gain_out_of_sample - fit.gain_out_of_sample)} on days not seen"
    return card(
        title,
        graph(ids.CLUSTERS_HOURS, 240, "Liquidations per hour without earlier ones, by hour of the day"),
        "liquidations an hour that no earlier one brought, all kinds together, UTC · whisker: 95\u202f% interval · "
        f"dashed: constant rate{gain}",
        "rate without earlier liquidations, by hour",
        source="/api/v1/clusters/hours",
    )


def _gain(value: float) -> str:
    """What the hours add per event over constant rates."""
    return f"{value:+.2f} nats an event over constant rates".replace("-", fmt.MINUS)


def stored(source: PageData) -> ClusterFit:
    """The newest fit. Raises `Unavailable` that names the command."""
    fit = source.clusters()
    if fit is None:
        text = "No process is fitted to this market's liquidations yet; it needs at least 200 of them. This fits one:"
        raise Unavailable("Liquidations are not fitted yet", text, FILL)
    return fit


def burst(fit: ClusterFit) -> str:
    """What counts as a burst, in words."""
    chances = fit.chances
    within, ahead = fmt.hours(chances.within_seconds / HOUR), fmt.hours(chances.horizon_seconds / HOUR)
    return f"{chances.at_least} or more within {within}, in the next {ahead}"


def verdict(fit: ClusterFit) -> html.Section:
    """How likely the next burst is, compared with the usual level and with independent liquidations."""
    chances = fit.chances
    now, usual = float(chances.probability[-1]), float(np.median(chances.probability))
    severity, word = ("watch", "raised") if chances.low[-1] > usual else ("ok", "usual")
    words: list[Any] = [
        f"A burst ({burst(fit)}) has a chance of ",
        html.B(chance_text(now)),
        f" [{fmt.share(float(chances.low[-1]))} to {fmt.share(float(chances.high[-1]))}], the usual level is ",
        html.B(chance_text(usual)),
        ". If liquidations were independent it would be ",
        html.B(chance_text(float(chances.poisson[-1]), chances.n_paths)),
        ".",
    ]
    return html.Section(
        [pill(severity, word, "Raised: the whole interval lies above the median of the days shown"), html.P(words)],
        className="verdict",
    )


def chance_text(value: float, paths: int = 0) -> str:
    """A probability as per cent; 0 of `paths` paths is written as below 3 / paths, the 95 % limit."""
    return f"below {fmt.share(3 / paths, 2)}" if value == 0 and paths else fmt.share(value)


def facts(fit: ClusterFit) -> list[tuple[str, Any, str]]:
    """The calibration in a line of figures: (label, value, note)."""
    half = np.log(2) / float(fit.model.beta[0, 0, 0]) * 60
    over = (fit.chances.seen == 1).sum(), (fit.chances.seen >= 0).sum()
    expected = float(fit.chances.probability[fit.chances.seen >= 0].sum())
    stable = "stationary" if fit.spectral_radius < 1 else "explosive: no mean rate"
    return [
        ("Liquidations fitted", fmt.count(len(fit.events)), window(fit)),
        ("Spectral radius", f"{fit.spectral_radius:.2f}", stable),
        ("Half-life of excitement", f"{half:.0f}\u00a0min", "shared by all pairs"),
        ("Bursts seen", f"{over[0]} of {over[1]} days", f"{expected:.1f} expected"),
        ("Fitted", fmt.utc(fit.fitted_at), f"version {fit.calibration_id[:8]}"),
    ]


def window(fit: ClusterFit) -> str:
    """Length and end of the fit's time window, in words."""
    return f"{(fit.last_ts - fit.first_ts) / 86_400:.0f} days to {fmt.utc(fit.last_ts)}"


def models_table(fit: ClusterFit) -> Any:
    """What was fitted to the same events, side by side: likelihood, AIC, and what it was worth on days not seen."""
    head = (("Model", False), ("Log-likelihood", True), ("AIC", True), ("Days not seen", True))
    models = fit.models
    best_aic = min(model.aic for model in models if model.converged)
    best_unseen = max(model.gain_out_of_sample for model in models if model.converged)
    rows = []
    for model in models:
        marks: list[Any] = []
        if not model.converged:
            marks.append(pill("crit", "did not converge", "The search did not end where it should: this is no result"))
        elif model.aic == best_aic:
            marks.append(pill("ok", "lowest AIC", "The likeliest after a penalty for each fitted number"))
        if model.converged and model.gain_out_of_sample == best_unseen:
            marks.append(pill("ok", "best unseen", "The likeliest on the last quarter, fitted to the rest"))
        note = f", {model.note}" if model.note else ""
        halves = " and ".join(half_life(hours) for hours in model.half_lives)
        said = f"{model.n_parameters} numbers" + (f", half-life {halves}" if halves else "") + note
        rows.append(
            (
                html.Div([model.name, html.Div(said, className="t2 micro"), *marks]),
                html.Div(
                    [
                        f"{model.log_likelihood:,.1f}".replace("-", fmt.MINUS),
                        _micro(f"{model.gain_in_sample:+.2f} an event"),
                    ]
                ),
                f"{model.aic:,.1f}",
                f"{model.gain_out_of_sample:+.2f}".replace("-", fmt.MINUS),
            )
        )
    body = [table(head, rows, tight=True)]
    if len(models) < MODELS:
        note = "The next run of liquidation-clusters fits the other models beside it."
        body.append(html.P(note, className="t2 micro", style={"padding": "8px 14px"}))
    return html.Div(body)


def half_life(hours: float) -> str:
    """Hours in the unit that suits them."""
    return f"{hours * 60:.0f}\u00a0min" if hours < 2 else fmt.hours(round(hours, 1))


def _micro(text: str) -> html.Div:
    return html.Div(text, className="t2 micro")


def branching_table(fit: ClusterFit) -> Any:
    """Followers of kind i (row) that one event of kind j (column) brings."""
    value = fit.model.branching
    low, high = (np.array(fit.parameters[f"branching_{end}"], dtype=float) for end in ("low", "high"))
    head = (("followers of", False), *((f"one {kind}", True) for kind in fit.kinds))
    rows = []
    for i, kind in enumerate(fit.kinds):
        cells: list[Any] = [named(kind)]
        for j in range(len(fit.kinds)):
            if not np.isfinite(low[i, j]) or low[i, j] < 0.01:
                most = f"up to {high[i, j]:.2f}" if high[i, j] < 1 else "not determined"
                cells.append(html.Div(["≈ 0", html.Div(most, className="t2 micro")]))
            else:
                interval = html.Div(f"{low[i, j]:.2f} to {high[i, j]:.2f}", className="t2 micro")
                cells.append(html.Div([html.B(f"{value[i, j]:.2f}"), interval]))
        rows.append(cells)
    return table(head, rows, tight=True)


def register(app: Dash, source: PageData) -> None:
    """Charts follow the time shown and the theme."""

    @app.callback(
        Output(ids.CLUSTERS_CHANCE, "figure"), Output(ids.CLUSTERS_RESIDUALS, "figure"), Input(ids.THEME, "data")
    )
    def show_fit(theme: str | None) -> tuple[dict, dict]:
        fit = stored(source)
        return charts.chance(fit, theme), charts.residuals(fit, theme)

    @app.callback(Output(ids.CLUSTERS_COMPARED, "figure"), Input(ids.THEME, "data"))
    def show_compared(theme: str | None) -> dict:
        return charts.compared(stored(source), theme)

    @app.callback(Output(ids.CLUSTERS_HOURS, "figure"), Input(ids.THEME, "data"))
    def show_hours(theme: str | None) -> dict:
        return charts.hours(stored(source), theme)

    @app.callback(Output(ids.CLUSTERS_INTENSITY, "figure"), Input(ids.CLUSTERS_DAYS, "value"), Input(ids.THEME, "data"))
    def show_intensity(days: str, theme: str | None) -> dict:
        return charts.intensity(stored(source), theme, int(days))


def chances_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/clusters/chances`."""
    chances = stored(source).chances
    return {name: getattr(chances, name) for name in chances.__slots__}


def fit_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/clusters/fit`."""
    fit = stored(source)
    plain = (
        "market", "kinds", "first_ts", "last_ts", "fitted_at", "calibration_id", "spectral_radius", "gain_in_sample",
        "gain_out_of_sample", "ks_statistic", "ks_p",
    )  # fmt: skip
    return {name: getattr(fit, name) for name in plain} | {
        "parameters": dict(fit.parameters),
        "models": [asdict(model) | {"aic": model.aic} for model in fit.models],
        "n_events": len(fit.events),
        "rates_per_hour": _rates(fit),
    }


def compared(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/clusters/compared`."""
    return compared_json(stored(source))


def hours_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/clusters/hours`: rates per hour from 0 h UTC on, with their intervals, and the constant rate."""
    fit = stored(source)
    found = fit.day_rates
    told = {} if found is None else {"rate": found.rate, "low": found.low, "high": found.high}
    return {"calibration_id": fit.calibration_id, "constant": float(fit.model.mu.mean(axis=1).sum()), **told}


def _rates(fit: ClusterFit) -> list[float]:
    return (np.bincount(fit.events.kinds, minlength=len(fit.kinds)) / fit.events.end).tolist()


def outline() -> html.Div:
    """The parts that the callbacks fill."""
    charted = (
        ids.CLUSTERS_CHANCE, ids.CLUSTERS_INTENSITY, ids.CLUSTERS_RESIDUALS, ids.CLUSTERS_COMPARED, ids.CLUSTERS_HOURS,
    )  # fmt: skip
    return html.Div([*[graph(chart, 240, "") for chart in charted], dbc.RadioItems(id=ids.CLUSTERS_DAYS)])


PAGE = Page(
    "/clusters", "Clusters", "Do liquidations come in bursts?", "clusters", "Markets", build, outline, register,
    {
        "clusters/chances": chances_json, "clusters/fit": fit_json, "clusters/compared": compared,
        "clusters/hours": hours_json,
    },
)  # fmt: skip
