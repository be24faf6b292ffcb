"""The replay: each log in turn, by the rules of the pool's revision, with checks.

    replay = Replay(pool, configurator, revision_of={implementation: 11, ...})
    replay.feed(decode(logs, times))
    book = replay.book()

Each Mint and Burn carries its index and the interest it booked, each ReserveDataUpdated the indices that the pool
computed: the replay computes them as well and stops at the first difference, so a missing log is noticed at the next
one of the same account or reserve. The logs have no such second value for flags, e-modes and transfers; only the
comparison with the node at the newest block checks them.

`feed` may be called several times, with logs of any source in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flows.aave.history.arithmetic import V3_1, V3_4, V3_7
from flows.aave.history.configuration import CHANGES, EMODE_BITS, TOGGLES, ConfigurationRules
from flows.aave.history.decoding import Happening
from flows.aave.history.ledger import NOBODY, WHOLE
from flows.aave.history.state import EModeBook, MarketBook, ReserveBook, ReserveState

OF_TOKENS = frozenset({"Mint", "Burn", "BalanceTransfer"})
OF_ANYONE = frozenset(
    {"Transfer", "Initialized", "DiscountTokenUpdated", "Upgraded", "ProxyCreated", "PriceOracleUpdated",
     "AssetSourceUpdated", "AnswerUpdated", "RateDataUpdate"}
)  # fmt: skip
"""Events that other contracts emit as well: the emitter decides what they mean; foreign ones are skipped."""
OF_ORACLES = frozenset({"AssetSourceUpdated", "AnswerUpdated"})
OF_CONFIGURATOR = frozenset(
    {*TOGGLES, *CHANGES, *EMODE_BITS, "ReserveInitialized", "ReserveDropped", "PendingLtvChanged",
     "CollateralConfigurationChanged", "ReserveFactorChanged", "LiquidationGracePeriodChanged",
     "LiquidationGracePeriodDisabled", "EModeCategoryAdded", "EModeCategoryIsolationChanged",
     "FlashloanPremiumTotalUpdated", "FlashloanPremiumToProtocolUpdated", "BridgeProtocolFeeUpdated",
     "ReserveInterestRateDataChanged", "ReserveInterestRateStrategyChanged"}
)  # fmt: skip


class Replay(ConfigurationRules):
    """A market's books, updated log by log.

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
        super().__init__(pool, configurator, revision_of, provider=provider)
        self._handlers: dict[str, Callable[[str, tuple[Any, ...]], None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    def feed(self, happenings: Iterable[Happening]) -> None:
        """Apply these logs. Raises `HistoryError` at the first that is not possible; the books are not valid then."""
        happenings = list(happenings)
        if self.revision < V3_1:
            self._tell_tokens_apart(happenings)
        block = transaction = -1
        handlers, tokens, pool, configurator = self._handlers, self.tokens, self.pool, self.configurator
        for here in happenings:
            if here.block != block or here.transaction != transaction:
                self._settle_transaction(here)
                block, transaction = here.block, here.transaction
            self._here = here
            kind, emitter = here.kind, here.emitter
            if kind in OF_TOKENS:
                token = tokens.get(emitter)
                if token is None:
                    self._stop(f"{kind} of {emitter}, which no listing named as a token; is its listing missing?")
                if kind == "Mint":
                    self._mint(token, here.values)
                elif kind == "Burn":
                    self._burn(token, here.values)
                else:
                    self._move(token, here.values)
            else:
                if kind not in OF_ANYONE:
                    expected = configurator if kind in OF_CONFIGURATOR else pool
                    if emitter != expected:
                        self._stop(f"{kind} of {emitter}, expected of {expected}; is this another market's log?")
                    if self._lifted is not None and kind not in ("FlashLoan", "BackUnbacked"):
                        self._refuse_lift(self._lifted)
                    if not self.revision:
                        self._stop("the pool's revision is unknown; the logs must start with the provider's first")
                handlers[kind](emitter, here.values)
            self.handled += 1

    def remember(self, happenings: Iterable[Happening]) -> None:
        """Take over what oracles and feeds logged before the replay's last log, where nothing had named them then.

        Only prices depend on it, so these logs need no place in the order; logs of other kinds are left out.
        """
        for here in happenings:
            if here.kind in OF_ORACLES:
                self._handlers[here.kind](here.emitter, here.values)

    @property
    def oracles(self) -> frozenset[str]:
        """Oracles whose sources are known."""
        return frozenset(oracle for oracle, _ in self._sources)

    @property
    def feeds(self) -> frozenset[str]:
        """Contracts that one of these oracles takes a price from."""
        return frozenset(self._sources.values())

    def book(self, block: int | None = None, time: int | None = None) -> MarketBook:
        """The books after the last log. `block` and `time` are put into the result; None: those of the last log."""
        self.require_whole()
        here = self._here
        rows: dict[str, dict[int, tuple[int, int]]] = {}
        for reserve in self.reserves.values():
            for token in (reserve.atoken, reserve.debt_token):
                for account, (scaled, _) in token.held.items():
                    if scaled:
                        held = rows.setdefault(account, {})
                        supply, debt = held.get(reserve.id, (0, 0))
                        held[reserve.id] = (supply, scaled) if token.debt else (scaled, debt)
        return MarketBook(
            block=here.block if block is None else block,
            time=here.time if time is None else time,
            revision=self.revision,
            oracle=self._oracle,
            flash_premium=self.flash_premium,
            flash_premium_to_protocol=WHOLE if self.revision >= V3_4 else self.flash_to_protocol,
            reserves=tuple(self._reserve_book(r) for r in sorted(self.reserves.values(), key=lambda r: r.id)),
            emodes=tuple(
                EModeBook(n, c.ltv, c.threshold, c.bonus, c.label, c.collateral, c.borrowable, c.ltvzero, c.isolated)
                for n, c in sorted(self.emodes.items())
            ),
            holdings=rows,
            flags={account: bits for account, bits in self.flags.items() if bits},
            categories={account: number for account, number in self.categories.items() if number},
        )

    def _reserve_book(self, r: ReserveState) -> ReserveBook:
        source = self._sources.get((self._oracle, r.asset))
        return ReserveBook(
            id=r.id,
            asset=r.asset,
            atoken=r.atoken.address,
            debt_token=r.debt_token.address,
            configuration=r.word,
            liquidity_index=r.liquidity_index,
            debt_index=r.debt_index,
            supply_rate=r.supply_rate,
            debt_rate=r.debt_rate,
            last_update=r.last_update,
            accrued_to_treasury=r.accrued if r.accrued_known else None,
            # The getter of v3.7 answers 0, whatever is stored.
            isolation_debt=0 if self.revision >= V3_7 else r.isolation_debt,
            deficit=r.deficit,
            unbacked=r.unbacked,
            virtual_balance=r.virtual if self.revision >= V3_1 and r.virtual_known else None,
            virtual_change=r.virtual,
            grace_until=r.grace_until,
            pending_ltv=r.pending_ltv,
            scaled_supply=r.atoken.total,
            scaled_debt=r.debt_token.total,
            rates=self._rates.get((self._strategies[r.asset], r.asset)),
            source=source,
            price=self._answers.get(source or NOBODY),
        )
