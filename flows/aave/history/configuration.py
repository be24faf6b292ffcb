"""Events of configurator, provider, oracle and feeds: the pool's code, the listed assets and their terms, prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.aave.history.arithmetic import REVISIONS, V3_1, V3_4
from flows.aave.history.ledger import MANY
from flows.aave.history.pool import PoolRules
from flows.aave.history.state import Category, ReserveState, Token

TOGGLES = {
    "ReserveBorrowing": "borrowing",
    "ReserveFlashLoaning": "flash",
    "ReserveStableRateBorrowing": "stable",
    "ReserveActive": "active",
    "ReserveFrozen": "frozen",
    "ReservePaused": "paused",
    "BorrowableInIsolationChanged": "in_isolation",
}
"""Event (asset, on) and the bit it sets."""
CHANGES = {
    "BorrowCapChanged": "borrow_cap",
    "SupplyCapChanged": "supply_cap",
    "LiquidationProtocolFeeChanged": "protocol_fee",
    "UnbackedMintCapChanged": "unbacked_cap",
    "DebtCeilingChanged": "ceiling",
    "SiloedBorrowingChanged": "siloed",
    "EModeAssetCategoryChanged": "emode",
}
"""Event (asset, old, new) and the field it sets."""
EMODE_BITS = {
    "AssetCollateralInEModeChanged": "collateral",
    "AssetBorrowableInEModeChanged": "borrowable",
    "AssetLtvzeroInEModeChanged": "ltvzero",
}


class ConfigurationRules(PoolRules):
    """Rules for changes by the market's owners, and for answers of the feeds."""

    # Proxies

    def _on_ProxyCreated(self, emitter: str, values: tuple[Any, ...]) -> None:
        _, proxy, implementation = values
        if proxy == self.pool and self.provider in (None, emitter):
            self.provider = emitter
            self._run(implementation)

    def _on_Upgraded(self, emitter: str, values: tuple[Any, ...]) -> None:
        if emitter == self.pool:
            self._run(values[0])

    def _run(self, implementation: str) -> None:
        """From here on the pool runs this code."""
        revision = self.revision_of.get(implementation)
        if revision is None:
            self._stop(f"the revision of pool implementation {implementation} is not given")
        if revision not in REVISIONS:
            self._stop(
                f"pool implementation {implementation} has revision {revision}; rules are known for "
                f"{REVISIONS.start} to {REVISIONS.stop - 1}"
            )
        if self.revision and self.revision < V3_1 <= revision:
            # The upgrade sets virtual balances from the tokens' real ones, and their flag, without an event.
            for reserve in self.reserves.values():
                reserve.virtual, reserve.virtual_known = 0, False
                reserve.set("virtual", not reserve.debt_token.discounts)
        if self.revision and self.revision < V3_4 <= revision:
            for reserve in self.reserves.values():
                if reserve.debt_token.discounts:  # no discount from here on; its accrued share is set without an event
                    reserve.set("virtual", 1)
                    reserve.accrued_known = False
        self.revision, self._premium_on_accrued = revision, None
        self.upgrades.append((self._here.block, revision))

    # Listing and terms

    def _on_ReserveInitialized(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, atoken, _, debt_token, strategy = values
        self._strategies[asset] = strategy
        if asset in self.reserves:
            self._stop(f"asset {asset} is listed already")
        if atoken not in self._decimals:
            self._stop(f"aToken {atoken} has no Initialized before its listing; is a log of the token missing?")
        taken = {r.id for r in self.reserves.values()}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        supply, debt = Token(atoken, asset, False), Token(debt_token, asset, True)
        supply.unscaled = self.revision < V3_1 and self._kinds.get(atoken, False)
        debt.discounts = debt_token in self._discounting
        self.tokens[atoken], self.tokens[debt_token] = supply, debt
        r = self.reserves[asset] = ReserveState(number, asset, supply, debt)
        r.set("decimals", self._decimals[atoken])
        r.set("active", 1)
        r.set("virtual", self.revision >= V3_1)

    def _on_ReserveDropped(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        if r.atoken.total or r.debt_token.total:
            self._stop(f"asset {r.asset} is dropped while {r.atoken.total} are supplied, {r.debt_token.total} owed")
        del self.reserves[r.asset]

    def _on_CollateralConfigurationChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        for name, value in zip(("ltv", "threshold", "bonus"), values[1:], strict=True):
            r.set(name, value)

    def _on_PendingLtvChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).pending_ltv = values[1]

    def _on_ReserveFactorChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        if self.revision >= V3_1 and r.last_update != self._here.time:
            # Before v3.1 the new factor also applies to the time since the last update.
            self._advance(r)
            r.updates = MANY
        r.set("factor", values[2])

    def _on_LiquidationGracePeriodChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).grace_until = values[1]

    def _on_LiquidationGracePeriodDisabled(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).grace_until = 0

    def _on_EModeCategoryAdded(self, emitter: str, values: tuple[Any, ...]) -> None:
        number, ltv, threshold, bonus, _, label = values
        category = self._category(number)
        category.ltv, category.threshold, category.bonus, category.label = ltv, threshold, bonus, label

    def _on_EModeCategoryIsolationChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._category(values[0]).isolated = values[1]

    def _category(self, number: int) -> Category:
        # A reserve may be put into a category before the category is added.
        return self.emodes.setdefault(number, Category(0, 0, 0, ""))

    def _on_FlashloanPremiumTotalUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self.flash_premium = values[1]

    def _on_FlashloanPremiumToProtocolUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self.flash_to_protocol = values[1]

    def _on_BridgeProtocolFeeUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self.bridge_to_protocol = values[1]

    def _on_ReserveInterestRateDataChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, strategy, rates = values
        self._rates[strategy, asset] = rates
        self._strategies[asset] = strategy

    def _on_ReserveInterestRateStrategyChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._strategies[values[0]] = values[2]

    def _on_RateDataUpdate(self, emitter: str, values: tuple[Any, ...]) -> None:
        # Any contract may emit it: it counts for reserves whose strategy is the emitter.
        self._rates[emitter, values[0]] = values[1:]

    # Prices

    def _on_PriceOracleUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        if self.provider in (None, emitter):
            self._oracle = values[1]

    def _on_AssetSourceUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._sources[emitter, values[0]] = values[1]

    def _on_AnswerUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._answers[emitter] = values[0]


def _toggle(name: str) -> Callable[[ConfigurationRules, str, tuple[Any, ...]], None]:
    def handle(self: ConfigurationRules, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).set(name, values[-1])

    return handle


def _emode_bit(name: str) -> Callable[[ConfigurationRules, str, tuple[Any, ...]], None]:
    def handle(self: ConfigurationRules, emitter: str, values: tuple[Any, ...]) -> None:
        asset, number, on = values
        category, bit = self._category(number), 1 << self._reserve(asset).id
        setattr(category, name, getattr(category, name) | bit if on else getattr(category, name) & ~bit)

    return handle


for _event, _name in {**TOGGLES, **CHANGES}.items():
    setattr(ConfigurationRules, f"_on_{_event}", _toggle(_name))
for _event, _name in EMODE_BITS.items():
    setattr(ConfigurationRules, f"_on_{_event}", _emode_bit(_name))
