"""Which protocol would I lend to? The score and its parts, the letter by assumption, the value locked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, html

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.look.components import card, empty, graph, row, table
from dashboard.look.escaping import named
from dashboard.market.page_data import PageData, Unavailable
from dashboard.market.scores import LossChance, ScorePart, ShownScore
from dashboard.pages.market_risk import charts, score_charts
from dashboard.pages.market_risk.score_parts import chance_words, letter, parts_card, points_text
from risk_core.analytics.scores import LETTERS, paths_without

FILL = "python -m flows protocol-scores"
SCALE = "Letters: Credora's published scale, A+ up to 0.1\u202f% a year, D above 99.9\u202f%"


def chosen(source: PageData) -> ShownScore:
    """The score of the market on the pages, else the first one. Raises `Unavailable`."""
    found = source.scores()
    if not found:
        raise Unavailable("No score yet", "The stored market has not been scored. This computes it:", FILL)
    market = source.status().market
    return next((score for score in found if score.market == market), found[0])


def cards(source: PageData) -> list[Any]:
    """The rows of the page, or a card that names the command for missing data."""
    try:
        score = chosen(source)
        every = source.scores()
    except Unavailable as nothing:
        return [card("Which protocol would I lend to?", empty(nothing.title, nothing.text, nothing.command))]
    return [
        _compared(every),
        row([(parts_card(score), {"xl": 7}), (_right(score, source), {"xl": 5})]),
    ]


def _right(score: ShownScore, source: PageData) -> html.Div:
    return html.Div([_letter_card(score), _locked_card(source)], className="page")


# Every market


def _compared(every: tuple[ShownScore, ...]) -> Any:
    head = (
        ("Market", False), ("Letter", False), ("Chance of losing more than 1\u202f%, a year", False), ("Score", True),
        ("Weight known", True), ("Supplied", True), ("Borrowed", True),
    )  # fmt: skip
    return card(
        "Which protocol would I lend to?",
        html.Div(table(head, [_market_row(score) for score in every]), className="tall"),
        f"Score: weighted mean of the parts below, weights are a choice · {SCALE} · interval: 95\u202f%",
        "score 0 to 100, higher is riskier; letter: chance of losing more than 1\u202f% of the principal in a year",
        flush=True,
        source="/api/v1/market/scores",
    )


def _market_row(score: ShownScore) -> tuple[Any, ...]:
    first = score.chances[0] if score.chances else None
    stamp = f"block {fmt.count(score.block)} · {fmt.utc(score.block_time)}"
    name = html.Div([html.B(named(score.market)), html.Div(stamp, className="t2 micro")])
    return (
        name,
        letter(first),
        chance_words(first),
        html.B(points_text(score.score)),
        fmt.share(score.weight_known, 0),
        fmt.money(score.supplied_usd),
        fmt.money(score.borrowed_usd),
    )


# The parts of one


# The letter


def _letter_card(score: ShownScore) -> Any:
    title = "What moves the letter"
    if not score.chances:
        text = "The letter needs a stored risk run of the market, and then the score again:"
        return card(title, empty("No letter yet", text, "python -m flows risk-scenarios"))
    first = score.chances[0]
    chart = graph(ids.MARKET_LETTER, score_charts.height(len(score.chances)), "Yearly chance of a loss by assumption")
    return card(
        title,
        [html.P(letter_says(score), className="micro t2 wrap"), chart],
        f"Each assumption changed alone, same random numbers · lines: 95\u202f% (Clopper and Pearson) · dot: 30 "
        f"such paths or more · loss above {fmt.money(first.threshold_usd)} · log scale · {SCALE}",
        f"{named(score.market)}, chance a year",
        source="/api/v1/market/letter",
    )


def letter_says(score: ShownScore) -> str:
    """Text on how the letter is computed and what it leaves out."""
    first = score.chances[0]
    per = fmt.hours(first.horizon_seconds / 3600)
    words = [
        f"Lenders share what the pool books as deficit; the principal is all {fmt.money(score.supplied_usd)} supplied. "
        f"A year is a row of independent {per} periods, each beginning with the book of today."
    ]
    if first.n_hits == 0:
        best, most = LETTERS[0]
        needed = fmt.count(paths_without(most, first.horizon_seconds))
        words.append(
            f"None of {fmt.count(first.n_paths)} paths lost so much: {needed} without one would prove {best} (--paths)."
        )
    elif first.few_draws:
        words.append(f"Only {fmt.paths_carry(first.n_hits)} it: read the line, not a point.")
    small = first.small_losses_year
    if small > 0:
        words.append(f"Smaller losses, which the chance does not add up, cost {_tiny(small)} of the principal a year.")
    return " ".join(words)


def _tiny(value: float) -> str:
    return fmt.share(value, 4)


# Value locked


def _locked_card(source: PageData) -> Any:
    title = "Value locked by protocol"
    try:
        found = source.locked()
    except Unavailable as nothing:
        return card(title, empty(nothing.title, nothing.text, nothing.command))
    if not found:
        return card(title, empty("No value locked yet", "A source is read by:", "python -m flows protocol-snapshot"))
    names = ", ".join(named(one.slug) for one in found)
    kinds = ", ".join(dict.fromkeys("synthetic" if one.source == "synthetic" else named(one.source) for one in found))
    return card(
        title,
        graph(ids.MARKET_LOCKED, 240, f"Value locked of {names}"),
        f"USD · supplied less lent, sum over chains · {kinds} · change over the whole span beside each line",
        f"{names} · to {fmt.utc(float(found[0].ts[-1]))}",
        source="/api/v1/market/value-locked",
    )


# Callbacks and JSON


def register(app: Dash, source: PageData) -> None:
    """The charts follow the theme."""

    @app.callback(Output(ids.MARKET_LETTER, "figure"), Input(ids.THEME, "data"))
    def show_letter(theme: str | None) -> dict:
        try:
            return score_charts.letter_moves(chosen(source).chances, theme)
        except Unavailable as nothing:
            return charts.nothing(theme, 240, nothing.title)

    @app.callback(Output(ids.MARKET_LOCKED, "figure"), Input(ids.THEME, "data"))
    def show_locked(theme: str | None) -> dict:
        try:
            return score_charts.value_locked(source.locked(), theme)
        except Unavailable as nothing:
            return charts.nothing(theme, 240, nothing.title)


def outline() -> list[Any]:
    """The charts that the callbacks fill."""
    return [graph(chart, 240, "") for chart in (ids.MARKET_LETTER, ids.MARKET_LOCKED)]


def scores_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/scores`: every market's newest score with its parts; null where a part is not known."""
    chosen(source)
    heads = [name for name in ShownScore.__slots__ if name not in ("parts", "chances", "synthetic")]
    return {
        "scores": [
            {name: getattr(score, name) for name in heads}
            | {
                "is_synthetic": score.synthetic,
                "letter": letter_json(score.chances[0]) if score.chances else None,
                "parts": [{name: getattr(part, name) for name in ScorePart.__slots__} for part in score.parts],
            }
            for score in source.scores()
        ]
    }


def letter_json(one: LossChance) -> dict[str, Any]:
    """A chance with its interval, unrounded."""
    return {name: getattr(one, name) for name in LossChance.__slots__}


def moves_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/letter`: the chance under each assumption."""
    score = chosen(source)
    return {
        "market": score.market,
        "block": score.block,
        "is_synthetic": score.synthetic,
        "scale": [{"letter": name, "most": most} for name, most in LETTERS],
        "assumptions": [letter_json(one) for one in score.chances],
    }


def locked_json(source: PageData, _query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/market/value-locked`."""
    return {
        "protocols": [
            {"slug": one.slug, "source": one.source, "ts": one.ts, "tvl_usd": one.usd} for one in source.locked()
        ]
    }
