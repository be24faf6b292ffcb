"""What refusals of real nodes mean, and what the client does about each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from flows.clients.answers import Kind, classify
from flows.clients.json_rpc import JsonRpc, Request, RpcError
from flows.errors import MalformedAnswer, SourceUnavailable

WORDINGS = [
    (200, -32005, "query returned more than 10000 results", "limit"),
    (200, -32005, "daily request count exceeded, request rate limited", "passing"),
    (200, -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range", "limit"),
    (200, -32614, "eth_getLogs is limited to a 10,000 range", "limit"),
    (200, -32000, "exceed maximum block range: 50000", "limit"),
    (200, -32000, "requested too many blocks from 1 to 5000, maximum is set to 2048", "limit"),
    (200, -32602, "query exceeds max block range 100000", "limit"),
    (200, 35, "ranges over 10000 blocks are not supported on freetier", "limit"),
    (200, -32020, "backend response too large", "limit"),
    (200, -32600, "batch too large", "limit"),
    (500, None, "batch too large", "limit"),
    (413, None, "", "limit"),
    (200, -32014, "too many RPC calls in batch request", "limit"),
    (200, -32016, "over rate limit", "passing"),
    (200, -32011, "no backends available for method", "passing"),
    (200, 429, "Your app has exceeded its compute units per second capacity", "passing"),
    (503, None, "", "passing"), (504, None, "upstream", "passing"), (429, None, "slow down", "passing"),
    (200, 3, "execution reverted: too many requests", "refusal"), (200, -32601, "no such method", "refusal"),
    # Infura, Tenderly, Alchemy, cdk-erigon, erigon, Morph, reth, erpc, Ankr, Arbitrum, Astar, geth, graph-node
    (200, -32602, "range 1000000 exceeds limit of 10000", "limit"),
    (200, -32602, "invalid params: range 9009594 is bigger than range limit 2000", "limit"),
    (200, -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range.", "limit"),
    (200, -32005, "block range too large, max range: 1000", "limit"),
    (200, -32000, "query block range exceeds server limit, narrow your filter: 1000", "limit"),
    (200, -32000, "query returns too many logs, narrow your filter: 20000", "limit"),
    (200, -32000, "block range is larger than max block range, block range = 5120, max block range = 5000", "limit"),
    (200, -32602, "query exceeds max results 20000, retry with the range 24383075-24383096", "limit"),
    (200, -32012, "getLogs request exceeded max allowed range", "limit"),
    (200, -32012, "requested range too large", "limit"), (200, -32062, "Block range is too large", "limit"),
    (200, -32602, "query spans 268435456 blocks (1 to 268435456), but only 10000000 are allowed for this request; "
     "narrow the block range", "limit"),
    (200, -32603, "block range is too wide (maximum 1024)", "limit"),
    (200, -32614, "eth_getLogs is limited to a 2,000 range", "limit"),
    (200, -32602, "invalid block range", "refusal"), (200, -32000, "invalid block range params", "refusal"),
    (200, -32000, "execution aborted (timeout = 5s)", "passing"), (200, -32000, "context deadline exceeded", "passing"),
    (200, 0, "bad indexers: {0x17de: Unavailable(too far behind), 0x4f45: Timeout}", "passing"),
    (200, 0, "Exhausted list of indexers", "passing"), (200, 0, "auth error: missing authorization header", "refusal"),
    (200, 0, "Type `Query` has no field `reserves2`", "refusal"),
    (401, None, "who are you", "refusal"), (302, None, "", "refusal"), (200, None, "", "malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "reason", "kind"), WORDINGS)
def test_real_wordings_are_told_apart(status: int, code: int | None, reason: str, kind: str):
    assert classify(status, code, reason) is Kind(kind)


def node(httpserver: HTTPServer, answer: Callable[[list[dict]], Response | None]) -> JsonRpc:
    def handle(asked: Asked) -> Response:
        body = json.loads(asked.get_data())
        rows = body if isinstance(body, list) else [body]
        refusal = answer(rows)
        if refusal is not None:
            return refusal
        found = [{"jsonrpc": "2.0", "id": row["id"], "result": row["params"][0]} for row in rows]
        return Response(json.dumps(found if isinstance(body, list) else found[0]))

    httpserver.expect_request("/").respond_with_handler(handle)
    return JsonRpc(httpserver.url_for("/"), attempts=5, timeout=5.0, sleep=lambda seconds: None)


def error(reason: str, code: int = -32600, ident: int | None = None) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": ident, "error": {"code": code, "message": reason}})


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("refusal", [
    (200, f"[{error('batch too large')}]"), (200, f"[{error('batch too large', ident=0)}]"),
    (200, error("batch too large")), (500, error("batch too large")), (500, "batch too large"), (413, ""),
    (503, "<html>busy</html>"), (200, f"[{error('internal limits', -32000)}]"),
])  # fmt: skip
def test_a_refused_batch_is_halved_down_to_single_requests(httpserver: HTTPServer, refusal: tuple[int, str], most: int):
    status, text = refusal
    rpc = node(httpserver, lambda rows: Response(text, status) if len(rows) > most else None)
    wanted = [Request("eth_getCode", (n,)) for n in range(10)]
    assert rpc.batch(wanted) == list(range(10))


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_range_that_fails_is_asked_for_in_part(httpserver: HTTPServer, status: int):
    rpc = node(httpserver, lambda rows: Response("", status))
    with pytest.raises(RpcError, match="asked for less"):
        rpc.call("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x9"})
    assert len(httpserver.log) == 2
    with pytest.raises(SourceUnavailable, match="tried 5 times"):  # a single block cannot be made smaller
        rpc.call("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x1"})


@pytest.mark.parametrize("body", [b"", b'{"jsonrpc": "2.0", "id": 0, "resu', b"<html>gateway</html>", b"null"])
def test_a_body_that_is_no_answer_is_asked_for_again(httpserver: HTTPServer, body: bytes):
    bad = [body, body]
    rpc = node(httpserver, lambda rows: Response(bad.pop()) if bad else None)
    assert rpc.call("eth_getCode", "0x7") == "0x7"
    bad += [body] * 5
    with pytest.raises(MalformedAnswer, match="Tried 5 times"):
        rpc.call("eth_getCode", "0x7")


@pytest.mark.parametrize("how", ["503", "cut", "in time", "words"])
def test_many_calls_in_one_are_halved_where_the_node_fails_at_all_of_them(httpserver: HTTPServer, how: str):
    """Through Multicall3 a chunk of calls is one request, which only its reader can make smaller."""
    from eth_abi import decode, encode

    from flows.clients import abis
    from flows.clients.block_reader import Block, BlockReader, Call

    sizes = []

    def handle(asked: Asked) -> Response:
        body = json.loads(asked.get_data())
        if body["method"] == "eth_getCode":
            return Response(json.dumps({"jsonrpc": "2.0", "id": 0, "result": "0x60"}))
        (calls,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(body["params"][0]["data"][10:]))
        sizes.append(len(calls))
        result = "0x" + encode(["(bool,bytes)[]"], [[(True, encode(["uint256"], [7]))] * len(calls)]).hex()
        whole = json.dumps({"jsonrpc": "2.0", "id": 0, "result": result})
        if len(calls) > 3 and how == "503":
            return Response("", 503)
        if len(calls) > 3 and how == "cut":
            return Response(whole[: len(whole) // 2])
        if len(calls) > 3 and how == "words":
            return Response(error("execution aborted (timeout = 5s)", -32000, 0))
        if len(calls) > 3:
            time.sleep(0.5)
        return Response(whole)

    httpserver.expect_request("/").respond_with_handler(handle)
    rpc = JsonRpc(httpserver.url_for("/"), attempts=5, timeout=0.2 if how == "in time" else 5.0, sleep=lambda s: None)
    reader = BlockReader(rpc, Block(1, "0x", 1), concurrency=1)
    to = "0x" + "11" * 20
    assert reader.read([Call(to, abis.SCALED_TOTAL_SUPPLY) for _ in range(10)]) == [7] * 10
    assert sizes[:2] == [10, 10]
    assert max(sizes[4:]) <= 5
    sizes.clear()
    assert reader.read([Call(to, abis.SCALED_TOTAL_SUPPLY) for _ in range(3)]) == [7] * 3


def test_one_ladder_narrows_waits_and_gives_up_with_the_nodes_own_words():
    from flows.clients.log_ranges import RangeSize, log_ranges

    class Node:
        rested: list[float] = []  # noqa: RUF012

        def rest(self, seconds: float) -> None:
            self.rested.append(seconds)

        def __str__(self) -> str:
            return "the node"

    def refusing(reason: str, code: int, least: int, times: int = 1_000) -> Callable[[int, int], list[dict]]:
        left = [times]

        def get(first: int, last: int) -> list[dict]:
            if last - first + 1 >= least and left[0]:
                left[0] -= 1
                raise RpcError(reason, code, reason)
            return [{"at": n} for n in range(first, last + 1)]

        return get

    def blocks(get: Callable[[int, int], list[dict]]) -> list[int]:
        return [log["at"] for _, _, logs in log_ranges(Node(), get, 5, 24, RangeSize(20)) for log in logs]

    assert blocks(refusing("block range is too wide", -32603, 4)) == list(range(5, 25))
    assert Node.rested == []
    assert blocks(refusing("over rate limit", -32016, 1, times=2)) == list(range(5, 25))
    assert Node.rested == [0.5]  # the same range once more, then a shorter one
    with pytest.raises(RpcError, match=r"the node refuses the logs of the single block 5: no such wording"):
        blocks(refusing("no such wording", -1, 1))
    with pytest.raises(SourceUnavailable, match=r"block 5 for its load \(over rate limit\); tried 5 times"):
        blocks(refusing("over rate limit", -32016, 1))
    with pytest.raises(RpcError, match="refuses the logs of the single block 5: limit exceeded"):
        blocks(refusing("limit exceeded", -32005, 1))  # waited for and narrowed; the words say neither
    with pytest.raises(RpcError, match="does not give logs: not here"):
        blocks(refusing("not here", -32601, 1))


def test_what_a_node_says_behind_its_message_counts(httpserver: HTTPServer):
    behind = {"payload": "range 9009594 is bigger than range limit 2000"}
    said = {"code": -32602, "message": "invalid params", "data": behind}
    rpc = node(httpserver, lambda rows: Response(json.dumps({"jsonrpc": "2.0", "id": 0, "error": said})))
    with pytest.raises(RpcError, match="invalid params: range 9009594 is bigger") as refusal:
        rpc.call("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x9"})
    assert refusal.value.is_limit
