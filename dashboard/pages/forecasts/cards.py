"""The cards of the Forecasts page: one for each question about what was forecast."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import dash_bootstrap_components as dbc
from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import address, card, empty, graph, legend, pill, table
from dashboard.look.escaping import named
from dashboard.market.forecasts import FAILS, LawRecord, Told
from dashboard.pages.forecasts import answers, charts
from dashboard.pages.forecasts.answers import HOUR, Shown
from data.results.figures import LEVELS

FILL = "python -m flows forecast-ledger"
ROWS = 8
"""Most rows in a list of forecasts."""
QUESTIONS = (("As many as stated?", "Kupiec", "kupiec_p"), ("Do they come alone?", "Christoffersen", "independence_p"),
             ("Both together", "conditional coverage", "conditional_p"))  # fmt: skip
ZONE = {"green": ("ok", "Green"), "yellow": ("watch", "Yellow"), "red": ("crit", "Red")}
WHY = {
    "not over": "runs on",
    "not read": "events not read",
    "unpriced": "an amount has no price",
    "after the fact": "stored too late",
    "overlaps": "overlaps",
}


def series_text(law: str, horizon_seconds: int) -> str:
    """A series in words."""
    return f"{named(law)}, {fmt.hours(horizon_seconds / HOUR)}"


def verdict(shown: Shown) -> html.Section:
    """How many forecasts were exceeded, and whether that fits the stated level."""
    judged, n = shown.judged, len(shown.tested)
    if not judged.enough:
        head = pill("flat", "Too few to say", f"{judged.needed} forecasts are needed at {judged.level:.0%}")
        words = f"{n} forecasts are tested; {judged.needed} are needed before one exception is expected at 90\u202f%."
        return html.Section([head, html.P([synthetic(shown), words])], className="verdict")
    zone, word = ZONE[judged.zone or "green"]
    sentence: list[Any] = [synthetic(shown)]
    for place, level in enumerate(reversed(LEVELS)):
        record = shown.records[level]
        few = "" if record.enough else ", too few to say"
        text = f"{record.exceptions} of {n} windows " if place == 0 else f"{record.exceptions} "
        sentence += [html.B(f"{text}beyond the {percent(level)} forecast"), f" ({record.expected:.1f} expected{few})"]
        sentence.append("." if level == LEVELS[0] else ", ")
    title = f"Basel's zone at {judged.level:.0%}: the chance of at most so many is {fmt.share(judged.cumulative)}"
    return html.Section([pill(zone, word, title), html.P(sentence)], className="verdict")


def synthetic(shown: Shown) -> str:
    """The first words where forecasts and outcomes are synthetic, else ""."""
    return "Synthetic forecasts and outcomes: " if shown.synthetic else ""


def percent(level: float) -> str:
    """A level as a label."""
    return f"{level * 100:g}\u202f%"


def ledger_card(shown: Shown, theme: str | None) -> dbc.Card:
    """The card of forecasts and outcomes by window."""
    window = fmt.hours(shown.horizon_seconds / HOUR)
    counted = ", ".join(f"{n} {name}" for name, n in answers.states(shown).items())
    seventh = " · overlapping windows are left out" if "overlaps" in answers.states(shown) else ""
    return card(
        "Forecast and outcome",
        graph("forecasts-ledger", 260, "Forecasts at 99 and 95 % with what came", charts.ledger(shown, theme)),
        f"USD of debt repaid · {counted}{seventh} · ✕ above the forecast, ring: waits",
        f"debt liquidated in the {window} after each",
        legend(
            [
                ("scenario", "99 and 95\u202f%", "solid"),
                ("baseline", "came", "block"),
                ("worse-mark", "beyond", "block"),
            ]
        ),
        source=json_address("ledger", shown),
    )


def count_card(shown: Shown, theme: str | None) -> dbc.Card:
    """The card of the number of exceptions, with the tests at every level."""
    record = shown.judged
    body: list[Any] = []
    if record.n:
        says = f"Chance of each number of exceptions; {record.exceptions} were seen"
        body.append(graph("forecasts-counts", 150, says, charts.counts(record, theme)))
    for question, by, name in QUESTIONS:
        cells: list[Any] = []
        for level in LEVELS[1:]:
            at = shown.records[level]
            cells += [html.Span(f" {percent(level)} ", className="t3 micro"), p_value(at, name)]
        body.append(
            html.Div(
                [html.Span([question, html.Span(f" {by}", className="t3 micro")]), html.Span(cells, className="num")],
                className="test",
            )
        )
    return card(
        f"Is {record.exceptions} a plausible count?",
        body,
        f"binomial, {record.n} windows × {fmt.share(1 - record.level, 0)} · zones: 95 and 99.99\u202f% (Basel) · "
        "p below 0.05 fails",
        f"{percent(record.level)}, chance of each count",
        source=json_address("records", shown),
    )


def p_value(record: LawRecord, name: str) -> html.Span:
    """A p-value, marked where the test fails; or that there are too few forecasts."""
    p = getattr(record, name)
    if not record.enough or p is None:
        return html.Span("too few", className="t3", title=f"{record.n} tested, {record.needed} are needed")
    text = "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    failing = p < FAILS
    return html.Span(f"✕ {text}" if failing else text, className="worse b6" if failing else "b6")


def calibration_card(shown: Shown, theme: str | None) -> dbc.Card:
    """The card of shares of outcomes by level."""
    n = sum(one.pit is not None for one in shown.tested)
    title, sub = "Does it hold at every level?", "axes stretched at the ends"
    if n < 2:
        text = "Runs of this version store the whole distribution that this needs; older ones do not."
        return card(title, empty("No distribution yet", text, "python -m flows risk-scenarios"), sub=sub)
    p = shown.records[LEVELS[0]].pit_p
    return card(
        title,
        graph("forecasts-calibration", 260, "Share of outcomes below each forecast quantile",
              charts.calibration(shown, theme)),
        f"outcomes at or below the quantile, {n} windows · grey: 95\u202f% of right ledgers · all levels together: p "
        f"{p:.2f} (Kolmogorov-Smirnov)" if p is not None else "",
        sub,
        source=json_address("calibration", shown),
    )  # fmt: skip


def evidence_card(shown: Shown, theme: str | None) -> dbc.Card:
    """The card of the bet against the expected shortfall."""
    record = shown.records[0.95]
    title, sub = "Is the tail mean right?", f"evidence against ES {percent(record.es_level)}"
    if record.evidence is None or record.evidence_most is None:
        text = "The ledger holds no expected shortfall of these forecasts; runs of this version store one."
        return card(title, empty("No shortfall yet", text, "python -m flows risk-scenarios"), sub=sub)
    rejected = record.evidence_most >= answers.ALARM
    state = pill("crit", "rejected") if rejected else pill("ok", f"{record.evidence:.2g} now")
    return card(
        title,
        graph(
            "forecasts-evidence",
            260,
            "Evidence against the expected shortfall over time",
            charts.evidence(shown, theme),
        ),
        "wealth of a bet against it, log · valid at any time · from 20 on rejected at 5\u202f% · "
        f"most {record.evidence_most:.2g}",
        sub,
        state,
        source=json_address("evidence", shown),
    )


def exceptions_card(shown: Shown) -> dbc.Card:
    """The card of the last windows with an outcome above the forecast."""
    found = answers.exceptions(shown)
    head = (("Window from", False), ("Level", False), ("Forecast", True), ("Came", True), ("Over by", True))
    rows = [
        (
            fmt.utc(one.made_at), pill("warn" if level == 0.99 else "flat", percent(level)),
            fmt.money(answers.value_of(one, level)), html.B(fmt.money(one.outcome)), over(one, level),
        )
        for one, level in found[:ROWS]
    ]  # fmt: skip
    body: Any = table(head, rows, tight=True)
    if not rows:
        body = empty("None", "No tested window brought more than was forecast at any level.")
    return card(
        "Last exceptions",
        body,
        f"USD of debt repaid · over the highest level that was passed · {min(ROWS, len(found))} of {len(found)}",
        "what the forecast did not know",
        flush=True,
        source=json_address("ledger", shown),
    )


def over(one: Told, level: float) -> html.Span:
    """By how much an outcome was above the forecast."""
    value = answers.value_of(one, level)
    text = fmt.share((one.outcome or 0.0) / value - 1, 0) if value > 0 else "nothing was forecast"
    return html.Span(text, className="worse b6")


def sealed_card(shown: Shown) -> dbc.Card:
    """The card of the newest forecasts with their seals."""
    head = (("Window from", False), ("LaR 99 %", True), ("Came", True), ("Outcome", False), ("Seal", True))
    rows = [
        (
            fmt.utc(one.made_at), html.B(fmt.money(one.value_99)),
            fmt.money(one.outcome), outcome_pill(one), address(one.sha256),
        )
        for one in list(reversed(shown.told))[:ROWS]
    ]  # fmt: skip
    when = "made up with the sample" if shown.synthetic else "stored before their windows end, or marked"
    return card(
        "Sealed forecasts",
        table(head, rows, tight=True),
        "USD of debt repaid · the seal covers market, measure, level, window, value and interval",
        when,
        flush=True,
        source=json_address("ledger", shown),
    )


def outcome_pill(one: Told) -> html.Span:
    """The pill with the state of a forecast."""
    if one.outcome is None or one.state in ("after the fact",):
        title = f"Its window ends {fmt.utc(one.valid_until)}"
        return pill("flat", WHY.get(one.state, one.state), title)
    inside = one.outcome <= one.value_99
    words = "inside" if inside else "beyond"
    return pill("ok" if inside else "warn", words, "Tested" if one.state == "tested" else "Not tested: it overlaps")


def json_address(name: str, shown: Shown) -> str:
    """Where the figures of a chart of this series are as JSON."""
    return f"/api/v1/forecasts/{name}?{urlencode({'series': answers.key_of(shown.law, shown.horizon_seconds)})}"
