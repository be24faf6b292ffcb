"""The laws keep their bits: digests of simulated results and of prices, taken before laws had modules of their own."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from tests.markets import prices, random_market, scenario

LAWS = {
    "gbm": rc.GBM(),
    "student-t": rc.StudentT(3.5),
    "jumps": rc.Jumps(intensity=200.0, mean=-0.1, deviation=0.08),
    "jumps with betas": rc.Jumps(100.0, 0.05, 0.02, beta=(1.0, 0.0, 0.5, -0.3, 2.0)),
}
GOLDEN = {
    ("gbm", "plain"): "70a33238942559d0",
    ("gbm", "antithetic"): "01493c3a14e84443",
    ("gbm", "quasi"): "f2375af74e246399",
    ("student-t", "plain"): "4383c9f1e83c9f85",
    ("student-t", "antithetic"): "74075af4d9c5158f",
    ("student-t", "quasi"): "8b7279ef1834101e",
    ("jumps", "plain"): "079fd38d533892b1",
    ("jumps", "antithetic"): "1b932883edb60a65",
    ("jumps", "quasi"): "85bd2255e0eee2ea",
    ("jumps with betas", "plain"): "8e09383a0f3849fc",
    ("jumps with betas", "antithetic"): "03f44e77c545b608",
    ("jumps with betas", "quasi"): "7d11b8386cca500a",
}
RARE = {
    "gbm": "2.98876923644e-13 30",
    "student-t": "0.00216464283214 155",
    "jumps": "1.61123027963e-13 23",
    "jumps with betas": "0.000911950935263 29",
}


@pytest.mark.parametrize("sampling", ["plain", "antithetic", "quasi"])
@pytest.mark.parametrize("law", LAWS)
def test_a_law_keeps_its_bits(law, sampling):
    """One thread and two. Other bits where none were meant: raise ENGINE in risk_core/version.py, or mend it."""
    market = random_market(3)
    plan = replace(scenario(5, 24, 4, volatility=2.0), law=LAWS[law], sampling=sampling)
    for threads in (1, 2):
        result = rc.simulate(market, plan, 70, seed=2**63 + 5, threads=threads)
        digest = hashlib.sha256(prices(plan, 40).tobytes())
        for name in ("path", "by_step", "fan", "hits"):
            digest.update(np.ascontiguousarray(getattr(result, name)).tobytes())
        assert digest.hexdigest()[:16] == GOLDEN[law, sampling]


def test_rare_losses_keep_their_bits():
    """The tilt that is found and the weights of its paths depend on each law's own numbers."""
    found = {}
    for law in LAWS:
        plan = replace(scenario(5, 24, 4, volatility=1.4), law=LAWS[law])
        estimate = rc.tails.probability_of_deficit(random_market(8), plan, above=1e4, n_paths=500, threads=1)
        found[law] = f"{estimate.value:.12g} {estimate.n_positive}"
    assert found == RARE
