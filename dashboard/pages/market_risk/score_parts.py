"""The parts of a lending score in words and bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import card, table
from dashboard.look.escaping import named
from dashboard.market.scores import LossChance, ScorePart, ShownScore
from dashboard.pages.market_risk import score_charts

HIGH = 60
"""Least points of a marked part."""


def span(one: LossChance) -> str:
    """The letters of the interval: A, or A to B+."""
    low, high = minus(one.letter_low), minus(one.letter_high)
    return low if low == high else f"{low} to {high}"


def minus(name: str) -> str:
    """A letter with a true minus sign."""
    return name.replace("-", fmt.MINUS)


def letter(one: LossChance | None) -> Any:
    """The chip of the letter; with few draws it shows all letters of the interval."""
    if one is None:
        return html.Span("no risk run", className="t2 micro", title="python -m flows risk-scenarios")
    if one.few_draws:
        return html.Span(span(one), className="let", title="Few draws: the letters that the interval allows")
    note = "" if one.letter_low == one.letter_high else span(one)
    return html.Span([html.Span(minus(one.letter), className="let"), " ", html.Span(note, className="t2 micro")])


def chance_words(one: LossChance | None) -> Any:
    """The yearly chance with its interval and its number of paths."""
    if one is None:
        return fmt.MISSING
    rests = f"{score_charts.paths_words(one)} of {fmt.hours(one.horizon_seconds / 3600)}"
    if one.few_draws:
        value = f"at most {fmt.share(one.high_year, 2)}"
        return html.Div([html.B(value), html.Div(f"few draws: {rests}", className="t2 micro")])
    ends = f"{fmt.share(one.low_year, 2)} to {fmt.share(one.high_year, 2)} · {rests}"
    return html.Div([html.B(fmt.share(one.probability_year, 2)), html.Div(ends, className="t2 micro")])


def points_text(points: float | None) -> str:
    """Points from 0 to 100 as text, or `not known`."""
    return fmt.MISSING if points is None else f"{points:.0f}"


def parts_card(score: ShownScore) -> Any:
    """A card with a row for each part of a score, and what is not known of it."""
    unknown = [part for part in score.parts if part.missing]
    shared = sum(part.weight for part in unknown)
    words = f"{named(score.market)}: {points_text(score.score)} of 100"
    note = "every part is known"
    if unknown:
        count = "1 part is" if len(unknown) == 1 else f"{len(unknown)} parts are"
        note = f"{count} not known: {fmt.share(shared, 0)} of the weight went to the others"
    return card(
        "What the score is made of",
        html.Div(
            table(
                (("Part", False), ("Value", False), ("Points", False), ("Weight", True)),
                [_part_row(part) for part in score.parts],
            ),
            className="tall",
        ),
        f"No standard has such a score: parts, scales and weights are a choice; --weights changes them · {note}",
        words,
        flush=True,
        source="/api/v1/market/scores",
    )


def _part_row(part: ScorePart) -> tuple[Any, ...]:
    scale = html.Div(
        f"points: 0 at {value_text(part.unit, part.none_at)}, 100 at {value_text(part.unit, part.full_at)}",
        className="t2 micro wrap",
    )
    name = html.Div([html.B(part.title), html.Div(part.says, className="t2 micro wrap")], title=part.tables)
    stated = fmt.share(part.weight, 0)
    if part.missing or part.value is None or part.points is None:
        why = [html.Span("not known", className="b5"), html.Div(part.missing, className="t2 micro wrap")]
        if part.command:
            why.append(html.Code(part.command, className="micro wrap"))
        why.append(scale)
        weight = html.Div([html.S(stated), html.Div("shared out", className="t2 micro")])
        return name, html.Div(why), fmt.MISSING, weight
    note = html.Div(
        [
            html.Span(value_text(part.unit, part.value), className="b5"),
            html.Div(details(part), className="t2 micro wrap"),
            scale,
        ]
    )
    used = fmt.share(part.used_weight, 0)
    weight = html.Div([used, html.Div(f"stated {stated}", className="t2 micro") if used != stated else ""])
    return name, note, bar(part.points), weight


def bar(points: float) -> html.Span:
    """A short bar of 0 to 100 with its number; from `HIGH` on marked by colour and shape."""
    high = points >= HIGH
    return html.Span(
        [
            html.Span(html.I(style={"width": f"{points:.0f}%"}), className="cmpb hi" if high else "cmpb"),
            f" {points:.0f}",
            html.Span(" ▲", className="worse", **{"aria-label": "high"}) if high else "",
        ]
    )


def value_text(unit: str, value: float) -> str:
    """A value in its unit."""
    writers: dict[str, Callable[[float], str]] = {
        "share": lambda v: fmt.share(v, 1 if v < 0.995 else 0),
        "change": fmt.move,
        "daily sigmas": lambda v: f"{v:.1f}{fmt.NO_BREAK}daily sigmas",
        "times": fmt.multiple,
        "points": lambda v: f"{v:.0f}{fmt.NO_BREAK}points",
    }
    return writers.get(unit, lambda v: f"{v:g} {unit}")(value)


def details(part: ScorePart) -> str:
    """Further figures of the part, as text."""
    found = part.figures
    try:
        return DETAILS[part.part](found) if part.part in DETAILS else ""
    except (KeyError, TypeError, ValueError):  # stored by another version
        return ""


def _spread(found: Mapping[str, Any]) -> str:
    return (
        f"HHI {found['hhi']:.4f} · Gini {found['gini']:.2f} · {fmt.count(found['n'])} accounts · largest "
        f"{fmt.money(found['largest_usd'])}"
    )


def _past(found: Mapping[str, Any]) -> str:
    since = f" since {fmt.utc(found['first_event'])}" if found["first_event"] else ""
    seen = f"{fmt.count(found['n_events'])} events of {fmt.money(found['events_usd'])} stored{since}"
    return f"{fmt.money(found['booked_usd'])} booked in {fmt.count(found['n_reserves'])} reserves · {seen}"


def _cover(found: Mapping[str, Any]) -> str:
    where = f", most of it in {named(found['worst_reserve'])}" if found["worst_reserve"] else ""
    covered = ", ".join(map(named, found["reserves"])) or "no reserve"
    return (
        f"{fmt.money(found['booked_usd'])} booked and {fmt.money(found['next_usd'])} of the worst 1{fmt.NARROW_SPACE}% "
        f"against {fmt.money(found['cover_usd'])} of cover for {covered}, {fmt.money(found['offset_usd'])} of it "
        f"offsets, {found['origin']} · {fmt.money(found['uncovered_usd'])} without cover{where}"
    )


def _depth(found: Mapping[str, Any]) -> str:
    sources = ", ".join(f"{fmt.count(n)} {word}" for word, n in found["n_origins"].items() if n)
    at = f" at {fmt.utc(found['quoted_at'])}" if found["quoted_at"] else ""
    cut = ", ends at the largest quote" if found["cut"] else ""
    return (
        f"{named(found['worst_reserve'])}: {fmt.money(found['largest_usd'])} over {fmt.money(found['depth_usd'])}, "
        f"{found['origin']}{at}{cut} · depth known for {fmt.share(found['share_known'])} of collateral: {sources}"
    )


DETAILS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "utilisation": lambda f: (
        f"{fmt.share(f['mean_utilisation'])} lent out, mean by debt · highest {named(f['highest_reserve'])} "
        f"{fmt.share(f['highest_utilisation'])}"
    ),
    "concentration_debt": _spread,
    "concentration_collateral": _spread,
    "concentration_supply": _spread,
    "oracle_model": lambda f: (
        f"constant {fmt.share(f['constant'])} · follows another {fmt.share(f['follows_another'])} · with a cap on the "
        f"price {fmt.share(f['price_capped'])}, on a ratio {fmt.share(f['ratio_capped'])}"
    ),
    "oracle_staleness": lambda f: (
        f"of the {fmt.share(f['share_known'])} whose feed is known · late: {', '.join(map(named, f['late'])) or 'none'}"
    ),
    "tvl_trend": lambda f: f"{fmt.money(f['tvl_before_usd'])} to {fmt.money(f['tvl_usd'])} · {named(f['slug'])}",
    "deficits": _past,
    "cover": _cover,
    "parameters": lambda f: (
        f"narrowest {named(f['narrowest_reserve'])} {f['narrowest']:.1f} · more than "
        f"{f['widest_counted']:g} counts as {f['widest_counted']:g} · {fmt.money(f['collateral_usd'])} of collateral"
    ),
    "depth": _depth,
}
