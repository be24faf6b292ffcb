"""Events of the pool: indices, treasury, flags, e-modes, virtual balances; by the pool's revision."""

from __future__ import annotations

from typing import Any

from flows.aave.history.arithmetic import (
    V3_1,
    V3_3,
    V3_4,
    V3_5,
    V3_7,
    compound,
    half_div,
    half_mul,
    index_with_premium,
    linear,
    share,
    treasury_share,
)
from flows.aave.history.ledger import MANY
from flows.aave.history.state import ReserveState
from flows.aave.history.tokens import TokenRules
from risk_core.units import RAY


class PoolRules(TokenRules):
    """Rules for what a call of the pool does to reserves and accounts."""

    def _advance(self, r: ReserveState) -> None:
        """Bring a reserve to the current time: interest into both indices, the treasury's share into `accrued`."""
        now = self._here.time
        if r.last_update == now:
            return
        seconds = now - r.last_update
        debt = r.debt_before if r.debt_block == self._here.block else r.debt_token.total
        before = r.debt_index
        if r.supply_rate:
            r.liquidity_index = half_mul(linear(r.supply_rate, seconds), r.liquidity_index)
        if debt:
            r.debt_index = half_mul(compound(self.revision, r.debt_rate, seconds), before)
        r.last_share = treasury_share(self.revision, debt, before, r.debt_index, r.get("factor"), r.liquidity_index)
        r.accrued += r.last_share
        r.last_update, r.updates = now, 0

    def _on_ReserveDataUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, supply_rate, _, debt_rate, liquidity_index, debt_index = values
        r = self._reserve(asset)
        self._advance(r)
        self.checks += 2
        if debt_index != r.debt_index:
            self._stop(f"debt index of {asset}: the log says {debt_index}, the logs before it give {r.debt_index}")
        r.computed_index = r.liquidity_index
        if liquidity_index != r.liquidity_index:
            if self.revision >= V3_4 or liquidity_index < r.liquidity_index:
                self._stop(
                    f"supply index of {asset}: the log says {liquidity_index}, the logs before it give "
                    f"{r.liquidity_index}"
                )
            self._lifted = r
            r.liquidity_index = liquidity_index
        r.supply_rate, r.debt_rate = supply_rate, debt_rate
        r.updates += 1
        self._updated_in_call.append(r)

    def _premium(self, r: ReserveState, premium: int, to_protocol: int) -> None:
        """Book a flash premium or bridge fee: the treasury's part; before v3.4 also the suppliers' part."""
        if self.revision >= V3_5:
            r.accrued += premium * RAY // r.liquidity_index
            return
        if self.revision >= V3_4:
            r.accrued += half_div(premium, r.liquidity_index)
            return
        if self._lifted is not None and self._lifted is not r:
            self._refuse_lift(self._lifted)
        own = share(premium, to_protocol)
        before = r.computed_index
        supplied = half_mul(r.atoken.total, before)
        fits = []
        for counted in (True, False):
            # v3.0.0 leaves out what the treasury has not minted yet; later versions count it.
            total = supplied + (half_mul(r.accrued, before) if counted else 0)
            lifted = index_with_premium(before, premium - own, total) if total else before
            if lifted == r.liquidity_index and (self._premium_on_accrued in (None, counted) or self.revision >= V3_1):
                fits.append(counted)
        if not fits or (self.revision >= V3_1 and True not in fits):
            self._stop(
                f"supply index of {r.asset}: a premium of {premium} on {before} does not give {r.liquidity_index}"
            )
        if len(fits) == 1:
            self._premium_on_accrued = fits[0]
        self.checks += 1
        r.accrued += half_div(own, r.liquidity_index)
        self._lifted = None

    def _on_Supply(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._flow(values[0], values[3])

    def _on_Withdraw(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._flow(values[0], -values[3])

    def _flow(self, asset: str, amount: int) -> None:
        """Book `amount` token units into the pool (negative: out of it); ends a call."""
        r = self._reserve(asset)
        self._updated(r)
        self._add_virtual(r, amount)
        self._updated_in_call.clear()

    def _updated(self, r: ReserveState) -> None:
        """Require a ReserveDataUpdated of the reserve in this call."""
        self.checks += 1
        if r not in self._updated_in_call:
            self._stop(f"no ReserveDataUpdated of {r.asset} in this call; a log is missing")

    def _add_virtual(self, r: ReserveState, amount: int) -> None:
        if self.revision >= V3_1:
            r.virtual += amount

    def _on_Borrow(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, _, account, amount, *_ = values
        r = self._reserve(asset)
        self.flags[account] = self.flags.get(account, 0) | 1 << 2 * r.id
        self._flow(asset, -amount)

    def _on_Repay(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, account, _, amount, with_atokens = values
        r = self._reserve(asset)
        self._paid(r, account, amount)
        self._flow(asset, 0 if with_atokens else amount)

    def _paid(self, r: ReserveState, account: str, amount: int) -> None:
        """Before v3.4: clear the borrowing flag when the whole debt is paid, not when the scaled debt is 0."""
        if self.revision < V3_4 and self._whole.get((r.debt_token.address, account)) == amount:
            self._clear(account, 2 * r.id)

    def _on_LiquidationCall(self, emitter: str, values: tuple[Any, ...]) -> None:
        collateral, debt, account, paid, seized, _, as_atoken = values
        c, d = self._reserve(collateral), self._reserve(debt)
        self._updated(d)
        calls = {id(r): self._updated_in_call.count(r) for r in self._updated_in_call}
        if self.revision >= V3_5:
            if as_atoken and c is not d:
                self._advance_silently(c)
            elif c is d and self.revision < V3_7:
                expected = 1 if as_atoken else 2
                if d.last_update == self._here.time and d.updates == expected == calls.get(id(d), 0):
                    # The second update starts from a copy made before the first: the treasury gets its share twice.
                    d.accrued += d.last_share
        self._paid(d, account, paid)
        if self.revision >= V3_3:
            # Bad debt also clears flags of reserves without debt; the only sign is an update of such a reserve.
            for r in self._updated_in_call:
                usual = 0 if r is not c or as_atoken else 1
                if r is d or calls[id(r)] <= usual:
                    continue
                held = r.debt_token.held.get(account)
                if held is None or not held[0]:
                    self._clear(account, 2 * r.id)
        self._add_virtual(d, paid)
        if not as_atoken:
            self._add_virtual(c, -seized)
        self._updated_in_call.clear()

    def _advance_silently(self, c: ReserveState) -> None:
        """From v3.5 a liquidation into aTokens updates the collateral reserve without an event."""
        if c.last_update != self._here.time:
            self._advance(c)
            c.updates = MANY
        block, transaction, index = c.atoken.transfer
        self.checks += 1
        if (block, transaction) != (self._here.block, self._here.transaction) or index != c.liquidity_index:
            self._stop(
                f"supply index of {c.asset} is {c.liquidity_index}; expected it in the transfer of seized aTokens of "
                f"this call, found {index} in block {block}, transaction {transaction}"
            )

    def _on_FlashLoan(self, emitter: str, values: tuple[Any, ...]) -> None:
        _, _, asset, _, mode, premium, _ = values
        if mode == 0:
            r = self._reserve(asset)
            self._updated(r)
            self._premium(r, premium, self.flash_to_protocol)
            self._add_virtual(r, premium)
        elif self._lifted is not None:
            self._refuse_lift(self._lifted)
        self._updated_in_call.clear()

    def _on_MintUnbacked(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).unbacked += values[3]
        self._updated_in_call.clear()

    def _on_BackUnbacked(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, _, amount, fee = values
        r = self._reserve(asset)
        self._premium(r, fee, self.bridge_to_protocol)
        r.unbacked -= amount
        if r.unbacked < 0:
            self._stop(f"unbacked supply of {asset} would be {r.unbacked}")
        self._add_virtual(r, amount + fee)
        self._updated_in_call.clear()

    def _on_MintedToTreasury(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        self.checks += 1
        if r.accrued_known and r.atoken.last_minted != r.accrued:
            self._stop(
                f"treasury of {r.asset}: {r.atoken.last_minted} scaled were minted, the logs before give {r.accrued}"
            )
        r.accrued, r.accrued_known = 0, True

    def _on_DeficitCreated(self, emitter: str, values: tuple[Any, ...]) -> None:
        account, asset, amount = values
        r = self._reserve(asset)
        r.deficit += amount
        self._clear(account, 2 * r.id)

    def _on_DeficitCovered(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        r.deficit -= values[2]
        if r.deficit < 0:
            self._stop(f"deficit of {r.asset} would be {r.deficit}")
        self._updated_in_call.clear()

    def _on_IsolationModeTotalDebtUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).isolation_debt = values[1]

    # Accounts

    def _on_ReserveUsedAsCollateralEnabled(self, emitter: str, values: tuple[Any, ...]) -> None:
        r = self._reserve(values[0])
        self.flags[values[1]] = self.flags.get(values[1], 0) | 2 << 2 * r.id

    def _on_ReserveUsedAsCollateralDisabled(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._clear(values[1], 2 * self._reserve(values[0]).id + 1)

    def _on_UserEModeSet(self, emitter: str, values: tuple[Any, ...]) -> None:
        self.categories[values[0]] = values[1]
