"""The parts of What-if that change with its outcome: chips, comparison cards, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, compare, empty, error_text, table, token, why_none
from dashboard.look.escaping import marked
from dashboard.market.governance import value_of
from dashboard.market.lane import State
from dashboard.market.loaded import LoadedMarket, ShownFigure
from dashboard.market.state import PRESETS, WhatIf, preset_of
from dashboard.market.terms import FIELDS, parted
from dashboard.pages.what_if import wording
from dashboard.pages.what_if.answers import Outcome, Pair
from dashboard.pages.what_if.compared import ON_THE_WAY, Comparison
from dashboard.pages.what_if.on_the_way import PATHS as ON_THE_WAY_PATHS
from dashboard.pages.what_if.outlook import Simulation

MOST_SAVED = 100
LONGEST_NAME = 40
OWN = "own:"
"""Begins the key of a chip of the reader's own, so that no name is that of a preset."""


def chips(state: WhatIf, saved: object = None) -> list[Any]:
    """Named scenarios and the reader's own; the one in use is on, else a chip says how many drivers differ.

    saved: name to drivers, as the browser kept it, which may be anything.
    """
    on = preset_of(state)
    buttons: list[Any] = []
    for preset in PRESETS:
        style = "chip on" if preset.key == on else "chip"
        chip = ids.of("chip", preset.key)
        buttons.append(html.Button(preset.label, id=chip, className=style, n_clicks=0, title=preset.hint))
    own = saved.items() if isinstance(saved, Mapping) else ()
    for name, drivers in list(own)[:MOST_SAVED]:
        if not isinstance(name, str) or not isinstance(drivers, Mapping):
            continue
        same = WhatIf.from_store(drivers).to_store() == state.to_store()
        on = on or (name if same else "")
        text = marked(name, LONGEST_NAME)
        buttons.append(
            html.Span(
                [
                    html.Button(text, id=ids.of("chip", OWN + name), n_clicks=0, title="Saved in this browser"),
                    html.Button("×", id=ids.of("forget", name), n_clicks=0, **{"aria-label": f"Forget {text}"}),
                ],
                className="chip own on" if same else "chip own",
            )
        )
    if not on:
        n = len(state.changed) + len(state.terms)
        buttons.append(html.Span(f"{fmt.some(n, 'driver')} changed", className="chip on plain"))
    return buttons


def terms(loaded: LoadedMarket, state: WhatIf, problems: Sequence[str] = ()) -> list[Any]:
    """The changed parameters by reserve and e-mode, each with a button that takes it back; what could not be used."""
    by_name: dict[str, list[str]] = {}
    for key, value in state.terms:
        name, field = parted(key)
        before = value_of(loaded.market, name, field)
        old = wording.percent(before) if before >= 0 else "none"
        by_name.setdefault(name, []).append(f"{FIELDS[field]} {old} → {wording.percent(value)}")
    rows: list[Any] = [
        html.Div(
            [
                html.Span([html.B(wording.term_name(name)), html.Span(", ".join(changes), className="t2")]),
                html.Button("×", id=ids.of("drop", name), n_clicks=0, className="rs",
                            **{"aria-label": f"Take back the change of {wording.term_name(name)}"}),
            ],
            className="term",
        )
        for name, changes in by_name.items()
    ]  # fmt: skip
    rows += [html.Div(marked(text, 400), className="no", role="alert") for text in problems]
    where = html.A("What if a parameter changes?", href=f"#{ids.TERMS_CARD}")
    return [*rows, html.Div(["Set one in ", where, ", then “Use it above”."], className="cap")]


def _change(pair: Pair, text: str) -> tuple[str, str]:
    """(words, tone) of a difference: more is worse."""
    if pair.change == 0:
        return "no change", "t2"
    return (f"▲ {text}", "worse") if pair.change > 0 else (f"▼ {text}", "better")


def cards(outcome: Outcome) -> list[dbc.Col]:
    """Four comparisons: debt repaid, collateral seized, deficit, accounts."""
    money = (
        ("cmp-repaid", "Debt repaid now", outcome.repaid),
        ("cmp-seized", "Collateral seized", outcome.seized),
        ("cmp-deficit", "Deficit", outcome.deficit),
    )
    beside = outcome.state.sides[0]
    out = [
        compare(
            component_id,
            label,
            fmt.money(pair.scenario),
            fmt.money(pair.baseline),
            *_change(pair, fmt.money(abs(pair.change))),
            title=fmt.money_full(pair.scenario),
            beside=beside,
        )
        for component_id, label, pair in money
    ]
    n = outcome.accounts
    words, tone = _change(n, f"{fmt.count(abs(n.change))} of {fmt.count(outcome.n_with_debt)}")
    then, now = fmt.count(n.scenario), fmt.count(n.baseline)
    out.append(compare("cmp-accounts", "Accounts", then, now, words, tone, beside=beside))
    return [dbc.Col(one, width=6, xl=3) for one in out]


def pinned(outcome: Outcome) -> list[html.Div]:
    """The two figures that stay visible on a phone while a slider is dragged."""
    return [
        html.Div(
            [
                html.Div(label, className="l"),
                html.Div(fmt.money(pair.scenario), className="v"),
                html.Div(f"{outcome.state.sides[0]} {fmt.money(pair.baseline)}", className="micro t2"),
            ]
        )
        for label, pair in (("Debt repaid now", outcome.repaid), ("Deficit", outcome.deficit))
    ]


def accounts(outcome: Outcome) -> tuple[Any, str]:
    """The accounts that fall, and how many; or how far the closest one is."""
    if outcome.first:
        head = (("Account", False), ("HF", True), ("Debt", True), ("Repaid", True), ("Sells", False))
        rows = [
            (
                address(r.address),
                fmt.health_factor(r.health_factor),
                fmt.money(r.debt_usd),
                fmt.money(r.repaid_usd),
                token(r.collateral),
            )
            for r in outcome.first
        ]
        return table(head, rows, tight=True), fmt.some(outcome.accounts.scenario, "account")
    if outcome.nearest is None:
        return empty("No account has debt", "Nothing can be liquidated."), ""
    near = outcome.nearest
    words = f", has HF {fmt.health_factor(near.health_factor, 3)} and {fmt.money(near.debt_usd)} of debt."
    text = ["No account falls below HF 1. The closest, ", address(near.address), words]
    return empty("Nothing to liquidate", text), ""


def outlook_table(result: Simulation, sides: tuple[str, str] = ("baseline", "scenario")) -> html.Div:
    """Both sides, difference and its error for each measure; below it what "on the way there" means, if it is said."""
    base, then = (name[0].upper() + name[1:] for name in sides)
    head = (("", False), (base, True), (then, True), ("Difference", True), ("Error", True))
    parts: list[Any] = [table(head, [_comparison(row) for row in result.rows], tight=True)]
    if any(row.label == ON_THE_WAY.label for row in result.rows):
        words = (
            f"On the way there: {fmt.count(ON_THE_WAY_PATHS)} paths from today's prices that end at these after "
            f"{fmt.hours(result.horizon_hours)}; the others begin at these prices."
        )
        parts.append(html.P(words, className="t2 micro pad"))
    return html.Div(parts)


def wait_words(state: State) -> str:
    """The state of a simulation in words: how many come before it, or how much of it is done."""
    if state.name == "running":
        return f"Simulating, {fmt.share(state.share, 0)} done"
    return f"Waiting: {fmt.some(state.ahead, 'simulation')} before this one" if state.ahead else "Starts now"


def outlook_note(result: Simulation) -> str:
    """Horizon, paths, seed and code of a simulation, in one line."""
    paths = f"{fmt.count(result.n_paths)} paths" + (f" · {result.limits}" if result.limits else "")
    return marked(f"{fmt.hours(result.horizon_hours)} · {paths} · seed {result.seed} · code {result.code_version}")


def _comparison(row: Comparison) -> tuple[Any, ...]:
    if row.unit == "USD":
        change, error = fmt.money_change(row.change), fmt.money_error(row.error, row.error)
    else:
        change = f"{row.change * 100:+.1f} pt".replace("-", fmt.MINUS)
        error = f"{fmt.PLUS_MINUS}{fmt.NO_BREAK}{row.error * 100:.1f}"
    if row.clear:
        tone = "" if not row.is_loss else "worse" if row.change > 0 else "better"
        difference = html.Span(change, className=f"b6 {tone}".rstrip())
    else:
        difference = html.Span("≈ 0", className="t2", title="No clear difference")
    # Without losses there is no error to show; with losses on few paths it would be wrong.
    both = (row.baseline, row.scenario)
    known = not (all(one.few_draws for one in both) or all(one.no_interval for one in both))
    return (
        row.label,
        html.Span(_value(row.baseline, row.unit), className="t2"),
        html.Span(_value(row.scenario, row.unit), className="b6"),
        difference,
        html.Span(error if known else fmt.MISSING, className="t3"),
    )


def _value(estimate: ShownFigure, unit: str) -> Any:
    text = fmt.money(estimate.value) if unit == "USD" else fmt.share(estimate.value)
    if estimate.few_draws and estimate.value > 0:
        few = html.Div("few draws", className="t3 micro")  # below the figure: beside it there is no room
        return html.Div([text, few], title="Fewer than 30 paths carry it")
    if estimate.no_interval and estimate.value > 0:
        return html.Span(text, title=why_none(estimate))
    interval = f"95\u202f%: {error_text(estimate)}" if unit == "USD" and estimate.value > 0 else None
    return html.Span(text, title=interval)
