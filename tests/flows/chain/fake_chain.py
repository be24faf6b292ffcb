"""A chain of small blocks behind JSON-RPC on loopback, which a test may reorganise, cut, or let lie.

Written from the same reading of JSON-RPC as the client, so it is a witness for what the flow does with answers, not for
what nodes answer; for that there are the recorded bodies and anvil.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
START = 1_700_000_000


def digest(*parts: object) -> str:
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def address(*parts: object) -> str:
    return "0x" + digest(*parts)[26:]


def word(value: int | str) -> str:
    return "0x" + (f"{value:064x}" if isinstance(value, int) else value[2:].rjust(64, "0"))


def transfer(number: int, place: int, salt: str = "") -> dict[str, Any]:
    return {
        "address": address("token", place % 3),
        "topics": [TRANSFER, word(address("from", number, place, salt)), word(address("to", number, place))],
        "data": word(number * 10**18 + place),
    }


class FakeChain:
    """`fork(number)` gives what the hashes of blocks from `number` on are made of; `alter` may spoil an answer."""

    chain_id = 31337

    def __init__(self, server: HTTPServer, blocks: int, logs: int = 3) -> None:
        self.head = blocks - 1
        self.logs = logs
        self.finalized = self.head
        self.forks: dict[int, str] = {}
        self.methods: list[str] = []
        self.by_block = True
        self.longest_range = 1_000
        self.separators = (",", ":")  # no spaces, as nodes send it
        self.alter: Callable[[str, Any, Any], Any] = lambda method, params, answer: answer
        self.url = server.url_for("/")
        server.expect_request("/", method="POST").respond_with_handler(self._serve)

    def reorganise(self, number: int, salt: str) -> None:
        """Blocks from `number` on are others from now on."""
        self.forks[number] = salt

    def _salt(self, number: int) -> str:
        return "/".join(salt for first, salt in sorted(self.forks.items()) if first <= number)

    def hash(self, number: int) -> str:
        return digest("block", number, self._salt(number)) if number >= 0 else "0x" + "00" * 32

    def log_list(self, number: int) -> list[dict[str, Any]]:
        return [transfer(number, place, self._salt(number)) for place in range(self.logs)]

    def block(self, number: int, whole: bool = True) -> dict[str, Any] | None:
        if not 0 <= number <= self.head:
            return None
        zero = "0x" + "00" * 32
        transactions = [
            {
                "blockNumber": hex(number), "blockHash": self.hash(number), "transactionIndex": hex(i),
                "hash": digest("tx", number, i, self._salt(number)), "nonce": hex(i), "from": address("sender", i),
                "to": None if i == 1 else address("contract", i), "value": hex(10**20 + i), "gas": "0x5208",
                "gasPrice": "0x1", "input": "0x", "type": "0x2", "maxFeePerGas": "0x2", "maxPriorityFeePerGas": "0x0",
            }
            for i in range(2)
        ]  # fmt: skip
        return {
            "number": hex(number), "hash": self.hash(number), "parentHash": self.hash(number - 1),
            "timestamp": hex(START + 12 * number), "nonce": "0x0000000000000000", "sha3Uncles": zero,
            "logsBloom": "0x" + "00" * 256, "transactionsRoot": zero, "stateRoot": zero, "receiptsRoot": zero,
            "miner": address("miner"), "mixHash": zero, "difficulty": "0x0", "size": "0x200", "extraData": "0x",
            "gasLimit": "0x1c9c380", "gasUsed": "0xa410", "baseFeePerGas": "0x7", "withdrawals": [],
            "withdrawalsRoot": zero, "transactions": transactions if whole else [t["hash"] for t in transactions],
        }  # fmt: skip

    def receipts(self, number: int) -> list[dict[str, Any]] | None:
        block = self.block(number)
        if block is None:
            return None
        found = []
        for tx in block["transactions"]:
            own = {
                "blockNumber": hex(number),
                "blockHash": block["hash"],
                "transactionHash": tx["hash"],
                "transactionIndex": tx["transactionIndex"],
            }
            logs = (
                [log | own | {"logIndex": hex(i), "removed": False} for i, log in enumerate(self.log_list(number))]
                if tx["transactionIndex"] == "0x0"
                else []
            )
            found.append(own | {"cumulativeGasUsed": "0x5208", "gasUsed": "0x5208", "contractAddress": None,
                                "status": "0x1", "effectiveGasPrice": "0x1", "logs": logs})  # fmt: skip
        return found

    def answer(self, method: str, params: list[Any]) -> Any:
        """Result of a method; an exception of the class `Refused` becomes a JSON-RPC error."""
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getBlockByNumber":
                number = {"latest": self.head, "finalized": self.finalized, "safe": self.finalized}.get(params[0])
                return self.block(int(params[0], 16) if number is None else number, params[1])
            case "eth_getBlockReceipts" if self.by_block:
                return self.receipts(int(params[0], 16))
            case "eth_getLogs":
                asked = params[0]
                numbers = range(int(asked["fromBlock"], 16), int(asked["toBlock"], 16) + 1)
                if len(numbers) > self.longest_range:
                    raise Refused(-32602, f"query exceeds max block range {self.longest_range}")
                wanted = asked.get("topics", [None])[0]
                return [
                    log
                    for n in numbers
                    for r in self.receipts(n) or ()
                    for log in r["logs"]
                    if wanted is None or log["topics"][0] in wanted
                ]
            case "eth_getTransactionReceipt":
                for number in range(self.head + 1):
                    for receipt in self.receipts(number) or ():
                        if receipt["transactionHash"] == params[0]:
                            return receipt
                return None
        raise Refused(-32601, f"the method {method} does not exist/is not available")

    def _serve(self, request: Request) -> Response:
        asked = json.loads(request.data)
        rows = [self._one(row) for row in ([asked] if isinstance(asked, dict) else asked)]
        body = json.dumps(rows[0] if isinstance(asked, dict) else rows, separators=self.separators)
        return Response(body, content_type="application/json")

    def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        self.methods.append(row["method"])
        try:
            result = self.alter(row["method"], row["params"], self.answer(row["method"], row["params"]))
        except Refused as refusal:
            return {"jsonrpc": "2.0", "id": row["id"], "error": {"code": refusal.args[0], "message": refusal.args[1]}}
        return {"jsonrpc": "2.0", "id": row["id"], "result": result}


class Refused(Exception):
    """(code, message) of a JSON-RPC error."""
