"""The same flows under Prefect, for schedules, retries and the record of runs. prefect.yaml points here.

Nothing is decided in this module: `python -m flows NAME` and a Prefect run execute the same functions. Only what
reads a network is retried, and only when the other side was away; a refusal stays a refusal.
"""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow, task

from flows.daily import execute, stages
from flows.errors import SourceUnavailable


async def _source_was_away(task: Any, task_run: Any, state: Any) -> bool:
    return isinstance(await state.aresult(raise_on_failure=False), SourceUnavailable)


@task(
    name="read a source", task_run_name="{name}", retries=2, retry_delay_seconds=[60, 300], retry_jitter_factor=0.5,
    retry_condition_fn=_source_was_away,
)  # fmt: skip
async def read_source(name: str, parameters: dict[str, Any]) -> str:
    """A stage that reads a network: repeated later when the other side was away."""
    return await asyncio.to_thread(execute, name, parameters)


@task(name="compute", task_run_name="{name}")
async def compute(name: str, parameters: dict[str, Any]) -> str:
    """A stage that reads the warehouse only: never retried, the same input gives the same answer."""
    return await asyncio.to_thread(execute, name, parameters)


# Asynchronous: a synchronous flow waits a second at its end for Prefect's heartbeat thread.
@flow(name="market-prices", log_prints=True)
async def market_prices(parameters: dict[str, Any] | None = None) -> str:
    """Binance klines for every price series of the market."""
    return await read_source("market-prices", parameters or {})


@flow(name="protocol-snapshot", log_prints=True)
async def protocol_snapshot(parameters: dict[str, Any] | None = None) -> str:
    """What lending protocols hold and have lent, by DefiLlama."""
    return await read_source("protocol-snapshot", parameters or {})


@flow(name="aave-market", log_prints=True)
async def aave_market(parameters: dict[str, Any] | None = None) -> str:
    """Every account of an Aave market at one block."""
    return await read_source("aave-market", parameters or {})


@flow(name="compound-market", log_prints=True)
async def compound_market(parameters: dict[str, Any] | None = None) -> str:
    """Markets and accounts of Compound at one block."""
    return await read_source("compound-market", parameters or {})


@flow(name="lending-events", log_prints=True)
async def lending_events(parameters: dict[str, Any] | None = None) -> str:
    """Borrows, deposits, repayments, withdrawals, liquidations and deficits."""
    return await read_source("lending-events", parameters or {})


@flow(name="oracle-prices", log_prints=True)
async def oracle_prices(parameters: dict[str, Any] | None = None) -> str:
    """Chainlink rounds, how stale each feed is, and the market's price adapters."""
    return await read_source("oracle-prices", parameters or {})


@flow(name="risk-scenarios", log_prints=True)
async def risk_scenarios(parameters: dict[str, Any] | None = None) -> str:
    """Liquidation risk of the newest snapshot."""
    return await compute("risk-scenarios", parameters or {})


@flow(name="daily", log_prints=True)
async def daily(paths: int = 10_000, seed: int = 7) -> str:
    """Everything in order, on the newest state of the market; see `flows.daily`."""
    lines = []
    for stage in await asyncio.to_thread(stages, paths, seed):
        if stage.skipped:
            lines.append(f"{stage.flow}: skipped, {stage.skipped}")
        else:
            run = read_source if stage.reads_network else compute
            lines.append(f"{stage.flow}: {await run(stage.flow, stage.parameters)}")
        print(lines[-1])
    return "\n".join(lines)
