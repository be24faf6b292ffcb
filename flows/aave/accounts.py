"""What each holder has at the block: scaled balances, flags, e-mode, and the pool's own account data where asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.aave.contracts import Reserve
from flows.aave.holders import Pair
from flows.clients import abis
from flows.clients.block_reader import BlockReader, Call, calls_for
from flows.errors import MalformedAnswer

ACCOUNT_DATA_CHUNK = 50
"""Accounts in one request: `getUserAccountData` loops over all reserves, so many would pass a node's gas limit."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `supply`, `debt`: scaled balances by reserve id.

    `flags`: bit 2i is set when it borrows reserve id i, bit 2i + 1 when it uses that reserve as collateral.
    `stable_debt`: owed at a stable rate, in token units, by reserve id; there is none since v3.2.
    """

    address: str
    flags: int
    emode: int
    supply: Mapping[int, int]
    debt: Mapping[int, int]
    stable_debt: Mapping[int, int] = field(default_factory=dict)

    def is_collateral(self, reserve_id: int) -> bool:
        """Whether the account uses its supply of a reserve as collateral (its configuration bitmap)."""
        return bool(self.flags >> (2 * reserve_id + 1) & 1)

    def is_borrowing(self, reserve_id: int) -> bool:
        """Whether the account borrows a reserve (its configuration bitmap)."""
        return bool(self.flags >> (2 * reserve_id) & 1)


@dataclass(frozen=True, slots=True)
class AccountData:
    """The pool's valuation: collateral and debt in 8-decimal USD, health factor as a wad (2**256 - 1 without debt)."""

    collateral: int
    debt: int
    health_factor: int


def fetch_balances(reader: BlockReader, pairs: Iterable[Pair], progress: Progress) -> dict[Pair, int]:
    """Scaled balance of each (token, account) pair; pairs with a balance of zero are left out."""
    ordered = sorted(pairs)
    balances = reader.read(_balance_calls(ordered), progress=progress)
    return {pair: balance for pair, balance in zip(ordered, balances, strict=True) if balance}


def _balance_calls(pairs: Iterable[Pair]) -> list[Call]:
    return [Call(token, abis.SCALED_BALANCE_OF, (account,), account) for token, account in pairs]


def fetch_accounts(
    reader: BlockReader,
    pool: str,
    balances: Mapping[Pair, int],
    sides: Mapping[str, tuple[str, int]],
    progress: Progress,
    *,
    emodes: bool = True,
) -> list[Account]:
    """Accounts that have any balance, by address. `sides`: token -> ("supply" or "debt", reserve id).

    `emodes`: False where the pool knows no e-modes (v2).
    """
    flags = fetch_flags(reader, pool, {account for _, account in balances}, progress, emodes=emodes)
    return _accounts(balances, sides, flags)


def _accounts(
    balances: Mapping[Pair, int], sides: Mapping[str, tuple[str, int]], flags: Mapping[str, tuple[int, int]]
) -> list[Account]:
    held: dict[str, dict[str, dict[int, int]]] = {}
    for (token, account), scaled in balances.items():
        side, reserve_id = sides[token]
        held.setdefault(account, {"supply": {}, "debt": {}})[side][reserve_id] = scaled
    return [Account(a, *flags[a], held[a]["supply"], held[a]["debt"]) for a in sorted(held)]


def fetch_flags(
    reader: BlockReader, pool: str, addresses: Iterable[str], progress: Progress, *, emodes: bool = True
) -> dict[str, tuple[int, int]]:
    """Address -> (configuration bitmap, e-mode id). Raises `MalformedAnswer`."""
    asked = set(addresses)
    return _flags(asked, reader.read(_flag_calls(asked, pool, emodes=emodes), progress=progress))


def _flag_calls(addresses: Collection[str], pool: str, *, emodes: bool = True) -> list[Call]:
    subjects = [(address, address) for address in sorted(addresses)]
    functions = (abis.GET_USER_CONFIGURATION, abis.GET_USER_EMODE) if emodes else (abis.GET_USER_CONFIGURATION,)
    return [call for function in functions for call in calls_for(subjects, pool, function)]


def _flags(addresses: Collection[str], found: Sequence[int]) -> dict[str, tuple[int, int]]:
    """The answers to `_flag_calls`, by address."""
    n = len(addresses)
    flags, chosen = found[:n], found[n:] or [0] * n
    for address, emode in zip(sorted(addresses), chosen, strict=True):
        if emode > 255:
            raise MalformedAnswer(f"getUserEMode of {address}: expected an id up to 255, found {emode}")
    return {address: (flag, emode) for address, flag, emode in zip(sorted(addresses), flags, chosen, strict=True)}


def sides_of(reserves: Iterable[Reserve]) -> dict[str, tuple[str, int]]:
    """Which side of which reserve a token stands for: token -> ("supply" or "debt", reserve id)."""
    sides = {}
    for r in reserves:
        sides[r.atoken], sides[r.vtoken] = ("supply", r.id), ("debt", r.id)
    return sides


def read_accounts(
    reader: BlockReader,
    pool: str,
    reserves: Sequence[Reserve],
    addresses: Iterable[str],
    pairs: Iterable[Pair] | None = None,
    progress: Progress = lambda done: None,
) -> list[Account]:
    """The given accounts at the reader's block, by address; one that holds nothing is left out.

    `pairs`: the (token, account) pairs that can have a balance, from a log scan or a subgraph; others are taken to
    be zero. None reads every balance that an account can have: the debt tokens that its flags name (every debt has a
    flag) and all aTokens (a supply that is not collateral has no flag). `flows.aave.reading.checked` compares the
    result with the pool, `flows.aave.rows.to_frames` makes its rows.
    """
    wanted = {address.lower() for address in addresses}
    if pairs is None:
        flags = fetch_flags(reader, pool, wanted, progress)
        asked = [(r.atoken, address) for r in reserves for address in wanted]
        asked += [(r.vtoken, address) for r in reserves for address in wanted if flags[address][0] >> 2 * r.id & 1]
        return _accounts(fetch_balances(reader, asked, progress), sides_of(reserves), flags)
    # Balances and flags in one round: each round of requests waits for the node once more.
    ordered = sorted((token, address) for token, address in pairs if address in wanted)
    found = reader.read([*_balance_calls(ordered), *_flag_calls(wanted, pool)], progress=progress)
    balances = {pair: balance for pair, balance in zip(ordered, found, strict=False) if balance}
    return _accounts(balances, sides_of(reserves), _flags(wanted, found[len(ordered) :]))


def fetch_account_data(
    reader: BlockReader, pool: str, addresses: Iterable[str], progress: Progress
) -> dict[str, AccountData]:
    """`getUserAccountData` of each address."""
    asked = sorted(addresses)
    calls = calls_for([(address, address) for address in asked], pool, abis.GET_USER_ACCOUNT_DATA)
    rows = reader.read(calls, chunk=ACCOUNT_DATA_CHUNK, progress=progress)
    return {address: AccountData(row[0], row[1], row[5]) for address, row in zip(asked, rows, strict=True)}
