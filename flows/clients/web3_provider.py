"""web3 over the project's own transport: contract objects and bulk reads use one client, with the same retries.

`BlockReader.one` reads single values (the addresses of a market, its list of reserves) with web3's contract objects.
Reads by the thousand go through Multicall3 in `BlockReader.read`: encoding 20,000 balance calls takes 0.02 s there and
some 4 s with contract objects (`python -m tests.flows.clients.encoding_times`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_utils import to_checksum_address
from web3 import Web3
from web3.contract import Contract
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from flows.clients.abis import Function
from flows.clients.json_rpc import JsonRpc, Request


class NodeProvider(JSONBaseProvider):
    """Passes web3's requests to a `JsonRpc`, so that its retries, limits and messages apply.

    What the node refuses is raised as `RpcError`, not as an exception of web3.
    """

    def __init__(self, rpc: JsonRpc) -> None:
        super().__init__()
        self._rpc = rpc

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One call; a refusal is raised as it is."""
        return {"jsonrpc": "2.0", "id": 0, "result": self._rpc.call(method, *params)}

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Many calls at once; the first refusal is raised."""
        answers = self._rpc.batch([Request(method, tuple(params)) for method, params in requests])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [{"jsonrpc": "2.0", "id": i, "result": answer} for i, answer in enumerate(answers)]


def web3_of(rpc: JsonRpc) -> Web3:
    """A `Web3` that sends its requests through `rpc`. Without middleware: no names are looked up, no other requests."""
    return Web3(NodeProvider(rpc), middleware=[])


def contract_at(web3: Web3, address: str, functions: Sequence[Function]) -> Contract:
    """The contract object with these view functions."""
    return web3.eth.contract(address=to_checksum_address(address), abi=[function.abi for function in functions])


class KnownContract:
    """A contract whose whole ABI is known. `address`: None for one that is not on the chain yet."""

    def __init__(self, rpc: JsonRpc, abi: Sequence[Mapping[str, Any]], bytecode: str, address: str | None) -> None:
        where = to_checksum_address(address) if address else None
        self._contract: Any = web3_of(rpc).eth.contract(address=where, abi=list(abi), bytecode=bytecode)  # type: ignore

    def read(self, signature: str, *args: Any, block: int) -> Any:
        """What a view function returns at a block; addresses in checksum case. Raises `RpcError`."""
        return self._contract.get_function_by_signature(signature)(*args).call(block_identifier=block)

    def call_data(self, signature: str, *args: Any) -> str:
        """The data of a transaction that calls a function."""
        return self._contract.encode_abi(signature, args=list(args))

    def creation(self, *args: Any) -> str:
        """The data of a transaction that makes the contract."""
        return self._contract.constructor(*args).data_in_transaction
