"""Flow `daily`: the newest state of the market, the prices its reserves follow, and its risk over the next day.

The market comes first because it says which prices are needed. What runs depends on what there is:

| | aave-market | market-prices | risk-scenarios |
|---|---|---|---|
| ETH_RPC_URL is set | at the latest block | of that market | of that market |
| not set, newest snapshot is live | skipped, the stored snapshot is used | of that market | of that snapshot |
| not set, newest snapshot is the sample | skipped | skipped: live prices never mix into the sample | of the sample |

`forecast-ledger` follows: earlier forecasts beside what came since, as far as `lending-events` has read it.
`health-factor-bands` says, for the same market, which health factor of each pair has which chance of liquidation.
`volatility-fits` renews what is due of the volatility models, from stored prices.

`oracle-prices` follows where ETH_RPC_URL is set: how fresh the market's feeds are, and which caps hold prices down.

`protocol-snapshot` comes late: no figure of the risk uses it, so if DefiLlama cannot be reached, nothing else is lost.
It runs for a live market where DEFILLAMA_URL is set, and is skipped, with the reason, everywhere else.

The day ends with `brief`: what changed since the day before, from what the stages stored. It reads no network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data.foreign_text import safe_print
from data.settings import aave_market
from data.snapshot import loading as snapshot
from flows import registry, settings
from flows.daily_options import DailyOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One flow of the day with its `parameters`; `skipped` is why it does not run, empty when it does."""

    flow: str
    parameters: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""


def stages(paths: int, seed: int) -> list[Stage]:
    """What today's run consists of, in order.

    Raises `data.errors.NoSnapshot` when there is neither a node to read nor a stored snapshot, and `WarehouseError`.
    """
    # A block older than every stored price: figures on later ones are marked, and stay out of the ledger.
    risk = {"paths": paths, "seed": seed, "allow_look_ahead": True}
    if settings.get("ETH_RPC_URL"):
        market = {"market": aave_market()}
        return [
            Stage(flow="aave-market"),
            Stage(flow="market-prices", parameters=market),
            Stage(flow="risk-scenarios", parameters=risk | market),
            Stage(flow="forecast-ledger", parameters=market | {"or_nothing": True}),
            Stage(flow="health-factor-bands", parameters=market | {"allow_look_ahead": True}),
            Stage(flow="volatility-fits"),
            # After the risk figures, which do not use it: a feed that fails does not stop them.
            Stage(flow="oracle-prices", parameters=market),
            _protocols(""),
            Stage(flow="brief", parameters=market),
        ]

    newest = snapshot.newest()
    no_node = f"ETH_RPC_URL is not set; the stored snapshot of {newest.market} at block {newest.block} is used"
    sample = f"{newest.market} is synthetic, and so are its prices; live prices never mix into it"
    market = {"market": newest.market}
    return [
        Stage(flow="aave-market", skipped=no_node),
        Stage(flow="market-prices", parameters=market, skipped=sample if newest.synthetic else ""),
        Stage(flow="risk-scenarios", parameters=risk | market),
        Stage(flow="forecast-ledger", parameters=market | {"or_nothing": True}),
        Stage(flow="health-factor-bands", parameters=market | {"allow_look_ahead": True}),
        Stage(flow="volatility-fits"),
        Stage(flow="oracle-prices", skipped="ETH_RPC_URL is not set; feeds are read from a node"),
        _protocols(f"{newest.market} is synthetic, and no protocol that DefiLlama follows" if newest.synthetic else ""),
        Stage(flow="brief", parameters=market),
    ]


def _protocols(skipped: str) -> Stage:
    # Read only where DEFILLAMA_URL is set: no other stage needs it.
    if not skipped and not settings.get("DEFILLAMA_URL"):
        skipped = "DEFILLAMA_URL is not set; https://api.llama.fi is the public address"
    return Stage(flow="protocol-snapshot", skipped=skipped)


def execute(name: str, parameters: dict[str, Any]) -> str:
    """Run flow `name` with `parameters`, named as its command line names them, the others at their defaults.

    Raises `flows.errors.WrongOption` before anything runs, and what the flow raises.
    """
    spec = registry.load(name)
    return spec.run(spec.options.of(name, parameters))


def run(arguments: DailyOptions) -> str:
    """Run the stages one after another; the first error ends the run."""
    for stage in stages(arguments.paths, arguments.seed):
        outcome = f"skipped: {stage.skipped}" if stage.skipped else execute(stage.flow, stage.parameters)
        safe_print(f"{stage.flow}: {outcome}", flush=True)
    return "daily: done"
