"""Which flows there are, in the order of the design, and how to get at one of them."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser
from importlib import import_module

from flows.errors import ConfigurationError
from flows.pipeline import FlowSpec

NAMES = {
    "market-prices": "flows.prices.market_prices",
    "protocol-snapshot": "flows.protocols.protocol_snapshot",
    "aave-market": "flows.aave.aave_market",
    "compound-market": "flows.compound.compound_market",
    "lending-events": "flows.lending.lending_events",
    "chain-activity": "flows.chain.chain_activity",
    "oracle-prices": "flows.oracles.oracle_prices",
    "risk-scenarios": "flows.risk.risk_scenarios",
    "daily": "flows.daily",
}
"""Every flow by name, in the order of a day, and the module that has it."""


def module_name(name: str) -> str:
    return NAMES[name]


def available() -> list[str]:
    """Names of the flows, in the order of a day. Imports none of them."""
    return list(NAMES)


def load(name: str) -> FlowSpec:
    """The `FLOW` of the flow's module. Raises `ConfigurationError` for a name that does not exist."""
    names = available()
    if name not in names:
        near = difflib.get_close_matches(name.replace("_", "-"), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigurationError(f"no flow is called {name!r}{hint}; known: {', '.join(names)}")
    return import_module(module_name(name)).FLOW


def parser(spec: FlowSpec) -> ArgumentParser:
    """Command line of one flow; also gives the default of each of its parameters."""
    made = ArgumentParser(prog=f"python -m flows {spec.name}", description=spec.summary)
    spec.add_arguments(made)
    return made
