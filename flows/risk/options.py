"""Options of the flows that simulate a stored market, and of those that hold forecasts against what came."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from flows.arguments import Unreadable
from flows.options import Flag, Moment, Number, Options, Whole

MOST_PATHS = 100_000_000
"""More would run for days; the error of a figure falls with the root of the paths."""
LAST_SEED = 2**64 - 1
# The same as in `risk_core.laws.from_returns` (a test checks): importing it would make --help wait for the compiler.
LawName = Literal[
    "normal", "t4", "t5", "two-speed-normal", "two-speed-t5", "two-speed-jumps", "bootstrap", "garch", "garch-t",
    "filtered-history",
]  # fmt: skip
DEFAULT: LawName = "two-speed-t5"
MOST_WORKERS = 256
ADDRESS = re.compile(r"((tcp|tls|ws|wss)://)?[^\s/:@]+:\d{1,5}")


def cluster_address(value: Any) -> str | None:
    """`local:N`, or the address of a Dask scheduler; None as it is. Raises `Unreadable`."""
    if value is None:
        return None
    text = str(value).strip()
    kind, _, count = text.partition(":")
    fits = count.isascii() and count.isdecimal() and 1 <= int(count[:9]) <= MOST_WORKERS
    if fits if kind == "local" else ADDRESS.fullmatch(text):
        return text
    raise Unreadable(
        f"expected the address of a Dask scheduler such as tcp://127.0.0.1:8786, or local:N for N worker processes "
        f"(1 to {MOST_WORKERS}), found {value!r:.60}"
    )


class RiskScenariosOptions(Options):
    """Options of `risk-scenarios`."""

    excluding = (("force", "skip_if_stored"), ("block", "every"))

    market: str | None = Field(None, description="market to simulate (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    every: Literal["day"] | None = Field(
        None, description="the first stored snapshot of each UTC day that has no run with these options yet"
    )
    allow_look_ahead: bool = Field(
        False,
        description="use prices later than the block where too few are before it; the run is marked as no forecast",
    )
    paths: Annotated[int, Whole(1, MOST_PATHS)] = Field(10_000, description="simulated paths")
    seed: Annotated[int, Whole(0, LAST_SEED)] = Field(7, description="seed of the random numbers")
    steps: Annotated[int, Whole(1, 1_000_000)] = Field(24, description="steps of a path")
    horizon_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        24.0, description="length of a path"
    )
    policy: Literal["largest_legs", "most_profitable"] = Field(
        "largest_legs", description="which legs liquidators choose"
    )
    law: LawName = Field(DEFAULT, description="law of the price moves; `backtest` shows how good each was")
    sampling: Literal["plain", "antithetic", "quasi"] = Field(
        "plain",
        description="how random numbers are drawn; quasi gives a sharper mean, of a quantile it depends on the book "
        "whether it does, and its intervals come from 16 groups of paths",
    )
    dask: Annotated[
        str | None,
        BeforeValidator(cluster_address),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        Flag(metavar="ADDRESS"),
    ] = Field(
        None,
        description="simulate on a Dask cluster: the address of its scheduler, or local:N for N processes here "
        "(default: DASK_SCHEDULER, else this process); the figures are the same to the last bit",
    )
    force: bool = Field(False, description="compute even if the same figures are stored")
    skip_if_stored: bool = Field(False, description="do not compute stored figures again (the default)")


class ForecastLedgerOptions(Options):
    """Options of `forecast-ledger`."""

    market: str | None = Field(None, description="market whose forecasts are tested (default: the newest snapshot's)")
    or_nothing: bool = Field(False, description="end without an error where no forecast of the market is stored")


class HealthFactorBandsOptions(Options):
    """Options of `health-factor-bands`."""

    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    paths: Annotated[int, Whole(1, 1_000_000)] = Field(20_000, description="simulated paths")
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(7, description="seed of the random numbers")
    days: Annotated[float, Number(0, 365, "days", open=True)] = Field(7.0, description="days within which it happens")
    steps: Annotated[int, Whole(1, 100_000)] = Field(168, description="times that prices are looked at, equally spaced")
    law: LawName = Field(DEFAULT, description="law of the price moves; `backtest` says how each held")
    allow_look_ahead: bool = Field(
        False, description="use prices later than the block where too few are before it; the bands are marked"
    )
    force: bool = Field(False, description="compute even if the same bands are stored")


EXAMPLE = "WETH.liquidation_threshold=0.80"


class ParameterChangeOptions(Options):
    """Options of `parameter-change`."""

    change: Annotated[list[str], Flag(names=("--set",), metavar="NAME.FIELD=VALUE")] = Field(
        [],
        description=f"new values as fractions, such as {EXAMPLE} or emode:1.ltv=0.9; fields: ltv, "
        "liquidation_threshold, liquidation_bonus",
    )
    payload: Annotated[Path | None, Flag(metavar="FILE")] = Field(
        None, description='the calls of a queued payload: a JSON list of {"to": address, "data": hex}, or one a line'
    )
    calls: Annotated[str | None, Flag(metavar="JSON")] = Field(None, description="the same calls as text")
    skip_unknown: bool = Field(
        False, description="leave out calls of functions that set no parameter, and list them, instead of refusing"
    )
    configurator: str | None = Field(
        None, description="contract that the calls must go to (default: the market's, where the address book has it)"
    )
    executes_at: Annotated[Moment | None, Flag(metavar="DATE")] = Field(
        None, description="when the payload can be executed, UTC; the report says how long that is from now"
    )
    excluding: ClassVar = (("change", "payload"), ("change", "calls"), ("payload", "calls"))
    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    paths: Annotated[int, Whole(1, 1_000_000)] = Field(10_000, description="simulated paths of each market")
    seed: Annotated[int, Whole(0, LAST_SEED // 2)] = Field(7, description="seed of the random numbers")
    steps: Annotated[int, Whole(1, 100_000)] = Field(24, description="steps of a path")
    horizon_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        24.0, description="length of a path"
    )
    law: LawName = Field(DEFAULT, description="law of the price moves; `backtest` shows how good each was")
    warn_below: Annotated[float, Number(1, 100, "a health factor")] = Field(
        1.05, description="warn accounts whose health factor falls to below this"
    )
    allow_look_ahead: bool = Field(
        False, description="use prices later than the block where too few are before it; the figures are marked"
    )


class LiquidationQueueOptions(Options):
    """Options of `liquidation-queue`."""

    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")
    paths: Annotated[int, Whole(100, 1_000_000)] = Field(5_000, description="simulated paths of each model")
    seed: Annotated[int, Whole(0, LAST_SEED // 2)] = Field(7, description="seed of the random numbers")
    steps: Annotated[int, Whole(1, 100_000)] = Field(24, description="steps of a path; they divide 24 hours")
    horizon_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        24.0, description="length of a path"
    )
    law: LawName = Field(DEFAULT, description="law of the price moves")
    half_life_hours: Annotated[float, Number(0, 24 * 365, "hours", open=True)] = Field(
        2.0, description="time in which the market absorbs half of what was sold; assumed"
    )
    cost: Annotated[float, Number(0, 0.2, "a fraction")] = Field(
        0.0005, description="cost of a call, of the debt repaid: flash loan, least profit, bids"
    )
    gas_usd: Annotated[float, Number(0, 1e6, "USD")] = Field(0.0, description="cost of a call in USD")
    feedback: Annotated[float, Number(0, 1, "a share")] = Field(
        0.0, description="share of a sale's impact that the oracle sees"
    )
    capital_usd: Annotated[float, Number(0, 1e12, "USD")] | None = Field(
        None, description="most debt repaid in 24 h (default: the largest day stored)"
    )
    oracle_lag_minutes: Annotated[float, Number(0, 24 * 60, "minutes")] = Field(
        0.0,
        description="minutes until a feed's answer is read, in whole steps; adds the model `late oracle`",
    )
    oracle_deviation: Annotated[float, Number(0, 0.5, "a fraction")] = Field(
        0.0, description="move at which a feed answers, 0.005 is 0.5 percent; adds the model `late oracle`"
    )
    allow_look_ahead: bool = Field(False, description="use prices later than the block; the figures are marked")


class CapUpdateOptions(Options):
    """Options of `cap-update`."""

    asset: str | None = Field(None, description="token whose ratio is capped, by symbol or address, such as wstETH")
    snapshot_ratio: Annotated[float, Number(0, 1e6, "a ratio", open=True)] | None = Field(
        None, description="snapshot ratio of the update, in units of the base, such as 1.1919"
    )
    days_old: Annotated[float, Number(0, 3_650, "days")] = Field(
        7.0, description="how old its snapshot is at the block; the adapters want 7 days or more"
    )
    growth: Annotated[float, Number(0, 655, "per cent a year")] | None = Field(
        None, description="yearly growth of the cap in per cent, such as 9.68 (default: as the cap in force)"
    )
    ratio_growth: Annotated[float, Number(-99, 1_000, "per cent a year")] = Field(
        3.0, description="yearly growth of the ratio in per cent, to say when the cap will bind"
    )
    base: str | None = Field(None, description="reserve that the ratio multiplies (default: by the oracle's model)")
    ratio: Annotated[float, Number(0, 1e6, "a ratio", open=True)] | None = Field(
        None, description="ratio that the provider says now (default: as read with the adapter, else by the prices)"
    )
    minimum_delay_days: Annotated[float, Number(0, 180, "days")] = Field(
        7.0, description="MINIMUM_SNAPSHOT_DELAY of the adapter"
    )
    most_rise: Annotated[float, Number(0, 1_000, "per cent")] = Field(
        3.0, description="largest rise of the snapshot ratio that the steward may make in three days, in per cent"
    )
    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")


MIX = "ETHUSDT=50 BTCUSDT=50"
# The same as in `risk_core.analytics.garch` (a test checks).
LEAST_RETURNS = 60


class VolatilityFitsOptions(Options):
    """Options of `volatility-fits`."""

    portfolios: list[str] = Field([MIX], description=f"portfolios beside every stored series, such as {MIX!r}")
    refit_days: Annotated[int, Whole(1, 365)] = Field(20, description="days between two fits")
    least_days: Annotated[int, Whole(LEAST_RETURNS, 5_000)] = Field(LEAST_RETURNS, description="days of the first fit")
    most_days: Annotated[int, Whole(LEAST_RETURNS, 10_000)] = Field(1_000, description="days that a fit looks back")


OUT = Path("build/backtest.json")


class BacktestOptions(Options):
    """Options of `backtest`."""

    prices: Annotated[Path | None, Flag(metavar="FILE")] = Field(
        None,
        description="Parquet or CSV with symbol, ts (seconds UTC) and close (USD), hourly (default: those stored)",
    )
    symbols: Annotated[list[str], Flag(metavar="SYMBOL")] = Field(
        ["ETH", "BTC"], description="series to forecast, each alone and all in equal parts"
    )
    warm_up: Annotated[int, Whole(10, 3650)] | None = Field(
        None,
        description="days of prices before the first forecast (default: 180, which the slow part of a volatility "
        "needs, or fewer where that leaves under 100 days)",
    )
    book: bool = Field(False, description="also the liquidations at risk of the newest snapshot's book; takes minutes")
    longest_gap: Annotated[int, Whole(0, 48)] = Field(6, description="hours without a price that are bridged")
    out: Annotated[Path, Flag(metavar="FILE")] = Field(OUT, description="where the figures go, as JSON")


class EpisodeReplayOptions(Options):
    """Options of `episode-replay`. `since` is `--from` on the command line."""

    excluding = (("name", "since"), ("name", "until"))

    # The names of `flows.risk.episodes`; a test compares them.
    name: Literal[
        "black-thursday", "may-2021", "steth-2022", "ftx", "usdc-2023", "april-2024", "august-2024", "february-2025",
        "october-2025", "january-2026",
    ] | None = Field(None, description="a known episode; its prices must be stored")  # fmt: skip
    since: Annotated[Moment | None, Flag(names=("--from",), metavar="DATE")] = Field(
        None, description="start of another window, UTC, such as 2022-11-08"
    )
    until: Annotated[Moment | None, Flag(metavar="DATE")] = Field(None, description="end of that window, UTC")
    scale: Annotated[float, Number(0, 10, "a factor of every log move", open=True)] = Field(
        1.0, description="how large the moves are: 1 as they were, 2 as if every log move had been twice as large"
    )
    proxy: Annotated[list[str], Flag(metavar="FACTOR=FACTOR")] = Field(
        [], description="what stands for a factor without prices then: another factor, or still, such as LDO=ETH"
    )
    policy: Literal["largest_legs", "most_profitable"] = Field(
        "largest_legs", description="which legs liquidators choose"
    )
    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(None, description="block of a stored snapshot (default: the newest)")


class BorrowerResponseOptions(Options):
    """Options of `borrower-response`."""

    market: str | None = Field(None, description="market (default: the newest snapshot's)")
    block: Annotated[int, Whole()] | None = Field(
        None, description="block of a stored snapshot, after which nothing is used (default: the newest)"
    )
    days: Annotated[int, Whole(1, 3_650)] = Field(90, description="days before it from which snapshots are used")
    zone: Annotated[float, Number(1, 10, "a health factor", open=True)] = Field(
        1.1, description="health factor below which a borrower is taken to be warned; assumed"
    )
    least_debt_usd: Annotated[float, Number(0, 1e12, "USD")] = Field(
        1_000.0, description="accounts with less debt are left out"
    )
    or_nothing: bool = Field(False, description="end without an error where there are too few spells to fit")
