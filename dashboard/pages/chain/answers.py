"""Figures of the Chain page: transfers by hour and their usual number, scores of blocks, transactions of a sandwich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import risk_core as rc
from dashboard.look import formatting as fmt
from dashboard.look.escaping import named
from dashboard.market.chain import DAYS, SHOWN_HOURS, Activity, Hours, Token
from risk_core.analytics import mev
from risk_core.analytics.transfers import LIMIT, usual

STANDARDS = {"ERC20": "ERC-20", "ERC721": "ERC-721", "ERC1155": "ERC-1155"}
PARTS = {
    "sandwiched": "Sandwiched",
    "gas": "Gas outliers",
    "priority": "Priority fees",
    "liquidations": "Liquidations",
    "arbitrage": "Arbitrage",
}
UNUSUAL_SCORE = 20.0
"""Least score of an unusual block: a fifth of all points; there is no standard."""
GROUPS = ("token", "standard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """Hours, oldest first, and their usual numbers.

    Arrays are (hours, series), NaN where not known; names are safe for a page. total_usual: (hours,) usual number of
    all transfers.
    """

    ts: np.ndarray
    names: tuple[str, ...]
    transfers: np.ndarray
    median: np.ndarray
    score: np.ndarray
    days: np.ndarray
    unusual: np.ndarray
    total_usual: np.ndarray
    amount_times: np.ndarray
    """Amount over the usual amount; NaN also for a series of several tokens, whose amounts have no common unit."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One transaction of a sandwich as text: place in the block, role, sender, hash, swap, result."""

    place: int
    role: str
    sender: str
    hash: str
    swapped: str
    result: str


@dataclass(frozen=True, slots=True)
class Provision:
    """Just-in-time liquidity as text: block, sender, places of its transactions, number of swaps, amounts."""

    block: int
    sender: str
    put_at: int
    taken_at: int
    swaps: int
    put_in: str
    taken_out: str


def volumes(hours: Hours, by: str = "token", shown: int = SHOWN_HOURS) -> Volumes:
    """Transfers by token or by standard. Raises `InputError` for another grouping."""
    if by not in GROUPS:
        raise rc.InputError(f"by: expected {' or '.join(GROUPS)}, found {by[:40]!r}")
    transfers, amounts = hours.transfers, hours.amounts
    if by == "token":
        names = tuple(name(token, kind) for token, kind in hours.series)
        alone = np.array([token is not None for token, _ in hours.series], dtype=bool)
    else:
        kinds = sorted({kind for _, kind in hours.series})
        member = np.array([[kind == one for one in kinds] for _, kind in hours.series]).reshape(-1, len(kinds))
        transfers, amounts = transfers @ member.astype(float), amounts @ member.astype(float)
        names = tuple(STANDARDS.get(kind, "unknown") for kind in kinds)
        alone = np.zeros(len(kinds), bool)
    kept = _last_whole(hours, shown)
    held = usual(transfers, days=DAYS)
    amount = usual(amounts, days=DAYS, least=0.0)
    times = np.full(amounts.shape, np.nan)
    known = (amount.median > 0) & alone & ~np.isnan(amounts)
    times[known] = amounts[known] / amount.median[known]
    total = usual(transfers.sum(axis=1, keepdims=True), days=DAYS)
    return Volumes(
        ts=hours.ts[kept],
        names=names,
        transfers=transfers[kept],
        median=held.median[kept],
        score=held.score[kept],
        days=held.days[kept],
        unusual=held.unusual()[kept],
        total_usual=total.median[kept, 0],
        amount_times=times[kept],
    )


def _last_whole(hours: Hours, shown: int) -> slice:
    """Hours up to the newest complete one: an hour that is not over has too few transfers."""
    if not hours.transfers.shape[1]:
        return slice(0, 0)
    whole = np.flatnonzero(~np.isnan(hours.transfers[:, 0]))
    end = int(whole[-1]) + 1 if len(whole) else 0
    return slice(max(end - shown, 0), end)


def name(token: Token | None, standard: str) -> str:
    """Symbol, or the address shortened; `other ERC-20` for the rest."""
    if token is None:
        return f"other {STANDARDS.get(standard, 'tokens')}"
    text = named(token.symbol) if token.symbol else fmt.short_hash(token.address)
    return text if standard == "ERC20" else f"{text} ({STANDARDS.get(standard, standard)})"


def loudest(found: Volumes) -> list[tuple[int, int]]:
    """(hour, series) of unusual values, largest deviation first."""
    places = [(int(i), int(j)) for i, j in np.argwhere(found.unusual)]
    return sorted(places, key=lambda at: -abs(found.score[at]))


def sandwiches_of(activity: Activity, block: int) -> list[mev.Sandwich]:
    """The sandwiches of a block."""
    return [one for one in activity.scores.sandwiches.found if one.block == block]


def story(activity: Activity, one: mev.Sandwich) -> list[Leg]:
    """The transactions of a sandwich in the order of the block."""
    swaps = activity.swaps
    rows = sorted((*one.legs, *one.victims))
    legs = []
    for row in rows:
        role = "victim" if row in one.victims else "back-run" if row == one.legs[-1] else "front-run"
        result = ""
        if row == one.legs[-1]:
            inward = swaps.amount0[one.legs[0]] > 0
            start = int((swaps.token0 if inward else swaps.token1)[row])
            result = f"{'+' if one.profit >= 0 else ''}{_amount(activity, one.profit, start)}".replace("-", fmt.MINUS)
            if np.isnan(one.profit):
                result = "balance not closed"
        legs.append(
            Leg(
                int(swaps.transaction[row]),
                role,
                activity.swap_sender[row],
                activity.swap_hash[row],
                _swapped(activity, row),
                result,
            )
        )
    return legs


def provisions(activity: Activity) -> list[Provision]:
    """The just-in-time liquidity of the blocks shown, the newest first."""
    changes = activity.changes
    rows = []
    for one in reversed(activity.just_in_time):
        tokens = [int(side[one.swaps[0]]) for side in (activity.swaps.token0, activity.swaps.token1)]
        put, taken = (
            " and ".join(_amount(activity, raw, token) for raw, token in zip(amounts, tokens, strict=True))
            for amounts in (one.put_in, one.taken_out)
        )
        rows.append(
            Provision(
                block=one.block,
                sender=activity.change_sender[one.added[0]],
                put_at=int(changes.transaction[one.added[0]]),
                taken_at=int(changes.transaction[one.removed[-1]]),
                swaps=len(one.swaps),
                put_in=put,
                taken_out=taken,
            )
        )
    return rows


def _swapped(activity: Activity, row: int) -> str:
    swaps = activity.swaps
    sides = [
        (float(swaps.amount0[row]), int(swaps.token0[row])),
        (float(swaps.amount1[row]), int(swaps.token1[row])),
    ]
    sides.sort()  # a negative amount is paid by the pool
    (got, got_token), (gave, gave_token) = sides
    return f"{_amount(activity, gave, gave_token)} for {_amount(activity, -got, got_token)}"


def _amount(activity: Activity, raw: float, token: int) -> str:
    if token == mev.ABSENT:
        return "an unknown token"
    one = activity.tokens[token]
    symbol = named(one.symbol) if one.symbol else fmt.short_hash(one.address)
    if one.decimals is None:
        return f"{raw:.4g} smallest units of {symbol}"
    value = raw / 10.0**one.decimals
    return f"{value:,.0f} {symbol}" if abs(value) >= 1_000 else f"{value:.4g} {symbol}"


def volume_json(activity: Activity, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/token-volume`: `?by=token` or `standard`, `?hours=48`."""
    found = volumes(activity.hours, query.get("by", "token"), _count("hours", query.get("hours"), SHOWN_HOURS))
    return {
        "chain_id": activity.chain_id, "is_synthetic": activity.synthetic, "usual_days": DAYS, "limit": LIMIT,
        "hour": found.ts, "series": list(found.names), "transfers": found.transfers,
        "usual": found.median, "score": found.score, "days": found.days,
        "unusual": found.unusual, "amount_over_usual": found.amount_times,
        "all_usual": found.total_usual,
    }  # fmt: skip


def heatmap_json(activity: Activity, query: Mapping[str, str]) -> dict[str, Any]:
    """`/api/v1/mev-heatmap`: the newest blocks, `?blocks=48` at most as many as are shown."""
    kept = slice(max(len(activity.number) - _count("blocks", query.get("blocks"), len(activity.number)), 0), None)
    scores = activity.scores
    shown = set(activity.number[kept].tolist())
    return {
        "chain_id": activity.chain_id,
        "is_synthetic": activity.synthetic,
        "weights": dict(mev.WEIGHTS),
        "block": activity.number[kept],
        "timestamp": activity.ts[kept],
        "score": scores.score[kept],
        "parts": {key: scores.parts[kept, i] for i, key in enumerate(mev.WEIGHTS)},
        "counts": {key: of[kept] for key, of in scores.counts.items()},
        "flash_loans": activity.flash_loans[kept],
        "sandwiches": [
            {
                "block": one.block,
                "attacker": [activity.swap_hash[row] for row in one.legs],
                "victims": [activity.swap_hash[row] for row in one.victims],
                "profit_raw": one.profit,
                "profit_token": _profit_token(activity, one),
            }
            for one in scores.sandwiches.found
            if one.block in shown
        ],
        "just_in_time": [
            {
                "block": one.block,
                "added": [activity.change_hash[row] for row in one.added],
                "swaps": [activity.swap_hash[row] for row in one.swaps],
                "removed": [activity.change_hash[row] for row in one.removed],
                "put_in_raw": list(one.put_in),
                "taken_out_raw": list(one.taken_out),
                "tokens": [
                    _address(activity, int(side[one.swaps[0]]))
                    for side in (activity.swaps.token0, activity.swaps.token1)
                ],
            }
            for one in activity.just_in_time
            if one.block in shown
        ],
    }


def _profit_token(activity: Activity, one: mev.Sandwich) -> str | None:
    first = one.legs[0]
    token = int((activity.swaps.token0 if activity.swaps.amount0[first] > 0 else activity.swaps.token1)[first])
    return _address(activity, token)


def _address(activity: Activity, token: int) -> str | None:
    return None if token == mev.ABSENT else activity.tokens[token].address


def _count(label: str, asked: str | None, most: int) -> int:
    if asked is None:
        return most
    if not asked.isascii() or not asked.isdigit() or not 1 <= int(asked[:9]) <= most or len(asked) > 9:
        raise rc.InputError(f"{label}: expected a whole number from 1 to {most}, found {asked[:40]!r}")
    return int(asked)


def block_of(activity: Activity, asked: str | int | None) -> int:
    """Place of the requested block; that of the highest score where there is no such block."""
    found = np.flatnonzero(activity.number == int(asked)) if asked and str(asked).isdigit() else np.zeros(0, int)
    return int(found[0]) if len(found) else int(np.argmax(activity.scores.score))


def signs(numbers: Sequence[float]) -> list[float | None]:
    """The numbers for a chart, with None for NaN."""
    return [None if np.isnan(v) else float(v) for v in numbers]
