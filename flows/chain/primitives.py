"""What accounts do with DeFi protocols, read from event logs, in one form for every protocol and chain.

Swap, mint, burn, deposit, withdraw, borrow, repay, liquidation and flash loan.

A log shows the form of its event, not which protocol's contract wrote it, so `protocol` names the form: a fork of
Uniswap v2 is `uniswap_v2`. Where two forms share a topic, the number of indexed arguments decides (Uniswap v2's `Mint`
has one, Compound v2's none); where that is equal, too, the name is common to both (`aave` for events that v2 and v3
share).

Sources of the declarations: aave-v3-origin IPool.sol (v3.7), aave/protocol-subgraphs LendingPool.json (v2),
compound-finance comet CometMainInterface.sol and compound-protocol CTokenInterfaces.sol, Uniswap v2-core
IUniswapV2Pair.sol and v3-core IUniswapV3PoolEvents.sol.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from flows.clients.log_columns import EventAbi, LogColumns, Rejected

SELF = "(contract)"
"""A field that is the address of the contract that wrote the log."""


@dataclass(frozen=True, slots=True)
class Form:
    """One event and which of its arguments fill the common columns; an empty name leaves a column empty.

    `after`: topic that the same contract's log directly before this one has; other logs are not of this form.
    """

    protocol: str
    primitive: str
    event: EventAbi
    account: str
    amount: str
    asset: str = ""
    counterparty: str = ""
    asset_2: str = ""
    amount_2: str = ""
    after: str = ""


def _form(protocol: str, primitive: str, declaration: str, account: str, amount: str, **rest: str) -> Form:
    return Form(protocol, primitive, EventAbi(declaration), account, amount, **rest)


V2_SWAP = EventAbi(
    "Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, "
    "address indexed to)"
)
V3_SWAP = EventAbi(
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, "
    "uint128 liquidity, int24 tick)"
)
SYNC = EventAbi("Sync(uint112 reserve0, uint112 reserve1)")

FORMS = (
    # Aave v2's aTokens have a Mint of the same types with as many indexed arguments; a pair writes Sync just before.
    _form("uniswap_v2", "mint", "Mint(address indexed sender, uint256 amount0, uint256 amount1)",
          "sender", "amount0", amount_2="amount1", after=SYNC.topic0),
    _form("uniswap_v2", "burn", "Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to)",
          "to", "amount0", counterparty="sender", amount_2="amount1"),
    _form("uniswap_v3", "mint", "Mint(address sender, address indexed owner, int24 indexed tickLower, "
          "int24 indexed tickUpper, uint128 amount, uint256 amount0, uint256 amount1)",
          "owner", "amount0", counterparty="sender", amount_2="amount1"),
    _form("uniswap_v3", "burn", "Burn(address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, "
          "uint128 amount, uint256 amount0, uint256 amount1)", "owner", "amount0", amount_2="amount1"),
    _form("uniswap_v3", "flash_loan", "Flash(address indexed sender, address indexed recipient, uint256 amount0, "
          "uint256 amount1, uint256 paid0, uint256 paid1)",
          "sender", "amount0", counterparty="recipient", amount_2="amount1"),
    _form("aave_v3", "deposit", "Supply(address indexed reserve, address user, address indexed onBehalfOf, "
          "uint256 amount, uint16 indexed referralCode)",
          "onBehalfOf", "amount", asset="reserve", counterparty="user"),
    _form("aave_v2", "deposit", "Deposit(address indexed reserve, address user, address indexed onBehalfOf, "
          "uint256 amount, uint16 indexed referral)",
          "onBehalfOf", "amount", asset="reserve", counterparty="user"),
    _form("aave", "withdraw", "Withdraw(address indexed reserve, address indexed user, address indexed to, "
          "uint256 amount)", "user", "amount", asset="reserve", counterparty="to"),
    _form("aave_v3", "borrow", "Borrow(address indexed reserve, address user, address indexed onBehalfOf, "
          "uint256 amount, uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode)",
          "onBehalfOf", "amount", asset="reserve", counterparty="user"),
    _form("aave_v2", "borrow", "Borrow(address indexed reserve, address user, address indexed onBehalfOf, "
          "uint256 amount, uint256 borrowRateMode, uint256 borrowRate, uint16 indexed referral)",
          "onBehalfOf", "amount", asset="reserve", counterparty="user"),
    _form("aave_v3", "repay", "Repay(address indexed reserve, address indexed user, address indexed repayer, "
          "uint256 amount, bool useATokens)", "user", "amount", asset="reserve", counterparty="repayer"),
    _form("aave_v2", "repay", "Repay(address indexed reserve, address indexed user, address indexed repayer, "
          "uint256 amount)", "user", "amount", asset="reserve", counterparty="repayer"),
    _form("aave", "liquidation", "LiquidationCall(address indexed collateralAsset, address indexed debtAsset, "
          "address indexed user, uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, "
          "bool receiveAToken)", "user", "debtToCover", asset="debtAsset", counterparty="liquidator",
          asset_2="collateralAsset", amount_2="liquidatedCollateralAmount"),
    _form("aave_v3", "flash_loan", "FlashLoan(address indexed target, address initiator, address indexed asset, "
          "uint256 amount, uint8 interestRateMode, uint256 premium, uint16 indexed referralCode)",
          "initiator", "amount", asset="asset", counterparty="target"),
    _form("aave_v2", "flash_loan", "FlashLoan(address indexed target, address indexed initiator, "
          "address indexed asset, uint256 amount, uint256 premium, uint16 referralCode)",
          "initiator", "amount", asset="asset", counterparty="target"),
    # The base asset of a Comet: supplying first repays debt, withdrawing may borrow; a single log does not show which.
    _form("compound_v3", "deposit", "Supply(address indexed from, address indexed dst, uint256 amount)",
          "dst", "amount", counterparty="from"),
    _form("compound_v3", "withdraw", "Withdraw(address indexed src, address indexed to, uint256 amount)",
          "src", "amount", counterparty="to"),
    _form("compound_v3", "deposit", "SupplyCollateral(address indexed from, address indexed dst, "
          "address indexed asset, uint256 amount)", "dst", "amount", asset="asset", counterparty="from"),
    _form("compound_v3", "withdraw", "WithdrawCollateral(address indexed src, address indexed to, "
          "address indexed asset, uint256 amount)", "src", "amount", asset="asset", counterparty="to"),
    _form("compound_v3", "liquidation", "AbsorbDebt(address indexed absorber, address indexed borrower, "
          "uint256 basePaidOut, uint256 usdValue)", "borrower", "basePaidOut", counterparty="absorber"),
    _form("compound_v2", "deposit", "Mint(address minter, uint256 mintAmount, uint256 mintTokens)",
          "minter", "mintAmount", asset_2=SELF, amount_2="mintTokens"),
    _form("compound_v2", "withdraw", "Redeem(address redeemer, uint256 redeemAmount, uint256 redeemTokens)",
          "redeemer", "redeemAmount", asset_2=SELF, amount_2="redeemTokens"),
    _form("compound_v2", "borrow", "Borrow(address borrower, uint256 borrowAmount, uint256 accountBorrows, "
          "uint256 totalBorrows)", "borrower", "borrowAmount"),
    _form("compound_v2", "repay", "RepayBorrow(address payer, address borrower, uint256 repayAmount, "
          "uint256 accountBorrows, uint256 totalBorrows)", "borrower", "repayAmount", counterparty="payer"),
    _form("compound_v2", "liquidation", "LiquidateBorrow(address liquidator, address borrower, uint256 repayAmount, "
          "address cTokenCollateral, uint256 seizeTokens)", "borrower", "repayAmount", counterparty="liquidator",
          asset_2="cTokenCollateral", amount_2="seizeTokens"),
)  # fmt: skip
SWAPS = {V2_SWAP.topic0: ("uniswap_v2", V2_SWAP), V3_SWAP.topic0: ("uniswap_v3", V3_SWAP)}


def _by_topic() -> dict[str, list[Form]]:
    found: dict[str, list[Form]] = defaultdict(list)
    for form in FORMS:
        found[form.event.topic0].append(form)
    return dict(found)


FORMS_BY_TOPIC = _by_topic()
PRIMITIVE_COLUMNS = ("primitive", "protocol", "contract", "account", "counterparty", "asset", "amount", "asset_2",
                     "amount_2")  # fmt: skip
SWAP_COLUMNS = ("protocol", "pool", "sender", "recipient", "amount0", "amount1", "sqrt_price_x96", "liquidity", "tick")


@dataclass(slots=True)
class Found:
    """Rows as parallel columns; `position`: place of each row's log; `rejected`: logs that fit no known form."""

    names: tuple[str, ...]
    position: list[int] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = {name: [] for name in self.names}

    def add(self, positions: list[int], **columns: list[Any]) -> None:
        """Take in rows: `positions` of their logs, and values by column; a column that is not given is None."""
        self.position += positions
        for name in self.names:
            self.columns[name] += columns.get(name) or [None] * len(positions)


def primitives(logs: LogColumns, by_topic: dict[str, list[int]] | None = None) -> tuple[Found, Found]:
    """Rows for `stg_primitives` (swaps among them) and for `stg_dex_swaps`."""
    groups = logs.by_topic0() if by_topic is None else by_topic
    acts, swaps = Found(PRIMITIVE_COLUMNS), Found(SWAP_COLUMNS)
    for topic, (protocol, event) in SWAPS.items():
        if topic in groups:
            _add_swaps(logs, protocol, event, groups[topic], acts, swaps)
    for topic, forms in FORMS_BY_TOPIC.items():
        for form, positions in _shared_out(logs, forms, groups.get(topic, ()), acts.rejected):
            if form.after:
                positions = [i for i in positions if _is_after(logs, i, form.after)]
            decoded = form.event.decode(logs, positions)
            acts.rejected += decoded.rejected
            contract = [logs.address[i] for i in decoded.positions]
            values = {
                name: contract if source == SELF else decoded.columns[source]
                for name in ("account", "counterparty", "asset", "amount", "asset_2", "amount_2")
                if (source := getattr(form, name))
            }
            n = len(decoded)
            acts.add(
                decoded.positions,
                primitive=[form.primitive] * n,
                protocol=[form.protocol] * n,
                contract=contract,
                **values,
            )
    return acts, swaps


def _is_after(logs: LogColumns, position: int, topic: str) -> bool:
    before = position - 1
    return before >= 0 and logs.address[before] == logs.address[position] and logs.topics[before][:1] == [topic]


def _shared_out(
    logs: LogColumns, forms: list[Form], positions: Any, rejected: list[Rejected]
) -> list[tuple[Form, list[int]]]:
    """Which logs of one topic go to which form, by their number of topics."""
    at: dict[int, list[int]] = {}
    for i in positions:
        at.setdefault(len(logs.topics[i]) - 1, []).append(i)
    by_indexed = {len(form.event.indexed): form for form in forms}
    for indexed, unexpected in at.items():
        if indexed not in by_indexed:
            expected = " or ".join(str(n + 1) for n in sorted(by_indexed))
            reason = f"{indexed + 1} topics, expected {expected} for {forms[0].event.signature}"
            rejected += [Rejected(i, reason) for i in unexpected]
    return [(by_indexed[indexed], found) for indexed, found in at.items() if indexed in by_indexed]


def _add_swaps(
    logs: LogColumns, protocol: str, event: EventAbi, positions: list[int], acts: Found, swaps: Found
) -> None:
    decoded = event.decode(logs, positions)
    acts.rejected += decoded.rejected
    held = decoded.columns
    pool = [logs.address[i] for i in decoded.positions]
    if event is V2_SWAP:
        recipient = held["to"]
        amounts = [_changes(held[f"amount{n}In"], held[f"amount{n}Out"]) for n in (0, 1)]
    else:
        recipient = held["recipient"]
        amounts = [held["amount0"], held["amount1"]]
    n = len(decoded)
    swaps.add(decoded.positions, protocol=[protocol] * n, pool=pool, sender=held["sender"], recipient=recipient,
              amount0=amounts[0], amount1=amounts[1], sqrt_price_x96=held.get("sqrtPriceX96"),
              liquidity=held.get("liquidity"), tick=held.get("tick"))  # fmt: skip
    # In stg_primitives amounts have no sign: what moved of token 0 and of token 1.
    acts.add(decoded.positions, primitive=["swap"] * n, protocol=[protocol] * n, contract=pool, account=recipient,
             counterparty=held["sender"], amount=[a.lstrip("-") for a in amounts[0]],
             amount_2=[a.lstrip("-") for a in amounts[1]])  # fmt: skip


def _changes(received: list[str], paid: list[str]) -> list[str]:
    """What a pair's balance changed by: received minus paid out, exactly."""
    return [
        got if out == "0" else "-" + out if got == "0" else str(int(got) - int(out))
        for got, out in zip(received, paid, strict=True)
    ]
