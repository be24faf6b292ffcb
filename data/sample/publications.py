"""A synthetic publication: a figure of the day before the sample's block, on a chain that does not exist.

The value is random and belongs to no run; its hashes belong to no transaction: nothing was ever sent.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.sample import configuration
from data.settings import SAMPLE_CHAIN, SAMPLE_MARKET

SCOPE = {"chain_id": SAMPLE_CHAIN}
DAY = 86_400
DECIMALS = 8
METRIC = f"SAMPLE {SAMPLE_MARKET} lar_repaid 99 % 24 h USD two-speed-t5 largest_legs"


def frames(seed: int = 7) -> dict[str, pd.DataFrame]:
    """One row of `fact_metric_publication`, confirmed, with a value between 10 and 100 million USD."""
    rng = np.random.Generator(np.random.PCG64([seed, 9]))
    answer = int(rng.integers(10**15, 10**16))
    as_of = configuration.BLOCK_TIME - DAY
    row = {
        "chain_id": SAMPLE_CHAIN, "transaction_hash": "0x" + _digest("transaction", seed),
        "contract": "0x" + _digest("contract", seed)[:40], "metric": METRIC,
        "metric_id": "0x" + _digest("metric", seed),
        "market": SAMPLE_MARKET, "measure": "lar_repaid", "level": 0.99, "horizon_seconds": DAY, "as_of": as_of,
        "value": answer / 10**DECIMALS, "unit": "USD", "decimals": DECIMALS, "answer": str(answer),
        "inputs_hash": _digest("inputs", seed), "is_synthetic": 1, "publisher": "0x" + _digest("publisher", seed)[:40],
        "nonce": 0, "gas": 200_000, "max_fee_wei": str(3 * 10**9), "priority_fee_wei": str(10**9), "state": "confirmed",
        "message": "made up: nothing was sent", "round_id": 1, "mined_block": 2,
        "mined_block_hash": "0x" + _digest("block", seed), "mined_at": as_of + 2_400, "prepared_at": as_of + 2_388,
    }  # fmt: skip
    return {"fact_metric_publication": pd.DataFrame([row])}


def _digest(what: str, seed: int) -> str:
    return hashlib.sha256(f"sample:publication:{what}:{seed}".encode()).hexdigest()
