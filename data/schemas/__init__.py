"""The schema of every table: one pandera model each, from which the SQL tables are derived.

Names say the layer: `raw_` as received, `stg_` typed and deduplicated, `dim_`, `fact_`, `mart_` served. What SQL makes
of other tables is described in `data.marts`.

A model's `Config.unique` is the table's primary key. A field with `provenance` in its metadata (such as `ingested_at`)
tells how a row arrived, is no part of its content, and is filled in by the store when a frame leaves it out. In
`Config.metadata`:

`"optional"`  nullable columns that a frame may leave out
`"sealed"`    rows are written once and never changed
`"append"`    rows are only ever added: `unique` is the natural key, the primary key is that and `batch`. The newest row
              again is nothing, a row with other content is a further row; staging takes the newest batch of a natural
              key. Needs the fields `content_sha256()` and `batch()`, which the store fills in; `batch` is indexed
`"indexes"`   further indexes, each a list of columns
`"time"`      column with the time a row speaks of, by which its freshness is measured; left out, the first of
              `data.schemas.tables.TIMES` that the table has
"""

from __future__ import annotations

import pandera.pandas as pa

from data.schemas import (
    aave,
    calibrations,
    chain,
    compound,
    events,
    graph,
    lending,
    oracles,
    prices,
    protocols,
    quarantine,
    results,
    runs,
    served,
    staged,
)

SCHEMAS: dict[str, type[pa.DataFrameModel]] = {
    "fact_batch": runs.Batches,
    "fact_batch_rows": runs.BatchRows,
    "fact_snapshot": aave.Snapshots,
    "raw_aave_reserves": aave.Reserves,
    "raw_aave_emodes": aave.EModes,
    "raw_aave_user_accounts": aave.UserAccounts,
    "stg_positions": aave.Positions,
    "stg_aave_terms": staged.AaveTerms,
    "stg_account_health": staged.AccountHealth,
    "stg_wallet_now": staged.WalletNow,
    "stg_wallet_daily": staged.WalletDaily,
    "dim_market": served.Markets,
    "dim_block_day": served.BlockDays,
    "mart_current_collateral_positions": served.CollateralPositions,
    "mart_position_risk": served.PositionRisk,
    "mart_freshness": served.Freshness,
    "raw_aave_holders": aave.Holders,
    "ingest_checkpoint": aave.Checkpoints,
    "raw_chain_blocks": chain.Blocks,
    "raw_chain_transactions": chain.Transactions,
    "raw_chain_receipts": chain.Receipts,
    "raw_chain_logs": chain.Logs,
    "stg_chain_blocks": chain.ChainBlocks,
    "stg_token_transfers": chain.TokenTransfers,
    "stg_dex_swaps": chain.DexSwaps,
    "stg_primitives": chain.Primitives,
    "mart_token_transfer_hourly": chain.TokenTransferHours,
    "mart_address_activity": chain.AddressActivity,
    "raw_graph_market_data": graph.GraphMarketData,
    "raw_graph_account_positions": graph.GraphAccountPositions,
    "stg_graph_market_data": graph.StagedGraphMarketData,
    "stg_graph_account_positions": graph.StagedGraphAccountPositions,
    "ingest_aave_accounts": graph.AccountsInProgress,
    "raw_binance_klines": prices.BinanceKlines,
    "raw_binance_ticker": prices.BinanceTickers,
    "raw_binance_exchange_info": prices.BinanceExchangeInfo,
    "stg_prices": staged.StagedPrices,
    "raw_defillama_protocol": protocols.DefiLlamaProtocol,
    "raw_defillama_protocols": protocols.DefiLlamaProtocols,
    "raw_defillama_chain_tvl": protocols.DefiLlamaChainTvl,
    "raw_defillama_prices": protocols.DefiLlamaPrices,
    "raw_defillama_stablecoins": protocols.DefiLlamaStablecoins,
    "raw_defillama_yields": protocols.DefiLlamaYields,
    "fact_protocol_snapshot": protocols.ProtocolSnapshots,
    "dim_prices": prices.Prices,
    "dim_asset": prices.Assets,
    "raw_chainlink_rounds": oracles.ChainlinkRounds,
    "raw_chainlink_feeds": oracles.ChainlinkFeeds,
    "raw_oracle_sources": oracles.OracleSources,
    "dim_feed": oracles.Feeds,
    "dim_feed_phase": oracles.FeedPhases,
    "stg_chainlink_prices": oracles.ChainlinkPrices,
    "fact_feed_update": oracles.FeedUpdates,
    "mart_feed_staleness": oracles.FeedStaleness,
    "dim_oracle_adapter": oracles.OracleAdapters,
    "fact_calibration": calibrations.Calibrations,
    "fact_risk_run": results.RiskRuns,
    "fact_risk_scenarios": results.RiskScenarios,
    "fact_risk_series": results.RiskSeries,
    "fact_forecast": results.Forecasts,
    **lending.TABLES,
    "raw_compound_markets": compound.CompoundMarkets,
    "fact_run": runs.Runs,
    "fact_pipeline_event": events.PipelineEvents,
    "pipeline_offset": events.PipelineOffsets,
    "fact_validation": runs.Validations,
    "quarantine": quarantine.Quarantine,
    "quarantine_batch": quarantine.QuarantineBatches,
    "quarantine_content": quarantine.QuarantineContent,
    "mart_state": runs.MartStates,
    "schema_version": runs.SchemaVersions,
}
"""Table name to model."""
