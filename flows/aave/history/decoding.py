"""Decode a node's logs into `Happening`s, in order; every word is checked, column by column.

    for happening in decode(logs, times): ...

Logs that do not change the books (approvals, roles, delegations) are left out. The emitter is not checked here: the
replay counts a Mint only if a listing named its token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise, repeat
from operator import itemgetter, lt
from typing import Any, NamedTuple

from flows.aave.history.state import HistoryError
from flows.clients.log_columns import WORD, Decoded, EventAbi, LogColumns

RESERVE = "address indexed reserve"
ASSET = "address indexed asset"
DECLARATIONS = (
    # tokens
    "Mint(address indexed caller, address indexed account, uint256 value, uint256 increase, uint256 index)",
    "Burn(address indexed account, address indexed target, uint256 value, uint256 increase, uint256 index)",
    "BalanceTransfer(address indexed from, address indexed to, uint256 value, uint256 index)",
    "Transfer(address indexed from, address indexed to, uint256 value)",
    "Initialized(address indexed asset, address indexed pool, address treasury, address controller, uint8 decimals,"
    " uint256 name, uint256 symbol, uint256 parameters)",
    "DiscountTokenUpdated(address indexed old, address indexed new)",
    # proxies
    "Upgraded(address indexed implementation)",
    "ProxyCreated(bytes32 indexed id, address indexed proxy, address indexed implementation)",
    "PriceOracleUpdated(address indexed old, address indexed new)",
    # pool
    f"Supply({RESERVE}, address user, address indexed account, uint256 amount, uint16 indexed referral)",
    f"Withdraw({RESERVE}, address indexed account, address indexed to, uint256 amount)",
    f"Borrow({RESERVE}, address user, address indexed account, uint256 amount, uint8 mode, uint256 rate,"
    " uint16 indexed referral)",
    f"Repay({RESERVE}, address indexed account, address indexed repayer, uint256 amount, bool with_atokens)",
    "LiquidationCall(address indexed collateral, address indexed debt, address indexed account, uint256 paid,"
    " uint256 seized, address liquidator, bool receive_atoken)",
    "FlashLoan(address indexed target, address initiator, address indexed asset, uint256 amount, uint8 mode,"
    " uint256 premium, uint16 indexed referral)",
    f"ReserveDataUpdated({RESERVE}, uint256 supply_rate, uint256 stable_rate, uint256 debt_rate,"
    " uint256 liquidity_index, uint256 debt_index)",
    f"ReserveUsedAsCollateralEnabled({RESERVE}, address indexed account)",
    f"ReserveUsedAsCollateralDisabled({RESERVE}, address indexed account)",
    "UserEModeSet(address indexed account, uint8 category)",
    f"IsolationModeTotalDebtUpdated({ASSET}, uint256 total)",
    f"MintedToTreasury({RESERVE}, uint256 amount)",
    f"DeficitCreated(address indexed account, {ASSET}, uint256 amount)",
    f"DeficitCovered({RESERVE}, address caller, uint256 amount)",
    f"MintUnbacked({RESERVE}, address user, address indexed account, uint256 amount, uint16 indexed referral)",
    f"BackUnbacked({RESERVE}, address indexed backer, uint256 amount, uint256 fee)",
    # configurator
    f"ReserveInitialized({ASSET}, address indexed atoken, address stable_debt, address debt_token, address strategy)",
    f"ReserveDropped({ASSET})",
    f"ReserveBorrowing({ASSET}, bool on)",
    f"ReserveFlashLoaning({ASSET}, bool on)",
    f"ReserveStableRateBorrowing({ASSET}, bool on)",
    f"PendingLtvChanged({ASSET}, uint256 ltv)",
    f"CollateralConfigurationChanged({ASSET}, uint256 ltv, uint256 threshold, uint256 bonus)",
    f"ReserveActive({ASSET}, bool on)",
    f"ReserveFrozen({ASSET}, bool on)",
    f"ReservePaused({ASSET}, bool on)",
    f"ReserveFactorChanged({ASSET}, uint256 old, uint256 new)",
    f"BorrowCapChanged({ASSET}, uint256 old, uint256 new)",
    f"SupplyCapChanged({ASSET}, uint256 old, uint256 new)",
    f"LiquidationProtocolFeeChanged({ASSET}, uint256 old, uint256 new)",
    f"UnbackedMintCapChanged({ASSET}, uint256 old, uint256 new)",
    f"LiquidationGracePeriodChanged({ASSET}, uint40 until)",
    f"LiquidationGracePeriodDisabled({ASSET})",
    f"DebtCeilingChanged({ASSET}, uint256 old, uint256 new)",
    f"SiloedBorrowingChanged({ASSET}, bool old, bool new)",
    "BorrowableInIsolationChanged(address asset, bool on)",
    "EModeCategoryAdded(uint8 indexed category, uint256 ltv, uint256 threshold, uint256 bonus, address oracle,"
    " uint256 label)",
    f"AssetCollateralInEModeChanged({ASSET}, uint8 category, bool on)",
    f"AssetBorrowableInEModeChanged({ASSET}, uint8 category, bool on)",
    f"AssetLtvzeroInEModeChanged({ASSET}, uint8 category, bool on)",
    "EModeCategoryIsolationChanged(uint8 indexed category, bool on)",
    f"EModeAssetCategoryChanged({ASSET}, uint8 old, uint8 new)",
    "FlashloanPremiumTotalUpdated(uint128 old, uint128 new)",
    "FlashloanPremiumToProtocolUpdated(uint128 old, uint128 new)",
    "BridgeProtocolFeeUpdated(uint256 old, uint256 new)",
    f"ReserveInterestRateDataChanged({ASSET}, address indexed strategy, uint256 data)",
    f"ReserveInterestRateStrategyChanged({ASSET}, address old, address new)",
    f"RateDataUpdate({RESERVE}, uint256 optimal, uint256 base, uint256 slope1, uint256 slope2)",
    # prices
    f"AssetSourceUpdated({ASSET}, address indexed source)",
    "AnswerUpdated(int256 indexed answer, uint256 indexed round, uint256 updated)",
)
"""The events that are read; argument names are this project's. The replay's handlers have the events' names."""
OTHER_TOPICS = {
    "Initialized": "0xb19e051f8af41150ccccb3fc2c2d8d15f4a4cf434f32a559ba75fe73d6eea20b",
    "EModeCategoryAdded": "0x0acf8b4a3cace10779798a89a206a0ae73a71b63acdd3be2801d39c2ef7ab3cb",
    "ReserveInterestRateDataChanged": "0x1e608c2c753fede2f1f22fca4170277b53ebe5015e488a53414a8921446b7c40",
}
"""Topics of events with strings or bytes. `DECLARATIONS` has the offset (uint256) of such a value; where the value is
needed, `_tail` reads it. Initialized is the aToken's, with eight arguments; a debt token's has seven."""
STABLE_DEBT = {
    "0xc16f4e4ca34d790de4c656c72fd015c667d688f20be64eea360618545c4c530f": "Mint",
    "0x44bd20a79e993bdcc7cbedf54a3b4d19fb78490124b6b90d04fe3242eea579e8": "Burn",
}
"""Stable debt of v3.0 and v3.1. Its rules are not implemented: one such log stops the replay."""


class Happening(NamedTuple):
    """One log, decoded. `values` are in the order of the declaration; addresses lower case, integers exact."""

    block: int
    time: int
    transaction: int
    log_index: int
    kind: str
    emitter: str
    values: tuple[Any, ...]


# As `Happening._make` does, without a Python call for each log: a quarter of the time went there.
_happening = partial(tuple.__new__, Happening)


def decode(logs: Sequence[Mapping[str, Any]], times: Mapping[int, int]) -> list[Happening]:
    """The logs decoded, in their order.

    Parameters
    ----------
    logs
        In the shape of JSON-RPC; numbers as integers or as hexadecimal text. Sorted by block and log index.
    times
        UTC epoch seconds of each block that has a log.

    Raises `HistoryError` with block, emitter and log index: logs out of order or twice, a block without its time, a
    log that is not what its topic promises, stable debt.
    """
    columns = LogColumns.of(logs)
    blocks, transactions, indices = (_numbers(logs, name) for name in ("blockNumber", "transactionIndex", "logIndex"))
    emitters = list(map(str.lower, columns.address))
    seconds = list(map(times.get, blocks))
    places = list(zip(blocks, indices, strict=True))
    if not all(map(lt, places, places[1:])):
        (before, earlier), (block, index) = next(pair for pair in pairwise(places) if pair[0] >= pair[1])
        raise HistoryError(
            f"logs: expected rising blocks and log indices, found log {index} of block {block} after log "
            f"{earlier} of block {before}; sort by block and log index and drop duplicates"
        )
    found: list[Happening | None] = [None] * len(places)
    for topic, positions in columns.by_topic0().items():
        if topic in STABLE_DEBT:
            at = positions[0]
            raise HistoryError(
                f"block {blocks[at]}, log {indices[at]}: token {emitters[at]} emitted a {STABLE_DEBT[topic]} of stable "
                "debt; books with stable-rate debt are not supported"
            )
        known = EVENTS.get(topic)
        if known is None:
            continue
        name, event, tail = known
        decoded = event.decode(columns, positions, as_int=True)
        if decoded.rejected:
            at = decoded.rejected[0].position
            raise HistoryError(
                f"block {blocks[at]}, log {indices[at]} of {emitters[at]}: {decoded.rejected[0].reason}; is this "
                "another contract?"
            )
        values = _rows(event, decoded)
        if tail is not None:
            values = [
                _with_tail(name, tail, columns.data[at], row, blocks[at], indices[at])
                for at, row in zip(positions, values, strict=True)
            ]
        fields = (list(map(column.__getitem__, positions)) for column in (blocks, seconds, transactions, indices))
        named = map(emitters.__getitem__, positions)
        for at, happening in zip(
            positions, map(_happening, zip(*fields, repeat(name), named, values, strict=False)), strict=True
        ):
            found[at] = happening
    happenings = [happening for happening in found if happening is not None]
    if None in seconds:
        for happening in happenings:
            if happening.time is None:
                raise HistoryError(
                    f"block {happening.block}: no time; the replay needs the timestamp of every block with a log"
                )
    return happenings


def _with_tail(
    name: str, tail: Callable[[str, int], Any], data: str, values: tuple[Any, ...], block: int, index: int
) -> tuple[Any, ...]:
    """`values`, with the last one, an offset, replaced by the value at that offset."""
    try:
        return (*values[:-1], tail(data, values[-1]))
    except ValueError as wrong:
        raise HistoryError(f"block {block}, log {index}, {name}: {wrong}") from None


def _numbers(logs: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    found = list(map(itemgetter(name), logs))
    if set(map(type, found)) <= {int}:
        return found
    return [int(number, 16) if isinstance(number, str) else int(number) for number in found]


def _rows(event: EventAbi, decoded: Decoded) -> list[tuple[Any, ...]]:
    return list(zip(*(decoded.columns[item.name] for item in event.inputs), strict=True))


def _tail(data: str, offset: int) -> bytes:
    """The bytes of a dynamic value whose offset is `offset`. Raises `ValueError` where they are cut off."""
    raw = bytes.fromhex(data[2:])
    start = offset + WORD
    if start > len(raw):
        raise ValueError(f"its last value starts at byte {offset} of {len(raw)}")
    length = int.from_bytes(raw[offset:start], "big")
    if start + length > len(raw):
        raise ValueError(f"its last value has {length} bytes from byte {start} on, found {len(raw) - start}")
    return raw[start : start + length]


def _label(data: str, offset: int) -> str:
    return _tail(data, offset).decode("utf-8", "replace")


def _rate_parameters(data: str, offset: int) -> tuple[int, ...]:
    """Optimal usage, base rate, first and second slope, basis points: the four words of the strategy's record."""
    body = _tail(data, offset)
    if len(body) != 4 * WORD:
        raise ValueError(f"expected four words of rate parameters, found {len(body)} bytes")
    return tuple(int.from_bytes(body[at : at + WORD], "big") for at in range(0, len(body), WORD))


def _events() -> dict[str, tuple[str, EventAbi, Callable[[str, int], Any] | None]]:
    tails: dict[str, Callable[[str, int], Any]] = {
        "EModeCategoryAdded": _label,
        "ReserveInterestRateDataChanged": _rate_parameters,
    }
    found: dict[str, tuple[str, EventAbi, Callable[[str, int], Any] | None]] = {}
    for declaration in DECLARATIONS:
        event = EventAbi(declaration)
        found[OTHER_TOPICS.get(event.name, event.topic0)] = (event.name, event, tails.get(event.name))
    return found


EVENTS = _events()
TOPICS = {name: topic for topic, (name, _, _) in EVENTS.items()}
