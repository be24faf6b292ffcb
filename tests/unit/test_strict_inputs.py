"""Nothing is coerced in silence: every field of every public record refuses what is not what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import risk_core as rc
from risk_core.checks import checked_array
from risk_core.engine import _require_whole
from risk_core.kernels.settle import DEFICIT, N_TOTALS, PROTOCOL_FEE, REPAID, SEIZED
from tests.markets import one_account

MARKET = one_account()
SCENARIO = rc.Scenario(
    name="s",
    horizon=timedelta(hours=24),
    n_steps=24,
    factors=("ETH", "USD"),
    volatility=[0.8, 0.05],
    correlation=np.eye(2),
    factor=[0, 1],
)
EMODES = rc.EModes(
    id=[1], label=("ETH",), ltv=[0.9], liquidation_threshold=[0.93], liquidation_bonus=[0.01],
    collateral=[[True, False]], borrowable=[[True, False]], ltvzero=[[False, False]], isolated=[False],
)  # fmt: skip
PATHS = rc.PricePaths.one_step(MARKET, [MARKET.price * 0.9])
IMPACT = rc.Impact.exponential([1e6, np.inf])
RECORDS = {
    "Reserves": MARKET.reserves,
    "EModes": EMODES,
    "Positions": MARKET.collateral,
    "Snapshot": MARKET.snapshot,
    "Market": MARKET,
    "Scenario": SCENARIO,
    "PricePaths": PATHS,
    "Impact": IMPACT,
}
BAD: dict[str, Any] = {
    "text": "False",
    "texts": ["False", "False"],
    "NaN": float("nan"),
    "object": object(),
    "bytes": b"1",
}
TEXT = {"market", "hash", "name", "symbol", "asset", "label", "notes", "factors", "accounts", "sampling"}
OPTIONAL = {
    ("Scenario", "shock"),
    ("Impact", "half_life"),
    ("Impact", "market"),
    *(("Reserves", name) for name in ("price_cap", "ratio_cap", "ratio_of", "linked_to", "fixed_price")),
}


def changes() -> list[Any]:
    found = []
    for record, value in RECORDS.items():
        for field in fields(value):
            for kind, bad in BAD.items():
                if field.name in TEXT and (kind in ("text", "texts")):
                    continue
                found.append(pytest.param(record, field.name, bad, id=f"{record}.{field.name} {kind}"))
            if (record, field.name) not in OPTIONAL:
                found.append(pytest.param(record, field.name, None, id=f"{record}.{field.name} None"))
    return found


@pytest.mark.parametrize(("record", "field", "bad"), [c for c in changes()])
def test_every_field_refuses_what_it_is_not(record: str, field: str, bad: Any) -> None:
    with pytest.raises(rc.InputError, match=rf"^({record}\.?{field}|{record}|price)"):
        replace(RECORDS[record], **{field: bad})


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        ("Reserves", {"paused": ["False", "False"]}, r"Reserves\.paused: expected true .* entry 0 is 'False'"),
        ("Reserves", {"paused": [False, np.nan]}, r"Reserves\.paused: expected true or false, found entry 1 is nan"),
        ("Reserves", {"paused": [0, 2]}, r"Reserves\.paused: .* entry 1 is 2"),
        ("Reserves", {"decimals": [18, 6.5]}, r"Reserves\.decimals: expected integers, found entry 1 is 6\.5"),
        ("Reserves", {"grace_until": [1_700_000_000_000, 0]}, r"Reserves\.grace_until: .*not milliseconds"),
        ("Reserves", {"asset": ["0xA", "0xa"]}, r"Reserves\.asset: entry 1 is 0xa, as entry 0 is"),
        ("Reserves", {"symbol": "ETH"}, r"Reserves\.symbol: expected a sequence of texts"),
        ("Positions", {"amount": [-1.0]}, r"Positions\.amount: entry 0 is -1\.0"),
        ("Positions", {"amount": [True]}, r"Positions\.amount: expected numbers, found entry 0 is True"),
        ("Snapshot", {"block_time": 1_700_000_000_000}, r"Snapshot\.block_time: .*milliseconds"),
        ("Snapshot", {"block": -1}, r"Snapshot\.block: expected at least 0, found -1"),
        ("Snapshot", {"revision": 10.0}, r"Snapshot\.revision: expected an integer, found 10\.0"),
        ("Snapshot", {"synthetic": "False"}, r"Snapshot\.synthetic: expected true or false"),
        ("Market", {"price": ["1900", "1"]}, r"Market\.price: expected numbers, found entry 0 is '1900'"),
        ("Scenario", {"volatility": [80, 5]}, r"Scenario\.volatility: entry 0 \(ETH\) is 80\.0; .* is 80 % a year"),
        ("Scenario", {"n_steps": 24.0}, r"Scenario\.n_steps: expected an integer, found 24\.0"),
        ("Scenario", {"n_steps": True}, r"Scenario\.n_steps: expected an integer, found True"),
        ("Scenario", {"horizon": 24}, r"Scenario\.horizon: expected a datetime\.timedelta"),
        ("Scenario", {"factors": ("ETH", "ETH")}, r"Scenario\.factors: entry 1 is ETH, as entry 0 is"),
        ("PricePaths", {"step": 3600}, r"PricePaths\.step: expected a datetime\.timedelta"),
        ("PricePaths", {"step": timedelta(0)}, r"PricePaths\.step: expected a positive time"),
        ("PricePaths", {"step": timedelta(hours=-1)}, r"PricePaths\.step: expected a positive time"),
        ("Impact", {"half_life": 7200}, r"Impact\.half_life: expected a datetime\.timedelta"),
    ],
)
def test_what_was_seen_in_the_field(record: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(rc.InputError, match=message):
        replace(RECORDS[record], **change)


def test_addresses_are_compared_without_case() -> None:
    checksummed = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    market = replace(MARKET, accounts=[checksummed])
    assert market.accounts.tolist() == [checksummed.lower()]
    assert market.index(checksummed) == market.index(checksummed.lower()) == 0
    asset = replace(MARKET.reserves, asset=(checksummed, "0x" + "b" * 40))
    assert asset.index(checksummed) == 0


def test_an_account_appears_once() -> None:
    empty = rc.Positions(indptr=[0, 0, 0], reserve=[], amount=[])
    with pytest.raises(rc.InputError, match=r"Market\.accounts: entry 1 is 0xab, as entry 0 is; each may appear once"):
        replace(MARKET, accounts=["0xAB", "0xab"], emode=[-1, -1], collateral=empty, debt=empty)


def test_paths_of_another_day_are_not_taken_for_the_snapshot() -> None:
    other = replace(PATHS, price=PATHS.price * 1.1)
    with pytest.raises(rc.InputError, match=r"reserve 0 \(ETH\) starts at .* column 0 must be the snapshot"):
        rc.simulate(MARKET, other)


@pytest.mark.parametrize("shock", [{"ETH": "-0.2"}, {"ETH": True}, {"ETH": None}, {"ETH": np.nan}, ["a", "b"]])
def test_a_shock_is_a_number(shock: Any) -> None:
    with pytest.raises(rc.InputError, match=r"^shock"):
        rc.what_if(MARKET, shock)


def test_a_reserve_is_shocked_once() -> None:
    with pytest.raises(rc.InputError, match="are the same reserve"):
        rc.what_if(MARKET, {"ETH": -0.2, MARKET.reserves.asset[0]: -0.3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 1.5}, "threads: expected an integer"),
        ({"threads": True}, "threads: expected an integer"),
        ({"n_paths": 10.0}, "n_paths"),
        ({"paths": (0, 2.5)}, "paths: stop: expected an integer"),
        ({"paths": 5}, r"paths: expected \(start, stop\)"),
        ({"seed": "7"}, "seed"),
    ],
)
def test_simulate_takes_integers(change: dict[str, Any], message: str) -> None:
    with pytest.raises(rc.InputError, match=message):
        rc.simulate(MARKET, SCENARIO, **({"n_paths": 4} | change))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.float32, np.float64])
def test_other_widths_lose_nothing(dtype: type) -> None:
    assert checked_array("x", np.array([0, 1, 3], dtype=dtype), np.int64, (3,)).tolist() == [0, 1, 3]
    assert checked_array("x", np.array([0, 1, 1], dtype=dtype), np.bool_, (3,)).tolist() == [False, True, True]


def test_a_sum_is_of_one_run() -> None:
    first = rc.simulate(MARKET, SCENARIO, n_paths=4, paths=(0, 4))
    for change in ({"volatility": [2.5, 0.05]}, {"n_steps": 1}, {"name": "t"}, {"law": rc.StudentT(4)},
                   {"sampling": "antithetic"}, {"horizon": timedelta(hours=48)}, {"shock": [-0.1, 0.0]}):  # fmt: skip
        second = rc.simulate(MARKET, replace(SCENARIO, **change), n_paths=8, paths=(4, 8))
        with pytest.raises(rc.InputError, match=rf"cannot be added: scenario\.{next(iter(change))}"):
            first + second
    same = rc.simulate(MARKET, replace(SCENARIO), n_paths=8, paths=(4, 8))
    assert (first + same).n_paths == 8
    with pytest.raises(rc.InputError, match="seed is 7 and 8"):
        first + rc.simulate(MARKET, SCENARIO, n_paths=8, seed=8, paths=(4, 8))


def test_money_beyond_what_is_counted_is_refused() -> None:
    with pytest.raises(rc.InputError, match="shock: amounts exceed what is counted"):
        rc.what_if(MARKET, {"USDC": 1e12})
    with pytest.raises(rc.InputError, match="direction: amounts exceed"):
        rc.sweep(MARKET, {"USDC": 1e13}, steps=3)
    with pytest.raises(rc.InputError, match="prices: amounts exceed"):
        rc.simulate(MARKET, rc.PricePaths.one_step(MARKET, [MARKET.price * [1.0, 1e12]]))


def test_a_sum_over_many_paths_that_runs_over_is_refused() -> None:
    """A borrower of 10 bn on 1.2 M paths: 1.2e16 USD in a step, more than 9.2e15."""
    large = one_account(collateral=6e6, debt=1e10)
    n = 1_000
    price = np.tile(np.array([[2_000.0, 1.0], [1_000.0, 1.0]]).T, (n, 1, 1)) * (MARKET.price / [2_000.0, 1.0])[:, None]
    result = rc.simulate(large, rc.PricePaths(name="fall", price=price, step=timedelta(hours=1)))
    assert (result.path >= 0).all()
    assert (result.by_step >= 0).all()
    big = replace(result, by_step=result.by_step * 1_000)
    with pytest.raises(rc.InputError, match="the sum of both results"):
        big + replace(big, first_path=n)


@pytest.mark.parametrize("column", [REPAID, SEIZED, PROTOCOL_FEE, DEFICIT])
def test_a_total_that_ran_over_is_found_by_the_other_total(column: int) -> None:
    """1,000,000 USD on each of 8 paths, counted in micro-USD by path and in milli-USD by step."""
    path, by_step = np.zeros((8, N_TOTALS), dtype=np.int64), np.zeros((1, 2, 4), dtype=np.int64)
    path[:, column], by_step[0, 1, column] = 10**12, 8 * 10**9
    _require_whole(path, by_step)
    path[3, column] += 2**62  # half of a wrap
    with pytest.raises(rc.InputError, match="amounts exceed what is counted"):
        _require_whole(path, by_step)
    path[3, column], by_step[0, 1, column] = 10**12, -8 * 10**9
    with pytest.raises(rc.InputError, match="amounts exceed what is counted"):
        _require_whole(path, by_step)
