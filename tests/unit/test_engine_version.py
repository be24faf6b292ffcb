"""The engine number in `code_version` stands for bits: other bits, other number."""

from __future__ import annotations

import hashlib

import risk_core as rc
from risk_core.version import ENGINE
from tests.markets import random_market, scenario

DIGESTS = {1: "135188b95ce72cd1d6bc427a273c476ba29f9e919f50a78762e64f667c832d06"}


def test_the_engine_number_changes_with_the_bits():
    """A red test here means that stored results no longer repeat: raise ENGINE and add the new digest."""
    digest = hashlib.sha256()
    for kind in ("plain", "many_legs", "whales"):
        market = random_market(42, kind)
        for policy in ("largest_legs", "most_profitable"):
            result = rc.simulate(market, scenario(market.n_reserves, 24, 42, volatility=2.0), 64, policy=policy)
            digest.update(result.path.tobytes())
            digest.update(result.by_step.tobytes())
    assert DIGESTS[ENGINE] == digest.hexdigest()
