"""Why one account was liquidated, and where its loss came from and went.

Rules of Aave v3 (v3.6 and v3.7, `LiquidationLogic.sol`): for a repaid debt the liquidator is owed collateral worth the
debt at oracle prices, times 1 + bonus; the protocol keeps a share of the bonus, and of nothing else. Amounts are whole
token units. Money is `Fraction`, exact, so that parts add up to their sum to the last digit; losses are positive.
"""

from __future__ import annotations

from risk_core.analytics.postmortem.causes import (
    CAUSES,
    COLLATERAL_ORACLE,
    COLLATERAL_PRICE,
    DEBT_ORACLE,
    DEBT_PRICE,
    INTEREST,
    OWN_ACTIONS,
    PARAMETERS,
    Account,
    Cause,
    Fall,
    fall,
    health_path,
)
from risk_core.analytics.postmortem.costs import (
    Sold,
    priority_fee,
    sold_through,
)
from risk_core.analytics.postmortem.losses import (
    Loss,
    Receipts,
    loss,
    receipts,
)
from risk_core.analytics.postmortem.seizures import (
    HALF_UP,
    ROUND_DOWN,
    Seizure,
    needed_debt,
    owed_collateral,
    seizure,
    seizure_of,
)
from risk_core.analytics.postmortem.waiting import (
    Waited,
    first_safe,
    waited,
)

__all__ = [
    "CAUSES",
    "COLLATERAL_ORACLE",
    "COLLATERAL_PRICE",
    "DEBT_ORACLE",
    "DEBT_PRICE",
    "HALF_UP",
    "INTEREST",
    "OWN_ACTIONS",
    "PARAMETERS",
    "ROUND_DOWN",
    "Account",
    "Cause",
    "Fall",
    "Loss",
    "Receipts",
    "Seizure",
    "Sold",
    "Waited",
    "fall",
    "first_safe",
    "health_path",
    "loss",
    "needed_debt",
    "owed_collateral",
    "priority_fee",
    "receipts",
    "seizure",
    "seizure_of",
    "sold_through",
    "waited",
]
