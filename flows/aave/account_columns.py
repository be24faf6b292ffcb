"""The accounts of a stored snapshot as columns, so that a refresh can carry them forward without one object for each.

A refresh after a few hundred changes has tens of thousands of accounts to carry. As columns of plain integers they
take a tenth of the memory of as many `Account`s; `AccountColumns.account` makes one `Account` from its address.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from data.snapshot.bulk import LENGTH
from data.store.holding import HOLDS
from flows.aave.accounts import Account

if TYPE_CHECKING:
    from data.store.store import Store

Sums = Mapping[tuple[str, int], int]
"""("supply" or "debt", reserve id) -> sum of scaled balances; a missing key means zero."""


@dataclass(frozen=True, slots=True)
class AccountColumns:
    """Accounts and their positions, both sorted by address; every integer exact, balances scaled.

    `address`, `flags`, `emode`: one entry for each account. `holder` (an address), `holder_flags`, `reserve_id`,
    `supply`, `debt`: one entry for each position.
    """

    address: Sequence[str]
    flags: Sequence[int]
    emode: Sequence[int]
    holder: Sequence[str]
    holder_flags: Sequence[int]
    reserve_id: Sequence[int]
    supply: Sequence[int]
    debt: Sequence[int]

    @classmethod
    def stored(cls, store: Store, market: str, block: int) -> AccountColumns:
        """What the warehouse holds of a market at a block. Raises `KeyError` for a position of an unknown account."""
        accounts, positions = _columns(store, market, block)
        flags = dict(zip(accounts[0], map(int, accounts[1]), strict=True))
        holder, reserve_id, supply, debt = positions
        return cls(
            list(flags),
            list(flags.values()),
            list(map(int, accounts[2])),
            holder,
            [flags[address] for address in holder],
            list(map(int, reserve_id)),
            list(map(int, supply)),
            list(map(int, debt)),
        )

    @classmethod
    def of(cls, accounts: Iterable[Account]) -> AccountColumns:
        """The same from accounts."""
        ordered = sorted(accounts, key=lambda account: account.address)
        positions = [
            (account.address, account.flags, i, account.supply.get(i, 0), account.debt.get(i, 0))
            for account in ordered
            for i in sorted(account.supply.keys() | account.debt.keys())
        ]
        return cls(
            [account.address for account in ordered],
            [account.flags for account in ordered],
            [account.emode for account in ordered],
            *([row[place] for row in positions] for place in range(5)),
        )

    def __len__(self) -> int:
        return len(self.address)

    def __contains__(self, address: object) -> bool:
        place = bisect_left(self.address, address)  # type: ignore[type-var]
        return place < len(self.address) and self.address[place] == address

    def account(self, address: str) -> Account:
        """The account with this address. Raises `KeyError`."""
        if address not in self:
            raise KeyError(address)
        place = bisect_left(self.address, address)
        held = range(bisect_left(self.holder, address), bisect_right(self.holder, address))
        return Account(
            address,
            self.flags[place],
            self.emode[place],
            {self.reserve_id[i]: self.supply[i] for i in held if self.supply[i]},
            {self.reserve_id[i]: self.debt[i] for i in held if self.debt[i]},
        )

    def accounts(self) -> Iterator[Account]:
        """Each account as an `Account`, by address."""
        return map(self.account, self.address)

    def without(self, addresses: Collection[str]) -> AccountColumns:
        """All but these accounts."""
        kept = [address not in addresses for address in self.address]
        held = [address not in addresses for address in self.holder]
        return AccountColumns(
            *(list(compress(column, kept)) for column in (self.address, self.flags, self.emode)),
            *(list(compress(column, held)) for column in self._of_positions),
        )

    @property
    def _of_positions(self) -> tuple[Sequence, ...]:
        return self.holder, self.holder_flags, self.reserve_id, self.supply, self.debt

    def sums(self) -> Sums:
        """Sum of the scaled balances of all accounts, by side and reserve; sums of zero are left out."""
        supply: dict[int, int] = dict.fromkeys(self.reserve_id, 0)
        debt = dict(supply)
        for reserve_id, supplied, owed in zip(self.reserve_id, self.supply, self.debt, strict=True):
            supply[reserve_id] += supplied
            if owed:
                debt[reserve_id] += owed
        sides = (("supply", supply), ("debt", debt))
        return {(side, i): total for side, totals in sides for i, total in totals.items() if total}

    def collateral_flags(self) -> list[int]:
        """For each position 1 where its supply is enabled as collateral, else 0."""
        return [flags >> 2 * i + 1 & 1 for flags, i in zip(self.holder_flags, self.reserve_id, strict=True)]


_ACCOUNTS = ("raw_aave_account_states", ("config_bitmap", "emode_id"), HOLDS, "account")
_POSITIONS = (
    "raw_aave_balances",
    ("reserve_id", "scaled_supply", "scaled_debt"),
    f"{HOLDS} AND (scaled_supply != '0' OR scaled_debt != '0')",
    "account, asset",
)


def _columns(store: Store, market: str, block: int) -> tuple[list[list], list[list]]:
    """Columns of accounts (address, flags, e-mode) and of positions (address, reserve id, balances), by address."""
    accounts, positions = (
        _joined(store, (market, block), table, names, where)
        or _row_by_row(store, (market, block), table, names, where, order)
        for table, names, where, order in (_ACCOUNTS, _POSITIONS)
    )
    return accounts, positions


def _joined(store: Store, at: tuple[str, int], table: str, names: Sequence[str], where: str) -> list[list[str]] | None:
    """Columns of texts, each read as one text: an object for each row takes SQLite's binding longer than the query.

    None where they cannot be parted again, or come in another order.
    """
    parts = ", ".join(f"group_concat({name})" for name in names)
    [(n, joined, *columns)] = store.rows(
        f"SELECT count(*), group_concat(account, ''), {parts} FROM {table} WHERE {where}", at
    )
    text = joined or ""
    if len(text) != LENGTH * n:
        return None
    address = [text[begin : begin + LENGTH] for begin in range(0, len(text), LENGTH)]
    values = [column.split(",") if n else [] for column in columns]
    return [address, *values] if address == sorted(address) and all(len(v) == n for v in values) else None


def _row_by_row(
    store: Store, at: tuple[str, int], table: str, names: Sequence[str], where: str, order: str
) -> list[list]:
    rows = store.rows(f"SELECT account, {', '.join(names)} FROM {table} WHERE {where} ORDER BY {order}", at)
    return [[row[place] for row in rows] for place in range(1 + len(names))]


def holdings(accounts: Iterable[Account]) -> Sums:
    """Sum of the scaled balances of the accounts, by side and reserve."""
    sums: Counter[tuple[str, int]] = Counter()
    for account in accounts:
        for side, held in (("supply", account.supply), ("debt", account.debt)):
            for reserve_id, scaled in held.items():
                sums[side, reserve_id] += scaled
    return sums
