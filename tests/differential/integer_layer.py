"""The first layer: the integer model against every recorded number, with `==`.

Indices (from the stored fields, at the evaluation time and at every horizon), totals, balances, account rows of every
price vector, single liquidation calls, sequences of calls, the protocol's own advice, and what the solved vectors
claim about themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from tests.differential.cases import MISFIT, Call
from tests.differential.tally import Tally
from tests.reference.aave_exact import Pool
from tests.reference.aave_records import USD, Account, AccountData, Receipt, Reverted
from tests.reference.fixed_point import BPS, WAD
from tests.reference.liquidation_info import liquidation_info
from tests.reference.truth import BASE, Truth


def check(truth: Truth) -> Tally:
    """Every recorded number of one file against the integer model."""
    tally = Tally()
    for part in PARTS:
        guarded(tally, f"{truth.name}: {part.__name__.lstrip('_')}", part, truth, tally)
    return tally


def guarded(tally: Tally, where: str, work: Callable[..., object], *arguments: object) -> None:
    """Run `work`; what does not fit together counts as one difference instead of ending the comparison."""
    try:
        work(*arguments)
    except MISFIT as exc:
        tally.judge(where, [f"cannot be evaluated: {type(exc).__name__}: {exc}"])


def _outline(truth: Truth, tally: Tally) -> None:
    """What a file says about itself: its number of users, and that it is evaluated one block (12 s) after the tip."""
    meta = truth.raw["meta"]
    expected = {"users": int(meta["users"]), "seconds after the tip": 12}
    found = {"users": len(truth.users), "seconds after the tip": truth.eval_time - int(meta["tip_timestamp"])}
    tally.equal(f"{truth.name}: meta", expected, found)


def _indices(truth: Truth, tally: Tally) -> None:
    for record in truth.raw["reserves"]:
        income, debt = truth.indices(record, truth.eval_time)
        expected = {"income": int(record["normalizedIncome_eval"]), "debt": int(record["normalizedVariableDebt_eval"])}
        where = f"{truth.name}: index at evaluation of reserve {record['id']}"
        tally.equal(where, expected, {"income": income, "debt": debt})
    for h, horizon in enumerate(truth.raw["horizons"]):
        for record, income, debt in zip(truth.raw["reserves"], horizon["income"], horizon["debt"], strict=True):
            found = truth.indices(record, int(horizon["time"]))
            where = f"{truth.name}: index at horizon {h} of reserve {record['id']}"
            expected = {"income": int(income), "debt": int(debt)}
            tally.equal(where, expected, dict(zip(("income", "debt"), found, strict=True)))


def _totals(truth: Truth, tally: Tally) -> None:
    """No holder is missing: scaled balances sum to the scaled total supplies; prices of `base` are the oracle's."""
    base = truth.pool(BASE)
    for record in truth.raw["reserves"]:
        j = int(record["id"])
        expected = {
            "scaled aTokens": int(record["scaledATokenSupply"]),
            "scaled debt": int(record["totalScaledVariableDebt"]),
            "price": int(record["priceInMarketReferenceCurrency"]),
        }
        found = {
            "scaled aTokens": sum(user.supply.get(j, 0) for user in truth.users),
            "scaled debt": sum(user.debt.get(j, 0) for user in truth.users),
            "price": base.reserves[j].price,
        }
        tally.equal(f"{truth.name}: totals of reserve {j}", expected, found)


def _positions(truth: Truth, tally: Tally) -> None:
    """Balances at the evaluation time, and a borrow flag wherever there is a debt."""
    pool = truth.pool(BASE)
    for u, (user, record) in enumerate(zip(truth.users, truth.raw["users"], strict=True)):
        expected, found = {}, {}
        for j, _, supply, scaled_debt, debt in record["pos"]:
            expected |= {f"supply {j}": int(supply), f"debt {j}": int(debt), f"borrows {j}": int(scaled_debt) > 0}
            found |= {
                f"supply {j}": pool.supply(user, j),
                f"debt {j}": pool.debt(user, j),
                f"borrows {j}": user.borrows(j),
            }
        tally.equal(f"{truth.name}: balances of user {u}", expected, found)


def _rows(tally: Tally, where: str, pool: Pool, users: list[Account], rows: list[list[str]]) -> None:
    for u, (user, row) in enumerate(zip(users, rows, strict=True)):
        expected = dict(zip(AccountData._fields, map(int, row), strict=True))
        tally.equal(f"{where}[{u}]", expected, pool.account_data(user)._asdict())


def _accounts(truth: Truth, tally: Tally) -> None:
    for vector, rows in truth.raw["accounts"].items():
        _rows(tally, f"{truth.name}: accounts.{vector}", truth.pool(vector), truth.users, rows)


def _horizons(truth: Truth, tally: Tally) -> None:
    for h, horizon in enumerate(truth.raw["horizons"]):
        if horizon.get("accounts"):
            pool = truth.pool(BASE, int(horizon["time"]))
            _rows(tally, f"{truth.name}: horizons[{h}].accounts", pool, truth.users, horizon["accounts"])


def _liquidations(truth: Truth, tally: Tally) -> None:
    pool_of = cache(truth.pool)
    for i, record in enumerate(truth.raw["liquidations"]):
        where = f"{truth.name}: liquidations[{i}]"
        guarded(tally, where, _liquidation, truth, tally, pool_of, record, where)


def _liquidation(truth: Truth, tally: Tally, pool_of: Callable[[str], Pool], record: Any, where: str) -> None:
    call = Call.of(truth, record, where, record["v"])
    judge(tally, pool_of(call.vector), truth.users[call.user], call)


def _sequences(truth: Truth, tally: Tally) -> None:
    pool_of = cache(truth.pool)
    for i, record in enumerate(truth.raw["sequences"]):
        where = f"{truth.name}: sequences[{i}]"
        guarded(tally, where, _sequence, truth, tally, pool_of(record["v"]), record, where)


def _sequence(truth: Truth, tally: Tally, pool: Pool, record: Any, where: str) -> None:
    account = truth.users[int(record["u"])]
    for call in steps(truth, record, where):
        receipt = judge(tally, pool, account, call)
        account = receipt.after if receipt else account


def steps(truth: Truth, record: Mapping[str, Any], where: str) -> Iterator[Call]:
    """Calls of one recorded sequence, each to be applied on the state after the previous successful one."""
    for n, step in enumerate(record["steps"]):
        if step.get("u", record["u"]) != record["u"]:
            raise ValueError(f"step {n} is about user {step['u']}, its sequence about user {record['u']}")
        yield Call.of(truth, {"u": record["u"], **step}, f"{where}.steps[{n}]", record["v"])


def judge(tally: Tally, pool: Pool, account: Account, call: Call) -> Receipt | None:
    """One call by the integer model against its record; returns the receipt when the model lets it through."""
    try:
        receipt = pool.liquidate(
            account,
            call.collateral,
            call.debt,
            call.cover,
            receive_atoken=call.receive_atoken,
            liquidator=call.liquidator,
        )
    except Reverted as exc:
        tally.equal(call.where, _recorded(call), {"outcome": exc.name})
        return None
    tally.equal(call.where, _recorded(call), _modelled(pool, receipt, call))
    return receipt


def _recorded(call: Call) -> dict[str, object]:
    if call.error is not None:
        return {"outcome": call.error}
    numbers = {name: call.amount(name) for name in ("repaid", "seized", "fee", "fee_scaled")}
    return {
        "outcome": "success",
        **numbers,
        "deficit": call.deficit,
        "config": int(call.answer["config"], 16),
        "account": call.account,
        "after": call.after,
    }


def _modelled(pool: Pool, receipt: Receipt, call: Call) -> dict[str, object]:
    after = receipt.after
    # The record lists the reserves that moved; those are compared, and one more or one less is a difference.
    moved = sorted({call.collateral, call.debt, *(j for j, _ in receipt.deficit)})
    rows = [
        (j, after.supply.get(j, 0), pool.supply(after, j), after.debt.get(j, 0), pool.debt(after, j)) for j in moved
    ]
    return {
        "outcome": "success",
        "repaid": receipt.repaid,
        "seized": receipt.seized,
        "fee": receipt.fee,
        "fee_scaled": receipt.fee_scaled,
        "deficit": list(receipt.deficit),
        "config": after.config,
        "account": tuple(pool.account_data(after)),
        "after": rows,
    }


def _advice(truth: Truth, tally: Tally) -> None:
    pool_of = cache(truth.pool)
    for i, row in enumerate(truth.raw.get("helper") or ()):
        where = f"{truth.name}: helper[{i}] ({row['v']} u={row['u']} c={row['c']} d={row['d']})"
        expected = {key: int(row[key]) for key in ("maxCollateral", "maxDebt", "fee", "amountToPass")}
        advice = liquidation_info(pool_of(row["v"]), truth.users[int(row["u"])], int(row["c"]), int(row["d"]))
        tally.equal(where, expected, dict(zip(expected, advice, strict=True)))


def _solved(truth: Truth, tally: Tally) -> None:
    """Vectors solved for one user stand where they say they stand, so the edges of the rules are really tested."""
    lines = {"coll2000": 2_000 * USD, "coll1999": 2_000 * USD - 1, "debt2000": 2_000 * USD, "debt1999": 2_000 * USD - 1}
    for vector, u in (truth.raw.get("exact") or {}).items():
        pool, user = truth.pool(vector), truth.users[int(u)]
        health_factor = pool.account_data(user).health_factor
        where = f"{truth.name}: exact.{vector} (user {u})"
        if vector in ("hf1", "hf095"):
            exact = WAD if vector == "hf1" else 95 * WAD // 100
            tally.equal(where, {"health_factor": exact}, {"health_factor": health_factor})
        elif vector == "hf1_less":
            tally.equal(where, {"below 1": True}, {"below 1": health_factor < WAD})
        elif vector == "hfround":
            tally.equal(where, {"half up and floor differ": True}, {"half up and floor differ": _rounds_up(pool, user)})
        elif vector in lines:
            values = {
                pool.reserves[j].supply_value(pool.supply(user, j))
                if vector.startswith("coll")
                else pool.reserves[j].debt_value(pool.debt(user, j))
                for j in user.flagged()
            }
            tally.equal(where, {"a value on the line": True}, {"a value on the line": lines[vector] in values})


def _rounds_up(pool: Pool, user: Account) -> bool:
    """Does the health factor of this account depend on rounding half up?"""
    data, weighted = pool.weighted_account_data(user)
    return data.health_factor != weighted * WAD // data.debt // BPS


PARTS = (_outline, _indices, _totals, _positions, _accounts, _horizons, _liquidations, _sequences, _advice, _solved)
"""What is compared, each from the file alone; cheap ones first."""
