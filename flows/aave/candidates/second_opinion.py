"""A second opinion on a market that was read from the chain: what Aave's own API says of it.

The API answers for now and the snapshot is of a block, so health factors agree within `HEALTH_SHARE`; parameters change
by governance only and agree exactly. Nothing of the API is stored as a figure.
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
"""Share of the asked accounts, or of the reserves, that may differ by more; beyond it the routes disagree."""


def spot_check(api: AaveApi, state: MarketState, n_accounts: int) -> dict[str, list[FieldAgreement]]:
    """Parameters of every reserve and e-mode, and health factors of `n_accounts` indebted accounts, drawn by block."""
    pool, chain_id = state.contracts.pool, state.contracts.chain_id
    indebted = sorted(a for a, data in state.account_data.items() if data.debt)
    drawn = sorted(random.Random(state.block.number).sample(indebted, min(n_accounts, len(indebted))))
    return {
        "raw_aave_reserves": compare_parameters(api.market(chain_id, pool), state.reserves, state.emodes),
        "raw_aave_account_data": [compare_health(api.health_factors(chain_id, pool, drawn), state.account_data)],
    }


def compare_parameters(api: ApiMarket, reserves: Sequence[Reserve], emodes: Sequence[EMode]) -> list[FieldAgreement]:
    """Shares, decimals and flags of each reserve and e-mode that the chain has, exactly."""
    compared = {
        name: FieldAgreement(name)
        for name in ("asset", "decimals", "ltv_bps", "liquidation_threshold_bps", "is_frozen", "is_paused", "emode")
    }
    theirs = {r.asset: r for r in api.reserves}
    for r in reserves:
        compared["asset"].number(r.symbol, int(r.asset in theirs), 1, exact=True)
        if (a := theirs.get(r.asset)) is None:
            continue
        for name, they, we in (
            ("decimals", a.decimals, r.decimals),
            ("ltv_bps", a.ltv, r.ltv),
            ("liquidation_threshold_bps", a.liquidation_threshold, r.liquidation_threshold),
            ("is_frozen", int(a.is_frozen), int(r.is_frozen)),
            ("is_paused", int(a.is_paused), int(r.is_paused)),
        ):
            compared[name].number(r.symbol, they, we, exact=True)
    terms = {e.id: e for e in api.emodes}
    for e in emodes:
        they_say = terms[e.id].liquidation_threshold if e.id in terms else 0
        compared["emode"].number(f"threshold of e-mode {e.id}", they_say, e.liquidation_threshold, exact=True)
    return list(compared.values())


def compare_health(api: Mapping[str, Decimal | None], pools: Mapping[str, AccountData]) -> FieldAgreement:
    """Health factors of the accounts that the API was asked about, within `HEALTH_SHARE` of the pool's at the block."""
    compared = FieldAgreement("health_factor_raw")
    for account, factor in api.items():
        ours = pools[account].health_factor
        theirs = 0 if factor is None else int(factor * WAD)
        within = factor is not None and abs(theirs - ours) <= HEALTH_SHARE * ours
        compared.number(account, ours if within else theirs, ours, exact=True)
    return compared


def require_second_opinion(compared: Mapping[str, Sequence[FieldAgreement]]) -> None:
    """Raises `RoutesDisagree` when more than `MOST_APART` of the rows differ in some figure."""
    for c in (c for comparisons in compared.values() for c in comparisons):
        if c.share > MOST_APART:
            raise RoutesDisagree(
                f"Aave's API and the chain disagree in {c.name}: {c.different:,} of {c.compared:,} differ, for "
                f"instance {c.example}; at most {MOST_APART:.0%} may. Nothing was written; run again, or without "
                "--spot-check"
            )
