"""web3's contract objects over the project's own transport."""

from __future__ import annotations

import json

import pytest
from eth_abi import encode
from eth_utils import to_checksum_address
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from flows.clients import abis
from flows.clients.block_reader import Block, BlockReader, Call
from flows.clients.json_rpc import JsonRpc, RpcError
from flows.clients.web3_provider import web3_of
from flows.errors import MalformedAnswer, SourceRefused
from tests.flows.clients.encoding_times import encoded

POOL = "0x" + "ab" * 20
ASSETS = ["0x" + "0c" * 20, "0x" + "d1" * 20]


class Loopback:
    """A node with one contract, whose answer is `say`; the first `away` requests of a call get HTTP 503."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.say: dict = {"result": "0x"}
        self.away = 0
        self.asked: list[dict] = []
        httpserver.expect_request("/").respond_with_handler(self._answer)
        self.rpc = JsonRpc(httpserver.url_for("/"), attempts=5, timeout=5.0, sleep=lambda seconds: None)

    def _answer(self, request: Asked) -> Response:
        body = json.loads(request.get_data())
        rows = body if isinstance(body, list) else [body]
        self.asked += rows
        if rows[0]["method"] == "eth_call" and self.away:
            self.away -= 1
            return Response("", 503)
        found = [{"jsonrpc": "2.0", "id": row["id"]} | self._said(row["method"]) for row in rows]
        return Response(json.dumps(found if isinstance(body, list) else found[0]))

    def _said(self, method: str) -> dict:
        return self.say if method == "eth_call" else {"result": "0x1" if method == "eth_blockNumber" else "0x"}

    def reader(self) -> BlockReader:
        return BlockReader(self.rpc, Block(7, "0x" + "00" * 32, 0))


@pytest.fixture
def loopback(httpserver: HTTPServer) -> Loopback:
    return Loopback(httpserver)


def test_a_single_read_goes_through_a_contract_object_with_the_patience_of_the_transport(loopback: Loopback):
    loopback.say = {"result": "0x" + encode(["address[]"], [ASSETS]).hex()}
    loopback.away = 2
    assert loopback.reader().one(Call(POOL, abis.GET_RESERVES_LIST)) == ASSETS

    call = loopback.asked[-1]
    assert call["params"][0]["data"] == abis.GET_RESERVES_LIST.selector
    assert call["params"][0]["to"].lower() == POOL
    assert call["params"][1] == "0x7"
    assert [row["method"] for row in loopback.asked] == ["eth_call", "eth_call", "eth_call"]


def test_addresses_are_given_and_taken_in_lower_case(loopback: Loopback):
    loopback.say = {"result": "0x" + encode(["address"], [ASSETS[1]]).hex()}
    assert loopback.reader().one(Call(POOL, abis.GET_SOURCE_OF_ASSET, (ASSETS[0],))) == ASSETS[1]
    assert loopback.asked[-1]["params"][0]["data"].endswith(ASSETS[0][2:])


@pytest.mark.parametrize(
    ("say", "error", "words"),
    [
        ({"result": "0x"}, MalformedAnswer, r"getPool of the provider .* block 7"),
        ({"result": "0x" + "ff" * 32}, MalformedAnswer, r"getPool of the provider .* block 7"),
        ({"result": 5}, MalformedAnswer, r"getPool of the provider"),
        ({"error": {"code": 3, "message": "execution reverted"}}, MalformedAnswer, "is refused at block 7"),
        ({"error": {"code": -32000, "message": "missing trie node"}}, SourceRefused, "use a newer block or an archive"),
    ],
)
def test_what_a_contract_or_node_refuses_is_said_in_the_same_words_as_in_bulk(loopback: Loopback, say, error, words):
    loopback.say = say
    call = Call(POOL, abis.GET_POOL, about="the provider")
    with pytest.raises(error, match=words):
        loopback.reader().one(call)
    with pytest.raises(error, match="getPool of the provider" if error is MalformedAnswer else words):
        loopback.reader().read([call])


def test_web3_itself_speaks_through_the_transport_single_and_in_batches(loopback: Loopback):
    loopback.say = {"error": {"code": -32601, "message": "no such method"}}
    web3 = web3_of(loopback.rpc)
    assert web3.eth.block_number == 1
    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_code(to_checksum_address(POOL)))
        batch.add(web3.eth.get_code(to_checksum_address(ASSETS[0])))
        assert batch.execute() == [b"", b""]
    with pytest.raises(RpcError, match="no such method"):
        web3.eth.call({"to": to_checksum_address(POOL), "data": "0x"})


def test_both_encoders_write_the_same_call_data():
    by_hand, by_web3, _, _ = encoded(50)
    assert by_hand == by_web3
