"""What each holder has at the block: scaled balances, flags, e-mode, and the pool's own account data where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flows.errors import MalformedAnswer
from flows.sources import abis
from flows.sources.block_reader import BlockReader, Call, calls_for
from flows.sources.holders import Pair

ACCOUNT_DATA_CHUNK = 50
"""getUserAccountData walks all reserves of an account: many of them in one call would pass a node's gas limit."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Account:
    """`flags`: bit 2i borrows reserve id i, bit 2i + 1 uses it as collateral. `supply`, `debt`: scaled, by id."""

    address: str
    flags: int
    emode: int
    supply: Mapping[int, int]
    debt: Mapping[int, int]

    def is_collateral(self, reserve_id: int) -> bool:
        return bool(self.flags >> (2 * reserve_id + 1) & 1)

    def is_borrowing(self, reserve_id: int) -> bool:
        return bool(self.flags >> (2 * reserve_id) & 1)


@dataclass(frozen=True, slots=True)
class AccountData:
    """What the pool says of an account: 8-decimal USD, and the health factor as a wad (2**256 - 1 without debt)."""

    collateral: int
    debt: int
    health_factor: int


def fetch_balances(reader: BlockReader, pairs: Iterable[Pair], progress: Progress) -> dict[Pair, int]:
    """Scaled balance of each (token, account) pair that has one."""
    ordered = sorted(pairs)
    calls = [Call(token, abis.SCALED_BALANCE_OF, (account,), account) for token, account in ordered]
    balances = reader.read(calls, progress=progress)
    return {pair: balance for pair, balance in zip(ordered, balances, strict=True) if balance}


def fetch_accounts(
    reader: BlockReader,
    pool: str,
    balances: Mapping[Pair, int],
    sides: Mapping[str, tuple[str, int]],
    progress: Progress,
) -> list[Account]:
    """Accounts that have any balance, by address. `sides`: token -> ("supply" or "debt", reserve id)."""
    held: dict[str, dict[str, dict[int, int]]] = {}
    for (token, account), scaled in balances.items():
        side, reserve_id = sides[token]
        held.setdefault(account, {"supply": {}, "debt": {}})[side][reserve_id] = scaled
    addresses = sorted(held)
    subjects = [(address, address) for address in addresses]
    flags = reader.read(calls_for(subjects, pool, abis.GET_USER_CONFIGURATION), progress=progress)
    emodes = reader.read(calls_for(subjects, pool, abis.GET_USER_EMODE), progress=progress)
    for address, emode in zip(addresses, emodes, strict=True):
        if emode > 255:
            raise MalformedAnswer(f"getUserEMode of {address}: expected an id up to 255, found {emode}")
    return [
        Account(address, flag, emode, held[address]["supply"], held[address]["debt"])
        for address, flag, emode in zip(addresses, flags, emodes, strict=True)
    ]


def fetch_account_data(
    reader: BlockReader, pool: str, addresses: Iterable[str], progress: Progress
) -> dict[str, AccountData]:
    """`getUserAccountData` of each address."""
    asked = sorted(addresses)
    calls = calls_for([(address, address) for address in asked], pool, abis.GET_USER_ACCOUNT_DATA)
    rows = reader.read(calls, chunk=ACCOUNT_DATA_CHUNK, progress=progress)
    return {address: AccountData(row[0], row[1], row[5]) for address, row in zip(asked, rows, strict=True)}
