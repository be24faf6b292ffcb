"""Read the tables of a book into the parts of a `Market`: reserves, positions, e-modes, accounts.

Every fault of a cell is kept with its row (`risk_core.rows`); the tables may come from any library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from risk_core.checks import BoolArray, FloatArray, IntArray
from risk_core.rows import Rows
from risk_core.types import LATEST_SECONDS, NO_EMODE, REVISIONS, EModes, Reserves, Snapshot

SIDES = ("supply", "debt")
POSITIONS = ("account", "symbol", "side", "amount", "amount_usd", "collateral", "liquidation_threshold")
RESERVES = (
    "symbol", "price", "liquidation_threshold", "liquidation_bonus", "ltv", "protocol_fee", "decimals", "asset", "id",
    "active", "paused", "grace_until", "price_cap", "ratio_cap", "ratio_of", "linked_to", "fixed_price",
)  # fmt: skip
ACCOUNTS = ("account", "emode")
EMODES = (
    "emode", "label", "ltv", "isolated", "symbol", "liquidation_threshold", "liquidation_bonus", "collateral",
    "borrowable", "ltvzero",
)  # fmt: skip
NEEDED_OF_EMODES = ("emode", "symbol", "liquidation_threshold", "liquidation_bonus")

_FRACTION = ("a fraction in [0, 1]; 0.83 is 83 %", lambda x: (x >= 0) & (x <= 1))
_AMOUNT = ("a number that is finite and not negative; the side says what is owed", lambda x: np.isfinite(x) & (x >= 0))


def _whole(low: int, high: int) -> tuple[str, Callable[[FloatArray], BoolArray]]:
    return f"a whole number in [{low}, {high}]", lambda x: (x == np.floor(x)) & (x >= low) & (x <= high)


_NUMBERS: dict[str, tuple[str, Callable[[FloatArray], BoolArray]]] = {
    "amount": _AMOUNT,
    "amount_usd": _AMOUNT,
    "price": ("USD per token, finite and above 0", lambda x: np.isfinite(x) & (x > 0)),
    "liquidation_threshold": _FRACTION,
    "liquidation_bonus": (
        "a fraction in [0, 1], or -1 for none; 0.05 is 5 %",
        lambda x: (x == -1) | (x >= 0) & (x <= 1),
    ),
    "ltv": _FRACTION,
    "protocol_fee": _FRACTION,
    "price_cap": ("a number above 0; inf or nothing for no cap", lambda x: x > 0),
    "ratio_cap": ("a number above 0; inf or nothing for no cap", lambda x: x > 0),
    "decimals": _whole(0, 77),
    "id": _whole(0, 2**53),
    "emode": _whole(0, 2**53),
    "grace_until": _whole(0, LATEST_SECONDS),
}


def _number(rows: Rows, column: str, need: bool = False) -> FloatArray:
    return rows.numbers(column, *_NUMBERS[column], need=need)


class ReserveTable:
    """The table of reserves, read; a figure that it does not give is NaN, a fault only where it is needed."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        # A reserve with an address may have any symbol, as on a chain; without an address the symbol is its name.
        self.symbol = rows.texts("symbol", "a symbol", any_text=rows.has("asset"))
        self.asset = rows.texts("asset", "an address")
        self.figures = {name: _number(rows, name) for name in RESERVES if name in _NUMBERS}
        self.threshold = self.figures["liquidation_threshold"]
        self.bonus = self.figures["liquidation_bonus"]
        self.price = self.figures["price"]
        self.switches = {name: rows.flags(name, name == "active") for name in ("active", "paused", "fixed_price")}
        lower = [None if address is None else address.lower() for address in self.asset]
        rows.once(lower, "asset", "each address may appear once")
        if not rows.has("asset"):
            rows.once(self.symbol, "symbol", "each may appear once, or give the addresses in a column 'asset'")
        self.by_name: dict[str, int] = {address: i for i, address in enumerate(lower) if address is not None}
        self.repeated = {s for s in self.symbol if s is not None and self.symbol.count(s) > 1}
        self.by_name |= {s: i for i, s in enumerate(self.symbol) if s is not None and s not in self.repeated}
        others = {name: rows.texts(name, "a reserve", any_text=True) for name in ("ratio_of", "linked_to")}
        self.depends = {name: self.places(rows, named, name) for name, named in others.items()}
        capped = rows.missing("price") & ~np.isnan(self.figures["price_cap"]) & (self.figures["price_cap"] < np.inf)
        rows.say(capped, "price_cap", "a cap in USD needs the price that it caps; give `price`")

    def places(self, rows: Rows, names: Sequence[str | None], column: str = "symbol") -> IntArray:
        """(n,) index of the reserve that each row names, -1 for a fault or an empty cell."""
        found = [None if name is None else self.by_name.get(name, self.by_name.get(name.lower())) for name in names]
        unknown = [i for i, place in enumerate(found) if place is None and names[i] is not None]
        rows.say(unknown, column, lambda i: self._unknown(names[i]))
        return np.array([-1 if place is None else place for place in found], dtype=np.int64)

    def _unknown(self, name: str | None) -> str:
        if name in self.repeated:
            return f"{name!r} is the symbol of several reserves; name it by its address"
        known = [s for s in self.symbol if s is not None]
        same = [s for s in known if s.lower() == str(name).lower()]
        if same:
            return f"no reserve {name!r}; did you mean {same[0]!r}?"
        listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        return f"no reserve {name!r}; known: {listed}. Add a row to `reserves`"

    def price_or_one(self) -> FloatArray:
        """(R,) USD per token; 1 where none is given: all rows are then in USD, and one token counts as one dollar."""
        return np.where(np.isnan(self.price), 1.0, self.price)

    def build(self, stated: PositionTable) -> Reserves:
        """The engine's reserves; a threshold that is not given is the one most positions state, 0 where none does."""
        n = len(self.rows)
        usual = self.threshold.copy()
        for i in np.flatnonzero(np.isnan(usual)):
            given = stated.threshold[stated.backs & (stated.reserve == i)]
            values, count = np.unique(given, return_counts=True)
            usual[i] = values[count.argmax()] if len(values) else 0.0
        filled = {
            name: np.where(np.isnan(self.figures[name]), default, self.figures[name])
            for name, default in (("ltv", 0.0), ("liquidation_bonus", -1.0), ("protocol_fee", 0.0), ("decimals", 18),
                                  ("grace_until", 0), ("id", np.nan), ("price_cap", np.inf), ("ratio_cap", np.inf))
        }  # fmt: skip
        if not self.rows.has("id"):
            filled["id"] = np.arange(n, dtype=np.float64)
        return Reserves(
            symbol=tuple(s or "" for s in self.symbol),
            asset=tuple(address or f"reserve {i}" for i, address in enumerate(self.asset)),
            liquidation_threshold=usual,
            **filled,
            **self.switches,
            **self.depends,
        )


class PositionTable:
    """The table of positions, read: index of the reserve (-1 for a fault), side, amounts, own threshold or NaN."""

    def __init__(self, rows: Rows, named: Sequence[str | None], book: ReserveTable) -> None:
        self.rows = rows
        accounts = rows.texts("account", "an address or another name")
        self.account = [None if text is None else text.lower() for text in accounts]
        self.reserve = book.places(rows, named)
        side = rows.texts("side", "'supply' or 'debt'")
        known = [text in SIDES for text in side]
        rows.say(
            [i for i, text in enumerate(side) if text is not None and not known[i]],
            "side",
            lambda i: f"found {side[i]!r}; expected 'supply' or 'debt'",
        )
        self.is_debt = np.array([text == "debt" for text in side], dtype=np.bool_)
        supply = np.array([text == "supply" for text in side], dtype=np.bool_)
        self.backs = rows.flags("collateral", True, need=supply) & supply
        self.threshold = _number(rows, "liquidation_threshold")
        self.amount, self.usd = _number(rows, "amount"), _number(rows, "amount_usd")
        no_tokens, no_usd = rows.missing("amount"), rows.missing("amount_usd")
        rows.say(~no_tokens & ~no_usd, "amount", "this row has an amount in USD, too; expected one of them")
        column = "amount" if rows.has("amount") else "amount_usd"
        rule = "nothing here; expected an amount in tokens (`amount`) or in USD (`amount_usd`)"
        rows.say(no_tokens & no_usd, column, rule)
        without_price = ~np.isnan(self.amount) & (self.reserve >= 0)
        without_price[without_price] = book.rows.missing("price")[self.reserve[without_price]]
        rows.say(
            without_price,
            "amount",
            lambda i: (
                f"tokens of {named[i]}, which has no price; give `price` in "
                "`reserves`, or the amount in USD as `amount_usd`"
            ),
        )
        keys = [
            (account, int(reserve), text) if account is not None and reserve >= 0 and ok else None
            for account, reserve, text, ok in zip(self.account, self.reserve, side, known, strict=True)
        ]
        rows.once(keys, "account", "an account has one row for each reserve and side; add their amounts up first")

    def tokens(self, price: FloatArray) -> FloatArray:
        """(n,) amounts in tokens."""
        with np.errstate(over="ignore"):
            amount = np.where(np.isnan(self.usd), self.amount, self.usd / price[self.reserve])
        self.rows.say(
            ~np.isfinite(amount), "amount_usd", "more tokens than a float can count, at the price of its reserve"
        )
        self.rows.faults.settle()
        return amount


class EModeTable:
    """The table of e-modes, read: one row of each array for each category."""

    def __init__(self, ids: IntArray, n_reserves: int) -> None:
        self.id = ids
        shape = (len(ids), n_reserves)
        self.label = [""] * len(ids)
        self.ltv, self.isolated = np.zeros(len(ids)), np.zeros(len(ids), dtype=np.bool_)
        self.threshold, self.bonus = np.zeros(shape), np.zeros(shape)
        self.members = {name: np.zeros(shape, dtype=np.bool_) for name in ("collateral", "borrowable", "ltvzero")}

    def build(self) -> EModes:
        """The engine's e-modes."""
        if not len(self.id):
            return EModes.none()
        return EModes(
            id=self.id,
            label=tuple(self.label),
            ltv=self.ltv,
            liquidation_threshold=self.threshold,
            liquidation_bonus=self.bonus,
            isolated=self.isolated,
            **self.members,
        )


def read_emodes(rows: Rows | None, book: ReserveTable) -> EModeTable:
    """Read the e-mode table, None for no e-mode; faults are noted in `rows`."""
    n_reserves = len(book.rows)
    if rows is None:
        return EModeTable(np.zeros(0, dtype=np.int64), n_reserves)
    number = _number(rows, "emode", need=True)
    rows.say(number == 0, "emode", "0 means no e-mode; expected a number from 1 on")
    reserve = book.places(rows, rows.texts("symbol", "the symbol or the address of a reserve"))
    label = rows.texts("label", "a label", any_text=True)
    ltv = _number(rows, "ltv")
    threshold = _number(rows, "liquidation_threshold", need=True)
    bonus = _number(rows, "liquidation_bonus", need=True)
    switches = {name: rows.flags(name, name != "ltvzero") for name in ("collateral", "borrowable", "ltvzero")}
    isolated = rows.flags("isolated", False)
    keys = [(n, r) if n > 0 and r >= 0 else None for n, r in zip(number.tolist(), reserve.tolist(), strict=True)]
    rows.once(keys, "symbol", "a category has one row for each reserve")
    given = number[number > 0]
    ids, first = np.unique(given, return_index=True)
    modes = EModeTable(ids[np.argsort(first)].astype(np.int64), n_reserves)
    for k, ident in enumerate(modes.id):
        mine = np.flatnonzero(number == ident)
        head = int(mine[0])
        for column, values in (("label", label), ("ltv", ltv.tolist()), ("isolated", isolated.tolist())):
            differ = [i for i in mine.tolist() if values[i] != values[head] and values[i] == values[i]]
            rows.say(differ, column, f"differs from {rows.row(head)}; a category has one {column}")
        modes.label[k] = label[head] or ""
        modes.ltv[k] = 0.0 if np.isnan(ltv[head]) else ltv[head]
        modes.isolated[k] = isolated[head]
        mine = mine[reserve[mine] >= 0]
        # Reserves that are not the category's collateral take the terms of one that is, so that equal terms fold into
        # one.
        usual = mine[switches["collateral"][mine]]
        modes.threshold[k], modes.bonus[k] = (threshold[usual[0]], bonus[usual[0]]) if len(usual) else (0.0, 0.0)
        modes.threshold[k, reserve[mine]], modes.bonus[k, reserve[mine]] = threshold[mine], bonus[mine]
        for name, values in switches.items():
            modes.members[name][k, reserve[mine]] = values[mine]
    return modes


class AccountTable(NamedTuple):
    """Names of all accounts, their rows of the e-modes (-1 for none), and the account of each position."""

    names: list[str]
    emode: IntArray
    row: IntArray


def read_accounts(rows: Rows | None, stated: PositionTable, modes: EModeTable) -> AccountTable:
    """Read the account table, None where positions alone name the accounts; faults are noted in `rows`."""
    names: dict[str, int] = {}
    emode: list[int] = []
    if rows is not None:
        listed = [
            None if text is None else text.lower() for text in rows.texts("account", "an address or another name")
        ]
        number = _number(rows, "emode")
        place = {0: NO_EMODE} | {int(ident): k for k, ident in enumerate(modes.id)}
        known = ", ".join(map(str, modes.id)) or "none: give the table `emodes`"
        unknown = ~np.isnan(number) & np.array([n not in place for n in number.tolist()], dtype=np.bool_)
        rows.say(unknown, "emode", lambda i: f"no e-mode {number[i]:g}; known: {known}")
        rows.once(listed, "account", "an account has one row (addresses are compared without case)")
        for text, n in zip(listed, number.tolist(), strict=True):
            if text is not None and text not in names:
                names[text] = len(names)
                emode.append(place.get(n, NO_EMODE) if n == n else NO_EMODE)
    for text in stated.account:
        if text is not None and text not in names:
            names[text] = len(names)
            emode.append(NO_EMODE)
    row = np.array([-1 if text is None else names[text] for text in stated.account], dtype=np.int64)
    return AccountTable(list(names), np.array(emode, dtype=np.int64), row)


def require_terms(stated: PositionTable, book: ReserveTable, at: Snapshot) -> None:
    """Note a fault where a collateral has no threshold, or no bonus though the revision has liquidation rules."""
    backs = stated.backs & (stated.reserve >= 0)
    missing = backs & stated.rows.missing("liquidation_threshold")
    missing[missing] = book.rows.missing("liquidation_threshold")[stated.reserve[missing]]
    name = lambda i: book.symbol[stated.reserve[i]] or book.asset[stated.reserve[i]]  # noqa: E731
    rule = "expected a threshold here or in `reserves`; for a supply that backs nothing set `collateral` to False"
    stated.rows.say(missing, "liquidation_threshold", lambda i: f"nothing here, and none of {name(i)}; {rule}")
    if at.revision in REVISIONS:
        held = np.zeros(len(book.rows), dtype=np.bool_)
        held[stated.reserve[backs]] = True
        book.rows.say(
            held & book.rows.missing("liquidation_bonus"),
            "liquidation_bonus",
            lambda i: (
                f"nothing for {book.symbol[i]}, which an account has as collateral; revision {at.revision} "
                "liquidates it with a bonus (0.05 is 5 %, -1 for none). Health factors alone need no revision"
            ),
        )


def own_terms(
    stated: PositionTable, who: IntArray, reserves: Reserves, emodes: EModes, emode: IntArray
) -> tuple[EModes, IntArray]:
    """The e-modes and those of each account, with a category for every distinct set of own thresholds."""
    threshold, bonus = (
        _spread(getattr(reserves, name), getattr(emodes, name), emodes.collateral)
        for name in ("liquidation_threshold", "liquidation_bonus")
    )
    rows = np.flatnonzero(stated.backs)
    usual = threshold[emode[who[rows]], stated.reserve[rows]]
    own = np.where(np.isnan(stated.threshold[rows]), usual, stated.threshold[rows])
    special = np.unique(who[rows][own != usual])
    if not len(special):
        return emodes, emode
    order = np.argsort(who[rows], kind="stable")
    rows, own = rows[order], own[order]
    first = np.searchsorted(who[rows], special)
    last = np.searchsorted(who[rows], special, side="right")
    found: dict[tuple[int, bytes], int] = {}
    parent, terms = [], []
    emode = emode.copy()
    for account, a, b in zip(special, first, last, strict=True):
        mine = threshold[emode[account]].copy()
        mine[stated.reserve[rows[a:b]]] = own[a:b]
        key = (int(emode[account]), mine.tobytes())
        if key not in found:
            found[key] = len(emodes) + len(terms)
            parent.append(emode[account])
            terms.append(mine)
        emode[account] = found[key]
    above = np.array(parent, dtype=np.int64)
    n, every = len(terms), np.ones((len(terms), len(reserves)), dtype=np.bool_)
    none = np.zeros((1, len(reserves)), dtype=np.bool_)
    r = len(reserves)
    return EModes(
        id=np.append(emodes.id, np.arange(1, n + 1) + emodes.id.max(initial=0)),
        label=(*emodes.label, *(f"own thresholds {k + 1}" for k in range(n))),
        ltv=np.append(emodes.ltv, np.append(emodes.ltv, 0.0)[above]),
        liquidation_threshold=np.vstack([_wide(emodes.liquidation_threshold, r), terms]),
        liquidation_bonus=np.vstack([_wide(emodes.liquidation_bonus, r), bonus[above]]),
        collateral=np.vstack([emodes.collateral.reshape(-1, r), every]),
        borrowable=np.vstack([emodes.borrowable.reshape(-1, r), every]),
        ltvzero=np.vstack([emodes.ltvzero.reshape(-1, r), np.vstack([emodes.ltvzero.reshape(-1, r), none])[above]]),
        isolated=np.append(emodes.isolated, np.append(emodes.isolated, False)[above]),
    ), emode


def _wide(values: FloatArray, n_reserves: int) -> FloatArray:
    """(E, R) of an e-mode's terms, which are (E,) or (E, R)."""
    return values if values.ndim == 2 else np.repeat(values[:, None], n_reserves, axis=1)


def _spread(reserve: FloatArray, emode: FloatArray, inside: BoolArray) -> FloatArray:
    """(E + 1, R) of one term; row -1 is outside every e-mode."""
    n = len(reserve)
    return np.vstack([np.where(inside.reshape(-1, n), _wide(emode, n), reserve), reserve])
