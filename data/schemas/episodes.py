"""Past episodes of prices, replayed on a stored market."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, real, seconds, sha256
from data.schemas.model import Numbered


class EpisodeReplays(Numbered, key=["replay"], indexes=[["market", "block"]]):
    """`fact_episode_replay`: one path of past moves on the accounts of a snapshot: no chance, no probability."""

    replay: Series[str] = sha256("digest of snapshot, window, scale, prices and engine")
    market: Series[str] = name("market name")
    block: Series[np.int64] = integer("block of the snapshot", "block")
    block_time: Series[np.int64] = seconds("time of that block")
    episode: Series[str] = name("what is replayed")
    first_ts: Series[np.int64] = seconds("price that the first move starts from")
    last_ts: Series[np.int64] = seconds("price that the last move ends at")
    scale: Series[np.float64] = real("factor of every log move; 1 as it was", "1", gt=0)
    policy: Series[str] = name("which legs liquidators choose")
    proxies: Series[str] = document("factor to the factor that stands for it, or `still`")
    log_moves: Series[str] = document("factor to its log move over the window, scaled")
    prices_sha256: Series[str] = sha256("digest of the series and their prices")
    repaid_usd: Series[np.float64] = real("debt repaid", "USD", ge=0)
    seized_usd: Series[np.float64] = real("collateral seized", "USD", ge=0)
    deficit_usd: Series[np.float64] = real("deficit", "USD", ge=0)
    liquidated_accounts: Series[np.int64] = integer("accounts that are liquidated", "accounts")
    code_version: Series[str] = name("version and source digest of the engine")
    is_synthetic: Series[np.int64] = flag("1 when the snapshot is a sample")
