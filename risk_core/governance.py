"""A change of risk parameters: the same accounts at the same prices under other terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from risk_core.checks import checked_kind, checked_number, checked_text
from risk_core.errors import InputError
from risk_core.types import Market

FIELDS = ("liquidation_threshold", "ltv", "liquidation_bonus")
EMODE = "emode:"
"""Begins the name of an e-mode: `emode:1` is the category with the id 1."""
ROUNDED_TO_ONE = 1.00005
"""The contract rounds a threshold times (1 + bonus) to the nearest basis point before it compares it with 1
(aave-v3-origin, `PercentageMath.percentMul`); from here on that is more than 1."""


def parameter_change(market: Market, changes: Mapping[str, float]) -> Market:
    """The market with other parameters of reserves and e-modes; balances and prices stay.

    changes: {"WETH.liquidation_threshold": 0.80, "emode:1.ltv": 0.9}: a reserve by symbol or address or an e-mode by
    id, and one of `liquidation_threshold`, `ltv` and `liquidation_bonus`; the new value as a fraction (a bonus of 0.05
    is 5 %). Inside an e-mode the category's parameters count for its collateral, so a reserve's own do not reach it.
    What is liquidatable at once is `what_if(changed, {})`; the change of a measure is that of two runs of `simulate`
    with one seed. The snapshot's `hash` is empty, since no stored rows hold this market, and `notes` states the change.

    Raises `InputError` for an unknown name or field, and for what the pool's configurator refuses: a loan to value
    above the threshold, or a threshold times (1 + bonus) above 1 (aave-v3-origin, `PoolConfigurator.sol`).
    """
    checked_kind("market", market, Market)
    if not isinstance(changes, Mapping) or not changes:
        raise InputError(f"changes: expected a mapping such as {{'WETH.ltv': 0.8}}, found {changes!r:.60}")
    reserves = {name: np.array(getattr(market.reserves, name)) for name in FIELDS}
    emodes = {name: np.array(getattr(market.emodes, name)) for name in FIELDS}
    seen: dict[tuple[bool, int, str], str] = {}
    for key, given in changes.items():
        name, _, field = checked_text("changes", key).rpartition(".")
        if field not in FIELDS:
            raise InputError(f"changes: {key!r:.80} expected NAME.FIELD with a field of {', '.join(FIELDS)}")
        inside = name.startswith(EMODE)
        at = _category(market, name) if inside else market.reserves.index(name)
        if (inside, at, field) in seen:
            raise InputError(f"changes: {key!r:.80} and {seen[inside, at, field]!r:.80} are the same parameter")
        seen[inside, at, field] = key
        value = checked_number(f"changes: {key:.80}", given, 0.0, 1.0, "a fraction in [0, 1]; 0.05 is 5 %")
        (emodes if inside else reserves)[field][at] = value
    for (inside, at, _), key in seen.items():
        threshold, ltv, bonus = ((emodes if inside else reserves)[name][at] for name in FIELDS)
        if np.any(ltv > threshold):
            raise InputError(f"changes: {key!r:.80} leaves a loan to value of {ltv:g} above the threshold {threshold}")
        if np.any(threshold * (1.0 + bonus) >= ROUNDED_TO_ONE - 1e-12):
            raise InputError(
                f"changes: {key!r:.80} leaves a threshold of {threshold} with a bonus of {bonus}: together above 1, so "
                "collateral at the threshold does not pay the debt and its bonus"
            )
    words = ", ".join(f"{key} = {changes[key]:g}" for key in seen.values())
    return replace(
        market,
        reserves=replace(market.reserves, **reserves),
        emodes=replace(market.emodes, **emodes),
        snapshot=replace(market.snapshot, hash=""),
        notes=(*market.notes, f"Parameters changed: {words}"),
    )


def _category(market: Market, name: str) -> int:
    """Row of the e-mode `emode:ID`."""
    ids = market.emodes.id.tolist()
    text = name.removeprefix(EMODE)
    if not (text.isascii() and text.isdigit()) or int(text) not in ids:
        known = ", ".join(f"{EMODE}{number}" for number in ids) or "none"
        raise InputError(f"changes: no e-mode {name!r:.60} in this market; known: {known}")
    return ids.index(int(text))
