"""The replay: one log after another, every rule of the pool's revision, every check on the way.

    replay = Replay(pool, configurator, revision_of={implementation: 11, ...})
    replay.feed(decode(logs, times))
    book = replay.book()

Each Mint and Burn carries its index and the interest it booked, each ReserveDataUpdated the indices that the pool
computed: the replay computes them as well and stops at the first difference, so a missing log is noticed by the next
one of the same account or reserve. Flags, e-modes and transfers have no such second witness; only a comparison with
the node at the tip proves them.

Where the logs come from and in what pieces does not matter; `feed` may be called again with what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from flows.aave.history.arithmetic import (
    REVISIONS,
    V3_1,
    V3_3,
    V3_4,
    V3_5,
    V3_7,
    balance,
    compound,
    half_div,
    half_mul,
    index_with_premium,
    linear,
    scaled_for,
    share,
    treasury_share,
)
from flows.aave.history.decoding import Happening
from flows.aave.history.state import (
    Category,
    EModeBook,
    HistoryError,
    MarketBook,
    ReserveBook,
    ReserveState,
    Token,
)
from risk_core.units import RAY

NOBODY = "0x" + "0" * 40
WHOLE = 10_000
NOWHERE = Happening(-1, 0, -1, -1, "nothing", "nobody", ())
"""The place before the first log."""
MANY = 1 << 30
"""Stands for updates that no event told: the reserve was touched in its second by something else."""
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
OF_TOKENS = frozenset({"Mint", "Burn", "BalanceTransfer"})
OF_ANYONE = frozenset(
    {"Transfer", "Initialized", "DiscountTokenUpdated", "Upgraded", "ProxyCreated", "PriceOracleUpdated",
     "AssetSourceUpdated", "AnswerUpdated", "RateDataUpdate"}
)  # fmt: skip
"""Events that other contracts emit as well: what they mean follows from the emitter, and foreign ones are passed."""
OF_CONFIGURATOR = frozenset(
    {*TOGGLES, *CHANGES, *EMODE_BITS, "ReserveInitialized", "ReserveDropped", "PendingLtvChanged",
     "CollateralConfigurationChanged", "ReserveFactorChanged", "LiquidationGracePeriodChanged",
     "LiquidationGracePeriodDisabled", "EModeCategoryAdded", "EModeCategoryIsolationChanged",
     "FlashloanPremiumTotalUpdated", "FlashloanPremiumToProtocolUpdated", "BridgeProtocolFeeUpdated",
     "ReserveInterestRateDataChanged", "ReserveInterestRateStrategyChanged"}
)  # fmt: skip


class Replay:
    """A market's books, brought forward log by log.

    Parameters
    ----------
    pool, configurator
        Addresses of the proxies.
    revision_of
        `POOL_REVISION` of each implementation of the pool, a constant of its code (address -> revision).
    provider
        Address of the PoolAddressesProvider. None: whoever created the pool's proxy.
    """

    def __init__(
        self, pool: str, configurator: str, revision_of: Mapping[str, int], *, provider: str | None = None
    ) -> None:
        self.pool, self.configurator = pool.lower(), configurator.lower()
        self.provider = provider.lower() if provider else None
        self.revision_of = {address.lower(): revision for address, revision in revision_of.items()}
        self.revision = 0
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
        # Rate parameters by (strategy, asset), which strategies tell before the listing; the strategy of each asset.
        self._said_rates: dict[tuple[str, str], tuple[int, ...]] = {}
        self._strategies: dict[str, str] = {}
        # Feeds by (oracle, asset): an oracle names them before the provider names the oracle.
        self._sources: dict[tuple[str, str], str] = {}
        self._answers: dict[str, int] = {}
        self._here = NOWHERE
        # Reserves that ReserveDataUpdated named since the last call of this transaction ended.
        self._told: list[ReserveState] = []
        # Supply index that rose by more than interest: the next log of the pool must be the premium that lifted it.
        self._lifted: ReserveState | None = None
        # Before v3.1 the token units of the whole debt that an account had at its last event, by (token, account).
        self._whole: dict[tuple[str, str], int] = {}
        self._transfer: tuple[str, str, str, int] | None = None
        self._premium_on_accrued: bool | None = None
        # Tokens that are known to be, or not to be, of v3.0.0.
        self._kinds: dict[str, bool] = {}
        self._handlers: dict[str, Callable[[str, tuple[Any, ...]], None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    # What is asked of it

    def feed(self, happenings: Iterable[Happening]) -> None:
        """Bring the books past these logs. Raises `HistoryError` at the first that cannot be: they are void then."""
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

    def book(self, block: int | None = None, time: int | None = None) -> MarketBook:
        """The market now. `block` and `time` name the moment; None: those of the last log."""
        if self._lifted is not None:
            self._refuse_lift(self._lifted)
        if self._transfer is not None:
            self._refuse_transfer(self._transfer)
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
            virtual_balance=r.virtual if self.revision >= V3_1 else None,
            grace_until=r.grace_until,
            pending_ltv=r.pending_ltv,
            scaled_supply=r.atoken.total,
            scaled_debt=r.debt_token.total,
            rates=self._said_rates.get((self._strategies[r.asset], r.asset)),
            price=self._answers.get(self._sources.get((self._oracle, r.asset), NOBODY)),
        )

    # Refusals

    def _stop(self, reason: str) -> NoReturn:
        here = self._here
        raise HistoryError(f"block {here.block}, log {here.log_index} ({here.kind} of {here.emitter}): {reason}")

    def _refuse_lift(self, reserve: ReserveState) -> NoReturn:
        self._stop(
            f"the supply index of {reserve.asset} rose to {reserve.liquidity_index}, interest alone gives "
            f"{reserve.computed_index}, and no flash loan or bridge fee follows; a log is missing"
        )

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
        if self._lifted is not None:
            self._refuse_lift(self._lifted)
        if self._transfer is not None:
            self._refuse_transfer(self._transfer)
        self._told.clear()

    def _reserve(self, asset: str) -> ReserveState:
        reserve = self.reserves.get(asset)
        if reserve is None:
            self._stop(f"asset {asset} is not listed; is its listing missing?")
        return reserve

    # Tokens

    def _interest(self, token: Token, account: str, increase: int, index: int) -> tuple[list[int], int, int]:
        """What the account held [scaled, last index], its balance at `index`, and the discount it got (GHO)."""
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
        """Set the scaled balance; the change. `called`: by a call of the pool, not by a discount that moved."""
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
        """Scaled balance less an amount, before v3.5; a discounted debt that is paid in full ends at 0."""
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
        self.handled -= 1  # it says nothing that the event behind it does not
        if emitter in self.tokens:
            if self._transfer is not None:
                self._refuse_transfer(self._transfer)
            self._transfer = (emitter, *values)

    def _take_transfer(self, token: Token, sender: str, receiver: str, value: int | None) -> int:
        """The Transfer that stands before every event of a token; its value."""
        seen, self._transfer = self._transfer, None
        self.checks += 1
        if seen is None or seen[:3] != (token.address, sender, receiver) or value not in (None, seen[3]):
            self._stop(
                f"expected a Transfer of {token.address} from {sender} to {receiver} before it, found {seen}; "
                "a log is missing"
            )
        return seen[3]

    def _refuse_transfer(self, seen: tuple[str, str, str, int]) -> NoReturn:
        self._stop(f"before it, token {seen[0]} moved {seen[3]} from {seen[1]} to {seen[2]} without its event")

    def _tell_tokens_apart(self, happenings: list[Happening]) -> None:
        """Tokens of v3.0.0 by the first transfer whose two values differ; where none does, both readings agree."""
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
                reserve.virtual = None
                reserve.set("virtual", not reserve.debt_token.discounts)
        if self.revision and self.revision < V3_4 <= revision:
            for reserve in self.reserves.values():
                if reserve.debt_token.discounts:  # GHO becomes ordinary, and its treasury is set without an event
                    reserve.set("virtual", 1)
                    reserve.accrued_known = False
        self.revision, self._premium_on_accrued = revision, None

    # Reserves

    def _advance(self, r: ReserveState) -> None:
        """What the pool does to a reserve once in a second: interest into both indices, the treasury's share."""
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
        r.last_update, r.told = now, 0

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
        r.told += 1
        self._told.append(r)

    def _premium(self, r: ReserveState, premium: int, to_protocol: int) -> None:
        """A flash premium or a bridge fee: the treasury's part, and before v3.4 the suppliers' by their index."""
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
        """Money came to the pool or left it, and a call ended."""
        r = self._reserve(asset)
        self._updated(r)
        self._add_virtual(r, amount)
        self._told.clear()

    def _updated(self, r: ReserveState) -> None:
        """A call that moves money tells the reserve's new indices before it ends."""
        self.checks += 1
        if r not in self._told:
            self._stop(f"no ReserveDataUpdated of {r.asset} in this call; a log is missing")

    def _add_virtual(self, r: ReserveState, amount: int) -> None:
        if r.virtual is not None and self.revision >= V3_1:
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
        """Before v3.4 the borrowing flag goes when the amount paid is the whole debt, not when the scaled debt is 0."""
        if self.revision < V3_4 and self._whole.get((r.debt_token.address, account)) == amount:
            self._clear(account, 2 * r.id)

    def _clear(self, account: str, bit: int) -> None:
        bits = self.flags.get(account, 0)
        if bits >> bit & 1:
            self.flags[account] = bits ^ 1 << bit

    def _on_LiquidationCall(self, emitter: str, values: tuple[Any, ...]) -> None:
        collateral, debt, account, paid, seized, _, as_atoken = values
        c, d = self._reserve(collateral), self._reserve(debt)
        self._updated(d)
        calls = {id(r): self._told.count(r) for r in self._told}
        if self.revision >= V3_5:
            if as_atoken and c is not d:
                self._advance_silently(c)
            elif c is d and self.revision < V3_7:
                expected = 1 if as_atoken else 2
                if d.last_update == self._here.time and d.told == expected == calls.get(id(d), 0):
                    # The second update works on a copy from before the first: the treasury gets its share again.
                    d.accrued += d.last_share
        self._paid(d, account, paid)
        if self.revision >= V3_3:
            # Bad debt also takes the flag of reserves without debt; the only trace is that they were updated.
            for r in self._told:
                usual = 0 if r is not c or as_atoken else 1
                if r is d or calls[id(r)] <= usual:
                    continue
                held = r.debt_token.held.get(account)
                if held is None or not held[0]:
                    self._clear(account, 2 * r.id)
        self._add_virtual(d, paid)
        if not as_atoken:
            self._add_virtual(c, -seized)
        self._told.clear()

    def _advance_silently(self, c: ReserveState) -> None:
        """From v3.5 a liquidation into aTokens updates the collateral reserve without an event."""
        if c.last_update != self._here.time:
            self._advance(c)
            c.told = MANY
        block, transaction, index = c.atoken.transfer
        self.checks += 1
        if (block, transaction) != (self._here.block, self._here.transaction) or index != c.liquidity_index:
            self._stop(
                f"supply index of {c.asset} is {c.liquidity_index}; the transfer of seized aTokens of this call must "
                f"show it, found {index} in block {block}, transaction {transaction}"
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
        self._told.clear()

    def _on_MintUnbacked(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).unbacked += values[3]
        self._told.clear()

    def _on_BackUnbacked(self, emitter: str, values: tuple[Any, ...]) -> None:
        asset, _, amount, fee = values
        r = self._reserve(asset)
        self._premium(r, fee, self.bridge_to_protocol)
        r.unbacked -= amount
        if r.unbacked < 0:
            self._stop(f"unbacked supply of {asset} would be {r.unbacked}")
        self._add_virtual(r, amount + fee)
        self._told.clear()

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
        self._told.clear()

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

    # Configuration

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
            # Before v3.1 the new factor holds for all time since the last update.
            self._advance(r)
            r.told = MANY
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
        self._said_rates[strategy, asset] = rates
        self._strategies[asset] = strategy

    def _on_ReserveInterestRateStrategyChanged(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._strategies[values[0]] = values[2]

    def _on_RateDataUpdate(self, emitter: str, values: tuple[Any, ...]) -> None:
        # Of any contract: it counts for reserves whose strategy the emitter is.
        self._said_rates[emitter, values[0]] = values[1:]

    # Prices

    def _on_PriceOracleUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        if self.provider in (None, emitter):
            self._oracle = values[1]

    def _on_AssetSourceUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._sources[emitter, values[0]] = values[1]

    def _on_AnswerUpdated(self, emitter: str, values: tuple[Any, ...]) -> None:
        self._answers[emitter] = values[0]


def _toggle(name: str) -> Callable[[Replay, str, tuple[Any, ...]], None]:
    def handle(self: Replay, emitter: str, values: tuple[Any, ...]) -> None:
        self._reserve(values[0]).set(name, values[-1])

    return handle


def _emode_bit(name: str) -> Callable[[Replay, str, tuple[Any, ...]], None]:
    def handle(self: Replay, emitter: str, values: tuple[Any, ...]) -> None:
        asset, number, on = values
        category, bit = self._category(number), 1 << self._reserve(asset).id
        setattr(category, name, getattr(category, name) | bit if on else getattr(category, name) & ~bit)

    return handle


for _event, _name in {**TOGGLES, **CHANGES}.items():
    setattr(Replay, f"_on_{_event}", _toggle(_name))
for _event, _name in EMODE_BITS.items():
    setattr(Replay, f"_on_{_event}", _emode_bit(_name))
