"""A node on loopback that answers like the one a truth file was recorded from, and misbehaves on request.

Everything it says comes from recorded numbers (`tests/fixtures/truth/truth_small*.json.xz`), encoded here by eth_abi
alone, so that the encoding under test is not its own witness. Its newest block is the recording's time of evaluation.
"""

from __future__ import annotations

import json
import lzma
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eth_abi import decode, encode
from eth_utils import keccak

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "truth"
CHAIN_ID = 31337
RESERVE_DATA = "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,uint128)"  # noqa: E501
MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
NOBODY = "0x" + "00" * 20
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()


@cache
def truth(name: str = "truth_small") -> dict[str, Any]:
    with lzma.open(FIXTURES / f"{name}.json.xz", "rt") as file:
        return json.load(file)


class Refused(Exception):
    """Answer a request with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})


REVERT = Refused(3, "execution reverted", "0x")
Answers = dict[tuple[str, str], bytes]


def call_data(signature: str, *args: str | int) -> str:
    types = signature[signature.index("(") + 1 : -1]
    kinds = types.split(",") if types else []
    return "0x" + (keccak(text=signature)[:4] + encode(kinds, args)).hex()


def word(value: int) -> bytes:
    return encode(["uint256"], [value])


def configuration_word(r: dict[str, Any]) -> int:
    """The packed word of `ReserveConfiguration.sol` from the fields of a recorded reserve."""
    fields = [
        (0, r["baseLTVasCollateral"]), (16, r["reserveLiquidationThreshold"]), (32, r["reserveLiquidationBonus"]),
        (48, r["decimals"]), (56, r["isActive"]), (57, r["isFrozen"]), (58, r["borrowingEnabled"]),
        (60, r["isPaused"]), (63, r["flashLoanEnabled"]), (64, r["reserveFactor"]), (80, r["borrowCap"]),
        (116, r["supplyCap"]), (152, r["liquidationProtocolFee"]), (212, r["debtCeiling"]),
    ]  # fmt: skip
    return sum(int(value) << bit for bit, value in fields)


class FakeNode:
    """Recorded answers by (address, call data); change `answers` and the attributes below to make it misbehave."""

    def __init__(self, revision: int = 10) -> None:
        self.recorded = truth()
        meta, addresses = self.recorded["meta"], self.recorded["meta"]["addresses"]
        self.provider, self.pool, self.oracle, self.data_provider, self.strategy = (
            addresses[name].lower() for name in ("provider", "pool", "oracle", "data_provider", "rate_strategy")
        )
        self.tip, self.time = meta["tip_block"], meta["t_eval"]
        self.revision = revision
        self.max_log_range = 10**9
        self.max_batch = 10**9
        self.max_aggregated = 0
        """Calls that fit into one aggregate3; 0: there is no Multicall3."""
        self.hash_salt = 0
        self.chain_id = CHAIN_ID
        self.before: Callable[[str, list[Any]], None] = lambda method, params: None
        """Called before each request; may raise `Refused`, or change this node."""
        self.http_answers: list[tuple[int, bytes]] = []
        """(status, body) to give out first, one for each HTTP request, instead of an answer."""
        self.asked: Counter[str] = Counter()
        self.blocks_read: set[str] = set()
        self.log_ranges: list[tuple[int, int]] = []
        self.logs = self._logs()
        self.answers = self._answers()

    def say(self, to: str, signature: str, *args: str | int, answer: bytes | None) -> None:
        """From now on `answer` this call so; None reverts."""
        key = (to.lower(), call_data(signature, *args))
        if answer is None:
            self.answers.pop(key, None)
        else:
            self.answers[key] = answer

    def reserve(self, symbol: str) -> dict[str, Any]:
        return next(r for r in self.recorded["reserves"] if r["symbol"] == symbol)

    # What the recording holds

    def _answers(self) -> Answers:
        answers: Answers = {}
        self.answers = answers
        address = lambda value: encode(["address"], [value])  # noqa: E731
        self.say(self.provider, "getPool()", answer=address(self.pool))
        self.say(self.provider, "getPriceOracle()", answer=address(self.oracle))
        self.say(self.provider, "getPoolDataProvider()", answer=address(self.data_provider))
        self.say(self.pool, "POOL_REVISION()", answer=word(self.revision))
        self.say(self.pool, "RESERVE_INTEREST_RATE_STRATEGY()", answer=address(self.strategy))
        self.say(self.oracle, "BASE_CURRENCY_UNIT()", answer=word(10**8))
        assets = [r["underlyingAsset"] for r in self.recorded["reserves"]]
        self.say(self.pool, "getReservesList()", answer=encode(["address[]"], [assets]))
        for r in self.recorded["reserves"]:
            self._say_reserve(r)
        by_id = {e["id"]: e for e in self.recorded["emodes"]}
        for i in range(1, 256):
            self.say_emode(i, by_id.get(i))
        for user, row in zip(self.recorded["users"], self.recorded["accounts"]["base"], strict=True):
            self._say_user(user, row)
        return answers

    def _say_reserve(self, r: dict[str, Any]) -> None:
        asset, at = r["underlyingAsset"], "(address)"
        values = (
            configuration_word(r), *(int(r[k]) for k in ("liquidityIndex", "liquidityRate", "variableBorrowIndex",
            "variableBorrowRate")), 0, int(r["lastUpdateTimestamp"]), r["id"], r["aTokenAddress"], NOBODY,
            r["variableDebtTokenAddress"], self.strategy, int(r["accruedToTreasury"]), 0, 0,
        )  # fmt: skip
        self.say(self.pool, f"getReserveData{at}", asset, answer=encode([RESERVE_DATA], [values]))
        self.say(self.pool, f"getLiquidationGracePeriod{at}", asset, answer=word(0))
        self.say(self.pool, f"getReserveDeficit{at}", asset, answer=word(int(r["deficit"])))
        self.say(self.pool, f"getVirtualUnderlyingBalance{at}", asset, answer=word(int(r["virtualUnderlyingBalance"])))
        self.say(self.pool, f"getReserveNormalizedIncome{at}", asset, answer=word(int(r["normalizedIncome_eval"])))
        self.say(
            self.pool,
            f"getReserveNormalizedVariableDebt{at}",
            asset,
            answer=word(int(r["normalizedVariableDebt_eval"])),
        )
        self.say(self.oracle, f"getAssetPrice{at}", asset, answer=word(int(r["priceInMarketReferenceCurrency"])))
        self.say(self.oracle, f"getSourceOfAsset{at}", asset, answer=encode(["address"], [r["priceOracle"]]))
        self.say(r["priceOracle"], "description()", answer=encode(["string"], [f"{r['symbol']} / USD"]))
        names = ("optimalUsageRatio", "baseVariableBorrowRate", "variableRateSlope1", "variableRateSlope2")
        curve = [int(r[name]) for name in names]
        self.say(self.strategy, f"getInterestRateData{at}", asset, answer=encode(["uint256"] * 4, curve))
        self.say(asset, "symbol()", answer=encode(["string"], [r["symbol"]]))
        self.say(r["aTokenAddress"], "scaledTotalSupply()", answer=word(int(r["scaledATokenSupply"])))
        self.say(r["variableDebtTokenAddress"], "scaledTotalSupply()", answer=word(int(r["totalScaledVariableDebt"])))

    def say_emode(self, number: int, e: dict[str, Any] | None) -> None:
        terms = [e["ltv"], e["liquidationThreshold"], e["liquidationBonus"]] if e else [0, 0, 0]
        # before v3.6 no category has an ltvzero bitmap
        bitmaps = [e.get(k, 0) for k in ("collateralBitmap", "borrowableBitmap", "ltvzeroBitmap")] if e else [0, 0, 0]
        self.say(self.pool, "getEModeCategoryCollateralConfig(uint8)", number, answer=encode(["uint256"] * 3, terms))
        for name, bitmap in zip(("Collateral", "Borrowable", "Ltvzero"), bitmaps, strict=True):
            self.say(self.pool, f"getEModeCategory{name}Bitmap(uint8)", number, answer=word(int(bitmap)))
        self.say(
            self.pool, "getEModeCategoryLabel(uint8)", number, answer=encode(["string"], [e["label"] if e else ""])
        )
        if self.revision >= 11:
            self.say(self.pool, "getIsEModeCategoryIsolated(uint8)", number, answer=word(int(number == 1)))

    def _say_user(self, user: dict[str, Any], row: list[str]) -> None:
        address = user["address"]
        self.say(self.pool, "getUserConfiguration(address)", address, answer=word(int(user["config"], 16)))
        self.say(self.pool, "getUserEMode(address)", address, answer=word(user["emode"]))
        self.say(
            self.pool, "getUserAccountData(address)", address, answer=encode(["uint256"] * 6, [int(v) for v in row])
        )
        held = {p[0]: p for p in user["pos"]}
        for r in self.recorded["reserves"]:
            _, supply, _, debt, _ = held.get(r["id"], (0,) * 5)
            for token, scaled in ((r["aTokenAddress"], supply), (r["variableDebtTokenAddress"], debt)):
                self.say(token, "scaledBalanceOf(address)", address, answer=word(int(scaled)))

    def _logs(self) -> list[dict[str, Any]]:
        """The recorded events, and the mints that the recording leaves out, one for each balance."""
        logs = [
            {k: log[k] for k in ("address", "blockNumber", "topics", "data")}
            for log in truth("truth_small_ingest")["logs"]
        ]
        by_id = {r["id"]: r for r in self.recorded["reserves"]}
        for i, user in enumerate(self.recorded["users"]):
            for reserve_id, supply, _, debt, _ in user["pos"]:
                sides = (("aTokenAddress", supply), ("variableDebtTokenAddress", debt))
                for token in (by_id[reserve_id][name] for name, scaled in sides if int(scaled)):
                    topics = [TRANSFER, "0x" + "00" * 32, "0x" + user["address"][2:].lower().zfill(64)]
                    logs.append(
                        {"address": token, "blockNumber": hex(4 + i % (self.tip - 4)), "topics": topics, "data": "0x"}
                    )
        return sorted(logs, key=lambda log: int(log["blockNumber"], 16))

    # JSON-RPC

    def answer(self, method: str, params: list[Any]) -> Any:
        self.asked[method] += 1
        self.before(method, params)
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.tip)
            case "eth_getBlockByNumber":
                return self._block(params[0])
            case "eth_getCode":
                known = {self.provider, self.pool} | ({MULTICALL3} if self.max_aggregated else set())
                return "0x60" if params[0].lower() in known else "0x"
            case "eth_call":
                self.blocks_read.add(params[1])
                to, data = params[0]["to"].lower(), params[0]["data"]
                raw = self._aggregate(data) if to == MULTICALL3 else self.answers.get((to, data))
                if raw is None:
                    raise REVERT
                return "0x" + raw.hex()
            case "eth_getLogs":
                return self._get_logs(params[0])
        raise Refused(-32601, f"the method {method} does not exist")

    def _aggregate(self, data: str) -> bytes:
        (calls,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(data[10:]))
        if len(calls) > self.max_aggregated:
            raise Refused(-32000, "out of gas")
        raw = [self.answers.get((to.lower(), "0x" + call.hex())) for to, _, call in calls]
        return encode(["(bool,bytes)[]"], [[(answer is not None, answer or b"") for answer in raw]])

    def _block(self, which: str) -> dict[str, Any] | None:
        number = self.tip if which in ("latest", "safe", "finalized") else int(which, 16)
        if number > self.tip:
            return None
        time = self.time - 12 * (self.tip - number)
        digest = keccak(text=f"{number} {self.hash_salt}").hex()
        return {"number": hex(number), "hash": f"0x{digest}", "timestamp": hex(time)}

    def _get_logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        if last - first + 1 > self.max_log_range:
            raise Refused(-32005, f"query exceeds max block range {self.max_log_range}")
        self.log_ranges.append((first, last))
        addresses, topics = {a.lower() for a in wanted["address"]}, set(wanted["topics"][0])
        return [
            log
            for log in self.logs
            if first <= int(log["blockNumber"], 16) <= last
            and log["address"].lower() in addresses
            and log["topics"][0] in topics
        ]


@contextmanager
def serving(node: FakeNode) -> Iterator[str]:
    """The node's URL on a free loopback port, with something like a key in its path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet; two would wait for each other's acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if node.http_answers:
                self._send(*node.http_answers.pop(0))
                return
            if isinstance(body, list) and len(body) > node.max_batch:
                error = {"code": -32600, "message": f"batch size too large, at most {node.max_batch}"}
                self._send(200, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode())
                return
            rows = [self._row(request) for request in (body if isinstance(body, list) else [body])]
            rows.reverse()  # the order of a batch's answers is free
            self._send(200, json.dumps(rows if isinstance(body, list) else rows[0]).encode())

        def _row(self, request: dict[str, Any]) -> dict[str, Any]:
            head = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                return head | {"result": node.answer(request["method"], request["params"])}
            except Refused as refusal:
                return head | {"error": refusal.error}

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if body[:1] in b"[{" else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v3/SECRETKEY"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
