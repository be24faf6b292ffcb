"""Every public function refuses what is not an argument of its kind, by name: the twin of `test_strict_inputs`, which
sweeps the fields of records."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import risk_core as rc
from risk_core import measures, tails
from risk_core.tilts import Tilt
from tests.markets import one_account, scenario

MARKET = one_account()
SCENARIO = scenario(2, 2)
RESULT = rc.simulate(MARKET, SCENARIO, 64, threads=1)
TILT = Tilt.none(2)
SAMPLE = tails.sample(MARKET, SCENARIO, TILT, 32, threads=1)
IMPACT = rc.Impact.exponential([1e6, np.inf])
RETURNS = np.random.default_rng(3).normal(0.0, 0.01, (48, 2))
USD = np.arange(100.0)

Call = tuple[Callable[..., Any], dict[str, Any]]
CALLS: dict[str, Call] = {
    "simulate": (rc.simulate, dict(market=MARKET, scenario=SCENARIO, n_paths=4, seed=7, threads=1, paths=(0, 4),
                                   policy="largest_legs", progress=None, brute_force=False, impact=IMPACT,
                                   liquidators=rc.Liquidators(), feeds=rc.Feeds.alike(2), borrowers=rc.Borrowers(),
                                   memory_mb=500.0)),
    "what_if": (rc.what_if, dict(market=MARKET, shock={"ETH": -0.2}, policy="largest_legs")),
    "sweep": (rc.sweep, dict(market=MARKET, direction={"ETH": -1.0}, steps=3, policy="largest_legs")),
    "parameter_change": (rc.parameter_change, dict(market=MARKET, changes={"ETH.ltv": 0.5})),
    "accrual_time": (rc.accrual_time, dict(market=MARKET, supply_rate=[0.0, 0.0], borrow_rate=[0.1, 0.1],
                                           since_update=[0.0, 0.0], most_days=10.0)),
    "health_bands": (rc.health_bands, dict(market=MARKET, scenario=SCENARIO, collateral=[0], debt=[1], chances=(0.05,),
                                           n_paths=64, seed=7)),
    "reverse_stress": (rc.reverse_stress, dict(market=MARKET, scenario=SCENARIO, liquidated_usd=1.0, deficit_usd=None)),
    "health_factor": (rc.health_factor, dict(market=MARKET, prices=MARKET.price)),
    "distance_to_liquidation": (rc.distance_to_liquidation, dict(market=MARKET, direction={"ETH": -1.0})),
    "liquidation_prices": (rc.liquidation_prices, dict(market=MARKET, account=0)),
    "liquidate": (rc.liquidate, dict(market=MARKET, account=0, collateral="ETH", debt="USDC", cover=100.0)),
    "calibrate": (rc.calibrate, dict(log_returns=RETURNS, periods_per_year=8_760, decay=0.9, floor=0.01)),
    "lar": (measures.lar, dict(result=RESULT, level=0.9, of="repaid")),
    "var": (measures.var, dict(result=RESULT, level=0.9)),
    "expected_shortfall": (measures.expected_shortfall, dict(result=RESULT, level=0.9, of="repaid")),
    "mean": (measures.mean, dict(result=RESULT, of="repaid")),
    "probability_of_loss": (measures.probability_of_loss, dict(result=RESULT, above=0.0, of="repaid")),
    "severity": (measures.severity, dict(result=RESULT, of="repaid")),
    "convergence": (measures.convergence, dict(result=RESULT, level=0.9, of="repaid", points=3)),
    "contributions": (rc.contributions, dict(market=MARKET, result=RESULT, level=0.9, of="repaid", measure="quantile",
                                             accounts=2, drivers=1)),
    "losses": (measures.losses, dict(result=RESULT, of="repaid")),
    "quantile": (measures.quantile, dict(sample=USD, level=0.9, cluster=None)),
    "tail_mean": (measures.tail_mean, dict(sample=USD, level=0.9, cluster=None)),
    "average": (measures.average, dict(sample=USD, cluster=None)),
    "share": (measures.share, dict(sample=USD, above=0.0, cluster=None)),
    "fan_usd": (RESULT.fan_usd, dict(levels=(0.5, 0.9))),
    "find_tilt": (tails.find_tilt, dict(market=MARKET, scenario=SCENARIO, above=0.0, seed=7, n_paths=8, of="deficit")),
    "sample": (tails.sample, dict(market=MARKET, scenario=SCENARIO, tilt=TILT, n_paths=8, seed=7, paths=(0, 8),
                                  of="deficit")),
    "probability_of_deficit": (tails.probability_of_deficit, dict(market=MARKET, scenario=SCENARIO, above=0.0,
                                                                  n_paths=8, seed=7)),
    "probability": (SAMPLE.probability, dict(above=0.0)),
    "mean of a tail": (SAMPLE.mean, dict(above=0.0)),
    "one_step": (rc.PricePaths.one_step, dict(market=MARKET, prices=MARKET.price, name="x")),
    "exponential": (rc.Impact.exponential, dict(depth_usd=[1e6, 1e6], half_life=timedelta(hours=1), market=[0, 1])),
    "bridge": (rc.bridge, dict(market=MARKET, scenario=SCENARIO, ends={SCENARIO.factors[0]: -0.2}, n_paths=8, seed=7)),
    "multiplier": (IMPACT.multiplier, dict(sold_usd=[1.0, 1.0])),
    "proceeds": (IMPACT.proceeds, dict(sold_usd=[1.0, 1.0])),
    "kept": (IMPACT.kept, dict(step=timedelta(hours=1))),
    "shocked": (MARKET.shocked, dict(shock={"ETH": -0.2})),
    "index": (MARKET.index, dict(account=0)),
    "reserve index": (MARKET.reserves.index, dict(symbol="ETH")),
    "from_entries": (rc.Positions.from_entries, dict(account=[0], reserve=[0], amount=[1.0], n_accounts=1)),
}  # fmt: skip
BAD: dict[str, Any] = {
    "text": "0.99", "texts": ["repaid"], "NaN": float("nan"), "object": object(), "bytes": b"1", "negative": -3.5,
    "mapping": {"x": "y"}, "ragged": [[1.0], [1.0, 2.0]], "huge": 10**400, "cube": np.zeros((2, 2, 2)),
    "truth": True, "complex": 1j, "none": None,
}  # fmt: skip
MEANT: set[tuple[str, str, str]] = {
    # What looks odd and is legal: a loss above any number, a name of any text.
    ("probability_of_loss", "above", "negative"),
    ("share", "above", "negative"),
    ("probability", "above", "negative"),
    ("mean of a tail", "above", "negative"),
    ("one_step", "name", "text"),
    ("simulate", "brute_force", "truth"),
}
OPTIONAL = {
    ("simulate", "threads"), ("simulate", "paths"), ("simulate", "progress"), ("simulate", "impact"),
    ("simulate", "liquidators"), ("simulate", "feeds"), ("simulate", "borrowers"),
    ("simulate", "memory_mb"), ("health_factor", "prices"), ("liquidate", "cover"), ("quantile", "cluster"),
    ("tail_mean", "cluster"), ("average", "cluster"), ("share", "cluster"),
    ("accrual_time", "since_update"), ("reverse_stress", "deficit_usd"),
    ("sample", "paths"), ("exponential", "half_life"), ("exponential", "market"),
}  # fmt: skip


def bad_calls() -> list[Any]:
    return [
        pytest.param(name, argument, BAD[kind], id=f"{name} {argument} {kind}")
        for name, (_, arguments) in CALLS.items()
        for argument in arguments
        for kind in BAD
        if (name, argument, kind) not in MEANT and not (kind == "none" and (name, argument) in OPTIONAL)
    ]


@pytest.mark.parametrize("name", CALLS)
def test_each_call_is_legal_as_it_stands(name: str) -> None:
    function, arguments = CALLS[name]
    function(**arguments)


@pytest.mark.parametrize(("name", "argument", "bad"), bad_calls())
def test_an_argument_of_another_kind_is_refused_by_name(name: str, argument: str, bad: Any) -> None:
    function, arguments = CALLS[name]
    with pytest.raises(rc.InputError) as refused:
        function(**arguments | {argument: bad})
    words = str(refused.value)
    assert words.startswith(SAYS.get(argument, (argument,))), words
    assert len(words) < 400


SAYS = {
    # An argument that goes on to a record is named as the record's field; a reserve or an account by what it is.
    "symbol": ("no reserve", "symbol"), "name": ("PricePaths.name",), "half_life": ("Impact.half_life",),
    "market": ("market", "Impact.market"), "paths": ("paths",), "shock": ("shock", "no reserve"),
    "direction": ("direction", "no reserve"), "account": ("account", "Positions: account"),
    "reserve": ("Positions: reserve",), "amount": ("Positions: amount",), "n_accounts": ("Positions: n_accounts",),
    "collateral": ("collateral", "no reserve"), "debt": ("debt", "no reserve"),
    "deficit_usd": ("deficit_usd", "liquidated_usd, deficit_usd"),
}  # fmt: skip


def test_every_public_function_is_swept() -> None:
    swept = {function for function, _ in CALLS.values()}
    public = [getattr(rc, name) for name in rc.__all__] + [getattr(measures, n) for n in measures.__all__]
    functions = [f for f in public if inspect.isfunction(f) and inspect.signature(f).parameters]
    assert [f.__name__ for f in functions if f not in swept] == []
    for name, (function, arguments) in CALLS.items():
        known = inspect.signature(function).parameters
        taken = {n for n, p in known.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
        assert taken == set(arguments), name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measures.lar(RESULT, level="0.99"), "level: expected a number between 0 and 1; .*found '0.99' \\(str"),
        (lambda: measures.expected_shortfall(RESULT, level=None), "level: .*found None"),
        (lambda: measures.expected_shortfall(RESULT, of=["repaid"]), "of: expected one of repaid, .*'repaid'"),
        (lambda: measures.lar(RESULT, level=0.0), "level: .*found 0.0"),
        (lambda: measures.lar(RESULT, level=1), "level: .*found 1"),
        (lambda: measures.probability_of_loss(RESULT, above="0"), "above: expected USD, a finite number, found '0'"),
        (lambda: measures.probability_of_loss(RESULT, above=np.nan), "above: expected USD, .*nan"),
        (lambda: RESULT.fan_usd(0.5), r"levels: expected shape \(any\), found \(\)"),  # type: ignore[arg-type]
        (lambda: RESULT.fan_usd(("0.5",)), "levels: expected numbers, found entry 0 is '0.5'"),  # type: ignore[arg-type]
        (lambda: RESULT.fan_usd((0.5, 1.5)), "levels: entry 1 is 1.5; must be a number between 0 and 1"),
        (lambda: rc.simulate(MARKET, SCENARIO, policy=["x"]), "policy: expected one of"),  # type: ignore[arg-type]
        (lambda: rc.what_if("m", {}), "market: expected a risk_core.Market, found 'm'"),  # type: ignore[arg-type]
        (lambda: rc.simulate(MARKET, "s"), "scenario: expected a risk_core.Scenario"),  # type: ignore[arg-type]
        (lambda: rc.simulate(MARKET, SCENARIO, impact=3), "impact: expected a risk_core.Impact"),  # type: ignore[arg-type]
        (lambda: rc.liquidate(MARKET, 0, "ETH", "USDC", cover=-1.0), "cover: expected a positive number"),
        (lambda: measures.tail_mean([], 0.9), "sample: expected at least one draw"),
        (lambda: measures.quantile([1.0, np.nan], 0.9), "sample: entry 1 is nan"),
        (lambda: measures.quantile([1.0, 2.0], 0.9, [0]), r"cluster: expected shape \(2\)"),
    ],
)
def test_what_was_seen_in_the_field(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(rc.InputError, match=message):
        call()


def test_weights_that_differ_much_are_few_draws() -> None:
    """A hundred losses of which one weighs a million times the others are one draw."""
    weight = np.where(np.arange(100) == 0, 1e6, 1.0)
    sample = replace(SAMPLE, loss_usd=np.ones(100), weight=weight)
    estimate = sample.probability()
    assert estimate.n_positive == 100
    assert estimate.effective_draws < 2
    assert estimate.few_draws
