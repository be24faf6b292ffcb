"""Symbols and decimals of the events' tokens, and their prices by the market's oracle at the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from data.schemas.lending import RECEIVED
from flows.clients import abis
from flows.clients.abis import Function, WrongShape
from flows.clients.block_reader import BlockReader, Call, Failure
from flows.clients.json_rpc import JsonRpc, Request, RpcError
from flows.lending.compound_book import CHAIN_OWN_COIN
from risk_core.units import USD

if TYPE_CHECKING:
    from flows.lending.markets import MarketEntry
    from flows.pipeline import Run

SOURCE = "lending_assets"
DECIMALS = Function("decimals()", ("uint8",))
PRICES_AT_ONCE = 500
"""Prices that are asked for and stored together."""


def name_assets(run: Run, reader: BlockReader, chain_id: int) -> int:
    """Read symbol and decimals of every token that occurs in events and has no row yet; returns how many were new.

    A token without a symbol gets its address as name; without decimals its amounts stay NULL. The traded series is that
    of `dim_asset`, where the token has a series of its own (kind `series`).
    """
    tokens = " UNION ".join(
        f"SELECT {column} AS asset FROM {table} WHERE chain_id = :chain AND {column} IS NOT NULL"
        for table in RECEIVED.values()
        for column in ("asset", "debt_asset")
    )
    seen = [row[0] for row in run.store.rows(tokens, {"chain": chain_id})]
    known = {
        row[0]: row[1:]
        for row in run.store.rows(
            "SELECT asset, symbol, decimals FROM dim_lending_asset WHERE chain_id = ?", (chain_id,)
        )
    }
    new = [asset for asset in seen if asset not in known or known[asset][1] is None]
    if CHAIN_OWN_COIN in new:
        new.remove(CHAIN_OWN_COIN)
        known[CHAIN_OWN_COIN] = ("ETH", 18)
    symbols = reader.read_raw([Call(asset, abis.SYMBOL, about=asset) for asset in new])
    decimals = reader.read([Call(asset, DECIMALS, about=asset) for asset in new], may_fail=True)
    for asset, raw, digits in zip(new, symbols, decimals, strict=True):
        known[asset] = (_symbol(raw) or asset, None if isinstance(digits, Failure) or digits > 77 else digits)
    series = dict(run.store.rows("SELECT asset, min(series) FROM dim_asset WHERE kind = 'series' GROUP BY asset"))
    series[CHAIN_OWN_COIN] = "ETHUSDT"
    rows = [
        {"chain_id": chain_id, "asset": asset, "symbol": symbol, "decimals": digits, "series": series.get(asset)}
        for asset, (symbol, digits) in sorted(known.items())
    ]
    if rows:
        frame = pd.DataFrame(rows).astype({"decimals": "Int64"})
        run.write(SOURCE, str(chain_id), {"dim_lending_asset": frame})
    return len(new)


def note_oracle_prices(run: Run, rpc: JsonRpc, reader: BlockReader, source: MarketEntry) -> int:
    """Store the price of each event's assets at its block by an Aave v3 market's oracle; returns how many were stored.

    Prices that are stored already are not asked again; where the node no longer has the state, nothing is stored. Other
    protocols, and an oracle that does not report that it counts in USD with 8 decimals, are skipped: 0.
    """
    if source.protocol != "aave_v3":
        return 0
    oracle = reader.one(Call(source.entry, abis.GET_PRICE_ORACLE, about=source.name))
    pool = reader.one(Call(source.entry, abis.GET_POOL, about=source.name))
    [unit] = reader.read([Call(oracle, abis.BASE_CURRENCY_UNIT, about="the oracle")], may_fail=True)
    if unit != USD:  # another currency, or an unknown one: its prices may not be stored as dollars
        return 0
    weth = _weth(reader, pool)
    events = " UNION ".join(
        f"SELECT chain_id, block_number, block_timestamp, {asset} AS asset FROM {table} WHERE market = :market "
        f"AND {asset} IS NOT NULL"
        for table in RECEIVED.values()
        for asset in ("asset", "debt_asset")
    )
    wanted = run.store.rows(
        f"SELECT * FROM ({events}) AS e WHERE NOT EXISTS (SELECT 1 FROM raw_lending_prices AS p WHERE "
        "p.chain_id = e.chain_id AND p.block_number = e.block_number AND p.asset = e.asset AND p.market = :market) "
        "ORDER BY block_number, asset",
        {"market": source.name},
    )
    noted = 0
    for start in range(0, len(wanted), PRICES_AT_ONCE):
        part = wanted[start : start + PRICES_AT_ONCE]
        asked = sorted({(block, asset) for _, block, _, asset in part} | {(b, weth) for _, b, _, _ in part if weth})
        answers = rpc.batch(
            [
                Request("eth_call", ({"to": oracle, "data": abis.GET_ASSET_PRICE.encode(asset)}, hex(block)))
                for block, asset in asked
            ]
        )
        prices = {key: price for key, answer in zip(asked, answers, strict=True) if (price := _price(answer))}
        rows = [
            {"chain_id": chain, "market": source.name, "block_number": block, "asset": asset, "block_timestamp": time,
             "oracle": oracle, "price_raw": str(prices[block, asset]),
             "eth_usd_raw": str(prices[block, weth]) if (block, weth) in prices else None}
            for chain, block, time, asset in part if (block, asset) in prices
        ]  # fmt: skip
        if rows:
            key = f"{source.name}:{part[0][1]}-{part[-1][1]}"
            run.write("lending_oracle", key, {"raw_lending_prices": pd.DataFrame(rows)})
        noted += len(rows)
    return noted


def _weth(reader: BlockReader, pool: str) -> str:
    """The market's wrapped ether by its symbol, empty where it lists none."""
    assets = reader.one(Call(pool, abis.GET_RESERVES_LIST, about="the pool"))
    raw = reader.read_raw([Call(asset, abis.SYMBOL, about=asset) for asset in assets])
    return next((asset for asset, answer in zip(assets, raw, strict=True) if _symbol(answer) == "WETH"), "")


def _symbol(raw: bytes | Failure) -> str:
    try:
        return "" if isinstance(raw, Failure) else abis.token_symbol(raw)
    except WrongShape:
        return ""


def _price(answer: object) -> int | None:
    """A positive price, None where the node refuses or the oracle has none."""
    if isinstance(answer, RpcError) or not isinstance(answer, str):
        return None
    try:
        return abis.GET_ASSET_PRICE.decode(bytes.fromhex(answer[2:])) or None
    except (WrongShape, ValueError):
        return None
