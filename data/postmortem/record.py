"""What is known of one liquidation. A part that is not known is None, and `why` says the reason by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from risk_core.analytics.postmortem import Fall, Loss, Receipts, Waited

Bar = tuple[int, float]
"""(UTC seconds, USD)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The row of `stg_lending_events`. `seized_raw`: collateral to the liquidator; `repaid_raw`: debt; token units."""

    market: str
    protocol: str
    chain_id: int
    block: int
    log_index: int
    tx_hash: str
    ts: int
    wallet: str
    liquidator: str | None
    collateral: str
    debt: str | None
    seized_raw: int
    repaid_raw: int | None
    seized_usd: float | None
    part: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceThen:
    """What one asset was worth when it was liquidated, USD per token.

    oracle: what the protocol counted with, exact. market: on the line between the stored bars on either side, `before`
    and `after` (both times `scale`), or the one that is stored. `decimals`: of the token, None where not known.
    """

    asset: str
    symbol: str
    decimals: int | None
    oracle: Fraction | None
    oracle_from: str
    market: float | None
    market_from: str
    series: str
    scale: float
    before: Bar | None
    after: Bar | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The borrower's account around the liquidation, as a stored snapshot and the account's own events give it.

    block, block_time: the snapshot; its age is `block_time` less the time of the liquidation, above 0 for one after it.
    n_events: stored events of the account between the two, which were counted in. before, after: health factor just
    before and just after, at the oracle's prices. share: of the account's debt in that reserve that was repaid. fits:
    False where the state gives a health factor of 1 or more, at which the pool liquidates nobody. backing, threshold,
    owed_usd: the account just before, USD at oracle prices. notes: what was assumed.
    """

    block: int
    block_time: int
    n_events: int
    before: float | None
    after: float | None
    share: float | None
    fits: bool
    backing_usd: float | None
    owed_usd: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """The borrower's health factor at the stored times around the liquidation, its own among them.

    All arrays (T,), NaN where not known.

    without: without the liquidation and with nobody touching the account after it, at prices as the market's. recorded:
    the same with the oracles of the two assets as far from the market as they were last stored to be: at the
    liquidation, or at a later event's block. actual: the same with the liquidation, and what the account did later.
    market, oracle: USD per token of the collateral, by the market and as the oracle was recorded.
    """

    times: np.ndarray
    without: np.ndarray
    recorded: np.ndarray
    actual: np.ndarray
    market: np.ndarray
    oracle: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that the account did, or that was done to it; `health_factor` after it, None where not known."""

    ts: int
    block: int
    log_index: int
    kind: str
    symbol: str
    amount: float | None
    tx_hash: str
    health_factor: float | None
    is_this: bool


@dataclass(frozen=True, slots=True)
class Around:
    """Liquidations of the same collateral an hour either side: how many, of how many accounts, USD taken (known)."""

    liquidations: int
    accounts: int
    seized_usd: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PostMortem:
    """Everything that the warehouse can say of one liquidation.

    fee_raw: collateral that the protocol kept, token units. bonus_bps: 100 % plus the bonus that applied; `confirmed`:
    the amounts are those that this bonus and the oracle's prices give, to the unit. implied_bonus: that of the amounts.
    loss_range: lowest and highest total with the bars on either side. fall_from: time at which `fall` begins. waited,
    waited_recorded: with `Path.without` and `Path.recorded`. safe_at: first stored time at which the latter was 1 or
    more. oracle_later: oracle prices of the collateral that are stored of the hour after.
    """

    event: Event
    synthetic: bool
    collateral: PriceThen
    debt: PriceThen | None
    bonus_bps: int | None
    fee_raw: int | None
    confirmed: bool
    implied_bonus: float | None
    loss: Loss | None
    receipts: Receipts | None
    loss_range: tuple[Fraction, Fraction] | None
    state: State | None
    path: Path | None
    fall: Fall | None
    fall_from: int | None
    waited: tuple[Waited, ...]
    waited_recorded: tuple[Waited, ...]
    safe_at: int | None
    oracle_later: int
    steps: tuple[Step, ...]
    around: Around
    why: Mapping[str, str]

    @property
    def saved_in_an_hour(self) -> bool | None:
        """Whether waiting an hour would have saved the account.

        None where prices lack, and where it hung on the oracle and none of its prices of that hour is stored.
        """
        market, recorded = (
            next((one.saved for one in found if one.wait == 3_600), None)
            for found in (self.waited, self.waited_recorded)
        )
        return recorded if recorded == market or self.oracle_later else None


def between(before: Bar | None, after: Bar | None, ts: int) -> float | None:
    """The price at a time on the line between two bars, that of the only one, or None.

    Of all that a price may have done between two bars, their line is the mean for a price without drift.
    """
    if before is None or after is None:
        one = before or after
        return None if one is None else one[1]
    part = (ts - before[0]) / (after[0] - before[0])
    return before[1] + part * (after[1] - before[1])
