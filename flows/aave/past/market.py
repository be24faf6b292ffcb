"""Books from logs as a market that can be stored: names and units from the node, prices from logs or the oracle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from flows import settings
from flows.aave import accounts as aave_accounts
from flows.aave import checks as cross_checks
from flows.aave import price_adapters
from flows.aave.accounts import Account
from flows.aave.contracts import NO_CONTRACT, Contracts, EMode, Reserve, priced, symbol_of
from flows.aave.history import HistoryError, MarketBook, ReserveBook
from flows.aave.rows import MarketState
from flows.clients import abis
from flows.clients.block_reader import Call, Failure
from flows.errors import CrossCheckFailed, SourceRefused
from risk_core.interest import normalized_debt, normalized_income
from risk_core.units import USD

if TYPE_CHECKING:
    from flows.aave.place import Place
    from flows.clients.abis import Function
    from flows.clients.block_reader import Block, BlockReader

"""Where prices of a past block come from: the feeds' own logs, or the oracle, asked at that block."""
BPS_IN_RAY = 10**23
SHOWN = 5


class NotStorable(CrossCheckFailed):
    """The books of a block are right, but they are not a whole market: a price is unknown."""


class Constants:
    """What a contract says at every block alike, read once at the newest: symbols, descriptions, the oracle's unit."""

    def __init__(self, reader: BlockReader, provider: str) -> None:
        self._reader = reader
        self._answers: dict[tuple[str, str], bytes | Failure] = {}
        self.data_provider: str = reader.one(Call(provider, abis.GET_POOL_DATA_PROVIDER, about="the provider"))

    def read(self, book: MarketBook) -> None:
        """Ask for what is not known yet. Raises `SourceRefused` for an oracle that does not count in USD."""
        asked = [Call(r.asset, abis.SYMBOL, about=r.asset) for r in book.reserves]
        asked += [Call(r.source, abis.DESCRIPTION, about=r.source) for r in book.reserves if r.source]
        asked.append(Call(book.oracle, abis.BASE_CURRENCY_UNIT, about="the oracle"))
        missing = [call for call in dict.fromkeys(asked) if (call.to, call.function.name) not in self._answers]
        answers = self._reader.read_raw(missing)
        self._answers |= {(call.to, call.function.name): answer for call, answer in zip(missing, answers, strict=True)}
        unit = self._reader.decoded(asked[-1], self._answers[book.oracle, abis.BASE_CURRENCY_UNIT.name])
        if unit != USD:
            raise SourceRefused(
                f"the oracle {book.oracle} counts in units of {unit}; only USD with 8 decimals ({USD}) is known"
            )

    def symbol(self, asset: str) -> str:
        """A token's symbol, its address where it has none."""
        return symbol_of(asset, self._answers[asset, abis.SYMBOL.name])

    def description(self, source: str | None) -> str:
        """A feed's description, empty where it has none."""
        found = self._decoded(source, abis.DESCRIPTION)
        return "" if found is None else abis.text(found)

    def _decoded(self, to: str | None, function: Function) -> bytes | None:
        raw = self._answers.get((to or "", function.name), Failure(""))
        found = self._reader.decoded(Call(to or "", function), raw, True)
        return None if isinstance(found, Failure) else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the books of all blocks have in common. `virtual`: (asset, aToken) -> its virtual balance before any log.

    `concurrency`: requests under way at once.
    """

    place: Place
    pool: str
    constants: Constants
    virtual: Mapping[tuple[str, str], int]
    concurrency: int


def virtual_at_first(reader: BlockReader, tip: MarketBook, pool: str) -> dict[tuple[str, str], int]:
    """Virtual balances that the upgrade to v3.1 set without a log: what the node says now, less what logs added."""
    unknown = [r for r in tip.reserves if r.virtual_balance is None]
    answers = reader.read([Call(pool, abis.GET_VIRTUAL_BALANCE, (r.asset,), r.asset) for r in unknown])
    return {(r.asset, r.atoken): now - r.virtual_change for r, now in zip(unknown, answers, strict=True)}


def require_prices(book: MarketBook) -> None:
    """Raise `NotStorable`, which lists every asset that an account owes or has as collateral and no log prices."""
    unpriced = {r.id: r for r in book.reserves if not r.price or r.price < 0}
    needed: dict[int, int] = {}
    if unpriced:
        for account, held in book.holdings.items():
            flags = book.flags.get(account, 0)
            for number in held.keys() & unpriced.keys():
                supply, debt = held[number]
                if debt or (supply and flags >> 2 * number + 1 & 1):
                    needed[number] = needed.get(number, 0) + 1
    if needed:
        told = [
            f"{unpriced[number].asset} ({count} accounts, source {unpriced[number].source or 'unknown'})"
            for number, count in sorted(needed.items(), key=lambda item: (-item[1], item[0]))
        ]
        raise NotStorable(
            f"block {book.block}: the logs do not tell the oracle's price of {', '.join(told[:SHOWN])}"
            + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")
            + ". Only a feed that logs its own answers can be followed, not an adapter or a proxy. --prices oracle "
            "asks the oracle at the block, which needs a node with the state of that block"
        )


def market_of(book: MarketBook, block: Block, past: Past) -> MarketState:
    """The market of a book; sums of balances, flags and e-modes checked. Nothing is read but constants.

    A reserve has a price where its feed logged one. Raises `NotStorable`, `CrossCheckFailed`.
    """
    past.constants.read(book)
    reserves = [_reserve(r, book, past) for r in book.reserves]
    emodes = [
        EMode(
            id=e.id, label=abis.text(e.label.encode()), ltv=e.ltv, liquidation_threshold=e.threshold,
            liquidation_bonus=e.bonus, collateral=e.collateral, borrowable=e.borrowable, ltvzero=e.ltvzero,
            isolated=e.isolated,
        )
        for e in book.emodes
        if e.threshold  # the others are categories that nobody added (`flows.aave.market_terms`)
    ]  # fmt: skip
    accounts = [
        Account(
            address,
            book.flags.get(address, 0),
            book.categories.get(address, 0),
            {number: supply for number, (supply, _) in held.items() if supply},
            {number: debt for number, (_, debt) in held.items() if debt},
        )
        for address, held in sorted(book.holdings.items())
    ]
    cross_checks.check_holdings(reserves, accounts, 0)
    cross_checks.check_flags(accounts, {r.id: r.symbol for r in reserves}, emodes)
    contracts = Contracts(
        chain_id=past.place.chain_id, provider=past.place.provider, pool=past.pool, oracle=book.oracle,
        data_provider=past.constants.data_provider, revision=book.revision, base_currency_unit=USD,
    )  # fmt: skip
    return MarketState(
        market=past.place.market, block=block, contracts=contracts, reserves=reserves, emodes=emodes,
        accounts=accounts, account_data={}, checked=cross_checks.Checked(0, 0), replayed=True,
    )  # fmt: skip


def with_oracle(state: MarketState, reader: BlockReader) -> MarketState:
    """The market with the prices that its oracle gives at the block, where `reader` reads.

    The pool's own valuations, of every account of a small market and of a sample of a large one, must equal ours.
    Raises `HistoryError` where the oracle contradicts a log, `CrossCheckFailed`.
    """
    reserves = _with_prices(state, reader)
    try:
        cross_checks.check_prices(reserves, state.accounts, state.block.number)
    except CrossCheckFailed as error:
        raise NotStorable(str(error)) from None
    rules = cross_checks.Rules(reserves, state.emodes)
    computed = {account.address: rules.account_data(account) for account in state.accounts}
    asked = cross_checks.accounts_to_check(computed, state.block.number)
    account_data = aave_accounts.fetch_account_data(reader, state.contracts.pool, asked, lambda done: None)
    checked = cross_checks.check_account_data(computed, account_data)
    return replace(state, reserves=reserves, account_data=account_data, checked=checked)


def _reserve(r: ReserveBook, book: MarketBook, past: Past) -> Reserve:
    virtual = r.virtual_balance
    if virtual is None:
        first = past.virtual.get((r.asset, r.atoken))
        if first is None:
            raise NotStorable(
                f"block {book.block}: the virtual balance of {r.asset} is not in the logs, and it is listed no more"
            )
        virtual = first + r.virtual_change
    known = r.price is not None and r.price > 0
    return Reserve(
        asset=r.asset, id=r.id, symbol=past.constants.symbol(r.asset), configuration=r.configuration,
        liquidity_index=r.liquidity_index, liquidity_rate=r.supply_rate, variable_borrow_index=r.debt_index,
        variable_borrow_rate=r.debt_rate, last_update=r.last_update, atoken=r.atoken, vtoken=r.debt_token,
        grace_until=r.grace_until, deficit=r.deficit, virtual_balance=virtual,
        normalized_income=normalized_income(r.liquidity_index, r.supply_rate, r.last_update, book.time),
        normalized_debt=normalized_debt(r.debt_index, r.debt_rate, r.last_update, book.time),
        scaled_atoken_supply=r.scaled_supply, scaled_debt_supply=r.scaled_debt,
        price=(r.price or 0) if known else 0, no_price="" if known else "no answer in the logs",
        price_source=r.source or NO_CONTRACT, price_description=past.constants.description(r.source),
        rate_curve=tuple(share * BPS_IN_RAY for share in r.rates) if r.rates else None,  # type: ignore[arg-type]
        payload_sha256=hashlib.sha256(json.dumps(asdict(r), sort_keys=True).encode()).hexdigest(),
    )  # fmt: skip


def _with_prices(state: MarketState, reader: BlockReader) -> list[Reserve]:
    getters = (abis.GET_ASSET_PRICE, abis.GET_SOURCE_OF_ASSET)
    oracle, reserves = state.contracts.oracle, state.reserves
    answers = reader.read([Call(oracle, get, (r.asset,), r.symbol) for get in getters for r in reserves], may_fail=True)
    prices, sources = answers[: len(reserves)], answers[len(reserves) :]
    found = []
    for r, price, source in zip(reserves, prices, sources, strict=True):
        for name, ours, said in (("price", r.price or None, price), ("price source", r.price_source, source)):
            if ours not in (None, NO_CONTRACT, said):
                raise HistoryError(
                    f"block {state.block.number}: {name} of {r.symbol} ({r.asset}): the oracle says {said}, the logs "
                    f"{ours}. A log of the oracle or the feed is missing; nothing of this block was written"
                )
        named = r.price_source if isinstance(source, Failure) else source
        found.append(replace(r, price_source=named, **priced(price)))
    return price_adapters.with_models(reader, found, price_adapters.getters(settings.get("AAVE_CAP_GETTERS")))
