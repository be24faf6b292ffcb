"""A node on loopback for benchmarks: a long chain of synthetic blocks, served as fast as Python can send bytes.

`python -m tests.benchmarks.chain_node PORT BLOCKS LOGS` in a process of its own, so that whoever reads from it shares
nothing with it but the machine. Blocks are cut from a few templates; hashes are of their number.
"""

from __future__ import annotations

import json
import random
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
OTHER = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
TEMPLATES = 40
LOGS_A_TRANSACTION = 4
START = 1_600_000_000
# Stand-ins inside the templates: hash and number of the block, first half of the transactions' hashes.
HASH, NUMBER, HALF = "@" * 66, "@number@", "#" * 34
ZERO = "0x" + "00" * 32


def hash_of(number: int) -> str:
    return f"0x{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:048x}" if number >= 0 else ZERO


def _log(draw: random.Random, place: int) -> dict[str, Any]:
    address = lambda: f"0x{draw.getrandbits(160):064x}"  # noqa: E731
    kind = draw.random()
    if kind < 0.6:  # shares of an ordinary Ethereum block, roughly
        topics, data = [TRANSFER, address(), address()], f"{int(10 ** draw.uniform(3, 24)):064x}"
    elif kind < 0.7:
        topics, data = [TRANSFER, address(), address(), f"0x{draw.getrandbits(20):064x}"], ""
    elif kind < 0.8:
        amounts = [draw.getrandbits(70), 2**256 - draw.getrandbits(70), 2**96, 2**90, 100]
        topics, data = [SWAP, address(), address()], "".join(f"{a:064x}" for a in amounts)
    else:
        topics, data = [OTHER, address(), address()], f"{2**256 - 1:064x}"
    return {
        "address": f"0x{draw.getrandbits(9) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**160:040x}",
        "topics": topics,
        "data": "0x" + data,
        "blockNumber": NUMBER,
        "blockHash": HASH,
        "logIndex": hex(place),
        "transactionHash": HALF + f"{place // LOGS_A_TRANSACTION:032x}",
        "transactionIndex": hex(place // LOGS_A_TRANSACTION),
        "removed": False,
    }


class Blocks:
    """Bodies of blocks, receipts and logs, as bytes."""

    def __init__(self, count: int, logs: int) -> None:
        self.count = count
        # Rendered once where that fits into memory, so that readers are measured and not this.
        self._keep = count * logs <= 500_000
        self._kept: dict[tuple[int, str | None], bytes] = {}
        draw = random.Random(7)
        dump = lambda value: json.dumps(value, separators=(",", ":")).encode()  # noqa: E731
        self._all: list[bytes] = []
        self._by_topic: list[dict[str, bytes]] = []
        self._receipts: list[bytes] = []
        self._blocks: dict[bool, list[bytes]] = {True: [], False: []}
        for _ in range(TEMPLATES):
            made = [_log(draw, place) for place in range(logs)]
            self._all.append(b",".join(map(dump, made)))
            self._by_topic.append(
                {
                    topic: b",".join(dump(log) for log in made if log["topics"][0] == topic)
                    for topic in (TRANSFER, SWAP, OTHER)
                }
            )
            transactions = [self._transaction(i) for i in range(-(-logs // LOGS_A_TRANSACTION))]
            self._receipts.append(dump([
                {
                    "blockNumber": NUMBER, "blockHash": HASH, "transactionHash": tx["hash"], "transactionIndex": hex(i),
                    "from": tx["from"], "to": tx["to"], "cumulativeGasUsed": hex(50_000 * (i + 1)), "gasUsed": "0xc350",
                    "contractAddress": None, "status": "0x1", "effectiveGasPrice": "0x3b9aca00", "type": "0x2",
                    "logsBloom": "0x" + "00" * 256,
                    "logs": made[LOGS_A_TRANSACTION * i : LOGS_A_TRANSACTION * (i + 1)],
                }
                for i, tx in enumerate(transactions)
            ]))  # fmt: skip
            for whole in (True, False):
                header = self._header() | {"transactions": transactions if whole else [t["hash"] for t in transactions]}
                self._blocks[whole].append(dump(header))

    def _transaction(self, i: int) -> dict[str, Any]:
        return {
            "blockNumber": NUMBER, "blockHash": HASH, "transactionIndex": hex(i), "hash": HALF + f"{i:032x}",
            "nonce": hex(i), "from": f"0x{i + 1:040x}", "to": f"0x{i + 2:040x}", "value": hex(10**18), "gas": "0x186a0",
            "gasPrice": "0x3b9aca00", "input": "0xa9059cbb" + "00" * 64, "type": "0x2", "maxFeePerGas": "0x3b9aca00",
            "maxPriorityFeePerGas": "0x0", "v": "0x0", "r": "0x1", "s": "0x1", "chainId": "0x1", "accessList": [],
        }  # fmt: skip

    def _header(self) -> dict[str, Any]:
        return {
            "number": NUMBER, "hash": HASH, "parentHash": "parent@", "timestamp": "time@",
            "nonce": "0x0000000000000000",
            "sha3Uncles": ZERO, "logsBloom": "0x" + "00" * 256, "transactionsRoot": ZERO, "stateRoot": ZERO,
            "receiptsRoot": ZERO, "miner": "0x" + "00" * 20, "mixHash": ZERO, "difficulty": "0x0", "size": "0x2000",
            "extraData": "0x", "gasLimit": "0x1c9c380", "gasUsed": "0xe4e1c0", "baseFeePerGas": "0x7", "uncles": [],
            "totalDifficulty": "0x0",
        }  # fmt: skip

    def _cut(self, body: bytes, number: int) -> bytes:
        body = body.replace(HASH.encode(), hash_of(number).encode()).replace(NUMBER.encode(), hex(number).encode())
        return body.replace(HALF.encode(), f"0x{number:032x}".encode())

    def block(self, number: int, whole: bool) -> bytes:
        if not 0 <= number < self.count:
            return b"null"
        body = self._cut(self._blocks[whole][number % TEMPLATES], number)
        return body.replace(b"parent@", hash_of(number - 1).encode()).replace(
            b"time@", hex(START + 12 * number).encode()
        )

    def receipts(self, number: int) -> bytes:
        return self._cut(self._receipts[number % TEMPLATES], number) if 0 <= number < self.count else b"null"

    def logs(self, first: int, last: int, topic: str | None) -> bytes:
        numbers = range(first, min(last, self.count - 1) + 1)
        return b"[" + b",".join(filter(None, (self._logs_of(number, topic) for number in numbers))) + b"]"

    def _logs_of(self, number: int, topic: str | None) -> bytes:
        body = self._kept.get((number, topic))
        if body is None:
            place = number % TEMPLATES
            body = self._cut(self._all[place] if topic is None else self._by_topic[place].get(topic, b""), number)
            if self._keep:
                self._kept[number, topic] = body
        return body

    def result(self, method: str, params: list[Any]) -> bytes:
        """The JSON of a method's result."""
        match method:
            case "eth_chainId":
                return b'"0x1"'
            case "net_version":
                return b'"1"'
            case "eth_blockNumber":
                return json.dumps(hex(self.count - 1)).encode()
            case "eth_getBlockByNumber":
                number = self.count - 1 if params[0] in ("latest", "safe", "finalized") else int(params[0], 16)
                return self.block(number, params[1])
            case "eth_getBlockReceipts":
                return self.receipts(int(params[0], 16))
            case "eth_getLogs":
                asked = params[0]
                topics = asked.get("topics") or [None]
                topic = topics[0][0] if isinstance(topics[0], list) else topics[0]
                return self.logs(int(asked["fromBlock"], 16), int(asked["toBlock"], 16), topic)
        raise LookupError(method)


def serve(port: int, blocks: Blocks) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = [self._one(row) for row in (asked if isinstance(asked, list) else [asked])]
            body = b"[" + b",".join(rows) + b"]" if isinstance(asked, list) else rows[0]
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )

        def _one(self, row: dict[str, Any]) -> bytes:
            number = json.dumps(row.get("id")).encode()
            try:
                return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (
                    number,
                    blocks.result(row["method"], row.get("params") or []),
                )
            except LookupError:
                said = json.dumps({"code": -32601, "message": f"the method {row['method']} does not exist"}).encode()
                return b'{"jsonrpc":"2.0","id":%s,"error":%s}' % (number, said)

    class Server(ThreadingHTTPServer):
        request_queue_size = 256  # some readers open a connection for every request

    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    assert re.fullmatch(r"\d+ \d+ \d+", " ".join(sys.argv[1:])), __doc__
    serve(int(sys.argv[1]), Blocks(int(sys.argv[2]), int(sys.argv[3])))
