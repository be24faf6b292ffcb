"""What-if in words: the verdict, what each scenario changes, what the groups of drivers and the legends say."""

from __future__ import annotations

import math
from typing import Any

from dash import html

from dashboard.look import formatting as fmt
from dashboard.look.components import legend, pill
from dashboard.look.escaping import named
from dashboard.market.drivers import BY_KEY, DRIVERS, PRICE_KEYS, Driver
from dashboard.market.state import WhatIf
from dashboard.market.terms import FIELDS, Terms, parted
from dashboard.pages.what_if.answers import Outcome
from dashboard.pages.what_if.compared import WAITING
from dashboard.pages.what_if.outlook import Simulation
from dashboard.pages.what_if.spread_chart import figure_words
from risk_core.governance import EMODE

BAD_SHARE = 0.01
"""Deficit over debt repaid from which the verdict is about the deficit. Our choice; it is said on screen."""
NAMED_MOVES = 3
NAMED_TERMS = 2
GOVERNANCE = "Governance"
"""The group of the changed parameters; its drivers have no sliders."""


def verdict(outcome: Outcome) -> tuple[Any, Any]:
    """(severity, sentence) of what happens at once at these prices."""
    state, repaid, deficit = outcome.state, outcome.repaid.scenario, outcome.deficit.scenario
    case = moved_words(state) + (f" with {terms_words(state.terms)}" if state.terms else "")
    if state.held is not None:
        more, old = repaid - outcome.repaid.baseline, outcome.repaid.baseline
        how = "as much as" if more == 0 else f"{fmt.money(abs(more))} {'more' if more > 0 else 'less'} than"
        text = [html.B(f"B repays {fmt.money(repaid)} of debt at once"), f", {how} A ({fmt.money(old)})."]
        return pill("flat", "A and B"), text
    if repaid <= 0 and deficit <= 0:
        return pill("ok", "Nothing falls"), [html.B("Nothing is liquidated"), f" {case}."]
    n = outcome.accounts.scenario
    text = [html.B(f"{fmt.money(repaid)} of debt is repaid at once"), f" {case}, by {fmt.some(n, 'account')}"]
    if outcome.sold and repaid > 0:
        text.append(f"; most of what is sold is {named(outcome.sold[0][0])}")
    if deficit > 0:
        text.append(f"; {fmt.money(deficit)} of debt is left without collateral")
    bad = deficit > BAD_SHARE * repaid
    words = ("crit", "Deficit") if bad else ("watch", "Liquidations")
    rule = f"Deficit: above {BAD_SHARE * 100:g}\u202f% of the debt repaid at these prices"
    return pill(*words, rule), [*text, "."]


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


def term_name(name: str) -> str:
    """A reserve or e-mode whose parameters change, for a page: `WETH`, `e-mode 1`, the beginning of an address."""
    if name.startswith(EMODE):
        return named(f"e-mode {name.removeprefix(EMODE)}")
    return f"{name[:8]}…" if name.startswith("0x") and len(name) == 42 else named(name)


def terms_words(terms: Terms, most: int = NAMED_TERMS) -> str:
    """Changed parameters in words, `most` of them by name.

    >>> terms_words((("WETH.liquidation_threshold", 0.8), ("emode:1.ltv", 0.9)))
    'WETH threshold 80\u202f% and e-mode 1 LTV 90\u202f%'
    """
    shown = []
    for key, value in terms[:most]:
        name, field = parted(key)
        shown.append(f"{term_name(name)} {FIELDS[field]} {percent(value)}")
    if len(terms) > most:
        shown.append(fmt.some(len(terms) - most, "more parameter"))
    return " and ".join(shown) if len(shown) < 3 else ", ".join(shown[:-1]) + f" and {shown[-1]}"


def percent(value: float) -> str:
    """A parameter in per cent, as many decimals as it has."""
    return f"{100 * value:.6g}\u202f%"


def case_words(state: WhatIf) -> str:
    """Every changed driver in a few words: `ETH −20 %, vol × 1.5`; `as today` without any."""
    shown = []
    for driver in (BY_KEY[key] for key in state.changed):
        value = getattr(state, driver.key)
        text = fmt.move(value) if driver.key in PRICE_KEYS else _plain(driver, value * driver.scale)
        shown.append(f"{driver.short or driver.label} {text}")
    if state.terms:
        shown.append(terms_words(state.terms))
    return ", ".join(shown) or "as today"


def legends(state: WhatIf) -> list[Any]:
    """What the colours mean on the curve, the bars and the distribution: the words of both sides."""
    names = [
        side if state.held is None else f"{side} · {case_words(one)}"
        for side, one in zip(state.sides, (state.base, state.alone), strict=True)
    ]
    return [
        legend([("baseline", names[0], kinds[0]), ("scenario", names[1], kinds[1])]).children
        for kinds in (("dashed", "solid"), ("dashed", "solid"), ("block", "block"))
    ]


def _plain(driver: Driver, value: float) -> str:
    text = f"{value:g}".replace("-", fmt.MINUS)
    return f"×\u202f{text}" if driver.unit == "×" else f"{text}\u202f{driver.unit}" if driver.unit else text


def values_of(state: WhatIf, group: str) -> str:
    """The values of a group of drivers in one line, so that folding it hides nothing."""
    if group == GOVERNANCE:
        more = f", {len(state.terms) - 1} more" if len(state.terms) > 1 else ""
        return f"{terms_words(state.terms[:1])}{more}" if state.terms else "as on chain"
    drivers = [driver for driver in DRIVERS if driver.group == group]
    if any(driver.key in PRICE_KEYS for driver in drivers):
        moved = [d.key for d in drivers if d.key in state.moved]
        return f"{len(moved)} changed" if moved else "as today"
    shown = []
    for driver in drivers:
        value = getattr(state, driver.key)
        if driver.key == "limits":
            shown.append("with limits" if state.limited else "no limits")
        elif driver.key == "respond":
            shown.append(f"{fmt.share(value, 0)} respond" if value else "nobody responds")
        elif not math.isclose(value * driver.scale, driver.baseline) or driver.key in ("vol", "hours"):
            shown.append(f"{driver.short} {_plain(driver, value)}")
    return " · ".join(shown)


def group_names() -> list[str]:
    """The groups of drivers in their order."""
    return [*dict.fromkeys(driver.group for driver in DRIVERS), GOVERNANCE]


def all_values(state: WhatIf) -> tuple[list[str], list[str]]:
    """(values, class) of every group of drivers, in their order; blue where one of them is changed."""
    groups = group_names()
    changed = {BY_KEY[key].group for key in state.changed} | ({GOVERNANCE} if state.terms else set())
    return [values_of(state, name) for name in groups], ["sum chg" if name in changed else "sum" for name in groups]


def paths_note(result: Simulation) -> str:
    """How many paths are in the distribution, and what lies beyond its axis."""
    held = result.spread
    if held.partial:
        return f"{fmt.count(held.n_paths)} of {fmt.count(held.of_paths)} paths"
    beyond = held.beyond[1] if held.changed else held.beyond[0]
    more = f" · {fmt.share(beyond, 2)} beyond →" if beyond > 0 else ""
    return f"{fmt.count(held.n_paths)} paths{more}"


def then_says(result: Simulation, state: WhatIf) -> str:
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
    other = "that of A" if state.held else "the baseline's"
    if not result.spread.changed or base.few_draws or base.value <= 0:
        return f"{text}."
    return f"{text}, {then.value / base.value:.1f} times {other}."
