"""The third layer: the truth files through `simulate` and `what_if`, each price vector a path of one step.

Every user starts at the prices of `base` and is carried to each vector's prices, under every policy that liquidates:

- who is touched (a call was made) must be who the contracts put below 1 with something to seize and something to repay
  that is not barred; `what_if` must list the same accounts, with the health factors of the contracts;
- where the policy's first call is a recorded one (same pair; cover max, or the amount that leaves 1,000 USD), the
  path's amounts are the recorded ones. When one call was not enough, the exact integer model walks on from the
  recorded state, by the same policy, and the sums are compared;
- the whole market's totals are, to the last micro-dollar, those of its accounts one by one.

The policy's choice is made by the plain Python twin (tests/reference/naive.py). Bounds and cases that stand aside are
those of `bounds`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

import risk_core as rc
from risk_core.draws import opening_steps
from risk_core.kernels.settle import ACCOUNTS, CALLS, DEFICIT, PROTOCOL_FEE, REPAID, SEIZED
from tests.differential import bounds
from tests.differential.bounds import Bounds
from tests.differential.cases import MISFIT, Call
from tests.differential.engine_market import market_of
from tests.differential.tally import Tally
from tests.reference import naive
from tests.reference.aave_exact import Pool
from tests.reference.aave_records import USD, Account, AccountData, Reverted
from tests.reference.fixed_point import WAD
from tests.reference.truth import BASE, Truth

POLICIES = ("largest_legs", "most_profitable", "protocol_helper")
STEP = timedelta(seconds=1)
MICRO = 1e6
ROUNDED = 0.5e-6
"""USD by which one amount of one call may be off in `simulate`, which counts in micro-dollars."""
RESIZED = 1e-5
"""USD within which a recorded cover is the one that leaves 1,000 on a leg."""
MONEY = (("repaid", REPAID), ("seized", SEIZED), ("fee", PROTOCOL_FEE), ("deficit", DEFICIT))


def check(truth: Truth) -> Tally:
    """Every user under every price vector of one file."""
    tally = Tally()
    recorded = _recorded(truth)
    for vectors in _alike(truth):
        try:
            _vectors(truth, vectors, recorded, tally)
        except (*MISFIT, rc.RiskCoreError) as exc:
            where = f"{truth.name}: simulate {', '.join(vectors)}"
            tally.judge(where, [f"cannot be evaluated: {type(exc).__name__}: {exc}"])
    return tally


def _alike(truth: Truth) -> list[list[str]]:
    """Vectors that can be paths of one run: those without administration, and each other one alone."""
    named = [vector for vector in truth.raw["accounts"] if vector in truth.raw["vectors"]]
    plain = [vector for vector in named if not truth.flags(vector)]
    return [*([plain] if plain else []), *([vector] for vector in named if truth.flags(vector))]


def _recorded(truth: Truth) -> Mapping[tuple[str, int, int, int], list[Call]]:
    """Calls that went through, by (vector, user, collateral, debt)."""
    calls = defaultdict(list)
    for i, record in enumerate(truth.raw["liquidations"]):
        if "err" not in record:
            where = f"{truth.name}: simulate liquidations[{i}]"
            try:
                call = Call.of(truth, record, where, record["v"])
            except MISFIT:
                continue  # the other layers say so
            calls[call.vector, call.user, call.collateral, call.debt].append(call)
    return calls


def _market(truth: Truth, pool: Pool, accounts: list[Account], like: rc.Market | None = None) -> rc.Market:
    """The market a second before, at the prices of `base`: a step of one second ends at the time of the records."""
    market = market_of(truth, pool, accounts, like)
    base = [r.price / USD for r in truth.pool(BASE).reserves.values()] if like is None else like.price
    return replace(market, price=base, snapshot=replace(market.snapshot, block_time=pool.time - 1))


def _vectors(truth: Truth, vectors: list[str], recorded: Mapping[Any, list[Call]], tally: Tally) -> None:
    pools = [truth.pool(vector) for vector in vectors]
    after = np.array([[r.price / USD for r in pool.reserves.values()] for pool in pools])
    whole = _market(truth, pools[0], truth.users)
    before = np.broadcast_to(whole.price, after.shape)
    paths = rc.PricePaths(name="vectors", price=np.stack([before, after], axis=2), step=STEP)
    open_from = opening_steps(whole, paths)
    at_vector = [market_of(truth, pool, truth.users) for pool in pools]
    alone = [_market(truth, pools[0], [user], whole) for user in truth.users]
    # (users, vectors, totals) of each policy: `simulate` with a market of one account.
    found = {
        policy: np.array([rc.simulate(one, paths, policy=policy, threads=1).path for one in alone])
        for policy in POLICIES
    }
    for policy in POLICIES:
        together = rc.simulate(whole, paths, policy=policy)
        for v, vector in enumerate(vectors):
            money = found[policy][:, v].sum(axis=0).tolist()
            where = f"{truth.name}: simulate {vector} {policy}, all accounts"
            tally.equal(where, {"totals": together.path[v].tolist()}, {"totals": money})
    for v, (vector, pool) in enumerate(zip(vectors, pools, strict=True)):
        answer = rc.what_if(at_vector[v], np.zeros(whole.n_reserves))
        health = dict(zip(answer.liquidatable.tolist(), answer.liquidatable_health.tolist(), strict=True))
        for u, row in enumerate(truth.raw["accounts"][vector]):
            case = _Case(truth, tally, pool, vector, u, at_vector[v], open_from, health.get(u))
            if case.touched(AccountData(*map(int, row)), {p: found[p][u, v] for p in POLICIES}):
                for policy in POLICIES:
                    case.amounts(policy, found[policy][u, v], recorded)


@dataclass(frozen=True, slots=True)
class _Case:
    """One user under one vector. health: what `what_if` found below 1, None where it found nothing."""

    truth: Truth
    tally: Tally
    pool: Pool
    vector: str
    user: int
    market: rc.Market
    open_from: Any
    health: float | None

    @property
    def account(self) -> Account:
        return self.truth.users[self.user]

    @property
    def where(self) -> str:
        return f"{self.truth.name}: simulate {self.vector} u={self.user}"

    def touched(self, data: AccountData, totals: Mapping[str, Any]) -> bool:
        """Judge who is touched, and the health factor below 1. True where every policy made a call, rightly."""
        below = data.health_factor < WAD
        roundings = 2 * sum(1 for _ in self.account.flagged())
        near = abs(data.health_factor - WAD)
        if near <= bounds.HEALTH_FACTOR_EDGE or (data.debt and near / WAD <= roundings / data.debt):
            self.tally.stand_aside(self.where, "health factor within 1e-9 of 1, or the contract's own rounding")
            return False
        backed = below and data.collateral > 0
        wrong = []
        if backed != (self.health is not None):
            wrong.append(f"what_if: expected {'below 1' if backed else 'not listed'}, found {self.health}")
        elif backed and data.debt > bounds.DEBT_FLOOR:
            bound, value = bounds.health_factor(data, self.account), data.health_factor / WAD
            if not abs(self.health - value) <= bound:
                wrong.append(f"health_factor: expected {value!r}, found {self.health!r}, bound {bound:.1e}")
        admissible = backed and self.choice("largest_legs", self.market, self.user) is not None
        for policy, money in totals.items():
            if admissible != (money[ACCOUNTS] > 0):
                wrong.append(f"{policy}: expected {'a call' if admissible else 'no call'}, found {money[CALLS]} calls")
        return self.tally.judge(self.where, wrong) and admissible

    def choice(self, policy: str, market: rc.Market, row: int) -> tuple[int, int, float, float] | None:
        """(collateral, debt, repaid USD, taken USD) of the policy's next call by the plain twin; reserve indices."""
        held, owed = naive._tokens(market.collateral, row), naive._tokens(market.debt, row)
        policy = "largest_legs" if policy == "protocol_helper" else policy  # the same calls, up to 1e-6 USD
        return naive._choose(market, row, held, owed, market.price, 0, self.open_from, policy) if owed else None

    def amounts(self, policy: str, money: Any, recorded: Mapping[Any, list[Call]]) -> None:
        """Where the first call is a recorded one, judge the path's amounts."""
        ids, choice = list(self.pool.reserves), self.choice(policy, self.market, self.user)
        calls = recorded.get((self.vector, self.user, ids[choice[0]], ids[choice[1]]), [])
        call = next((call for call in calls if self._is(call, choice)), None)
        if call is None:
            return
        where = f"{call.where} {policy}"
        reason = self._aside(self.account, call.collateral, call.debt, 0.0)
        if reason:
            self.tally.stand_aside(where, reason)
            return
        walk = _Walk.of(self, call)
        reason = walk.on(policy)
        if reason:
            self.tally.stand_aside(where, reason)
            return
        wrong = [] if walk.calls == money[CALLS] else [f"calls: expected {walk.calls}, found {money[CALLS]}"]
        for name, column in MONEY:
            found, expected, bound = money[column] / MICRO, walk.usd[name], walk.bound[name]
            if not abs(found - expected) <= bound:
                wrong.append(f"{name}: expected {expected!r} USD, found {found!r}, bound {bound:.1e}")
        self.tally.judge(where, wrong)

    def _is(self, call: Call, choice: tuple[int, int, float, float]) -> bool:
        """Does the recorded cover ask for what the policy asks for?"""
        most = self.pool.weigh(self.account, call.collateral, call.debt, None)
        reserve = self.pool.reserves[call.debt]
        if call.cover is None or call.cover >= most.moved.debt:
            return not self.pool.rules.leaves_dust(most)
        return abs(call.cover / reserve.unit * reserve.price / USD - choice[2]) <= RESIZED

    def _aside(self, account: Account, c: int, d: int, drift: float) -> str | None:
        """As in the second layer. A cover that leaves 1,000 USD stands on that line by construction: the line that
        decides is that of the largest call."""
        weighed = self.pool.weigh(account, c, d, None)
        return bounds.stands_aside(self.pool, account, None, None, weighed, Bounds.of(self.pool, account, c, d, drift))


@dataclass(slots=True)
class _Walk:
    """Money of a call and of what follows it, USD, with how far a float may stand from it."""

    case: _Case
    account: Account
    drift: float
    calls: int
    usd: dict[str, float]
    bound: dict[str, float]

    @classmethod
    def of(cls, case: _Case, call: Call) -> _Walk:
        """After the recorded call: its amounts are the record's, the balances after it the exact model's."""
        walk = cls(case, case.account, 0.0, 0, dict.fromkeys(("repaid", "seized", "fee", "deficit"), 0.0), {})
        walk.bound = dict.fromkeys(walk.usd, 0.0)
        money = {name: call.amount(name) for name in ("repaid", "seized", "fee")}
        walk._take(call.collateral, call.debt, call.cover, money, call.deficit)
        return walk

    def on(self, policy: str) -> str | None:
        """Call on while the policy does; a reason where only integers can tell how."""
        case, ids = self.case, list(self.case.pool.reserves)
        while self.calls < 64:
            data = case.pool.account_data(self.account)
            if data.debt == 0 or data.health_factor >= WAD + bounds.HEALTH_FACTOR_EDGE:
                return None
            if data.collateral == 0:
                return None
            market = market_of(case.truth, case.pool, [self.account], case.market)
            choice = case.choice(policy, market, 0)
            if choice is None:
                return None
            c, d = ids[choice[0]], ids[choice[1]]
            reserve = case.pool.reserves[d]
            cover = None
            if case.pool.rules.leaves_dust(case.pool.weigh(self.account, c, d, None)):
                cover = int(choice[2] * USD / reserve.price * reserve.unit) - 1
            reason = case._aside(self.account, c, d, self.drift)
            if reason:
                return f"{reason} (after {self.calls} calls)"
            try:
                receipt = case.pool.liquidate(self.account, c, d, cover)
            except Reverted as exc:
                return f"the integer model cannot walk on: {exc.name}"
            money = {"repaid": receipt.repaid, "seized": receipt.seized, "fee": receipt.fee}
            self._take(c, d, cover, money, list(receipt.deficit))
        return "more than 64 calls"

    def _take(
        self, c: int, d: int, cover: int | None, money: Mapping[str, int], deficit: list[tuple[int, int]]
    ) -> None:
        pool = self.case.pool
        bound = Bounds.of(pool, self.account, c, d, self.drift)
        for name, reserve in (("repaid", bound.d), ("seized", bound.c), ("fee", bound.c)):
            usd = reserve.price / USD / reserve.unit
            self.usd[name] += money[name] * usd
            self.bound[name] += getattr(bound, name)(money[name]) * usd + ROUNDED
            if cover is not None:
                self.bound[name] += RESIZED
        for j, reserve in pool.reserves.items():
            usd = reserve.price / USD / reserve.unit
            booked = dict(deficit).get(j, 0)
            self.usd["deficit"] += booked * usd
            if booked or self.account.borrows(j):
                self.bound["deficit"] += bound.deficit(reserve, pool.debt(self.account, j)) * usd + ROUNDED
        self.account = pool.liquidate(self.account, c, d, cover).after
        self.drift = bound.drift_after()
        self.calls += 1
