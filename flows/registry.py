"""The list of all flows, in the order of a day; a flow is registered only here, and imported only when it runs.

`python -m flows`, `daily`, and the flows and deployments of Prefect (`flows.orchestration`, prefect.yaml) use it.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from flows.errors import ConfigurationError
from flows.pipeline import FlowSpec

if TYPE_CHECKING:
    from flows.options import OptionParser, Options


class Registered(NamedTuple):
    """A flow: the module with its `run`, its options, what it does in one line, and whether it reads a network.

    The options stand in a module of their own, so that the command line, its `--help` and Prefect's form know them
    without the libraries that a run needs. A flow that reads a network is tried again under Prefect when the source
    could not be reached.
    """

    module: str
    options: str
    summary: str
    reads_network: bool = True


NAMES = {
    "market-prices": Registered(
        "flows.prices.market_prices",
        "flows.prices.options.MarketPricesOptions",
        "Binance prices of every series that the market's reserves follow",
    ),
    "protocol-snapshot": Registered(
        "flows.protocols.protocol_snapshot",
        "flows.protocols.options.ProtocolSnapshotOptions",
        "What lending protocols hold and have lent, by DefiLlama",
    ),
    "aave-market": Registered(
        "flows.aave.aave_market",
        "flows.aave.options.AaveMarketOptions",
        "Reserves, e-modes and every account of an Aave market at one block, from a node",
    ),
    "aave-history": Registered(
        "flows.aave.aave_history",
        "flows.aave.options.AaveHistoryOptions",
        "An Aave v3 market at past blocks from its logs alone, checked against a node",
    ),
    "compound-market": Registered(
        "flows.compound.compound_market",
        "flows.compound.options.CompoundMarketOptions",
        "Markets and every account of Compound v2 and v3 at one block, from a node",
    ),
    "lending-events": Registered(
        "flows.lending.lending_events",
        "flows.lending.options.LendingEventsOptions",
        "Borrows, deposits, repayments, withdrawals, liquidations and deficits of Aave and Compound",
    ),
    "chain-activity": Registered(
        "flows.chain.chain_activity",
        "flows.chain.options.ChainActivityOptions",
        "Blocks, transactions, receipts and logs of a chain; token transfers and DeFi actions decoded",
    ),
    "oracle-prices": Registered(
        "flows.oracles.oracle_prices",
        "flows.oracles.options.OraclePricesOptions",
        "Chainlink rounds of every feed the market uses, how stale they are, and its price adapters",
    ),
    "umbrella-cover": Registered(
        "flows.cover.umbrella_cover",
        "flows.cover.options.UmbrellaCoverOptions",
        "What covers bad debt of an Aave market: Umbrella's offsets and stakes",
    ),
    "risk-scenarios": Registered(
        "flows.risk.risk_scenarios",
        "flows.risk.options.RiskScenariosOptions",
        "Liquidations at risk and deficit tail of the newest snapshot over the next 24 hours",
        reads_network=False,
    ),
    "forecast-ledger": Registered(
        "flows.risk.forecast_ledger",
        "flows.risk.options.ForecastLedgerOptions",
        "Stored forecasts against what came: exceptions, tests of every law's record, scores",
        reads_network=False,
    ),
    "health-factor-bands": Registered(
        "flows.risk.health_factor_bands",
        "flows.risk.options.HealthFactorBandsOptions",
        "The health factor at which each pair of collateral and debt has a 1, 5 and 20 % chance within 7 days",
        reads_network=False,
    ),
    "parameter-change": Registered(
        "flows.risk.parameter_change",
        "flows.risk.options.ParameterChangeOptions",
        "What a proposed change of risk parameters does: who falls, whom to warn, which figures change",
        reads_network=False,
    ),
    "liquidation-queue": Registered(
        "flows.risk.liquidation_queue",
        "flows.risk.options.LiquidationQueueOptions",
        "How long debt waits where liquidators must earn, sell into finite depth and have finite capital",
        reads_network=False,
    ),
    "cap-update": Registered(
        "flows.risk.cap_update",
        "flows.risk.options.CapUpdateOptions",
        "An update of a ratio's cap before it is made: does it bind, who falls, would the contracts accept it",
        reads_network=False,
    ),
    "episode-replay": Registered(
        "flows.risk.episode_replay",
        "flows.risk.options.EpisodeReplayOptions",
        "A stored market along the prices of a past episode, as they were or scaled: one path, no probability",
        reads_network=False,
    ),
    "borrower-response": Registered(
        "flows.risk.borrower_response",
        "flows.risk.options.BorrowerResponseOptions",
        "How many borrowers act close to liquidation, how soon and how far, fitted to what they did",
        reads_network=False,
    ),
    "volatility-fits": Registered(
        "flows.risk.volatility_fits",
        "flows.risk.options.VolatilityFitsOptions",
        "GARCH of every stored price series and of portfolios, fitted anew every 20 days",
        reads_network=False,
    ),
    "peg-health": Registered(
        "flows.pegs.peg_health",
        "flows.pegs.options.PegHealthOptions",
        "How far each stablecoin is from its peg by every source, and how unusual that is",
        reads_network=False,
    ),
    "liquidation-clusters": Registered(
        "flows.clusters.liquidation_clusters",
        "flows.clusters.options.LiquidationClustersOptions",
        "Whether liquidations come in clusters: a fitted process, and the chance of the next cluster",
        reads_network=False,
    ),
    "backtest": Registered(
        "flows.risk.backtest",
        "flows.risk.options.BacktestOptions",
        "Every price law's value-at-risk on past days against the losses that came, with tests of coverage",
        reads_network=False,
    ),
    "wallet-features": Registered(
        "flows.wallets.wallet_features",
        "flows.wallets.options.WalletFeaturesOptions",
        "26 features and a protection score of every wallet, over all stored markets",
        reads_network=False,
    ),
    "protocol-scores": Registered(
        "flows.scores.protocol_scores",
        "flows.scores.options.ProtocolScoresOptions",
        "How risky a market is to lend to: a score with its parts, and the chance of losing principal",
        reads_network=False,
    ),
    "brief": Registered(
        "flows.brief",
        "flows.brief_options.BriefOptions",
        "What changed since the day before and why, in plain text, each number with its row",
        reads_network=False,
    ),
    "sale-quotes": Registered(
        "flows.quotes.sale_quotes",
        "flows.quotes.options.SaleQuotesOptions",
        "Quotes of what selling a reserve's asset brings in, from a file",
        reads_network=False,
    ),
    "publish-metric": Registered(
        "flows.publication.publish_metric",
        "flows.publication.options.PublishMetricOptions",
        "A figure of the newest risk run into a feed on a chain; says what it would do, --send does it",
    ),
    "daily": Registered(
        "flows.daily",
        "flows.daily_options.DailyOptions",
        "The market, its prices and its risk, in order: what runs at 00:00 UTC",
    ),
}
"""Every flow by name, in the order of a day."""


def available() -> list[str]:
    """Names of the flows, in the order of a day. Imports none of them."""
    return list(NAMES)


def load(name: str) -> FlowSpec:
    """The flow of that name; its module is imported when it runs. Raises `ConfigurationError` for an unknown name."""
    names = available()
    if name not in names:
        near = difflib.get_close_matches(name.replace("_", "-"), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigurationError(f"no flow is called {name!r}{hint}; known: {', '.join(names)}")

    def run(arguments: Any) -> str:
        return import_module(NAMES[name].module).run(arguments)

    return FlowSpec(name=name, options=options(name), run=run)


def options(name: str) -> type[Options]:
    """The options of a registered flow, without its module."""
    module, _, cls = NAMES[name].options.rpartition(".")
    return getattr(import_module(module), cls)


def parser(spec: FlowSpec) -> OptionParser:
    """Command line of one flow: its `parse_args` gives the options that `spec.run` takes."""
    # Imported here, not at the top: it brings pydantic (0.1 s), which the listing does not need.
    from flows.options import OptionParser

    described = NAMES[spec.name].summary if spec.name in NAMES else ""
    return OptionParser(spec.options, f"python -m flows {spec.name}", described)
