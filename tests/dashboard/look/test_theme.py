"""The palette, recomputed from the file the browser gets: contrast by WCAG 2.2, and one meaning in both themes."""

from __future__ import annotations

import re

import plotly.graph_objects as go
import pytest

from dashboard.look import theme as themes
from dashboard.look.template import template_of

GROUNDS = ("bg", "surface", "raised", "hover")
TEXTS = ("text", "text-2", "text-3", "accent", "ok", "watch", "warn", "crit", "worse", "better")
MARKS = (
    "baseline",
    "scenario",
    "line-strong",
    "ok-mark",
    "watch-mark",
    "warn-mark",
    "crit-mark",
    "worse-mark",
    "better-mark",
)


def rgb(colour: str, ground: tuple[float, float, float] = (0, 0, 0)) -> tuple[float, float, float]:
    """Channels from 0 to 1 of `#rrggbb` or `rgba(...)`; the latter is laid over `ground`."""
    if colour.startswith("#"):
        return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]
    *channels, alpha = map(float, re.findall(r"[\d.]+", colour))
    return tuple(c / 255 * alpha + g * (1 - alpha) for c, g in zip(channels, ground, strict=True))  # type: ignore[return-value]


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2.2, definitions)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, float, float], two: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)


@pytest.mark.parametrize("theme", themes.THEMES)
@pytest.mark.parametrize("token", TEXTS)
def test_text_is_readable_on_every_ground(theme: str, token: str) -> None:
    c = themes.colours(theme)
    assert min(contrast(rgb(c[token]), rgb(c[ground])) for ground in GROUNDS) >= 4.495


@pytest.mark.parametrize("theme", themes.THEMES)
@pytest.mark.parametrize("token", MARKS)
def test_marks_stand_out_from_the_card(theme: str, token: str) -> None:
    c = themes.colours(theme)
    assert contrast(rgb(c[token]), rgb(c["surface"])) >= 3.0


@pytest.mark.parametrize("theme", themes.THEMES)
@pytest.mark.parametrize("token", ["ok", "watch", "warn", "crit"])
def test_pills_are_readable_on_their_own_tint(theme: str, token: str) -> None:
    c = themes.colours(theme)
    for ground in ("bg", "surface"):
        tint = rgb(c[f"{token}-soft"], rgb(c[ground]))
        assert contrast(rgb(c[token]), tint) >= 4.5


@pytest.mark.parametrize("theme", themes.THEMES)
def test_the_primary_button_is_readable(theme: str) -> None:
    c = themes.colours(theme)
    assert contrast(rgb(c["on-accent"]), rgb(c["accent-fill"])) >= 4.5


def test_both_themes_have_the_same_tokens() -> None:
    assert set(themes.colours("dark")) == set(themes.colours("light"))


def test_an_unknown_theme_is_the_default() -> None:
    assert themes.checked("solarized") == themes.checked(None) == "dark"


def test_every_token_that_a_style_sheet_names_exists() -> None:
    css = "".join(path.read_text(encoding="utf-8") for path in themes.ASSETS.glob("*.css"))
    defined = set(re.findall(r"(--ui-[\w-]+):", css))
    assert set(re.findall(r"var\((--ui-[\w-]+)\)", css)) <= defined


def test_style_sheets_and_scripts_name_no_other_host() -> None:
    allowed = {"http://www.w3.org/2000/svg"}
    for path in themes.ASSETS.iterdir():
        urls = set(re.findall(r"https?://[\w./-]+", path.read_text(encoding="utf-8").replace("%3A", ":")))
        assert urls <= allowed, path.name


@pytest.mark.parametrize("theme", themes.THEMES)
def test_every_colour_of_the_chart_template_is_a_token_of_its_theme(theme: str) -> None:
    """Nothing is written twice: change a token and the charts follow."""
    used = set(re.findall(r"#[0-9a-f]{6}|rgba?\([^)]*\)", str(themes.template(theme))))
    assert used - {"rgba(0,0,0,0)"} <= set(themes.colours(theme).values())
    assert themes.colours(theme)["text-2"] in used


def test_the_chart_template_is_one_that_plotly_takes_and_differs_by_theme() -> None:
    for theme in themes.THEMES:
        drawn = go.Figure(layout={"template": dict(themes.template(theme))})
        assert drawn.layout.template.layout.xaxis.linecolor == themes.colours(theme)["line-strong"]
        assert drawn.layout.template.layout.font.family == themes.families()
    assert themes.template("dark") != themes.template("light")
    assert "Inter" in themes.families()


def test_the_template_follows_a_changed_token() -> None:
    tokens = dict(themes.colours("dark")) | {"line-strong": "#123456", "cat-3": "#654321"}
    made = template_of(tokens, "serif")
    assert made["layout"]["xaxis"]["linecolor"] == made["layout"]["hoverlabel"]["bordercolor"] == "#123456"
    assert made["layout"]["colorway"][2] == "#654321"
