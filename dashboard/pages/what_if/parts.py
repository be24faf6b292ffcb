"""The parts of What-if that change with its outcome: chips, comparison cards, tables."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import address, compare, empty, error_text, pill, table, token, why_none
from dashboard.look.escaping import marked, named
from dashboard.market.drivers import BY_KEY, DRIVERS, PRICE_KEYS
from dashboard.market.lane import State
from dashboard.market.loaded import ShownFigure
from dashboard.market.state import PRESETS, WhatIf, preset_of
from dashboard.pages.what_if.answers import Outcome, Pair
from dashboard.pages.what_if.outlook import WAITING, Comparison, Simulation
from dashboard.pages.what_if.spread_chart import figure_words


def _some(n: float, noun: str) -> str:
    return f"{fmt.count(n)} {noun}{'s' if n != 1 else ''}"


def chips(state: WhatIf) -> list[Any]:
    """Named scenarios; the one in use is on, otherwise a chip says how many drivers differ."""
    on = preset_of(state)
    buttons: list[Any] = []
    for preset in PRESETS:
        style = "chip on" if preset.key == on else "chip"
        chip = ids.of("chip", preset.key)
        buttons.append(html.Button(preset.label, id=chip, className=style, n_clicks=0, title=preset.hint))
    if not on:
        buttons.append(html.Span(f"{_some(len(state.changed), 'driver')} changed", className="chip on plain"))
    return buttons


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
    out = [
        compare(
            component_id,
            label,
            fmt.money(pair.scenario),
            fmt.money(pair.baseline),
            *_change(pair, fmt.money(abs(pair.change))),
            title=fmt.money_full(pair.scenario),
        )
        for component_id, label, pair in money
    ]
    n = outcome.accounts
    words, tone = _change(n, f"{fmt.count(abs(n.change))} of {fmt.count(outcome.n_with_debt)}")
    out.append(compare("cmp-accounts", "Accounts", fmt.count(n.scenario), fmt.count(n.baseline), words, tone))
    return [dbc.Col(one, width=6, xl=3) for one in out]


def verdict(outcome: Outcome) -> tuple[Any, Any]:
    """(severity, sentence) of what happens at once at these prices."""
    state, repaid, deficit = outcome.state, outcome.repaid.scenario, outcome.deficit.scenario
    case = moved_words(state)
    if repaid <= 0 and deficit <= 0:
        return pill("ok", "Nothing falls"), [html.B("Nothing is liquidated"), f" {case}."]
    n = outcome.accounts.scenario
    text = [html.B(f"{fmt.money(repaid)} of debt is repaid at once"), f" {case}, by {_some(n, 'account')}"]
    if outcome.sold and repaid > 0:
        text.append(f"; most of what is sold is {named(outcome.sold[0][0])}")
    if deficit > 0:
        text.append(f"; {fmt.money(deficit)} of debt is left without collateral")
    bad = deficit > BAD_SHARE * repaid
    words = ("crit", "Deficit") if bad else ("watch", "Liquidations")
    rule = f"Deficit: above {BAD_SHARE * 100:g}\u202f% of the debt repaid at these prices"
    return pill(*words, rule), [*text, "."]


BAD_SHARE = 0.01
"""Deficit over debt repaid from which the verdict is about the deficit. Our choice; it is said on screen."""
NAMED_MOVES = 3


def moved_words(state: WhatIf) -> str:
    """The moved prices in words: `if ETH falls 20 % and USDC 10 %`.

    >>> moved_words(WhatIf(eth=-0.2, btc=0.1))
    'if ETH falls 20\u202f% and BTC rises 10\u202f%'
    """
    if not state.moved:
        return "at today's prices"
    size = {key: abs(getattr(state, key)) for key in state.moved}
    order = sorted(state.moved, key=lambda key: -size[key])
    words = [
        f"{BY_KEY[key].label} {'falls' if getattr(state, key) < 0 else 'rises'} {fmt.move(size[key]).lstrip('+')}"
        for key in order[:NAMED_MOVES]
    ]
    more = len(order) - len(words)
    if more:
        words.append(f"{more} more {'moves' if more == 1 else 'move'}")
    return "if " + (" and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + f" and {words[-1]}")


def values_of(state: WhatIf, group: str) -> str:
    """The values of a group of drivers in one line, so that folding it hides nothing."""
    drivers = [driver for driver in DRIVERS if driver.group == group]
    if any(driver.key in PRICE_KEYS for driver in drivers):
        moved = [d.key for d in drivers if d.key in state.moved]
        return f"{len(moved)} changed" if moved else "as today"
    shown = []
    for driver in drivers:
        value = getattr(state, driver.key) * driver.scale
        if driver.key == "limits":
            shown.append("with limits" if state.limited else "no limits")
        elif value != driver.baseline or driver.key in ("vol", "hours"):
            unit = "×" if driver.unit == "×" else f"\u202f{driver.unit}" if driver.unit else ""
            text = f"×\u202f{value:g}" if unit == "×" else f"{value:g}{unit}".replace("-", fmt.MINUS)
            shown.append(f"{driver.short} {text}")
    return " · ".join(shown)


def all_values(state: WhatIf) -> tuple[list[str], list[str]]:
    """(values, class) of every group of drivers, in their order; blue where one of them is changed."""
    groups = list(dict.fromkeys(driver.group for driver in DRIVERS))
    changed = {BY_KEY[key].group for key in state.changed}
    return [values_of(state, name) for name in groups], ["sum chg" if name in changed else "sum" for name in groups]


def paths_note(result: Simulation) -> str:
    """How many paths are in the distribution, and what lies beyond its axis."""
    held = result.spread
    if held.partial:
        return f"{fmt.count(held.n_paths)} of {fmt.count(held.of_paths)} paths"
    beyond = held.beyond[1] if held.changed else held.beyond[0]
    more = f" · {fmt.share(beyond, 2)} beyond →" if beyond > 0 else ""
    return f"{fmt.count(held.n_paths)} paths{more}"


def then_says(result: Simulation) -> str:
    """The second half of the verdict: what the horizon after the move may bring, beside a day without the move."""
    waits = next((row.scenario for row in result.rows if row.label == WAITING[0].label), None)
    if waits is not None:
        words = figure_words(waits, partial=False)
        return f" Within {fmt.hours(result.horizon_hours)}, one path in a hundred leaves {words} or more waiting."
    base, then = result.spread.lar
    if then.few_draws:
        return ""
    words = figure_words(then, partial=result.spread.partial)
    text = f" Within {fmt.hours(result.horizon_hours)}, one path in a hundred brings {words} or more"
    if not result.spread.changed or base.few_draws or base.value <= 0:
        return f"{text}."
    return f"{text}, {then.value / base.value:.1f} times the baseline's."


def pinned(outcome: Outcome) -> list[html.Div]:
    """The two figures that stay visible on a phone while a slider is dragged."""
    return [
        html.Div(
            [
                html.Div(label, className="l"),
                html.Div(fmt.money(pair.scenario), className="v"),
                html.Div(f"baseline {fmt.money(pair.baseline)}", className="micro t2"),
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
        return table(head, rows, tight=True), _some(outcome.accounts.scenario, "account")
    if outcome.nearest is None:
        return empty("No account has debt", "Nothing can be liquidated."), ""
    near = outcome.nearest
    words = f", has HF {fmt.health_factor(near.health_factor, 3)} and {fmt.money(near.debt_usd)} of debt."
    text = ["No account falls below HF 1. The closest, ", address(near.address), words]
    return empty("Nothing to liquidate", text), ""


def outlook_table(result: Simulation) -> html.Table:
    """Baseline, scenario, difference and its error for each measure."""
    head = (("", False), ("Baseline", True), ("Scenario", True), ("Difference", True), ("Error", True))
    return table(head, [_comparison(row) for row in result.rows], tight=True)


def wait_words(state: State) -> str:
    """The state of a simulation in words: how many come before it, or how much of it is done."""
    if state.name == "running":
        return f"Simulating, {fmt.share(state.share, 0)} done"
    return f"Waiting: {_some(state.ahead, 'simulation')} before this one" if state.ahead else "Starts now"


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
