"""Signatures of the contract functions and events that are read, with their encoding and decoding.

Signatures and bit layouts: interfaces of aave-v3-origin 3.6 and 3.7 (MIT-headed), ERC-20, Multicall3. Fields are
read one by one instead of by the UI helper contracts: the tuple of an e-mode changed its shape in v3.7 under an
unchanged selector, single getters did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

WORD = 32


class WrongShape(ValueError):
    """Bytes that do not fit the signature."""


@dataclass(frozen=True, slots=True)
class Function:
    """A view function: `signature` with input types, `outputs` as ABI types. Single outputs come unpacked."""

    signature: str
    outputs: tuple[str, ...]
    selector: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selector", "0x" + keccak(text=self.signature)[:4].hex())

    @property
    def name(self) -> str:
        """The name without its argument types."""
        return self.signature.partition("(")[0]

    @property
    def abi(self) -> dict[str, Any]:
        """The entry that this function has in a JSON ABI."""
        inputs = self.signature.partition("(")[2].removesuffix(")")
        if "(" in inputs:
            raise ValueError(f"{self.signature}: tuples among the inputs are not written as JSON here")
        return {
            "type": "function",
            "name": self.name,
            "stateMutability": "view",
            "inputs": [{"name": "", "type": kind} for kind in inputs.split(",") if kind],
            "outputs": [{"name": "", "type": kind} for kind in self.outputs],
        }

    def encode(self, *args: str | int) -> str:
        """Call data; arguments are addresses and unsigned integers only, one word each."""
        return self.selector + "".join(f"{a:064x}" if isinstance(a, int) else f"{a[2:]:0>64}" for a in args)

    def decode(self, raw: bytes) -> Any:
        """Outputs as int, bool, lower-case address, bytes (for `string`), or list. Raises `WrongShape`."""
        if all(kind in STATIC for kind in self.outputs):
            values = _words(self.outputs, raw)
        else:
            # As bytes: the symbols of some old tokens are not UTF-8, and a name must not stop a market.
            kinds = ["bytes" if kind == "string" else kind for kind in self.outputs]
            try:
                values = decode(kinds, raw)
            except (DecodingError, OverflowError) as exc:
                raise WrongShape(f"{len(raw)} bytes are not ({', '.join(self.outputs)})") from exc
        return values[0] if len(values) == 1 else tuple(values)


STATIC = {"address": 160, "bool": 1, **{f"uint{bits}": bits for bits in (8, 16, 40, 128, 256)}}
"""Types of one word and the number of bits they may use."""


def _words(kinds: Sequence[str], raw: bytes) -> list[Any]:
    if len(raw) != WORD * len(kinds):
        raise WrongShape(f"expected {WORD * len(kinds)} bytes, found {len(raw)}")
    values: list[Any] = []
    for i, kind in enumerate(kinds):
        value = int.from_bytes(raw[WORD * i : WORD * (i + 1)], "big")
        if value >> STATIC[kind]:
            raise WrongShape(f"value {i} does not fit {kind}: {value:#x}")
        values.append(f"0x{value:040x}" if kind == "address" else bool(value) if kind == "bool" else value)
    return values


# PoolAddressesProvider
GET_POOL = Function("getPool()", ("address",))
GET_PRICE_ORACLE = Function("getPriceOracle()", ("address",))
GET_POOL_DATA_PROVIDER = Function("getPoolDataProvider()", ("address",))
GET_POOL_CONFIGURATOR = Function("getPoolConfigurator()", ("address",))

# Pool
POOL_REVISION = Function("POOL_REVISION()", ("uint256",))
GET_RESERVES_LIST = Function("getReservesList()", ("address[]",))
GET_RESERVE_DATA = Function(
    "getReserveData(address)",
    # configuration, liquidity index and rate, borrow index and rate, stable rate (gone), last update, id, aToken,
    # stable debt token (gone), debt token, rate strategy, accrued to treasury, unbacked, isolation mode debt
    ("uint256", "uint128", "uint128", "uint128", "uint128", "uint128", "uint40", "uint16", "address", "address",
     "address", "address", "uint128", "uint128", "uint128"),
)  # fmt: skip
GET_GRACE_PERIOD = Function("getLiquidationGracePeriod(address)", ("uint40",))
GET_DEFICIT = Function("getReserveDeficit(address)", ("uint256",))
GET_VIRTUAL_BALANCE = Function("getVirtualUnderlyingBalance(address)", ("uint128",))
GET_NORMALIZED_INCOME = Function("getReserveNormalizedIncome(address)", ("uint256",))
GET_NORMALIZED_DEBT = Function("getReserveNormalizedVariableDebt(address)", ("uint256",))
GET_RATE_STRATEGY = Function("RESERVE_INTEREST_RATE_STRATEGY()", ("address",))
GET_EMODE_CONFIG = Function("getEModeCategoryCollateralConfig(uint8)", ("uint16", "uint16", "uint16"))
GET_EMODE_COLLATERAL = Function("getEModeCategoryCollateralBitmap(uint8)", ("uint128",))
GET_EMODE_BORROWABLE = Function("getEModeCategoryBorrowableBitmap(uint8)", ("uint128",))
GET_EMODE_LTVZERO = Function("getEModeCategoryLtvzeroBitmap(uint8)", ("uint128",))
GET_EMODE_LABEL = Function("getEModeCategoryLabel(uint8)", ("string",))
GET_EMODE_ISOLATED = Function("getIsEModeCategoryIsolated(uint8)", ("bool",))
GET_USER_CONFIGURATION = Function("getUserConfiguration(address)", ("uint256",))
GET_USER_EMODE = Function("getUserEMode(address)", ("uint256",))
GET_USER_ACCOUNT_DATA = Function("getUserAccountData(address)", ("uint256",) * 6)

# LendingPool of Aave v2 (ILendingPool); the other getters have the signatures of v3
GET_RESERVE_DATA_V2 = Function(
    "getReserveData(address)",
    # configuration, liquidity index, borrow index, supply rate, variable rate, stable rate, last update, aToken,
    # stable debt token, variable debt token, rate strategy, id
    ("uint256", "uint128", "uint128", "uint128", "uint128", "uint128", "uint40", "address", "address", "address",
     "address", "uint8"),
)  # fmt: skip
GET_ADDRESSES_PROVIDER = Function("getAddressesProvider()", ("address",))

# AaveOracle, its feeds, the rate strategy
GET_ASSET_PRICE = Function("getAssetPrice(address)", ("uint256",))
GET_SOURCE_OF_ASSET = Function("getSourceOfAsset(address)", ("address",))
BASE_CURRENCY_UNIT = Function("BASE_CURRENCY_UNIT()", ("uint256",))
DESCRIPTION = Function("description()", ("string",))
GET_RATE_DATA = Function("getInterestRateData(address)", ("uint256",) * 4)

# Tokens
SYMBOL = Function("symbol()", ("string",))
BALANCE_OF = Function("balanceOf(address)", ("uint256",))
TOTAL_SUPPLY = Function("totalSupply()", ("uint256",))
SCALED_TOTAL_SUPPLY = Function("scaledTotalSupply()", ("uint256",))
SCALED_BALANCE_OF = Function("scaledBalanceOf(address)", ("uint256",))

AGGREGATE3 = Function("aggregate3((address,bool,bytes)[])", ("(bool,bytes)[]",))


_OFFSET_OF_CALLS, _ALLOWED_TO_FAIL, _OFFSET_OF_DATA = f"{32:064x}", f"{1:064x}", f"{96:064x}"


def aggregate3_data(calls: Sequence[tuple[str, str]]) -> str:
    """Call data of Multicall3's `aggregate3` for (target, call data) pairs, each allowed to fail.

    Encoded by hand: a book of 30,000 accounts is a hundred thousand calls, and a general encoder takes longer for them
    than a node. `tests/flows/aave/test_aggregate.py` compares it with eth_abi.
    """
    offsets, rows, at = [], [], 32 * len(calls)
    for target, data in calls:
        offsets.append(f"{at:064x}")
        size = (len(data) - 2) // 2
        words = -(-size // WORD)
        rows.append(f"{target[2:]:0>64}{_ALLOWED_TO_FAIL}{_OFFSET_OF_DATA}{size:064x}{data[2:]:0<{64 * words}}")
        at += WORD * (4 + words)
    return "".join([AGGREGATE3.selector, _OFFSET_OF_CALLS, f"{len(calls):064x}", *offsets, *rows])


def aggregate3_answers(raw: bytes) -> list[tuple[bool, bytes]]:
    """(success, bytes) of each call from the answer of `aggregate3`. Raises `WrongShape`."""

    def word(at: int) -> int:
        if at + WORD > len(raw):
            raise WrongShape(f"{len(raw)} bytes end before the word at {at}")
        return int.from_bytes(raw[at : at + WORD], "big")

    array = word(0)
    count, body = word(array), array + WORD
    if count * 4 * WORD > len(raw):
        raise WrongShape(f"{len(raw)} bytes cannot hold {count} answers")
    answers = []
    for i in range(count):
        row = body + word(body + WORD * i)
        success, at = word(row), row + word(row + WORD)
        size = word(at)
        if success > 1 or at + WORD + size > len(raw):
            raise WrongShape(f"answer {i} of {count} is not (bool, bytes)")
        answers.append((bool(success), raw[at + WORD : at + WORD + size]))
    return answers


def text(raw: bytes) -> str:
    """A label as printable text: what is not UTF-8 becomes U+FFFD, control characters go, 64 characters at most."""
    shown = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(c for c in shown if c.isprintable()).strip()[:64]


def token_symbol(raw: bytes) -> str:
    """Symbol from the answer of `symbol()`: a string, or the bytes32 of tokens older than the final ERC-20.

    Raises `WrongShape` for anything else.
    """
    return text(raw) if len(raw) == WORD else text(SYMBOL.decode(raw))


def _topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


# Aave v3 (interfaces of 3.7). What an account holds always changes with a `Transfer` of a token; the other events are
# read as well, so that a missing event shows as a difference between the two.
TRANSFER = _topic("Transfer(address,address,uint256)")
MINT = _topic("Mint(address,address,uint256,uint256,uint256)")
BURN = _topic("Burn(address,address,uint256,uint256,uint256)")
BALANCE_TRANSFER = _topic("BalanceTransfer(address,address,uint256,uint256)")
SUPPLY = _topic("Supply(address,address,address,uint256,uint16)")
BORROW = _topic("Borrow(address,address,address,uint256,uint8,uint256,uint16)")
DEPOSIT_V2 = _topic("Deposit(address,address,address,uint256,uint16)")
BORROW_V2 = _topic("Borrow(address,address,address,uint256,uint256,uint256,uint16)")
COLLATERAL_ENABLED = _topic("ReserveUsedAsCollateralEnabled(address,address)")
COLLATERAL_DISABLED = _topic("ReserveUsedAsCollateralDisabled(address,address)")
WITHDRAW = _topic("Withdraw(address,address,address,uint256)")
REPAY = _topic("Repay(address,address,address,uint256,bool)")
LIQUIDATION_CALL = _topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
DEFICIT_CREATED = _topic("DeficitCreated(address,address,uint256)")
USER_EMODE_SET = _topic("UserEModeSet(address,uint8)")
