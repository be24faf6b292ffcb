"""A loaded market under changed parameters, built once for each set of changes and kept while handles move."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

import risk_core as rc
from dashboard.market.loaded import LoadedMarket, repaid_as_eth_falls
from dashboard.market.state import WhatIf
from dashboard.market.terms import SET, UNCHANGED, Terms, to_link
from risk_core.governance import EMODE


def under(loaded: LoadedMarket, terms: Terms) -> LoadedMarket:
    """The same accounts, balances and prices under these parameters; without any, the market as it is.

    Raises `InputError` for a reserve or e-mode that the market does not have, and for what its pool refuses.
    """
    return _under(loaded, terms) if terms else loaded


@lru_cache(maxsize=8)
def _under(loaded: LoadedMarket, terms: Terms) -> LoadedMarket:
    market = rc.parameter_change(loaded.market, dict(terms))
    return replace(
        loaded,
        market=market,
        health_factor=rc.health_factor(market),
        today=rc.what_if(market, np.zeros(market.n_reserves)),
        eth_curve=repaid_as_eth_falls(market, loaded.assets, WhatIf()),
    )


def fitted(loaded: LoadedMarket, state: WhatIf) -> tuple[WhatIf, tuple[str, ...]]:
    """The state without parameters that this market refuses, and one sentence for each scenario that had some.

    A link or a saved scenario may come from another market.
    """
    problems = []
    sides = []
    for side, before in ((state.alone, ""), (state.base, "Held scenario: ")):
        try:
            under(loaded, side.terms)
        except rc.InputError as refused:
            words = str(refused).removeprefix("changes: ").partition("; known: ")[0]  # a market has dozens of them
            problems.append(f"{before}{SET}={to_link(side.terms)}: {words}. {UNCHANGED}")
            side = replace(side, terms=())
        sides.append(side)
    return sides[0].beside(sides[1]) if state.held else sides[0], tuple(problems)


def value_of(market: rc.Market, name: str, field: str) -> float:
    """A parameter as it is, a fraction; a bonus of -1 is none. `field`: one of `terms.FIELDS`. Raises `InputError`."""
    if name.startswith(EMODE):
        known = market.emodes.id.tolist()
        text = name.removeprefix(EMODE)
        if not (text.isascii() and text.isdigit()) or int(text) not in known:
            raise rc.InputError(f"no e-mode {name!r:.40} in this market")
        # Of an e-mode whose members differ, as no chain has it, the highest value.
        return float(np.max(getattr(market.emodes, field)[known.index(int(text))]))
    return float(getattr(market.reserves, field)[market.reserves.index(name)])
