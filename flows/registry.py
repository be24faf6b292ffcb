"""Which flows there are, in the order of the design, and how to get at one of them."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser
from importlib import import_module
from importlib.util import find_spec

from flows.errors import ConfigurationError
from flows.pipeline import FlowSpec

NAMES = (
    "market-prices",
    "protocol-snapshot",
    "aave-market",
    "compound-market",
    "lending-events",
    "chain-activity",
    "oracle-prices",
    "wallet-features",
    "peg-health",
    "liquidation-clusters",
    "risk-scenarios",
    "publish-metric",
    "daily",
)
"""The fixed names. A flow exists when its module does: `market-prices` lives in `flows/market_prices.py`."""


def module_name(name: str) -> str:
    return f"flows.{name.replace('-', '_')}"


def available() -> list[str]:
    """Names of the flows that exist. Looks for their files only, imports none of them."""
    return [name for name in NAMES if find_spec(module_name(name)) is not None]


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
