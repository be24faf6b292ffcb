"""Contract reads at one block: many calls in few requests, decoded, with errors that name the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from eth_utils import to_checksum_address
from web3.exceptions import BadFunctionCallOutput

from flows.clients.abis import Function, WrongShape, aggregate3_answers, aggregate3_data
from flows.clients.chunk_size import ChunkSize
from flows.clients.json_rpc import JsonRpc, Request, RpcError, quantity
from flows.clients.web3_provider import contract_at, web3_of
from flows.errors import MalformedAnswer, SourceRefused

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
"""Same address on nearly every chain (mds1/multicall3)."""
CONCURRENCY = 4
"""Requests under way at once; public nodes accept this many."""
FIRST_CHUNK = 400
"""Calls in the first aggregate3."""


@dataclass(frozen=True, slots=True)
class Block:
    """The block of a snapshot; `time` is UTC epoch seconds."""

    number: int
    hash: str
    time: int


@dataclass(frozen=True, slots=True)
class Call:
    """One view call. `about` names its subject in messages ("USDC", an account)."""

    to: str
    function: Function
    args: tuple[str | int, ...] = ()
    about: str = ""

    def __str__(self) -> str:
        about = f" of {self.about}" if self.about else ""
        return f"{self.function.name}{about} (contract {self.to})"


@dataclass(frozen=True, slots=True)
class Failure:
    """In place of an answer that was allowed to fail; `reason` is the node's."""

    reason: str


def get_block(rpc: JsonRpc, which: str | int) -> Block:
    """The block called "latest", "safe", "finalized", or numbered. Raises `SourceRefused` when the node has none."""
    asked = hex(which) if isinstance(which, int) else which
    try:
        row = rpc.call("eth_getBlockByNumber", asked, False)
    except RpcError as exc:
        raise SourceRefused(f"{rpc} does not give block {which}: {exc.reason}") from exc
    if row is None:
        newest = quantity(rpc.call("eth_blockNumber"), "eth_blockNumber")
        raise SourceRefused(f"{rpc} does not have block {which}; its newest is {newest}. Choose an existing block")
    if not isinstance(row, dict) or not isinstance(row.get("hash"), str):
        raise MalformedAnswer(f"block {which} of {rpc}: expected an object with a hash, found {row!r:.80}")
    return Block(
        quantity(row.get("number"), "block number"),
        row["hash"].lower(),
        quantity(row.get("timestamp"), "block timestamp"),
    )


def known_hashes(rpc: JsonRpc, numbers: Iterable[int]) -> dict[int, str]:
    """The hash of each numbered block, in one request; blocks that the node does not give are left out."""
    asked = sorted(set(numbers))
    rows = rpc.batch([Request("eth_getBlockByNumber", (hex(number), False)) for number in asked])
    return {
        number: row["hash"].lower()
        for number, row in zip(asked, rows, strict=True)
        if isinstance(row, dict) and isinstance(row.get("hash"), str)
    }


class BlockReader:
    """Reads contracts at one block, through Multicall3 where it has code, else by JSON-RPC batches.

    At most `concurrency` requests are under way. The first aggregate3 call has `chunk` calls; the number grows while
    the node answers quickly, and a chunk that it cannot execute (gas, size) is halved.
    """

    def __init__(
        self,
        rpc: JsonRpc,
        block: Block,
        *,
        chunk: int = FIRST_CHUNK,
        multicall: str = MULTICALL3,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.rpc = rpc
        self.block = block
        self.concurrency = concurrency
        self._at = hex(block.number)
        self._size = ChunkSize(chunk)
        self._sizes: dict[int, ChunkSize] = {}
        self._multicall = multicall
        self._web3 = web3_of(rpc)
        self._aggregates: bool | None = None

    @property
    def uses_multicall(self) -> bool:
        """Whether Multicall3 has code at this block; the node is asked once."""
        if self._aggregates is None:
            self._aggregates = self.has_code(self._multicall)
        return self._aggregates

    def has_code(self, address: str) -> bool:
        """Whether there is a contract at an address at this block."""
        try:
            return _is_code(self.rpc.call("eth_getCode", address, self._at))
        except RpcError as exc:
            raise self._refused(exc, f"eth_getCode of {address}") from exc

    def one(self, call: Call) -> Any:
        """The decoded answer of one call, through web3's contract object; addresses in lower case.

        Raises like `read`. Its arguments and outputs are of plain types: no names are resolved.
        """
        contract = contract_at(self._web3, call.to, [call.function])
        args = [to_checksum_address(arg) if isinstance(arg, str) else arg for arg in call.args]
        try:
            answer = contract.functions[call.function.name](*args).call(block_identifier=self.block.number)
        except RpcError as exc:
            return self.decoded(call, self._bytes(call, exc))
        except BadFunctionCallOutput as exc:
            raise MalformedAnswer(
                f"{call} answers something that is not ({', '.join(call.function.outputs)}) at block "
                f"{self.block.number}: {exc}"
            ) from exc
        return _plain(answer)

    def first_round(self, calls: Sequence[Call]) -> list[bytes | Failure]:
        """`read_raw` for the few calls that a read begins with, in a batch that also looks for Multicall3."""
        code = Request("eth_getCode", (self._multicall, self._at))
        *answers, found = self.rpc.batch([*map(self._request, calls), code])
        if isinstance(found, RpcError):
            raise self._refused(found, f"eth_getCode of {self._multicall}") from found
        self._aggregates = _is_code(found)
        return [self._bytes(call, answer) for call, answer in zip(calls, answers, strict=True)]

    def read(
        self,
        calls: Sequence[Call],
        *,
        may_fail: bool = False,
        chunk: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Any]:
        """Decoded answers in the order of `calls`. With `may_fail`, a refused call gives a `Failure` instead.

        `progress` gets the number of calls that were answered since it was last called. Raises `MalformedAnswer` for an
        answer of the wrong shape and for a contract that refuses, both naming the call; `SourceRefused` when the node
        does not have the state at this block.
        """
        raw = self.read_raw(calls, chunk=chunk, progress=progress)
        return [self.decoded(call, answer, may_fail) for call, answer in zip(calls, raw, strict=True)]

    def read_raw(
        self,
        calls: Sequence[Call],
        *,
        chunk: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[bytes | Failure]:
        """Like `read`, undecoded: bytes of each answer, or a `Failure` where the contract refused."""
        if not calls:
            return []
        fetch = self._aggregated if self.uses_multicall else self._one_by_one  # asked here, not in every thread
        # Heavy calls have their own size: that they are refused says nothing about light ones.
        size = self._sizes.setdefault(chunk, ChunkSize(chunk, 2 * chunk)) if chunk else self._size
        answers: list[bytes | Failure] = [Failure("not asked")] * len(calls)
        asked: dict[Future[list[bytes | Failure]], tuple[int, int]] = {}
        begun = 0
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            try:
                while begun < len(calls) or asked:
                    while begun < len(calls) and len(asked) < self.concurrency:
                        ended = min(len(calls), begun + size.now)
                        asked[pool.submit(fetch, calls[begun:ended], size)] = (begun, ended)
                        begun = ended
                    for part in wait(asked, return_when=FIRST_COMPLETED).done:
                        start, stop = asked.pop(part)
                        answers[start:stop] = part.result()
                        progress(stop - start)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return answers

    def decoded(self, call: Call, answer: bytes | Failure, may_fail: bool = False) -> Any:
        """The values in an answer. `may_fail`: a `Failure` is returned; else it raises `MalformedAnswer`."""
        if isinstance(answer, Failure):
            if may_fail:
                return answer
            raise MalformedAnswer(f"{call} is refused at block {self.block.number}: {answer.reason}")
        try:
            return call.function.decode(answer)
        except WrongShape as exc:
            if may_fail:
                return Failure(str(exc))
            what = "nothing (no such contract or function there)" if not answer else f"{len(answer)} bytes"
            raise MalformedAnswer(
                f"{call} answers {what} at block {self.block.number}, which is not "
                f"({', '.join(call.function.outputs)}): {exc}"
            ) from exc

    def _one_by_one(self, calls: Sequence[Call], size: ChunkSize | None = None) -> list[bytes | Failure]:
        answers = self.rpc.batch([self._request(call) for call in calls])
        return [self._bytes(call, answer) for call, answer in zip(calls, answers, strict=True)]

    def _request(self, call: Call) -> Request:
        return Request("eth_call", ({"to": call.to, "data": call.function.encode(*call.args)}, self._at))

    def _aggregated(self, calls: Sequence[Call], size: ChunkSize) -> list[bytes | Failure]:
        data = aggregate3_data([(c.to, c.function.encode(*c.args)) for c in calls])
        started = time.perf_counter()
        try:
            asked = ({"to": self._multicall, "data": data}, self._at)
            # A node that fails at many calls together, or cuts their answer, may give it for fewer.
            answer = self.rpc.batch([Request("eth_call", asked, divisible=len(calls) > 1)])[0]
            if isinstance(answer, RpcError):
                raise answer
        except RpcError as exc:
            if exc.is_missing_state:
                raise self._refused(exc, "aggregate3") from exc
            if len(calls) == 1:
                return [Failure(exc.reason)] if exc.is_revert else self._one_by_one(calls)
            size.refused(len(calls))
            half = len(calls) // 2
            return self._aggregated(calls[:half], size) + self._aggregated(calls[half:], size)
        size.answered(len(calls), time.perf_counter() - started)
        try:
            rows = aggregate3_answers(_hex_bytes(answer))
        except WrongShape as exc:
            raise MalformedAnswer(f"aggregate3 at {self._multicall} of {self.rpc}: {exc}") from exc
        if len(rows) != len(calls):
            raise MalformedAnswer(f"aggregate3 of {self.rpc}: expected {len(calls)} answers, found {len(rows)}")
        return [raw if success else Failure("execution reverted") for success, raw in rows]

    def _bytes(self, call: Call, answer: Any) -> bytes | Failure:
        if isinstance(answer, RpcError):
            if answer.is_revert:
                return Failure(answer.reason)
            raise self._refused(answer, str(call)) from answer
        try:
            return _hex_bytes(answer)
        except WrongShape as exc:
            raise MalformedAnswer(f"{call} of {self.rpc}: {exc}") from exc

    def _refused(self, exc: RpcError, what: str) -> SourceRefused:
        if exc.is_missing_state:
            return SourceRefused(
                f"{self.rpc} does not have the state at block {self.block.number} ({exc.reason}); "
                "use a newer block or an archive node"
            )
        return SourceRefused(f"{self.rpc} refuses {what} at block {self.block.number}: {exc.reason}")


def _is_code(answer: Any) -> bool:
    return answer not in ("0x", "0x0", None, "")


def _hex_bytes(answer: Any) -> bytes:
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise WrongShape(f"expected hexadecimal bytes, found {answer!r:.80}")
    try:
        return bytes.fromhex(answer[2:])
    except ValueError as exc:
        raise WrongShape(f"expected hexadecimal bytes, found {answer!r:.80}") from exc


def _plain(answer: Any) -> Any:
    """As `Function.decode` gives it: lower-case addresses, lists of them."""
    if isinstance(answer, list | tuple):
        return [_plain(item) for item in answer]
    return answer.lower() if isinstance(answer, str) else answer


def calls_for(subjects: Iterable[tuple[str, str]], to: str, function: Function) -> list[Call]:
    """One call of `function` at `to` for each (argument, name) pair."""
    return [Call(to, function, (argument,), about) for argument, about in subjects]
