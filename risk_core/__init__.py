"""The risk engine: arrays in, arrays out. No file, socket, environment variable, clock or database."""

from risk_core import measures, tails, two_phase
from risk_core.accounts import distance_to_liquidation, health_factor, liquidation_prices
from risk_core.accrual import accrual_time
from risk_core.analytics import calibrate
from risk_core.bands import HealthBand, health_bands
from risk_core.borrowers import Borrowers
from risk_core.bridges import bridge
from risk_core.contributions import Contributions, contributions
from risk_core.engine import simulate
from risk_core.errors import Cancelled, InputError, RiskCoreError, UnknownRevision
from risk_core.feeds import Feeds
from risk_core.governance import parameter_change
from risk_core.laws import GBM, Bootstrap, FilteredHistory, Garch, Jumps, OrnsteinUhlenbeck, StudentT
from risk_core.liquidation import Liquidation, liquidate
from risk_core.liquidators import Liquidators
from risk_core.liquidity import Impact
from risk_core.price_models import PricePaths, Scenario
from risk_core.result import Result
from risk_core.reverse import ReverseStress, reverse_stress
from risk_core.shocks import Sweep, WhatIf, sweep, what_if
from risk_core.types import EModes, Market, Positions, Reserves, Snapshot
from risk_core.version import __version__, code_version

__all__ = [
    "GBM",
    "Bootstrap",
    "Borrowers",
    "Cancelled",
    "Contributions",
    "EModes",
    "Feeds",
    "FilteredHistory",
    "Garch",
    "HealthBand",
    "Impact",
    "InputError",
    "Jumps",
    "Liquidation",
    "Liquidators",
    "Market",
    "OrnsteinUhlenbeck",
    "Positions",
    "PricePaths",
    "Reserves",
    "Result",
    "ReverseStress",
    "RiskCoreError",
    "Scenario",
    "Snapshot",
    "StudentT",
    "Sweep",
    "UnknownRevision",
    "WhatIf",
    "__version__",
    "accrual_time",
    "bridge",
    "calibrate",
    "code_version",
    "contributions",
    "distance_to_liquidation",
    "health_bands",
    "health_factor",
    "liquidate",
    "liquidation_prices",
    "measures",
    "parameter_change",
    "reverse_stress",
    "simulate",
    "sweep",
    "tails",
    "two_phase",
    "what_if",
]
