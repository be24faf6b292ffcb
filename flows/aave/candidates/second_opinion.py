"""Compare a market that was read from the chain with Aave's API.

The API answers for now and the snapshot is of a block, so health factors must agree within `HEALTH_SHARE`; parameters
change only by governance and must be equal. No figure of the API is stored.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from flows.aave.candidates.agreement import FieldAgreement, RoutesDisagree
from risk_core.units import WAD

if TYPE_CHECKING:
    from flows.aave.accounts import AccountData
    from flows.aave.candidates.api import AaveApi, ApiMarket
    from flows.aave.contracts import EMode, Reserve
    from flows.aave.rows import MarketState

HEALTH_SHARE = Decimal("0.02")
"""Health factors may be this far apart: prices and indices have moved since the block."""
MOST_APART = 0.1
"""Largest share of the accounts, or of the reserves, that may differ; above it the comparison fails."""


def spot_check(api: AaveApi, state: MarketState, n_accounts: int) -> dict[str, list[FieldAgreement]]:
    """Compare all reserves and e-modes, and the health factors of `n_accounts` accounts with debt (seed: the block)."""
    pool, chain_id = state.contracts.pool, state.contracts.chain_id
    indebted = sorted(a for a, data in state.account_data.items() if data.debt)
    drawn = sorted(random.Random(state.block.number).sample(indebted, min(n_accounts, len(indebted))))
    return {
        "raw_aave_reserves": compare_parameters(api.market(chain_id, pool), state.reserves, state.emodes),
        "raw_aave_account_data": [compare_health(api.health_factors(chain_id, pool, drawn), state.account_data)],
    }


def compare_parameters(api: ApiMarket, reserves: Sequence[Reserve], emodes: Sequence[EMode]) -> list[FieldAgreement]:
    """Compare shares, decimals and flags of each reserve and e-mode of the chain; they must be equal."""
    compared = {
        name: FieldAgreement(name)
        for name in ("asset", "decimals", "ltv_bps", "liquidation_threshold_bps", "is_frozen", "is_paused", "emode")
    }
    api_reserves = {r.asset: r for r in api.reserves}
    for r in reserves:
        compared["asset"].number(r.symbol, int(r.asset in api_reserves), 1, exact=True)
        if (a := api_reserves.get(r.asset)) is None:
            continue
        for name, shown, on_chain in (
            ("decimals", a.decimals, r.decimals),
            ("ltv_bps", a.ltv, r.ltv),
            ("liquidation_threshold_bps", a.liquidation_threshold, r.liquidation_threshold),
            ("is_frozen", int(a.is_frozen), int(r.is_frozen)),
            ("is_paused", int(a.is_paused), int(r.is_paused)),
        ):
            compared[name].number(r.symbol, shown, on_chain, exact=True)
    terms = {e.id: e for e in api.emodes}
    for e in emodes:
        threshold = terms[e.id].liquidation_threshold if e.id in terms else 0
        compared["emode"].number(f"threshold of e-mode {e.id}", threshold, e.liquidation_threshold, exact=True)
    return list(compared.values())


def compare_health(api: Mapping[str, Decimal | None], pools: Mapping[str, AccountData]) -> FieldAgreement:
    """Compare the API's health factors with the pool's at the block; they agree within `HEALTH_SHARE`."""
    compared = FieldAgreement("health_factor_raw")
    for account, factor in api.items():
        at_block = pools[account].health_factor
        shown = 0 if factor is None else int(factor * WAD)
        within = factor is not None and abs(shown - at_block) <= HEALTH_SHARE * at_block
        compared.number(account, at_block if within else shown, at_block, exact=True)
    return compared


def require_second_opinion(compared: Mapping[str, Sequence[FieldAgreement]]) -> None:
    """Raise `RoutesDisagree` when more than `MOST_APART` of the rows differ in some figure."""
    for c in (c for comparisons in compared.values() for c in comparisons):
        if c.share > MOST_APART:
            raise RoutesDisagree(
                f"Aave's API and the chain disagree in {c.name}: {c.different:,} of {c.compared:,} differ, for "
                f"instance {c.example}; at most {MOST_APART:.0%} may. Nothing was written; run again, or without "
                "--spot-check"
            )
