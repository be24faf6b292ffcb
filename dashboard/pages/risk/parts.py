"""The Risk page as cards: its charts and the shares; cards of figures in rows are in `tables`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import (
    address,
    banner,
    card,
    empty,
    error_text,
    graph,
    legend,
    pill,
    row,
    segmented,
)
from dashboard.look.escaping import marked, named
from dashboard.look.theme import reserve_token
from dashboard.pages.overview.answers import severity_of
from dashboard.pages.overview.cards import passport
from dashboard.pages.overview.past_parts import AHEAD
from dashboard.pages.risk import answers, tables
from dashboard.pages.risk.answers import FEW, LEVELS, MEASURES, Answer, Bar, Envelope, percents

TOP = 262
"""Pixels of the two charts of the first row."""
AGAIN = "python -m flows risk-scenarios"
OLDER = "The run was stored by an older version. Computing it again stores this too:"
TAIL_SOURCE, SHARES_SOURCE = "/api/v1/risk/tail", "/api/v1/risk/shares"


def page(found: Answer, models: Envelope | None) -> list[Any]:
    """The whole page."""
    ahead = [banner("watch", "look ahead", AHEAD)] if found.run.looks_ahead else []
    return [
        *ahead,
        verdict(found, models),
        row([(distribution_card(found), {"xl": 8}), (models_card(found, models), {"xl": 4})]),
        row([(shares_card(found), {})]),
        row([(heat_card(found), {"xl": 7}), (tables.tail_card(found), {"xl": 5})]),
        row([(tables.nearest_card(found), {"xl": 4}), (tables.loss_card(found), {"md": 6, "xl": 4}),
             (convergence_card(found), {"md": 6, "xl": 4})]),
        row([(tables.likely_card(found), {"xl": 8}), (begun_card(found), {"xl": 4})]),
    ]  # fmt: skip


def verdict(found: Answer, models: Envelope | None) -> html.Section:
    """The figure with its error, what other models make of it, and who makes it."""
    lar, hours = found.lar, fmt.hours(found.run.horizon_hours)
    if lar.few_draws:
        n = lar.n_positive or 0
        text = (f"{fmt.count(n)} of {fmt.count(found.run.n_paths)} paths lie beyond 99\u202f% with a loss, {FEW} are "
                "needed for a figure of that tail. A longer run has them.")  # fmt: skip
        return html.Section([pill("flat", "Too few paths"), html.P(text)], className="verdict")
    severity, word = severity_of(lar.value, float(found.loaded.debt_usd.sum()))
    error = error_text(lar)
    words: list[Any] = [
        "Debt liquidated over ", hours, ", exceeded once in a hundred: ",
        html.B(f"{fmt.money(lar.value)} {error}" if error else fmt.money(lar.value)), ". ",
    ]  # fmt: skip
    if models is not None and len(models.models) > 1:
        words += ["Models of the engine put it ", html.B(f"between {fmt.money(models.low)} and "
                  f"{fmt.money(models.high)}"), _record(models)]  # fmt: skip
    shares = answers.shares_of(found, "lar_repaid", 0.99)
    if shares is not None and not shares.reason:
        top = [max(parts, key=lambda p: p.share) for parts in (shares.sold, shares.drivers) if parts]
        listed = [p for p in shares.accounts if p.name]
        if len(top) == 2:
            words += [html.B(f"{named(top[0].name)} is {fmt.share(top[0].share, 0)} of what is sold"), "; ",
                      f"{len(listed)} account{'s make' if len(listed) != 1 else ' makes'} "
                      f"{fmt.share(sum(p.share for p in listed), 0)} of the figure, moves of {named(top[1].name)} "
                      f"{fmt.share(top[1].share, 0)}."]  # fmt: skip
    return html.Section([pill(severity, word), html.P(words)], className="verdict")


def _record(models: Envelope) -> str:
    failed = sum(one.fails for one in models.laws)
    if models.none_passed:
        n = sum(one.standing == "fails" for one in models.laws)
        why = "too few of their forecasts are over" if not n else f"{n} fail{'s' if n == 1 else ''}"
        return f"; no price law has passed its tests yet ({why}). "
    return f"; {failed} of {len(models.laws)} price laws fail a test. " if failed else ". "


def distribution_card(found: Answer) -> dbc.Card:
    """The card of the distribution of debt repaid."""
    title, sub = f"Debt liquidated in {fmt.hours(found.run.horizon_hours)}", "share of paths, on a log scale"
    if not found.run.histogram:
        return card(title, [hidden(ids.RISK_DISTRIBUTION), empty("Not stored yet", OLDER, f"{AGAIN} --force")], sub=sub)
    beyond = found.run.get("es_repaid", 0.99)
    sure = beyond is not None and not beyond.few_draws
    mean = f" · ▲ {fmt.money(beyond.value)} on average beyond 99\u202f%" if beyond and sure else ""
    says = f"Share of paths by debt repaid, log scale{mean}"
    return card(title, graph(ids.RISK_DISTRIBUTION, TOP, says), f"{passport(found.run)}{mean}", sub, source=TAIL_SOURCE)


def models_card(found: Answer, models: Envelope | None) -> dbc.Card:
    """The card of the figure by every model."""
    title, sub = "Does the model matter?", "LaR 99\u202f%, one thing changed at a time"
    if models is None:
        none = empty("No other models yet", OLDER, AGAIN)
        if found.tail.envelope:
            none = empty("Too few paths", f"Fewer than {FEW} paths of each model lie beyond 99\u202f%.")
        return card(title, [hidden(ids.RISK_ENVELOPE), none], sub=sub)
    used = next((one for one in models.models if one.model.in_use), None)
    default = ""
    if used is not None:
        default = f" · {used.model.name}{', the default' if answers.is_default(used.model.name) else ''} in blue"
    tested = {one.standing for one in models.laws}
    record = "no law has passed its tests" if models.none_passed else "✕ fails a test"
    if tested <= {"untested", "too few"}:
        record = "no law has been tested: too few forecasts are over"
    says = f"LaR 99 % by each model, from {fmt.money(models.low)} to {fmt.money(models.high)}"
    return card(
        title, graph(ids.RISK_ENVELOPE, TOP, says),
        f"same book, seed and paths{default} · grey: all that did not fail · {record}", sub, source=TAIL_SOURCE,
    )  # fmt: skip


def shares_card(found: Answer) -> dbc.Card:
    """The card of the shares, with the choice of figure and level."""
    title, sub = "Who makes the tail?", "one figure, cut four ways; each adds up to 100\u202f%"
    if not found.tail.shares:
        return card(title, empty("No shares yet", OLDER, AGAIN), sub=sub)
    choice = html.Div(
        [
            segmented(ids.RISK_MEASURE, [(text, key) for key, text in MEASURES.items()], "lar_repaid", "Figure"),
            segmented(ids.RISK_LEVEL, [(percents(one), str(one)) for one in LEVELS], "0.99", "Level"),
        ],
        className="bar",
    )
    body = html.Div(cuts(found, "lar_repaid", 0.99), id=ids.RISK_SHARES, **{"aria-live": "polite"})
    return card(
        title, [choice, body],
        "Euler shares: of LaR from the paths within its 95\u202f% interval, of a mean beyond it from the paths beyond "
        "(Tasche 1999) · drivers: Shapley values of their moves on those paths · line: 95\u202f% interval",
        sub, source=SHARES_SOURCE,
    )  # fmt: skip


def cuts(found: Answer, measure: str, level: float) -> list[Any]:
    """One figure by collateral sold, by debt repaid, by account and by driver; or why there are no shares."""
    shares = answers.shares_of(found, measure, level)
    if shares is None:
        return [empty("No shares of this figure", OLDER, AGAIN)]
    name = f"{MEASURES[measure]} {percents(level)}"
    if shares.reason:
        return [
            html.Div(
                [pill("watch", f"{shares.n_draws} draws" if shares.n_draws else "no draws"),
                 html.P(f"{name} has no shares: {marked(shares.reason)}.")],
                className="empty",
            )
        ]  # fmt: skip
    debt = "Debt burnt" if measure == "es_deficit" else "Debt repaid"
    lists: list[tuple[str, list[Bar], bool]] = [
        ("Collateral sold", answers.bars(shares.sold), True),
        (debt, answers.bars(shares.reserves), True),
        ("Account", answers.bars(shares.accounts, behind=shares.other_accounts), False),
        ("Driver of prices", answers.bars(shares.drivers, rest="other prices"), False),
    ]
    top = max((abs(one.share) + _wide(one) for _, rows, _ in lists for one in rows), default=1.0)
    head = html.P(
        [html.B(fmt.money(shares.value)), f" · {name} · from {fmt.count(shares.n_draws)} paths"], className="t2"
    )
    return [head, html.Div([_cut(title, rows, token, top) for title, rows, token in lists], className="cuts")]


def _wide(one: Bar) -> float:
    return 1.96 * one.se if math.isfinite(one.se) else 0.0


def _cut(title: str, rows: Sequence[Bar], is_reserve: bool, top: float) -> html.Div:
    lines: list[Any] = [html.H3(title)]
    for one in rows:
        colour = "cat-other" if one.others else reserve_token(one.label) if is_reserve else "scenario"
        label: Any = named(one.label)
        if one.label.startswith("0x"):
            label = address(one.label)
        half = _wide(one)
        width = abs(one.share) / top
        bar: list[Any] = [html.I(style={"width": f"{100 * width:.2f}%", "background": f"var(--ui-{colour})"})]
        if half > 0:
            left, right = max(abs(one.share) - half, 0.0) / top, min((abs(one.share) + half) / top, 1.0)
            bar.append(html.S(style={"left": f"{100 * left:.2f}%", "width": f"{100 * (right - left):.2f}%"}))
        told = f"{fmt.share(one.share)} ± {fmt.share(half)}" if math.isfinite(one.se) else fmt.share(one.share)
        lines.append(
            html.Div(
                [html.Span(label, className="lb"), html.Span(bar, className="tr"), html.B(fmt.share(one.share))],
                className="cut", title=f"{named(one.label)}: {told}",
            )
        )  # fmt: skip
    return html.Div(lines)


def heat_card(found: Answer) -> dbc.Card:
    """The card of collateral sold by reserve and step."""
    title = "When and where is collateral sold?"
    hot = answers.heat(found)
    if hot is None:
        return card(title, [hidden(ids.RISK_HEAT), empty("No steps yet", OLDER, AGAIN)])
    if not hot.rows:
        return card(title, [hidden(ids.RISK_HEAT), empty("Nothing is sold", "No path brings a liquidation.")])
    which = f"mean of the worst {fmt.count(hot.n_draws)} paths" if hot.tail else "mean of all paths"
    says = f"USD seized by reserve and step, {which}; {fmt.money(float(hot.by_step.sum()))} in all"
    worst = "worst by debt repaid · " if hot.tail else f"fewer than {FEW} paths are beyond 99\u202f% · "
    return card(
        title, graph(ids.RISK_HEAT, 290, says),
        f"USD seized, oracle prices · {len(hot.hours)} steps of {fmt.hours(found.run.horizon_hours)} · {worst}"
        "sums at the edges",
        which, source=TAIL_SOURCE,
    )  # fmt: skip


def convergence_card(found: Answer) -> dbc.Card:
    """The card of the estimate by number of paths."""
    title, sub = "Have enough paths been run?", "LaR 99\u202f% by number of paths"
    if not found.tail.convergence:
        return card(title, [hidden(ids.RISK_CONVERGENCE), empty("Not stored", OLDER, AGAIN)], sub=sub)
    lar = found.lar
    error = f" · this run {fmt.money(lar.value)} {error_text(lar)}" if not lar.few_draws else ""
    says = f"LaR 99 % from the first paths alone, ending at {fmt.money(lar.value)}"
    return card(
        title, graph(ids.RISK_CONVERGENCE, 250, says),
        f"USD · first paths of the same run, log · grey: 95\u202f% interval · dashed: fewer than {FEW} beyond{error}",
        sub, source=TAIL_SOURCE,
    )  # fmt: skip


def begun_card(found: Answer) -> dbc.Card:
    """The card of the time of the first liquidation."""
    title, sub = "When does it begin?", ""
    steps = found.tail.steps
    if steps is None:
        return card(title, [hidden(ids.RISK_BEGUN), empty("Not stored", OLDER, AGAIN)], sub=sub)
    lines = [("baseline", "all paths", "dashed")]
    if steps.tail_first:
        lines.append(("scenario", "worst 1\u202f%", "solid"))
    ever = fmt.share(1 - steps.first[-1])
    return card(
        title, graph(ids.RISK_BEGUN, 250, f"Share of paths with a liquidation by hour; {ever} by the end"),
        f"share of {fmt.count(found.run.n_paths)} paths with a liquidation by then · {ever} by the end", sub,
        legend(lines), source=TAIL_SOURCE,
    )  # fmt: skip


def hidden(component_id: str) -> html.Div:
    """A place for a chart that the callback of all charts fills, where there is nothing to show."""
    return html.Div(graph(component_id, 1, ""), style={"display": "none"}, **{"aria-hidden": "true"})
