"""When the oracle and the market disagree: a stuck feed, a cap set too low, collateral that nothing backs.

Health factors see the oracle's price, sales see the market's. Everything here is exact and without randomness: every
account is settled by the protocol's rules at the oracle's prices, and what moved is valued at the market's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from risk_core.accounts import totals
from risk_core.checks import FloatArray, checked_kind, checked_number, require
from risk_core.errors import InputError
from risk_core.shocks import WhatIf, aftermath, what_if
from risk_core.types import NO_EMODE, Market, Positions

ATTACKER = "0x" + "f" * 40
"""Address of the account that `unbacked` adds; it is nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OracleGap:
    """What liquidations do while the oracle's prices differ from the market's. Amounts in USD at *market* prices.

    market_price, oracle_price: (R,) USD per token. honest: what an oracle that says the market's prices would have
    brought (with the caps that its adapters have). first: the liquidations at the oracle's prices. then: those that
    follow among what is left, once the oracle says the market's prices. left: the market between the two, its oracles
    plain feeds.

    repaid_usd, seized_usd, fee_usd: of `first`, at market prices. bad_debt_usd: debt above collateral, added up over
    the accounts that have more debt than collateral, after `first`. could_borrow_usd: what borrowers may still take
    against the oracle's prices after `first`, before the limits of caps and of the reserves' liquidity;
    could_leave_usd: the debt above collateral that they would add by taking it.
    """

    market: Market
    market_price: FloatArray
    oracle_price: FloatArray
    honest: WhatIf
    first: WhatIf
    then: WhatIf
    left: Market
    repaid_usd: float
    seized_usd: float
    fee_usd: float
    bad_debt_usd: float
    could_borrow_usd: float
    could_leave_usd: float

    @property
    def borrower_loss_usd(self) -> float:
        """What liquidated borrowers lose in `first`: collateral taken, with the fee, less debt repaid."""
        return self.seized_usd + self.fee_usd - self.repaid_usd

    @property
    def bonus_usd(self) -> float:
        """The part of that loss which the oracle's own prices show: the liquidation bonus."""
        return self.first.seized_usd + self.first.fee_usd - self.first.repaid_usd

    @property
    def mispricing_usd(self) -> float:
        """The rest of that loss, from the oracle's error alone; negative where the error favoured borrowers."""
        return self.borrower_loss_usd - self.bonus_usd

    @property
    def liquidator_gain_usd(self) -> float:
        """What liquidators gain in `first`, before gas and slippage: negative, they would not call."""
        return self.seized_usd - self.repaid_usd

    @property
    def deficit_usd(self) -> float:
        """Deficit of both rounds, each at the oracle's prices of its time."""
        return self.first.deficit_usd + self.then.deficit_usd

    @property
    def extra_deficit_usd(self) -> float:
        """How much more deficit the oracle's error brings than an exact oracle would have."""
        return self.deficit_usd - self.honest.deficit_usd


def oracle_gap(
    market: Market,
    moves: Mapping[str, float] | ArrayLike,
    *,
    stuck: Iterable[str] = (),
    errors: Mapping[str, float] | None = None,
    policy: str = "largest_legs",
) -> OracleGap:
    """Liquidate `market` by an oracle that is wrong, and value what moved at market prices.

    moves: relative moves of the market's prices, as `what_if` takes them. stuck: reserves whose feed does not follow
    (a staked token is a ratio to its base: it stays with its base, and where its own is stuck, its ratio stays).
    errors: {symbol: relative error} of the oracle's price of a reserve itself, such as {"wstETH": -0.0285} for a cap
    that is 2.85 % too low; what is linked to this reserve, or a ratio to it, follows. Raises `InputError`.

    >>> # 10 ETH at 2,000 against 16,000 USDC, threshold 0.83: HF is 1.04, and a feed 5 % too low repays 8,000 of it
    """
    checked_kind("market", market, Market)
    move = _moves(market, moves)
    at_oracle = market.shocked(_seen(market, move, stuck)) * _error(market, errors or {})
    true = market.price * (1.0 + move)
    # Plain feeds from here on: the prices are what the oracle says, whatever its model would say.
    plain = plain_feeds(market)
    first, left = aftermath(plain, at_oracle / market.price - 1.0, policy)
    honest = what_if(market, move, policy)
    then = what_if(left, honest.price / left.price - 1.0, policy)
    worth = true / first.price
    (held, owed), (collateral, debt) = totals(left), totals(left, true)
    room = np.where(held > 0, np.maximum(borrowing_power(left) - owed, 0.0), 0.0)
    bad_debt = float(np.maximum(debt - collateral, 0.0).sum())
    lent = float(np.maximum(debt + room - collateral, 0.0).sum())
    return OracleGap(
        market=market, market_price=true, oracle_price=first.price, honest=honest, first=first, then=then, left=left,
        repaid_usd=float(first.repaid_by_reserve @ worth), seized_usd=float(first.seized_by_reserve @ worth),
        fee_usd=float(first.fee_by_reserve @ worth), bad_debt_usd=bad_debt, could_borrow_usd=float(room.sum()),
        could_leave_usd=lent - bad_debt,
    )  # fmt: skip


def borrowing_power(market: Market) -> FloatArray:
    """(n_accounts,) USD that each account may owe at most by its loan to value, at the market's prices.

    Inside an e-mode the category's loan to value counts for its collateral (0 where the category's `ltvzero` bitmap
    says so), and in an isolated category nothing else counts (aave-v3 v3.6 and v3.7, GenericLogic.sol,
    calculateUserAccountData). Without the rule that collateral with a loan to value of 0 goes first: an upper bound.
    """
    checked_kind("market", market, Market)
    ltv = np.tile(market.reserves.ltv, (len(market.emodes) + 1, 1))
    for row in range(len(market.emodes)):
        inside = market.emodes.collateral[row]
        if market.emodes.isolated[row]:
            ltv[row] = 0.0
        ltv[row, inside] = np.where(market.emodes.ltvzero[row, inside], 0.0, market.emodes.ltv[row])
    side = market.collateral
    owner = np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))
    usd = side.amount * market.price[side.reserve] * ltv[market.emode[owner], side.reserve]
    return np.bincount(owner, weights=usd, minlength=market.n_accounts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unbacked:
    """Collateral that nothing backs, borrowed against: see `unbacked`.

    market: with the account of who did it, `row`, its last. borrowed_usd: what it took; `limited`: the reserve's
    liquidity stopped it, so its utilisation is 100 %. gap: what follows when the token is marked down.
    attacker_deficit_usd: of its account, in both rounds; others_deficit_usd: of everybody else.
    """

    market: Market
    row: int
    emode: int
    borrowed_usd: float
    limited: bool
    gap: OracleGap

    @property
    def attacker_deficit_usd(self) -> float:
        """Deficit of the added account, USD at the oracle's prices."""
        return sum(
            float(one.account_deficit_usd[one.liquidatable == self.row].sum())
            for one in (self.gap.first, self.gap.then)
        )

    @property
    def others_deficit_usd(self) -> float:
        """Deficit of all other accounts, USD at the oracle's prices."""
        return self.gap.deficit_usd - self.attacker_deficit_usd


def unbacked(
    market: Market,
    token: str,
    tokens: float,
    borrowed: str,
    markdown: float,
    *,
    available_usd: float | None = None,
    oracle_sees: bool = True,
    policy: str = "largest_legs",
) -> Unbacked:
    """Somebody supplies `tokens` of a reserve that nothing backs, borrows `borrowed` to the limit, and the token falls.

    The account borrows all that its loan to value allows, in the e-mode that allows most, or `available_usd` where that
    is less (None: no limit). Then the token is marked down by the share `markdown` for everybody who holds it, at the
    oracle as in the market; with `oracle_sees` false only in the market, and what is lost shows as `bad_debt_usd`.
    Raises `InputError` for a token without a loan to value, and numbers out of range.
    """
    checked_kind("market", market, Market)
    amount = checked_number("tokens", tokens, 0.0, 1e30, "a number of tokens, at least 0")
    fall = checked_number("markdown", markdown, 0.0, 0.999999, "a share in [0, 1)")
    most = np.inf if available_usd is None else checked_number("available_usd", available_usd, 0.0, rule="USD, >= 0")
    c, d = market.reserves.index(token), market.reserves.index(borrowed)
    if c == d:
        raise InputError(f"borrowed: expected another reserve than the token {token}")
    emode, ltv = _best_mode(market, c, d)
    if ltv <= 0:
        raise InputError(f"token: {token} has no loan to value with which {borrowed} could be borrowed")
    worth = amount * market.price[c]
    debt_usd = min(worth * ltv, most)
    grown = _with_account(market, c, amount, d, debt_usd / market.price[d], emode)
    gap = oracle_gap(grown, {token: -fall}, stuck=() if oracle_sees else (token,), policy=policy)
    return Unbacked(
        market=grown, row=market.n_accounts, emode=emode, borrowed_usd=debt_usd, limited=debt_usd < worth * ltv, gap=gap
    )


def _best_mode(market: Market, c: int, d: int) -> tuple[int, float]:
    """(row of the e-mode, loan to value) with which a new account borrows most of reserve `d` against `c`."""
    best, ltv = NO_EMODE, float(market.reserves.ltv[c])
    modes = market.emodes
    for row in range(len(modes)):
        if modes.collateral[row, c] and modes.borrowable[row, d] and not modes.ltvzero[row, c] and modes.ltv[row] > ltv:
            best, ltv = row, float(modes.ltv[row])
    return best, ltv


def _with_account(market: Market, c: int, collateral: float, d: int, debt: float, emode: int) -> Market:
    """The market with one more account, the last."""
    if ATTACKER in market.accounts:
        raise InputError(f"accounts: {ATTACKER} is in this market already")
    sides = {}
    for name, reserve, tokens in (("collateral", c, collateral), ("debt", d, debt)):
        side = getattr(market, name)
        some = int(tokens > 0)
        sides[name] = Positions(
            indptr=np.append(side.indptr, side.indptr[-1] + some),
            reserve=np.append(side.reserve, [reserve] * some),
            amount=np.append(side.amount, [tokens] * some),
        )
    return replace(
        market,
        accounts=np.append(market.accounts, ATTACKER),
        emode=np.append(market.emode, emode),
        snapshot=replace(market.snapshot, hash=""),
        notes=(*market.notes, "An account with unbacked collateral was added"),
        **sides,
    )


def plain_feeds(market: Market) -> Market:
    """The market whose oracles have no model: every price stands as it is given."""
    fields = dict.fromkeys(("price_cap", "ratio_cap", "ratio_of", "linked_to", "fixed_price"))
    return replace(market, reserves=replace(market.reserves, **fields))


def _moves(market: Market, moves: Mapping[str, float] | ArrayLike) -> FloatArray:
    """(R,) relative moves of market prices, above -1."""
    if isinstance(moves, Mapping):
        move = market.reserves.moves("moves", moves)
    else:
        move = market.reserves.each("moves", moves, "moves")
    ok = np.isfinite(move) & (move > -1)
    require("moves", move, ok, "a relative move must be finite and above -1 (-100 %)", market.reserves.symbol)
    return move


def _seen(market: Market, move: FloatArray, stuck: Iterable[str]) -> FloatArray:
    """(R,) moves of the feeds where those of `stuck` stay: a ratio is a feed of its own beside its base's."""
    if isinstance(stuck, str):
        raise InputError(f"stuck: expected a sequence of symbols, found one text {stuck!r:.60}")
    reserves = market.reserves
    base = reserves.ratio_of
    own = np.where(base >= 0, (1.0 + move) / (1.0 + move[np.maximum(base, 0)]), 1.0 + move)
    for symbol in stuck:
        r = reserves.index(symbol)
        if reserves.linked_to[r] >= 0 or reserves.fixed_price[r]:
            follows = reserves.symbol[reserves.linked_to[r]] if reserves.linked_to[r] >= 0 else "a constant"
            raise InputError(f"stuck: {symbol} has no feed of its own, its oracle follows {follows}")
        own[r] = 1.0
    return _along(own, base) - 1.0


def mispriced(market: Market, errors: Mapping[str, float]) -> FloatArray:
    """(R,) USD per token that the oracle says today where it is wrong by `errors`, as `oracle_gap` takes them."""
    checked_kind("market", market, Market)
    return market.price * _error(market, errors)


def _error(market: Market, errors: Mapping[str, float]) -> FloatArray:
    """(R,) factor of the oracle's prices: own errors times those of the reserve that each depends on."""
    own = 1.0 + market.reserves.spread("errors", errors)
    require("errors", own, np.isfinite(own) & (own > 0), "an error must be above -1 (-100 %)", market.reserves.symbol)
    depends = np.where(market.reserves.linked_to >= 0, market.reserves.linked_to, market.reserves.ratio_of)
    return _along(own, depends)


def _along(own: FloatArray, depends: np.ndarray) -> FloatArray:
    """(R,) `own` times that of the reserve that each depends on, and so on; -1 depends on none."""
    out = own.copy()
    for _ in range(len(own)):
        before, out = out, own * np.where(depends >= 0, out[np.maximum(depends, 0)], 1.0)
        if np.array_equal(before, out):
            break
    return out
