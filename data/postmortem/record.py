"""Records of one liquidation. A part that is not known is None, and `why` has the reason under its name."""

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
    """Prices of one asset at the liquidation, USD per token.

    oracle: the price that the protocol used, exact. market: interpolated between the stored bars `before` and `after`
    (both multiplied by `scale`), or the only one of them. `decimals`: of the token, None where not known.
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
    """The borrower's account around the liquidation, from a stored snapshot and the account's events.

    block, block_time: of the snapshot, which may be after the liquidation. n_events: stored events of the account
    between the two, which were applied. before, after: health factor just before and just after, at oracle prices.
    share: repaid share of the account's debt in that reserve. fits: False where the health factor is 1 or more, where
    no liquidation is possible. backing, threshold, owed_usd: the account just before, USD at oracle prices. notes:
    assumptions.
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
    """The borrower's health factor at the stored times around the liquidation and at the liquidation.

    All arrays (T,), NaN where not known.

    without: without the liquidation and without later events of the account, at market prices. recorded: the same, but
    the oracles of the two assets keep the distance from the market that was last stored (at the liquidation, or at a
    later event's block). actual: as recorded, with the liquidation and the account's later events. market, oracle: USD
    per token of the collateral, by the market and by the oracle as recorded.
    """

    times: np.ndarray
    without: np.ndarray
    recorded: np.ndarray
    actual: np.ndarray
    market: np.ndarray
    oracle: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of the account; `health_factor`: after it, None where not known."""

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
    """Liquidations of the same collateral within an hour before and after: number, accounts, known USD taken."""

    liquidations: int
    accounts: int
    seized_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What the liquidator is seen to have paid for being first: the least, as payments inside calls leave no log.

    usd: USD, exact. priority_fee_wei: gas above the base fee. sent_wei: ETH that the sender sent to the block's
    producer in transactions of the same block. eth_usd: price used, and where it is from. auction: contract of a price
    update that was auctioned (Chainlink SVR) in the same block before the liquidation, empty where there was none, None
    where the block's logs are not stored.
    """

    usd: Fraction
    priority_fee_wei: int
    sent_wei: int
    eth_usd: Fraction
    eth_from: str
    auction: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What selling the collateral that the liquidator took would have lost, by quotes from before the liquidation.

    usd: USD at the market's price, share: of what is sold. size_usd: sold, at the oracle's price, as quotes are.
    through: symbols from the collateral to the debt's asset; only the first where nothing needs to be sold. quoted_at:
    time of the oldest quote used, sources: who quoted. assumed: whether a quote is an assumption. lower_bound: why the
    true loss may be larger, empty where quotes are as large as the sale.
    """

    usd: Fraction
    share: float
    size_usd: float
    through: tuple[str, ...]
    quoted_at: int | None
    sources: tuple[str, ...]
    assumed: bool
    lower_bound: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PostMortem:
    """All figures of one liquidation.

    fee_raw: collateral that the protocol kept, token units. bonus_bps: 100 % plus the bonus that applied. confirmed:
    this bonus and the oracle's prices give the stored amounts to the unit. implied_bonus: the bonus that follows from
    the amounts. loss_range: lowest and highest total with the prices of the bars on either side. fall_from: time at
    which `fall` begins. waited, waited_recorded: from `Path.without` and `Path.recorded`. safe_at: first stored time
    at which `Path.recorded` was 1 or more. oracle_later: number of stored oracle prices of the collateral in the hour
    after. first: what is seen to have been paid for being first, a lower bound. sale: what selling the collateral lost.
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
    first: First | None = None
    sale: Sale | None = None

    @property
    def saved_in_an_hour(self) -> bool | None:
        """Whether waiting an hour would have saved the account.

        None where prices are missing, and where it depends on the oracle and no oracle price of that hour is stored.
        """
        market, recorded = (
            next((one.saved for one in found if one.wait == 3_600), None)
            for found in (self.waited, self.waited_recorded)
        )
        return recorded if recorded == market or self.oracle_later else None


def between(before: Bar | None, after: Bar | None, ts: int) -> float | None:
    """The price at a time, interpolated between two bars; the price of the only bar; or None.

    For a price without drift, the mean of its possible paths between two bars is the line between them.
    """
    if before is None or after is None:
        one = before or after
        return None if one is None else one[1]
    part = (ts - before[0]) / (after[0] - before[0])
    return before[1] + part * (after[1] - before[1])
