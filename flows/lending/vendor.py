"""The interface for an outside vendor of lending events: unused until a user configures a connector.

A connector is a Python callable that this project does not ship: no vendor's address, key or table is known here. Set
LENDING_CONNECTOR to `package.module:name` of something that gives a `LendingVendor`; what it yields goes through the
same validation, tables and marts as the chain's own logs, and the chain's own logs count where both report one log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Protocol, runtime_checkable

from flows import settings
from flows.errors import ConfigurationError
from flows.lending.events import LendingEvent


@runtime_checkable
class LendingVendor(Protocol):
    """What a connector must offer. `name` becomes the `source` of its rows."""

    name: str

    def events(self, market: str, first: int, last: int) -> Iterable[LendingEvent]:
        """Every event of `market` in blocks `first` to `last`, both included; amounts in token units, exact.

        Raises `flows.errors.SourceUnavailable` when it may work later, `SourceRefused` when it will not.
        """
        ...


def connector() -> LendingVendor:
    """The configured connector. Raises `ConfigurationError` when there is none, which is the usual case."""
    named = settings.get("LENDING_CONNECTOR")
    if named is None:
        raise ConfigurationError(
            "no outside vendor is configured, and none is needed: `--route logs` reads the same events from a node, "
            "`--route messari` from a subgraph. To use one, set LENDING_CONNECTOR to package.module:name of a "
            "connector (flows.lending.vendor.LendingVendor)"
        )
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", named):
        raise ConfigurationError(f"LENDING_CONNECTOR: expected package.module:name, found {named!r:.80}")
    module, _, attribute = named.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"LENDING_CONNECTOR: cannot load {named} ({exc}); is its package installed?") from exc
    if not isinstance(made, LendingVendor):
        raise ConfigurationError(
            f"LENDING_CONNECTOR: {named} gives {type(made).__name__}, expected something with "
            "`name` and `events(market, first, last)`"
        )
    return made
