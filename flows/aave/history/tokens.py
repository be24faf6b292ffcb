"""Events of aTokens and debt tokens: scaled balances, by the pool's revision."""

from __future__ import annotations

from typing import Any

from flows.aave.history.arithmetic import V3_1, V3_4, V3_5, balance, half_div, scaled_for
from flows.aave.history.decoding import Happening
from flows.aave.history.ledger import NOBODY, Ledger
from flows.aave.history.state import Token
from risk_core.units import RAY


class TokenRules(Ledger):
    """Rules for Mint, Burn and BalanceTransfer, each of which follows its Transfer."""

    def _interest(self, token: Token, account: str, increase: int, index: int) -> tuple[list[int], int, int]:
        """(the account's [scaled balance, last index], its balance at `index`, the discount that it got (GHO))."""
        if index < RAY:
            self._stop(f"index {index} is below one ray")
        held = token.held.get(account)
        if held is None:
            held = token.held[account] = [0, 0]
        scaled, last = held
        if index < last:
            self._stop(f"index of {account} fell from {last} to {index}")
        now = balance(self.revision, token.debt, scaled, index)
        discount = now - balance(self.revision, token.debt, scaled, last) - increase
        self.checks += 1
        if discount and not (token.discounts and discount > 0 and self.revision < V3_4):
            self._stop(
                f"interest of account {account}: the log says {increase}, scaled balance {scaled} from index {last} "
                f"to {index} gives {increase + discount}; an earlier log of this account is missing or altered"
            )
        return held, now, discount

    def _book(self, token: Token, account: str, held: list[int], scaled: int, index: int, *, called: bool) -> int:
        """Set the scaled balance; returns the change. `called`: by a call of the pool, not a change of discount."""
        if scaled < 0:
            self._stop(f"account {account} would hold {scaled}; an earlier log of it is missing or altered")
        change = scaled - held[0]
        if token.debt:
            reserve = self.reserves.get(token.asset)
            if called and reserve is not None and reserve.debt_block != self._here.block:
                reserve.debt_block, reserve.debt_before = self._here.block, token.total
            if not scaled and change and self.revision >= V3_4 and reserve is not None:
                self._clear(account, 2 * reserve.id)
        token.total += change
        held[0], held[1] = scaled, index
        return change

    def _mint(self, token: Token, values: tuple[Any, ...]) -> None:
        caller, account, value, increase, index = values
        self._take_transfer(token, NOBODY, account, value)
        held, now, discount = self._interest(token, account, increase, index)
        if self.revision >= V3_5:
            scaled = self._inverse(token, account, now - increase + value, index)
        else:
            amount = value - increase
            if amount >= 0:
                scaled = held[0] + half_div(amount, index) - half_div(discount, index)
            else:
                scaled = self._less(held[0], -amount, now, discount, index)
        if token.debt and self.revision < V3_4:
            self._whole[token.address, account] = now - discount
        called = not token.discounts or caller != NOBODY
        token.last_minted = self._book(token, account, held, scaled, index, called=called)

    def _burn(self, token: Token, values: tuple[Any, ...]) -> None:
        account, _, value, increase, index = values
        self._take_transfer(token, account, NOBODY, value)
        held, now, discount = self._interest(token, account, increase, index)
        if self.revision >= V3_5:
            scaled = self._inverse(token, account, now - increase - value, index)
        else:
            scaled = self._less(held[0], value + increase, now, discount, index)
        if token.debt and self.revision < V3_4:
            self._whole[token.address, account] = now - discount
        self._book(token, account, held, scaled, index, called=True)

    @staticmethod
    def _less(scaled: int, amount: int, now: int, discount: int, index: int) -> int:
        """Scaled balance minus an amount, before v3.5; a discounted debt that is paid in full becomes 0."""
        if discount and amount == now - discount:
            return 0
        return scaled - half_div(amount, index) - (half_div(discount, index) if discount else 0)

    def _inverse(self, token: Token, account: str, units: int, index: int) -> int:
        scaled = scaled_for(token.debt, units, index)
        self.checks += 1
        if units < 0 or balance(self.revision, token.debt, scaled, index) != units:
            self._stop(
                f"account {account} would have a balance of {units} at index {index}, which no scaled balance has; "
                "an earlier log of it is missing or altered"
            )
        return scaled

    def _move(self, token: Token, values: tuple[Any, ...]) -> None:
        sender, receiver, value, index = values
        moved = self._take_transfer(token, sender, receiver, None)
        if index < RAY:
            self._stop(f"index {index} is below one ray")
        scaled, unscaled = value, token.unscaled
        if self.revision < V3_1 and not token.debt:
            # Scaled amounts are the smaller ones: v3.0.0 has them in Transfer, later versions in BalanceTransfer.
            if value != moved:
                token.unscaled = unscaled = value > moved
            if unscaled:
                scaled = half_div(value, index)
                if scaled != moved:
                    self._stop(f"{value} at index {index} are {scaled} scaled, its Transfer says {moved}")
        held = token.held.get(sender)
        if held is None:
            held = token.held[sender] = [0, 0]
        held[0] -= scaled
        if held[0] < 0:
            self._stop(
                f"account {sender} would hold {held[0]} after sending {scaled}; an earlier log of it is missing or "
                "altered"
            )
        gets = token.held.get(receiver)
        if gets is None:
            gets = token.held[receiver] = [0, 0]
        if index < held[1] or index < gets[1]:
            self._stop(f"index of {sender} or {receiver} fell from {max(held[1], gets[1])} to {index}")
        gets[0] += scaled
        if not unscaled:
            held[1] = gets[1] = index
        token.transfer = (self._here.block, self._here.transaction, index)

    def _on_Transfer(self, emitter: str, values: tuple[Any, ...]) -> None:
        self.handled -= 1  # the event that follows has the same content
        if emitter in self.tokens:
            if self._transfer is not None:
                self._refuse_transfer(self._transfer)
            self._transfer = (emitter, *values)

    def _take_transfer(self, token: Token, sender: str, receiver: str, value: int | None) -> int:
        """Take the Transfer that must precede an event of a token; returns its value."""
        seen, self._transfer = self._transfer, None
        self.checks += 1
        if seen is None or seen[:3] != (token.address, sender, receiver) or value not in (None, seen[3]):
            self._stop(
                f"expected a Transfer of {token.address} from {sender} to {receiver} before it, found {seen}; "
                "a log is missing"
            )
        return seen[3]

    def _tell_tokens_apart(self, happenings: list[Happening]) -> None:
        """Find the tokens of v3.0.0, by the first transfer whose two values differ; without one, both rules agree."""
        seen: dict[str, tuple[Any, ...]] = {}
        for here in happenings:
            if here.kind == "Transfer":
                seen[here.emitter] = here.values
            elif here.kind == "BalanceTransfer" and here.emitter not in self._kinds:
                sender, receiver, value, _ = here.values
                moved = seen.get(here.emitter)
                if moved is not None and moved[:2] == (sender, receiver) and moved[2] != value:
                    self._kinds[here.emitter] = value > moved[2]
        for address, unscaled in self._kinds.items():
            if address in self.tokens and self.revision < V3_1:
                self.tokens[address].unscaled = unscaled

    def _on_Initialized(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._decimals[emitter] = values[4]

    def _on_DiscountTokenUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._discounting.add(emitter)
        token = self.tokens.get(emitter)
        if token is not None:
            token.discounts = True
