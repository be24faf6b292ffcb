"""The stored fit of how borrowers of a market respond when they are close to liquidation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from data.store.reader import Reader
from risk_core import Borrowers, Snapshot

HIGHEST = 100.0
"""Health factor that stands for a debt that was repaid whole: the highest target of `Borrowers`."""
COLUMNS = (
    "response", "last_ts", "zone", "share", "share_low", "share_high", "delay", "target", "n_spells", "n_accounts",
    "n_responses",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A row of `fact_borrower_response`; delay in seconds, `target` None where the debt is mostly repaid whole."""

    response: str
    last_ts: int
    zone: float
    share: float
    share_low: float
    share_high: float
    delay: float
    target: float | None
    n_spells: int
    n_accounts: int
    n_responses: int

    def borrowers(self, share: float | None = None, seed: int = 0) -> Borrowers:
        """As the engine takes it, by default with the fitted share.

        The engine wants a target of at least the zone: where the median is below, it is the zone.
        """
        target = HIGHEST if self.target is None else min(max(self.target, self.zone), HIGHEST)
        return Borrowers(
            share=self.share if share is None else share, delay=timedelta(seconds=self.delay), zone=self.zone,
            target=target, seed=seed,
        )  # fmt: skip


def stored_response(store: Reader, at: Snapshot, *, look_ahead: bool = False) -> StoredResponse | None:
    """The newest fit of the market that used nothing later than the snapshot, or None.

    Of two with one end the one of more spells. look_ahead: any of the market will do.
    """
    rows = store.rows(
        f"SELECT {', '.join(COLUMNS)} FROM fact_borrower_response WHERE market = ? AND is_synthetic = ? "
        "AND (last_ts <= ? OR ?) ORDER BY last_ts DESC, n_spells DESC, response LIMIT 1",
        (at.market, int(at.synthetic), at.block_time, int(look_ahead)),
    )
    return StoredResponse(*rows[0]) if rows else None
