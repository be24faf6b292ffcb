"""The second layer: the engine's float rules against the same records, within the bounds of `bounds`.

The engine gets the recorded balances as float64 tokens and must come to the same decisions and, up to the roundings
that floats do not have, to the same amounts. Cases that only integers can judge are counted and listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import risk_core as rc
from tests.differential import bounds
from tests.differential.bounds import Bounds
from tests.differential.cases import MISFIT, Call
from tests.differential.engine_market import market_of
from tests.differential.integer_layer import steps
from tests.differential.tally import Tally
from tests.reference.aave_exact import Pool
from tests.reference.aave_records import Account, AccountData, Reserve, Reverted, Weighed
from tests.reference.fixed_point import MAX_UINT256, WAD
from tests.reference.truth import BASE, Truth


def check(truth: Truth) -> Tally:
    """Every account row, call and sequence of one file against `risk_core`."""
    tally = Tally()
    markets = _Markets(truth)
    for part in (_accounts, _horizons, _liquidations, _sequences):
        try:
            part(truth, markets, tally)
        except (*MISFIT, rc.RiskCoreError) as exc:
            where = f"{truth.name}: engine {part.__name__.lstrip('_')}"
            tally.judge(where, [f"cannot be evaluated: {type(exc).__name__}: {exc}"])
    return tally


class _Markets:
    """Pools and engine markets of one file, each built once."""

    def __init__(self, truth: Truth) -> None:
        self.pool: Callable[[str], Pool] = cache(truth.pool)
        self.whole: Callable[[str], rc.Market] = cache(lambda v: market_of(truth, self.pool(v), truth.users))


def _accounts(truth: Truth, markets: _Markets, tally: Tally) -> None:
    for vector, rows in truth.raw["accounts"].items():
        found = rc.health_factor(markets.whole(vector))
        _health_factors(tally, f"{truth.name}: engine accounts.{vector}", truth.users, rows, found)


def _horizons(truth: Truth, _: _Markets, tally: Tally) -> None:
    for h, horizon in enumerate(truth.raw["horizons"]):
        if horizon.get("accounts"):
            pool = truth.pool(BASE, int(horizon["time"]))
            found = rc.health_factor(market_of(truth, pool, truth.users))
            where = f"{truth.name}: engine horizons[{h}].accounts"
            _health_factors(tally, where, truth.users, horizon["accounts"], found)


def _health_factors(tally: Tally, where: str, users: list[Account], rows: list[list[str]], found: Any) -> None:
    for u, (user, row, value) in enumerate(zip(users, rows, found, strict=True)):
        data = AccountData(*map(int, row))
        if _judged(data):
            tally.judge(f"{where}[{u}]", _health_factor("health_factor", data, user, float(value), 0.0))


def _judged(data: AccountData) -> bool:
    """Health factors are judged without debt (they must be infinite) and above 10 USD of it."""
    return data.debt == 0 or data.debt > bounds.DEBT_FLOOR


def _health_factor(name: str, data: AccountData, account: Account, found: float, drift: float) -> list[str]:
    expected = math.inf if data.health_factor == MAX_UINT256 else data.health_factor / WAD
    if expected == found:
        return []
    bound = bounds.health_factor(data, account, drift) if data.debt else 0.0
    if abs(found - expected) <= bound:
        return []
    return [f"{name}: expected {expected!r}, found {found!r}, bound {bound:.1e}"]


def _liquidations(truth: Truth, markets: _Markets, tally: Tally) -> None:
    for i, record in enumerate(truth.raw["liquidations"]):
        where = f"{truth.name}: engine liquidations[{i}]"
        try:
            call = Call.of(truth, record, where, record["v"])
            pool, account = markets.pool(call.vector), truth.users[call.user]
            _judge(tally, markets.whole(call.vector), call.user, pool, account, call)
        except (*MISFIT, rc.RiskCoreError) as exc:
            tally.judge(where, [f"cannot be evaluated: {type(exc).__name__}: {exc}"])


def _sequences(truth: Truth, markets: _Markets, tally: Tally) -> None:
    for i, record in enumerate(truth.raw["sequences"]):
        where = f"{truth.name}: engine sequences[{i}]"
        try:
            _sequence(truth, markets, tally, record, where)
        except (*MISFIT, rc.RiskCoreError) as exc:
            tally.judge(where, [f"cannot be evaluated: {type(exc).__name__}: {exc}"])


def _sequence(truth: Truth, markets: _Markets, tally: Tally, record: Mapping[str, Any], where: str) -> None:
    """The engine carries its own balances from step to step; the integer model walks beside it for the bounds."""
    pool, account = markets.pool(record["v"]), truth.users[int(record["u"])]
    market, drift = market_of(truth, pool, [account]), 0.0
    for call in steps(truth, record, where):
        outcome = _judge(tally, market, 0, pool, account, call, drift)
        try:
            after = pool.liquidate(
                account,
                call.collateral,
                call.debt,
                call.cover,
                receive_atoken=call.receive_atoken,
                liquidator=call.liquidator,
            ).after
        except Reverted:
            continue
        if outcome is None:  # stood aside, or went wrong: the engine goes on from the integers
            market, drift = market_of(truth, pool, [after]), 0.0
        else:
            market = _after(market, outcome)
            drift = Bounds.of(pool, account, call.collateral, call.debt, drift).drift_after()
        account = after


def _after(market: rc.Market, outcome: rc.Liquidation) -> rc.Market:
    everything, rows = range(market.n_reserves), [0] * market.n_reserves
    return replace(
        market,
        collateral=rc.Positions.from_entries(rows, everything, outcome.collateral, 1),
        debt=rc.Positions.from_entries(rows, everything, outcome.debt, 1),
    )


def _judge(
    tally: Tally, market: rc.Market, row: int, pool: Pool, account: Account, call: Call, drift: float = 0.0
) -> rc.Liquidation | None:
    """One call by the engine against its record; returns the outcome when both let it through and agree."""
    index = {j: i for i, j in enumerate(pool.reserves)}
    weighed = _weigh(pool, account, call)
    bound = Bounds.of(pool, account, call.collateral, call.debt, drift)
    reason = bounds.stands_aside(pool, account, call.error, call.cover, weighed, bound)
    if reason:
        tally.stand_aside(call.where, reason)
        return None
    cover = None if call.cover is None else call.cover / pool.reserves[call.debt].unit
    outcome = rc.liquidate(market, row, index[call.collateral], index[call.debt], cover)
    if call.error is not None or outcome.error is not None:
        expected, found = call.error or "success", outcome.error or "success"
        tally.judge(call.where, [] if expected == found else [f"outcome: expected {expected}, found {found}"])
        return None
    right = tally.judge(call.where, _amounts(pool, account, call, weighed, outcome, bound))
    return outcome if right else None


def _weigh(pool: Pool, account: Account, call: Call) -> Weighed | None:
    """What decides the call; None where it fails before amounts matter (an unconfigured bonus cannot be divided by)."""
    try:
        return pool.weigh(account, call.collateral, call.debt, call.cover)
    except ZeroDivisionError:
        return None


def _amounts(
    pool: Pool, account: Account, call: Call, weighed: Weighed, outcome: rc.Liquidation, bound: Bounds
) -> list[str]:
    """What is wrong with the amounts of a call that went through on both sides."""
    wrong: list[str] = []

    def near(name: str, tokens: float, reserve: Reserve, expected: int, limit: float) -> None:
        found = float(tokens) * reserve.unit
        if not abs(found - expected) <= limit:  # NaN is never near
            wrong.append(f"{name}: expected {expected}, found {found!r}, bound {limit:.3g}")

    for name, reserve in (("repaid", bound.d), ("seized", bound.c), ("fee", bound.c)):
        expected = call.amount(name)
        near(name, getattr(outcome, name), reserve, expected, getattr(bound, name)(expected))
    booked, rows = dict(call.deficit), {row[0]: row for row in call.after}
    config = int(call.answer["config"], 16)
    for i, (j, reserve) in enumerate(pool.reserves.items()):
        held = pool.supply(account, j) if account.uses_as_collateral(j) else 0
        owed = pool.debt(account, j)
        near(f"deficit {j}", outcome.deficit[i], reserve, booked.get(j, 0), bound.deficit(reserve, owed))
        left = (rows[j][2] if j in rows else held) if config >> (2 * j + 1) & 1 else 0
        limit = max(bound.collateral_left(reserve), bounds.RELATIVE * held)
        near(f"collateral {j} after", outcome.collateral[i], reserve, left, limit)
        still = rows[j][4] if j in rows else owed
        near(f"debt {j} after", outcome.debt[i], reserve, still, max(bound.debt_left(reserve), bounds.RELATIVE * owed))

    before, after = weighed.data, AccountData(*call.account)
    if _judged(before):
        wrong += _health_factor("health_factor", before, account, outcome.health_factor, bound.drift)
    if _judged(after):
        found = outcome.health_factor_after
        wrong += _health_factor("health_factor_after", after, account, found, bound.drift_after())
    return wrong
