"""The cards that compare price laws: the record of each, and which of them forecast best."""

from __future__ import annotations

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, graph, pill, table
from dashboard.look.escaping import named
from dashboard.market.forecasts import LawRecord, Ledger
from dashboard.pages.forecasts import answers, charts
from dashboard.pages.forecasts.answers import Shown
from dashboard.pages.forecasts.cards import QUESTIONS, json_address, p_value, percent, series_text
from data.results.figures import LEVELS
from risk_core.analytics import accuracy


def record_card(ledger: Ledger, shown: Shown) -> dbc.Card:
    """The card with the record of every law and window at every level."""
    head = (
        ("Law and window", False), ("Level", False), ("Tested", True), ("Seen", True), ("Expected", True),
        ("Kupiec p", True), ("Indep. p", True), ("Joint p", True), ("Pinball", True), ("CRPS", True), ("Record", False),
    )  # fmt: skip
    rows = []
    for law, horizon in ledger.series():
        for level in LEVELS:
            record = ledger.record(law, horizon, level)
            first = level == LEVELS[0]
            name = series_text(law, horizon)
            mine = (law, horizon) == (shown.law, shown.horizon_seconds)
            rows.append(
                (
                    (html.B(name) if mine else name) if first else "",
                    percent(level), fmt.count(record.n), fmt.count(record.exceptions), f"{record.expected:.1f}",
                    *(p_value(record, field) for _, _, field in QUESTIONS),
                    fmt.money(record.pinball_usd), fmt.money(record.crps_usd) if first else "", standing(record),
                )
            )  # fmt: skip
    return card(
        "Each law’s record",
        table(head, rows, tight=True),
        "USD a window · p below 0.05 fails · pinball and CRPS (by 200 stored quantiles): less is better · too few: "
        "fewer than one exception is expected",
        "out of sample, none hidden",
        flush=True,
        source="/api/v1/forecasts/records",
    )


def compared_card(ledger: Ledger, shown: Shown, theme: str | None) -> dbc.Card:
    """The card of each other law's loss against that of the shown law."""
    found = answers.compared(ledger, shown)
    title, sub = "Which law forecasts best?", f"pinball loss at {percent(answers.JUDGED)}, beyond that of this law"
    judged = [one for one in found if one.gap is not None]
    if not judged:
        most = max((one.windows for one in found), default=0)
        text = (
            f"No other law has forecast {accuracy.LEAST} of the same windows; the most is {most}. Forecasts with "
            "another law are stored beside the default by:"
        )
        return card(
            title, empty("Nothing to compare with yet", text, "python -m flows risk-scenarios --law t4"), sub=sub
        )
    body: list[Any] = [
        graph("forecasts-compared", 60 + 34 * len(judged), "Loss of each law beyond that of the shown one, with error",
              charts.compared(found, theme)),
        html.Div(
            table(
                (("Law", False), ("Windows", True), ("Loss beyond", True), ("p", True), ("", False)),
                [(named(one.law), fmt.count(one.windows), *_gap(one)) for one in found],
                tight=True,
            ),
            className="scrollx",
        ),
    ]  # fmt: skip
    return card(
        title,
        body,
        "USD a window · bars are 95\u202f% · Diebold-Mariano on windows that both forecast · below 0 is better",
        sub,
        source=json_address("compared", shown),
    )


def _gap(one: answers.Beside) -> tuple[Any, ...]:
    if one.gap is None:
        return fmt.MISSING, fmt.MISSING, html.Span("too few, or no difference", className="t3")
    words = "no clear difference" if not one.gap.clear else "better" if one.gap.mean < 0 else "worse"
    tone = {"better": "better b6", "worse": "worse b6"}.get(words, "t2")
    p = "< 0.001" if one.gap.p_value < 0.001 else f"{one.gap.p_value:.3f}"
    return fmt.money_change(one.gap.mean), p, html.Span(words, className=tone)


def standing(record: LawRecord) -> html.Span:
    """The result of the tests at one level."""
    if not record.enough:
        return pill("flat", f"{record.n} of {record.needed} needed")
    if record.fails:
        # The count alone may be unusual without a test below 5 %: then the zone is the reason, and is named.
        return pill("warn", "fails" if record.has_low_p else f"zone {record.zone}", f"Basel's zone is {record.zone}")
    return pill("ok", "holds", f"Basel's zone is {record.zone}")
