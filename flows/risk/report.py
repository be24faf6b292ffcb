"""A risk run as lines of text: every figure with its unit and error, and the passport that says how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.results.runs import Figure, RiskRun

ROWS = (
    ("Liquidations at risk, debt repaid", "lar_repaid", (0.95, 0.99)),
    ("Liquidations at risk, collateral seized", "lar_seized", (0.95, 0.99)),
    ("Mean debt repaid", "mean_repaid", (0.0,)),
    ("Probability of any liquidation", "p_repaid", (0.0,)),
    ("Deficit, value at risk", "var_deficit", (0.99,)),
    ("Deficit, expected shortfall", "es_deficit", (0.99,)),
    ("Probability of a deficit", "p_deficit", (0.0,)),
)


def report(run: RiskRun, notes: Sequence[str], ending: str) -> str:
    """The passport, the table of `ROWS` with 95 % intervals, `notes` and `ending`."""
    hours = run.horizon_seconds / 3600
    block_time = f"{datetime.fromtimestamp(run.block_time, UTC):%Y-%m-%d %H:%M} UTC"
    head = [
        "SAMPLE: synthetic accounts and prices" if run.is_synthetic else "",
        f"{run.market}, block {run.block:,} of {block_time}, {run.n_accounts:,} accounts",
        f"{run.n_paths:,} paths of {hours:g} h in {run.n_steps} steps, scenario {run.scenario_id}, seed {run.seed}, "
        f"policy {run.policy}, engine {run.code_version}",
        f"law {run.law[0]}: {run.law[1]}" if run.law[0] else "law not noted",
        "",
    ]
    labels = [
        (f"{label} {level:.0%}" if level else label, run.figures.get((measure, level)))
        for label, measure, levels in ROWS
        for level in levels
    ]
    worse = run.stressed(0.99)
    if worse is not None:
        labels.append(("Under stress, debt repaid 99%", worse[0]))
    width = max(len(label) for label, _ in labels)
    table = [f"  {label:<{width}}  {_shown(figure)}" for label, figure in labels if figure is not None]
    few = any(figure is not None and figure.few_draws for _, figure in labels)
    feet = ["", *(["  * rests on fewer than 30 paths with a loss: an indication, not a figure"] if few else [])]
    feet += [f"  under stress: {worse[1]}; not a forecast, and no probability"] if worse is not None else []
    feet += [f"  note: {note}" for note in notes]
    return "\n".join(line for line in (*head[1 - bool(head[0]) :], *table, *feet, ending))


def _shown(figure: Figure) -> str:
    value = amount(figure.value, figure.unit)
    mark = " *" if figure.few_draws else ""
    if figure.no_interval:
        return f"{value:>14}{mark}  no interval: {figure.no_interval}"
    if figure.low is None or figure.high is None or figure.se is None:
        return f"{value:>14}{mark}"
    error = amount(figure.se, figure.unit)
    interval = f"[{amount(figure.low, figure.unit)}, {amount(figure.high, figure.unit)}]"
    return f"{value:>14}  ± {error:<12} 95 % interval {interval}{mark}"


def amount(value: float, unit: str) -> str:
    """A figure for people: USD with three to four significant digits, fractions as per cent.

    >>> amount(12_345_678.0, "USD"), amount(0.0123, "fraction")
    ('12.35 M USD', '1.23 %')
    """
    if unit == "fraction":
        return f"{value:.2%}".replace("%", " %")
    if unit != "USD":
        return f"{value:,.1f}"
    for size, name in ((1e9, "B "), (1e6, "M "), (1e3, "k ")):
        if abs(value) >= size:
            return f"{value / size:,.2f} {name}USD"
    return f"{value:,.2f} USD"
