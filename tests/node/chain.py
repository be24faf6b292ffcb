"""An anvil process on loopback, its JSON-RPC, and blocks mined when the test says so."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.node import toolchain
from tests.node.artifacts import contract, error_name

GENESIS = 1_760_000_000
"""Time of block 0; fixed, so that one seed gives one chain."""


class Reverted(RuntimeError):
    """A call or transaction was refused by the contract; the text is the name of its error."""


class Chain:
    """JSON-RPC of a running anvil. Transactions queue until `mine`, all into one block, in the order of sending."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._http.connect()
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._nonces: dict[str, int] = {}
        self._queued = 0
        self.admin: str = self.rpc("eth_accounts")[0].lower()

    def rpc(self, method: str, *params: object) -> Any:
        """One JSON-RPC call. Raises `Reverted` for a contract's refusal and `RuntimeError` for any other error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._http.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._http.getresponse().read())
        if "error" not in answer:
            return answer["result"]
        error = answer["error"]
        if "data" in error or "revert" in error.get("message", ""):
            raise Reverted(error_name(error.get("data")))
        raise RuntimeError(f"{method}: {error.get('message')}")

    @property
    def block(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    @property
    def now(self) -> int:
        """Time of the last block; calls see it too."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def call(self, to: str, name: str, function: str, *args: object, sender: str | None = None) -> Any:
        """Ask contract `name` at address `to`, at the last block. Raises `Reverted`."""
        code = contract(name)
        request = {"to": to, "data": code.encode(function, *args)} | ({"from": sender} if sender else {})
        return code.decode(function, self.rpc("eth_call", request, "latest"))

    def send(self, sender: str, to: str | None, data: str, gas: int = 4_000_000) -> str:
        """Queue a transaction of any sender (the node signs for all); returns its hash."""
        if sender not in self._nonces:
            self._nonces[sender] = int(self.rpc("eth_getTransactionCount", sender, "latest"), 16)
        tx = {"from": sender, "data": data, "gas": hex(gas), "gasPrice": "0x0", "nonce": hex(self._nonces[sender])}
        self._nonces[sender] += 1
        self._queued += 1
        return self.rpc("eth_sendTransaction", tx | ({"to": to} if to else {}))

    def do(self, to: str, name: str, function: str, *args: object, gas: int = 4_000_000) -> str:
        """Queue a call of contract `name` by the administrator."""
        return self.send(self.admin, to, contract(name).encode(function, *args), gas)

    def mine(self, seconds: int = 12, must_succeed: bool = True) -> list[dict[str, Any]]:
        """Mine the queue into one block, `seconds` after the last (0 is allowed); returns the receipts in order."""
        self.rpc("evm_setNextBlockTimestamp", hex(self.now + seconds))
        self.rpc("evm_mine")
        receipts = self.rpc("eth_getBlockReceipts", "latest")
        if len(receipts) != self._queued:
            raise RuntimeError(f"{self._queued} transactions sent, {len(receipts)} mined")
        self._queued = 0
        for receipt in receipts:
            if must_succeed and receipt["status"] != "0x1":
                raise Reverted(self.reason(receipt))
        return receipts

    def reason(self, receipt: dict[str, Any]) -> str:
        """Why a mined transaction failed: it is asked again, since receipts carry no reason."""
        tx = self.rpc("eth_getTransactionByHash", receipt["transactionHash"])
        try:
            self.rpc("eth_call", {k: tx[k] for k in ("from", "to", "input")}, "latest")
        except Reverted as refusal:
            return str(refusal)
        return "(succeeds when repeated)"

    def create(self, name: str, *args: object, libraries: dict[str, str] | None = None) -> str:
        """Deploy a contract in a block of its own; returns its address in lower case."""
        self.send(self.admin, None, contract(name).creation(*args, libraries=libraries), gas=15_000_000)
        return self.mine(seconds=1)[-1]["contractAddress"].lower()

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Everything inside the block of code is forgotten at its end: blocks, storage, prices."""
        mark, nonces = self.rpc("evm_snapshot"), dict(self._nonces)
        try:
            yield
        finally:
            self.rpc("evm_revert", mark)
            self._nonces, self._queued = nonces, 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def anvil(port: int | None = None, chain_id: int = 31337) -> Iterator[Chain]:
    """A fresh node on a loopback port; it is ended, by its process id, when the block of code is left."""
    port = port or free_port()
    flags = {
        "host": "127.0.0.1", "port": port, "chain-id": chain_id, "timestamp": GENESIS, "accounts": 2, "order": "fifo",
        "hardfork": "prague",
        # Senders need no ether, and whole populations fit into one block.
        "gas-limit": 30_000_000_000, "gas-price": 0, "block-base-fee-per-gas": 0,
    }  # fmt: skip
    switches = [
        "auto-impersonate",
        "no-mining",
        "disable-min-priority-fee",
        "disable-pool-balance-checks",
        "quiet",
        "no-request-size-limit",
    ]
    command = [str(toolchain.anvil()), *(f"--{s}" for s in switches)]
    for name, value in flags.items():
        command += [f"--{name}", str(value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _connected(process, port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _connected(process: subprocess.Popen[bytes], port: int) -> Chain:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"anvil ended at once with code {process.returncode}; is port {port} taken?")
        try:
            return Chain(port)
        except OSError:
            time.sleep(0.025)
    raise RuntimeError(f"anvil does not answer on port {port}")
