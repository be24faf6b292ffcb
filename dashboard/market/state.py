"""The reader's what-if as one frozen record, read from and written to the browser's store and the page's address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dashboard.market.drivers import BY_KEY, DRIVERS, PRICE_KEYS
from dashboard.market.terms import SET, Terms, of_link, parted, read, to_link

HELD = "held"
"""Name of the other scenario of two, in the store and in the link."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A scenario. Price drivers are relative moves (-0.18 is a fall by 18 %).

    The others change the simulation alone. `vol` multiplies volatility; `corr` leads from each factor by itself (-1) by
    the calibrated correlation (0) to one factor (1); `hours` is the horizon; `limits` is 1 where liquidators have
    limits; `depth` and `capital` multiply those limits; `lag` is the oracle's, in minutes. Of the borrowers, the
    share `respond` repays after `warning` hours close to liquidation. `terms` are changed parameters of the pool.
    """

    eth: float = 0.0
    btc: float = 0.0
    lst: float = 0.0
    usdc: float = 0.0
    usdt: float = 0.0
    stable: float = 0.0
    other: float = 0.0
    vol: float = 1.0
    corr: float = 0.0
    hours: float = 24.0
    limits: float = 0.0
    depth: float = 1.0
    capital: float = 1.0
    lag: float = 0.0
    respond: float = 0.0
    warning: float = 1.0
    terms: Terms = ()
    held: WhatIf | None = None
    """What it is compared with; None is today, without any change."""

    @classmethod
    def from_store(cls, data: Mapping[str, Any] | None) -> WhatIf:
        """From screen units by driver key (what the sliders hold); under `held` those of the other scenario.

        Bad or missing values keep their default.
        """
        state, _ = _parse(data or {})
        held = (data or {}).get(HELD)
        return state.beside(_parse(held)[0]) if isinstance(held, Mapping) else state

    def to_store(self) -> dict[str, Any]:
        """Driver key to its value in screen units, as the sliders hold it; changed parameters, if any, under `set`."""
        values = {d.key: round(getattr(self, d.key) * d.scale, 6) for d in DRIVERS}
        return values | ({SET: dict(self.terms)} if self.terms else {})

    @classmethod
    def from_query(cls, search: str | None) -> tuple[WhatIf, tuple[str, ...]]:
        """From a link such as `?eth=-18&set=WETH.ltv:0.7&held=eth:-10`: state and problems, a sentence each."""
        pairs: dict[str, Any] = dict(parse_qsl((search or "").lstrip("?"), keep_blank_values=True))
        values = {k: v for k, v in pairs.items() if k in BY_KEY}
        state, problems = _parse(values | ({SET: of_link(pairs[SET])} if SET in pairs else {}))
        if HELD not in pairs:
            return state, problems
        named = of_link(pairs[HELD])
        terms = {k: v for k, v in named.items() if parted(k)[1]}
        held, more = _parse({k: v for k, v in named.items() if k in BY_KEY} | {SET: terms})
        return state.beside(held), (*problems, *(f"Held scenario: {text}" for text in more))

    def to_query(self) -> str:
        """Only what differs from the baseline, so that links stay short; empty for the baseline."""
        store = self.to_store()
        pairs = {k: f"{store[k]:g}" for k in self.changed}
        if self.terms:
            pairs[SET] = to_link(self.terms)
        if self.held is not None:
            other = self.held.to_store()
            pairs = pairs or {"eth": "0"}  # without any driver the page opens with a case of its own
            values = [f"{k}:{other[k]:g}" for k in self.held.changed]
            pairs[HELD] = ",".join([*values, *filter(None, [to_link(self.held.terms)])])
        return urlencode(pairs, safe=":,")

    @property
    def changed(self) -> tuple[str, ...]:
        """Keys of the drivers that differ from a what-if without any change."""
        base = WhatIf()
        return tuple(d.key for d in DRIVERS if not math.isclose(getattr(self, d.key), getattr(base, d.key)))

    @property
    def is_today(self) -> bool:
        """Whether nothing is changed: no driver, no parameter."""
        return not self.changed and not self.terms

    @property
    def base(self) -> WhatIf:
        """What it is compared with."""
        return self.held or WhatIf()

    @property
    def alone(self) -> WhatIf:
        """The same, compared with nothing."""
        return replace(self, held=None)

    @property
    def differs(self) -> bool:
        """Whether it is another scenario than `base`."""
        return self.alone.to_store() != self.base.to_store()

    @property
    def sides(self) -> tuple[str, str]:
        """Names of `base` and of this on the page."""
        return ("A", "B") if self.held else ("baseline", "scenario")

    def beside(self, other: WhatIf) -> WhatIf:
        """The same, compared with another scenario; one without any change is today."""
        return replace(self, held=None if other.is_today else other.alone)

    @property
    def moves(self) -> dict[str, float]:
        """Relative moves by price driver."""
        return {k: getattr(self, k) for k in PRICE_KEYS}

    @property
    def moved(self) -> tuple[str, ...]:
        """Price drivers that differ from today."""
        return tuple(key for key in self.changed if key in PRICE_KEYS)

    @property
    def limited(self) -> bool:
        """Whether liquidators have limits: where that is asked for, or where one of the limits is changed."""
        return self.limits > 0 or not {"depth", "capital"}.isdisjoint(self.changed)

    def but(self, **changes: float) -> WhatIf:
        """The same what-if with these fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Preset:
    """A named scenario, one click away."""

    key: str
    label: str
    state: WhatIf = field(default_factory=WhatIf)
    hint: str = ""


_HYPOTHETICAL = "Hypothetical: a round number, not a day that was seen."
PRESETS: tuple[Preset, ...] = (
    Preset("baseline", "Baseline", hint="Prices and volatility as in the snapshot."),
    Preset("eth10", "ETH −10 %", WhatIf(eth=-0.10), _HYPOTHETICAL),
    Preset("eth20", "ETH −20 %", WhatIf(eth=-0.20), _HYPOTHETICAL),
    Preset("crypto30", "All crypto −30 %", WhatIf(eth=-0.30, btc=-0.30, other=-0.30), _HYPOTHETICAL),
    Preset("lst5", "Staked ETH ratio −5 %", WhatIf(lst=-0.05), _HYPOTHETICAL + " Moves the ratio the oracle reports."),
    Preset("usdc10", "USDC −10 %", WhatIf(usdc=-0.10), _HYPOTHETICAL),
)


OPENING = WhatIf(eth=-0.20)
"""What the page opens with where the link names no driver: a case that tells more than no change does."""


def opened(search: str | None) -> tuple[WhatIf, tuple[str, ...]]:
    """`WhatIf.from_query` of a link that names a driver, else `OPENING`."""
    named = {key for key, _ in parse_qsl((search or "").lstrip("?"), keep_blank_values=True)}
    return WhatIf.from_query(search) if named & {*BY_KEY, SET, HELD} else (OPENING, ())


def preset_of(state: WhatIf) -> str:
    """Key of the preset that this state equals, or an empty string."""
    return next((p.key for p in PRESETS if p.state.to_store() == state.to_store()), "")


def _parse(data: Mapping[str, Any]) -> tuple[WhatIf, tuple[str, ...]]:
    values: dict[str, float] = {}
    problems: list[str] = []
    for driver in DRIVERS:
        if driver.key not in data or data[driver.key] is None:
            continue
        given = data[driver.key]
        try:
            number = float(given)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            problems.append(
                f"{driver.key}={given} in the link is not a number. Used {driver.baseline:g} {driver.unit}."
            )
        elif not driver.low <= number <= driver.high:
            problems.append(
                f"{driver.key}={given} in the link is outside {driver.low:g} to {driver.high:g} {driver.unit}. "
                f"Used {driver.baseline:g} {driver.unit}."
            )
        else:
            values[driver.key] = number / driver.scale
    terms, more = read(data.get(SET))
    return WhatIf(**values, terms=terms), (*problems, *more)
