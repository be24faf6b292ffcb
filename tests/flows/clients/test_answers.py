"""What refusals of real nodes mean, and what the client does about each."""

from __future__ import annotations

import json
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
