"""State that all rules of a replay share: the books so far, the place in the log, and the errors for a bad log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from flows.aave.history.decoding import Happening
from flows.aave.history.state import Category, HistoryError, ReserveState, Token

NOBODY = "0x" + "0" * 40
WHOLE = 10_000
NOWHERE = Happening(-1, 0, -1, -1, "nothing", "nobody", ())
"""The place before the first log."""
MANY = 1 << 30
"""Value of `ReserveState.updates` for an update without an event."""


class Ledger:
    """A market's books, and the last log that they include.

    Parameters
    ----------
    pool, configurator
        Addresses of the proxies.
    revision_of
        `POOL_REVISION` of each implementation of the pool, a constant of its code (address -> revision).
    provider
        Address of the PoolAddressesProvider. None: the contract that created the pool's proxy.
    """

    def __init__(
        self, pool: str, configurator: str, revision_of: Mapping[str, int], *, provider: str | None = None
    ) -> None:
        self.pool, self.configurator = pool.lower(), configurator.lower()
        self.provider = provider.lower() if provider else None
        self.revision_of = {address.lower(): revision for address, revision in revision_of.items()}
        self.revision = 0
        self.upgrades: list[tuple[int, int]] = []
        self.reserves: dict[str, ReserveState] = {}
        self.tokens: dict[str, Token] = {}
        self.emodes: dict[int, Category] = {}
        self.flags: dict[str, int] = {}
        self.categories: dict[str, int] = {}
        self.flash_premium = self.flash_to_protocol = self.bridge_to_protocol = 0
        self.handled = self.checks = 0
        self._oracle = NOBODY
        self._decimals: dict[str, int] = {}
        self._discounting: set[str] = set()
        # Rate parameters by (strategy, asset): they are emitted before the listing. Then the strategy of each asset.
        self._rates: dict[tuple[str, str], tuple[int, ...]] = {}
        self._strategies: dict[str, str] = {}
        # Feeds by (oracle, asset): emitted by an oracle before the provider names that oracle.
        self._sources: dict[tuple[str, str], str] = {}
        self._answers: dict[str, int] = {}
        self._here = NOWHERE
        # Reserves of the ReserveDataUpdated events since the last call of this transaction ended.
        self._updated_in_call: list[ReserveState] = []
        # Reserve whose supply index rose by more than interest: the pool's next log must be the premium that caused it.
        self._lifted: ReserveState | None = None
        # Before v3.4: whole debt of an account in token units after its last event, by (token, account).
        self._whole: dict[tuple[str, str], int] = {}
        self._transfer: tuple[str, str, str, int] | None = None
        self._premium_on_accrued: bool | None = None
        # Token -> whether it is of v3.0.0, where known.
        self._kinds: dict[str, bool] = {}

    # Refusals

    def _stop(self, reason: str) -> NoReturn:
        here = self._here
        raise HistoryError(f"block {here.block}, log {here.log_index} ({here.kind} of {here.emitter}): {reason}")

    def _refuse_lift(self, reserve: ReserveState) -> NoReturn:
        self._stop(
            f"the supply index of {reserve.asset} rose to {reserve.liquidity_index}, interest alone gives "
            f"{reserve.computed_index}, and no flash loan or bridge fee follows; a log is missing"
        )

    def _refuse_transfer(self, seen: tuple[str, str, str, int]) -> NoReturn:
        self._stop(
            f"an earlier Transfer of {seen[3]} of token {seen[0]} from {seen[1]} to {seen[2]} has no event of the "
            "token after it; a log is missing"
        )

    def require_whole(self) -> None:
        """Raise `HistoryError` where the last log needs another one after it in the same transaction."""
        if self._lifted is not None:
            self._refuse_lift(self._lifted)
        if self._transfer is not None:
            self._refuse_transfer(self._transfer)

    def _settle_transaction(self, upcoming: Happening) -> None:
        here = self._here
        if (upcoming.block, upcoming.log_index) <= (here.block, here.log_index):
            self._here = upcoming
            self._stop(f"comes after log {here.log_index} of block {here.block}; logs must be in order")
        if upcoming.time < here.time:
            self._here = upcoming
            self._stop(f"its block's time {upcoming.time} is before {here.time} of block {here.block}")
        if (upcoming.block, upcoming.transaction) == (here.block, here.transaction):
            return
        self.require_whole()
        self._updated_in_call.clear()

    def _reserve(self, asset: str) -> ReserveState:
        reserve = self.reserves.get(asset)
        if reserve is None:
            self._stop(f"asset {asset} is not listed; is its listing missing?")
        return reserve

    def _clear(self, account: str, bit: int) -> None:
        bits = self.flags.get(account, 0)
        if bits >> bit & 1:
            self.flags[account] = bits ^ 1 << bit
