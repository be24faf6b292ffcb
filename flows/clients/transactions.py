"""Transactions of one sender: what they may cost, sending them, and waiting until they stand.

| what happens to a transaction that was sent | what is done |
|---|---|
| it is mined | waited for until enough blocks stand on it |
| the node lost it | the same bytes are sent again |
| it waits too long | one with the same nonce and a higher fee is sent beside it: one of them at most is mined |
| its block is replaced | the same bytes are sent again |
| its nonce is used by another transaction | `NonceTaken`: it can never be mined |

Sending is safe to repeat: a nonce is used once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any

from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.signer import Signed, Signer, Unsigned
from flows.errors import MalformedAnswer, SourceRefused, SourceUnavailable

GWEI = 10**9
KNOWN_WORDS = ("already known", "known transaction", "already imported", "already exists", "alreadyknown")
"""The node has the very same transaction."""
USED_WORDS = ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce")
UNDERPRICED_WORDS = ("underpriced", "fee too low", "replacement")
GAS_MARGIN = 120
"""Per cent of the gas that the node estimates: what is true now may need more in the next block."""
RAISE = 125
"""Per cent of the fee of the transaction that is replaced; nodes ask for 110."""
LEAST_PRIORITY = 1
"""Wei: a replacement must offer more, and 125 % of nothing is nothing."""


class NonceTaken(SourceRefused):
    """Another transaction of the sender was mined with the nonce of these."""


class FeeTooHigh(SourceRefused):
    """The chain asks for more than was allowed."""


class LowFunds(SourceRefused):
    """The sender has less than the transaction may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A transaction in a block of the chain as it is now. `contract`: what it created, empty otherwise."""

    signed: Signed
    block: int
    block_hash: str
    block_time: int
    confirmations: int
    succeeded: bool
    contract: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a transaction is waited for. Times in seconds; `max_fee` in wei of gas."""

    confirmations: int
    timeout: float
    raise_after: float
    max_fee: int
    poll: float = 2.0


Noted = Callable[[Signed, str, str], None]
"""Told of a transaction: what it is now (prepared, sent, replaced), and why in words."""


class Sender:
    """The account of a signer, on the chain of a node."""

    def __init__(self, rpc: JsonRpc, signer: Signer, chain_id: int) -> None:
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id

    @property
    def address(self) -> str:
        """The account, in lower case."""
        return self._signer.address

    def nonces(self) -> tuple[int, int]:
        """The first nonce that no mined transaction has, and the first that no waiting one has either."""
        mined, waiting = self._numbers(*(("eth_getTransactionCount", self.address, at) for at in ("latest", "pending")))
        return mined, max(mined, waiting)

    def balance(self) -> int:
        """Wei of the account at the newest block."""
        return self._numbers(("eth_getBalance", self.address, "latest"))[0]

    def fees(self, most: int) -> tuple[int, int]:
        """(max fee, priority fee) that six full blocks in a row would still take: twice the base fee, and a tip.

        Raises `FeeTooHigh` where that is more than `most`, `SourceRefused` for a chain without base fees (EIP-1559).
        """
        head = self._rpc.call("eth_getBlockByNumber", "latest", False)
        if not isinstance(head, dict) or head.get("baseFeePerGas") is None:
            raise SourceRefused(
                f"{self._rpc}: its newest block has no base fee (EIP-1559); this chain is not published on"
            )
        base = quantity(head["baseFeePerGas"], "baseFeePerGas")
        [tip] = self._numbers(("eth_maxPriorityFeePerGas",))
        if base + tip > most:
            raise FeeTooHigh(
                f"a unit of gas costs {(base + tip) / GWEI:,.9g} gwei now, more than the {most / GWEI:,.9g} that are "
                "allowed; nothing was sent. Run again later, or raise --max-fee-gwei"
            )
        return min(2 * base + tip, most), tip

    def gas(self, to: str | None, data: str) -> int:
        """Gas limit of a call: what the node estimates, and a margin. Raises `RpcError` where the contract refuses."""
        call = {"from": self.address, "data": data} | ({} if to is None else {"to": to})
        return self._numbers(("eth_estimateGas", call))[0] * GAS_MARGIN // 100

    def prepared(self, to: str | None, data: str, nonce: int, most_fee: int, above: Unsigned | None = None) -> Signed:
        """A signed transaction that has not been sent. `above`: one with the same nonce whose place it shall take.

        Raises `FeeTooHigh`, `LowFunds`, and `RpcError` where the contract refuses.
        """
        gas = self.gas(to, data)
        max_fee, priority_fee = self.fees(most_fee)
        made = Unsigned(
            chain_id=self._chain_id, nonce=nonce, to=to, data=data, gas=gas, max_fee=max_fee, priority_fee=priority_fee
        )
        if above is not None:
            made = raised(made, above)
            if made.max_fee > most_fee:
                raise FeeTooHigh(
                    f"a transaction with nonce {nonce} waits, and takes {made.max_fee / GWEI:,.9g} gwei to replace, "
                    f"more than the {most_fee / GWEI:,.9g} that are allowed; nothing was sent. Raise --max-fee-gwei"
                )
        balance = self.balance()
        if balance < made.most_wei:
            raise LowFunds(
                f"low funds: {self.address} has {balance / 1e18:.6g} coins, and this may cost "
                f"{made.most_wei / 1e18:.6g} ({gas:,} gas at {made.max_fee / GWEI:,.9g} gwei); nothing was sent"
            )
        return self._signer.sign(made)

    def again(self, unsigned: Unsigned) -> Signed:
        """A transaction that was signed before, with the same bytes as then."""
        return self._signer.sign(unsigned)

    def submit(self, signed: Signed) -> None:
        """Send it. A node that has it already, or one that has mined its nonce, is no error: `settled` looks.

        Raises `RpcError` with the node's words where it is refused.
        """
        try:
            self._rpc.call("eth_sendRawTransaction", signed.raw)
        except RpcError as refused:
            if not any(words in refused.reason.lower() for words in (*KNOWN_WORDS, *USED_WORDS)):
                raise

    def settled(self, sent: Sequence[Signed], patience: Patience, noted: Noted) -> Mined:
        """Wait until one of `sent`, which share a nonce, has its confirmations; its outcome may be a revert.

        `noted` is told before anything is sent. Raises `NonceTaken`, and `SourceUnavailable` when the time is over.
        """
        attempts = list(sent)
        began = last_sent = monotonic()
        seen: Mined | None = None
        taken = 0
        while True:
            mined = self.mined(attempts)
            if mined is not None and mined.confirmations >= patience.confirmations:
                return mined
            if mined is not None:
                taken = 0
            elif seen is not None:
                noted(seen.signed, "sent", f"block {seen.block} was replaced by another without it; sent again")
                self.submit(seen.signed)
                last_sent = monotonic()
            elif self.nonces()[0] > attempts[-1].unsigned.nonce:
                taken += 1
                if taken > 1:  # the first time it may have been mined between two questions
                    raise NonceTaken(
                        f"another transaction of {self.address} was mined with nonce {attempts[-1].unsigned.nonce}"
                    )
            elif not self._is_known(attempts):
                noted(attempts[-1], "sent", "the node had lost it; sent again")
                self.submit(attempts[-1])
            elif monotonic() - last_sent >= patience.raise_after:
                self._raise(attempts, patience, noted)
                last_sent = monotonic()
            seen = mined
            if monotonic() - began >= patience.timeout:
                raise SourceUnavailable(
                    f"{self._rpc}: transaction {attempts[-1].hash} "
                    + (
                        f"has {mined.confirmations} of {patience.confirmations} confirmations"
                        if mined
                        else "is not mined"
                    )
                    + f" after {patience.timeout:,.0f} s; it stays sent. Run again: it is looked for, not sent twice"
                )
            sleep(patience.poll)

    def _raise(self, attempts: list[Signed], patience: Patience, noted: Noted) -> None:
        """Send one with a higher fee beside those that wait, where that is allowed."""
        before = attempts[-1].unsigned
        try:
            max_fee, priority_fee = self.fees(patience.max_fee)
        except FeeTooHigh:
            return
        made = raised(replace(before, max_fee=max_fee, priority_fee=priority_fee), before)
        if made.max_fee > patience.max_fee or self.balance() < made.most_wei:
            return
        signed = self._signer.sign(made)
        noted(signed, "prepared", f"instead of {attempts[-1].hash}, with a higher fee")
        try:
            self.submit(signed)
        except RpcError as refused:
            if not any(words in refused.reason.lower() for words in UNDERPRICED_WORDS):
                raise
        attempts.append(signed)
        noted(signed, "sent", f"instead of {attempts[-2].hash}, with a higher fee")

    def mined(self, attempts: Sequence[Signed]) -> Mined | None:
        """The one of them that is in the chain now. A receipt of a block that the chain does not have is none."""
        answers = self._rpc.batch(
            [*(Request("eth_getTransactionReceipt", (one.hash,)) for one in attempts), Request("eth_blockNumber", ())]
        )
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        head = quantity(answers.pop(), "eth_blockNumber")
        for one, receipt in zip(attempts, answers, strict=True):
            if not isinstance(receipt, dict) or receipt.get("blockNumber") is None:
                continue
            number = quantity(receipt["blockNumber"], "blockNumber of the receipt")
            block = self._rpc.call("eth_getBlockByNumber", hex(number), False)
            if not isinstance(block, dict) or block.get("hash") != receipt.get("blockHash"):
                continue
            return Mined(
                signed=one,
                block=number,
                block_hash=str(block["hash"]).lower(),
                block_time=quantity(block.get("timestamp"), "timestamp of the block"),
                confirmations=max(head - number + 1, 1),
                succeeded=quantity(receipt.get("status"), "status of the receipt") == 1,
                contract=str(receipt.get("contractAddress") or "").lower(),
            )
        return None

    def _is_known(self, attempts: Sequence[Signed]) -> bool:
        answers = self._rpc.batch([Request("eth_getTransactionByHash", (one.hash,)) for one in attempts])
        return any(isinstance(answer, dict) for answer in answers)

    def _numbers(self, *calls: tuple[Any, ...]) -> list[int]:
        answers = self._rpc.batch([Request(method, tuple(params)) for method, *params in calls])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return [quantity(answer, method) for answer, (method, *_) in zip(answers, calls, strict=True)]


def raised(made: Unsigned, above: Unsigned) -> Unsigned:
    """`made` with fees that a node takes in the place of `above`: 125 % of both of them at least."""

    def more(fee: int) -> int:
        return max(-(-fee * RAISE // 100), fee + LEAST_PRIORITY)

    priority_fee = max(made.priority_fee, more(above.priority_fee))
    return replace(made, priority_fee=priority_fee, max_fee=max(made.max_fee, more(above.max_fee), priority_fee))


def code_at(rpc: JsonRpc, address: str) -> str:
    """The code at an address at the newest block, in lower-case hexadecimal; `0x` where there is none."""
    code = rpc.call("eth_getCode", address, "latest")
    if not isinstance(code, str) or not code.startswith("0x"):
        raise MalformedAnswer(f"{rpc}: eth_getCode of {address}: expected hexadecimal bytes, found {code!r:.60}")
    return code.lower()
