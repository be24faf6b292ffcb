"""Transactions of one sender: limit their cost, send them, and wait for their confirmations.

| a transaction that was sent | what is done |
|---|---|
| is mined | wait for enough blocks after it |
| is lost by the node | send the same bytes again |
| waits too long | send another with the same nonce and a higher fee: at most one of them is mined |
| is in a block that is replaced | send the same bytes again |
| has a nonce that another transaction used | `NonceTaken`: it can never be mined |

It is safe to send again: a nonce is used once.
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
"""Errors of a node that has the same transaction already."""
USED_WORDS = ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce")
UNDERPRICED_WORDS = ("underpriced", "fee too low", "replacement")
GAS_MARGIN = 120
"""Gas limit in per cent of the node's estimate: the next block may need more."""
RAISE = 125
"""Fee of a replacement in per cent of the replaced transaction's; nodes require 110."""
LEAST_PRIORITY = 1
"""Least increase of a fee in wei, since 125 % of 0 is 0."""


class NonceTaken(SourceRefused):
    """Another transaction of the sender was mined with the same nonce."""


class FeeTooHigh(SourceRefused):
    """The chain's fee is above the allowed one."""


class LowFunds(SourceRefused):
    """The sender's balance is below the most that the transaction can cost."""


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
    """How long to wait for a transaction. Times in seconds; `max_fee` in wei for a unit of gas."""

    confirmations: int
    timeout: float
    raise_after: float
    max_fee: int
    poll: float = 2.0


Noted = Callable[[Signed, str, str], None]
"""Called with a transaction, its state (prepared, sent, replaced) and the reason in words."""


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
        """(first nonce that no mined transaction has, first that no waiting transaction has either)."""
        mined, waiting = self._numbers(*(("eth_getTransactionCount", self.address, at) for at in ("latest", "pending")))
        return mined, max(mined, waiting)

    def balance(self) -> int:
        """Wei of the account at the newest block."""
        return self._numbers(("eth_getBalance", self.address, "latest"))[0]

    def fees(self, most: int) -> tuple[int, int]:
        """(max fee, priority fee), wei for a unit of gas: twice the base fee, in case it rises, and a tip.

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
        """Gas limit of a call: the node's estimate and a margin. Raises `RpcError` where the contract reverts."""
        call = {"from": self.address, "data": data} | ({} if to is None else {"to": to})
        return self._numbers(("eth_estimateGas", call))[0] * GAS_MARGIN // 100

    def prepared(self, to: str | None, data: str, nonce: int, most_fee: int, above: Unsigned | None = None) -> Signed:
        """A signed transaction that has not been sent. `above`: a transaction with the same nonce that it replaces.

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
        """Sign a transaction again; the bytes are the same as before."""
        return self._signer.sign(unsigned)

    def submit(self, signed: Signed) -> None:
        """Send it. It is no error if the node has it already or has mined its nonce: `settled` checks that.

        Raises `RpcError` with the node's message where it is refused.
        """
        try:
            self._rpc.call("eth_sendRawTransaction", signed.raw)
        except RpcError as refused:
            if not any(words in refused.reason.lower() for words in (*KNOWN_WORDS, *USED_WORDS)):
                raise

    def settled(self, sent: Sequence[Signed], patience: Patience, noted: Noted) -> Mined:
        """Wait until one of `sent`, which share a nonce, has its confirmations; its outcome may be a revert.

        `noted` is called before anything is sent. Raises `NonceTaken`, and `SourceUnavailable` when the time is over.
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
                if taken > 1:  # the first time it may have been mined between two requests
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
                    + f" after {patience.timeout:,.0f} s; it stays sent"
                )
            sleep(patience.poll)

    def _raise(self, attempts: list[Signed], patience: Patience, noted: Noted) -> None:
        """Send a replacement with a higher fee, where `patience` allows it."""
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
            noted(signed, "prepared", f"the node did not take it: {refused.reason}")
            return
        attempts.append(signed)
        noted(signed, "sent", f"instead of {attempts[-2].hash}, with a higher fee")

    def mined(self, attempts: Sequence[Signed]) -> Mined | None:
        """The transaction of `attempts` that is in the chain now, or None; receipts of replaced blocks do not count."""
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
    """`made` with fees that are enough to replace `above`: at least 125 % of each of its fees."""

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
