"""How the oracle makes the price of each reserve, read from the contracts behind it at one block.

A source is a Chainlink proxy or one of Aave's adapters around it (bgd-labs/aave-capo). The functions that an adapter
answers show its kind: `getPriceCap` a stablecoin's, `getSnapshotRatio` a staked token's, `price` a constant's,
`PENDLE_PRINCIPAL_TOKEN` a discounted token's. The addresses of feeds show what a price is made of; symbols alone are
not enough. Where the model is unclear, or the oracle's price contradicts it, no model is set: the price is the feed's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flows.aave.contracts import NO_CONTRACT, OracleModel, Reserve
from flows.clients.abis import Function
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.clients.rounds import Read, carried_out
from flows.errors import ConfigurationError
from risk_core.price_caps import SCALE, largest_ratio
from risk_core.units import RAY, USD

MOST = 2**200
"""A larger value means that there is no cap."""
GETTERS: Mapping[str, Function] = {
    "ratio": Function("getRatio()", ("int256",)),
    "snapshot_ratio": Function("getSnapshotRatio()", ("uint256",)),
    "snapshot_timestamp": Function("getSnapshotTimestamp()", ("uint256",)),
    "max_yearly_growth_bps": Function("getMaxYearlyGrowthRatePercent()", ("uint256",)),
    "price_cap": Function("getPriceCap()", ("int256",)),
}
"""The parameters of adapters. Ratios in their own decimals, the cap in the adapter's, the time in UTC seconds."""

_ABOUT: Mapping[str, Function] = {
    "ratio_decimals": Function("RATIO_DECIMALS()", ("uint8",)),
    "growth_scaled": Function("getMaxRatioGrowthPerSecondScaled()", ("uint256",)),
    "growth": Function("getMaxRatioGrowthPerSecond()", ("uint256",)),
    "base": Function("BASE_TO_USD_AGGREGATOR()", ("address",)),
    "underlying": Function("ASSET_TO_USD_AGGREGATOR()", ("address",)),
    "decimals": Function("decimals()", ("uint8",)),
    "constant": Function("price()", ("int256",)),
    "principal_token": Function("PENDLE_PRINCIPAL_TOKEN()", ("address",)),
}

Answers = Mapping[str, int | str]
"""A source's answers by the names above; a function that the source lacks is absent."""


def getters(setting: str | None) -> dict[str, Function]:
    """The parameters' view functions: `GETTERS`, overridden by `AAVE_CAP_GETTERS` where it names one.

    setting: a JSON object, parameter to signature without arguments.

    >>> getters('{"price_cap": "cap()"}')["price_cap"].signature, getters(None)["ratio"].signature
    ('cap()', 'getRatio()')

    Raises `ConfigurationError` for another form.
    """
    if not setting:
        return dict(GETTERS)
    try:
        setting_names = json.loads(setting)
        if not isinstance(setting_names, dict):
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            'AAVE_CAP_GETTERS: expected a JSON object such as {"ratio": "name()"}, found other text'
        ) from None
    for name, signature in setting_names.items():
        if name not in GETTERS or not re.fullmatch(r"[A-Za-z_$][\w$]*\(\)", str(signature)):
            raise ConfigurationError(
                f"AAVE_CAP_GETTERS: expected one of {', '.join(GETTERS)} with a signature like name(), "
                f"found {name!r:.40} with {signature!r:.60}"
            )
    return GETTERS | {name: Function(signature, GETTERS[name].outputs) for name, signature in setting_names.items()}


def asked(reader: BlockReader, sources: Sequence[str], named: Mapping[str, Function]) -> Read[dict[str, Answers]]:
    """The answers of each source (an address) to the getters `named` and to those that show the kind of adapter."""
    functions = _ABOUT | dict(named)
    known = [source for source in dict.fromkeys(sources) if source != NO_CONTRACT]
    calls = [Call(source, function, about=source) for source in known for function in functions.values()]
    raw = yield calls
    answered = (reader.decoded(call, answer, may_fail=True) for call, answer in zip(calls, raw, strict=True))
    return {
        source: {name: answer for name in functions if not isinstance(answer := next(answered), Failure)}
        for source in known
    }


def with_models(reader: BlockReader, reserves: Sequence[Reserve], named: Mapping[str, Function]) -> list[Reserve]:
    """The reserves with the model of each one's oracle, read at the reader's block."""
    answers = carried_out(reader, asked(reader, [reserve.price_source for reserve in reserves], named))
    return [
        replace(reserve, oracle=model)
        for reserve, model in zip(reserves, models(reserves, answers, reader.block.time), strict=True)
    ]


def models(reserves: Sequence[Reserve], answers: Mapping[str, Answers], at: int) -> list[OracleModel]:
    """The model of each reserve's oracle at time `at` (the block's), from the sources' answers; pure."""
    answers_of = [answers.get(reserve.price_source, {}) for reserve in reserves]
    return [_model(i, reserves, answers_of, at) for i in range(len(reserves))]


def _model(i: int, reserves: Sequence[Reserve], answers_of: Sequence[Answers], at: int) -> OracleModel:
    reserve, own = reserves[i], answers_of[i]
    if not reserve.price:
        return OracleModel()
    leader = _followed(i, reserves, answers_of)
    if leader is not None:
        return OracleModel(linked_to=leader)
    if "price_cap" in own:
        cap = int(own["price_cap"]) * USD // 10 ** int(own["decimals"]) if "decimals" in own else 0
        return OracleModel(price_cap=cap) if reserve.price <= cap < MOST else OracleModel()
    if "snapshot_ratio" in own and "base" in own:
        base = next((r for r in reserves if r.price and r.price_source == own["base"] and r is not reserve), None)
        if base is None:
            return OracleModel()
        cap = _ratio_cap(own, at)
        # The adapter rounds its price down; a larger price means that another ratio than this one is in force.
        bound = None if cap is None else cap * base.price * (1 + 1e-6) / RAY
        return OracleModel(ratio_of=base.asset, ratio_cap=None if bound is None or reserve.price > bound else cap)
    fixed = "constant" in own and re.search(r"\bfixed\b|one usd$", reserve.price_description, re.I)
    return OracleModel(fixed=bool(fixed) and not {"underlying", "base"} & own.keys())


def _ratio_cap(own: Answers, at: int) -> int | None:
    """Largest ratio at time `at` in ray, rounded down; None where a parameter is missing."""
    if not {"snapshot_ratio", "snapshot_timestamp", "ratio_decimals"} <= own.keys():
        return None
    snapshot, since = int(own["snapshot_ratio"]), int(own["snapshot_timestamp"])
    if "growth_scaled" in own or "growth" in own:
        growth = int(own["growth_scaled"]) if "growth_scaled" in own else int(own["growth"]) * SCALE
        highest = snapshot + growth * (at - since) // SCALE
    elif "max_yearly_growth_bps" in own:
        highest = largest_ratio(snapshot, since, int(own["max_yearly_growth_bps"]), at)
    else:
        return None
    cap = highest * RAY // 10 ** int(own["ratio_decimals"])
    return cap if cap < MOST else None


def _followed(i: int, reserves: Sequence[Reserve], answers_of: Sequence[Answers]) -> str | None:
    """The asset whose price this reserve's source takes, or None: same feed, and its description names the asset.

    The feed alone would link cbBTC to tBTC, which share BTC / USD but do not follow each other.
    """
    reserve, own = reserves[i], answers_of[i]
    if "snapshot_ratio" in own:
        return None
    if "principal_token" in own:
        return next((r.asset for r in reserves if r.price and r.price_source == own.get("underlying")), None)
    if _names_itself(reserve):
        return None
    feeds = {reserve.price_source, own.get("underlying")} - {None}
    for other, other_answers in zip(reserves, answers_of, strict=True):
        shared = other.price_source in feeds or other_answers.get("underlying") in feeds
        if shared and other.price and _names_itself(other) and other.symbol.casefold() in _words(reserve):
            return other.asset
    return None


def _words(reserve: Reserve) -> set[str]:
    return {word.casefold() for word in re.split(r"[^A-Za-z0-9.]+", reserve.price_description)}


def _names_itself(reserve: Reserve) -> bool:
    return reserve.symbol.casefold() in _words(reserve)
