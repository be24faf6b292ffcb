"""Protocols, chains, coins, stablecoins and pools as DefiLlama sends them, and the protocol snapshots made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import Series

from data.schemas.fields import (
    document,
    integer,
    name,
    real,
    seconds,
    text,
)
from data.schemas.model import DAY, Numbered, ReceivedFrom


class DefiLlamaProtocol(ReceivedFrom, key=["slug", "series", "date"], late_after=2 * DAY):
    """`raw_defillama_protocol`: history of each series of a protocol; a point that was corrected is a new row."""

    slug: Series[str] = name("protocol, as in the request")
    series: Series[str] = name(
        "key of chainTvls as received (a chain, borrowed, Ethereum-borrowed ...); (all): the total"
    )
    date: Series[np.int64] = seconds("time of the point")
    usd: Series[np.float64] = real("totalLiquidityUSD", "USD")


class DefiLlamaProtocols(ReceivedFrom, key=["protocol_id", "fetched_at"]):
    """`raw_defillama_protocols`: every listed protocol at the time of reading."""

    protocol_id: Series[str] = name("DefiLlama's id")
    fetched_at: Series[np.int64] = seconds("when the list was read")
    protocol_name: Series[str] = name("name of the protocol")
    slug: Series[pd.StringDtype] = text("slug, where the list has one", nullable=True)
    category: Series[pd.StringDtype] = text("category such as Lending", nullable=True)
    chains: Series[str] = document("chains it runs on")
    tvl_usd: Series[np.float64] = real("value locked", "USD", nullable=True)
    change_1d: Series[np.float64] = real("change over a day as received", "per cent", nullable=True)
    change_7d: Series[np.float64] = real("change over seven days as received", "per cent", nullable=True)


class DefiLlamaChainTvl(ReceivedFrom, key=["chain", "date"]):
    """`raw_defillama_chain_tvl`: history of what is locked on a chain, liquid staking and double counts left out."""

    chain: Series[str] = name("chain as in the request; (all): every chain")
    date: Series[np.int64] = seconds("time of the point")
    tvl_usd: Series[np.float64] = real("value locked", "USD")


class DefiLlamaPrices(ReceivedFrom, key=["coin", "ts"]):
    """`raw_defillama_prices`: coin prices, each at the source's own time."""

    coin: Series[str] = name("{chain}:{address} or coingecko:{id}, as in the request")
    ts: Series[np.int64] = seconds("time of the price, as received")
    symbol: Series[str] = name("symbol as received")
    price_usd: Series[np.float64] = real("price", "USD per unit", gt=0)
    confidence: Series[np.float64] = real("confidence as received, 0 to 1", "share", nullable=True)
    decimals: Series[pd.Int64Dtype] = integer("decimals of the token, where received", "digits", nullable=True)


class DefiLlamaStablecoins(ReceivedFrom, key=["stablecoin_id", "fetched_at"]):
    """`raw_defillama_stablecoins`: every stablecoin at the time of reading."""

    stablecoin_id: Series[str] = name("DefiLlama's id")
    fetched_at: Series[np.int64] = seconds("when the list was read")
    stablecoin_name: Series[str] = name("name of the stablecoin")
    symbol: Series[str] = name("its symbol")
    peg_type: Series[str] = name("what it is pegged to, such as peggedUSD")
    peg_mechanism: Series[pd.StringDtype] = text("how, as received", nullable=True)
    circulating: Series[np.float64] = real("amount in circulation", "units of the peg", nullable=True)
    price_usd: Series[np.float64] = real("price", "USD per unit", nullable=True)
    document: Series[str] = document("the whole entry, keys sorted")


class DefiLlamaYields(ReceivedFrom, key=["pool", "fetched_at"]):
    """`raw_defillama_yields`: every pool whose yield is followed, at the time of reading."""

    pool: Series[str] = name("DefiLlama's id of the pool")
    fetched_at: Series[np.int64] = seconds("when the list was read")
    chain: Series[str] = name("chain of the pool")
    project: Series[str] = name("protocol such as aave-v3")
    symbol: Series[str] = name("what is deposited")
    tvl_usd: Series[np.float64] = real("value locked", "USD")
    apy: Series[np.float64] = real("yield as received", "per cent a year", nullable=True)
    apy_base: Series[np.float64] = real("yield without rewards", "per cent a year", nullable=True)
    apy_reward: Series[np.float64] = real("yield of rewards", "per cent a year", nullable=True)
    document: Series[str] = document("the whole entry, keys sorted")


class ProtocolSnapshots(Numbered, key=["slug", "snapshot_ts"], indexes=[["batch"]]):
    """`fact_protocol_snapshot`: what a protocol holds and has lent at each time DefiLlama has a point for."""

    slug: Series[str] = name("protocol")
    snapshot_ts: Series[np.int64] = seconds("time of the snapshot")
    tvl_usd: Series[np.float64] = real(
        "sum over chains; borrowed, staked and treasury amounts are no part of it", "USD"
    )
    borrowed_usd: Series[np.float64] = real("lent out; empty where the source has no such series", "USD", nullable=True)
    utilisation: Series[np.float64] = real("borrowed / (tvl + borrowed)", "fraction", nullable=True)
    change_1d: Series[np.float64] = real(
        "tvl over the newest one at least a day older, less 1; empty without one", "fraction", nullable=True
    )
    change_7d: Series[np.float64] = real(
        "tvl over the newest one at least seven days older, less 1; empty without one", "fraction", nullable=True
    )
    source: Series[str] = name("defillama, or synthetic for the sample's")
