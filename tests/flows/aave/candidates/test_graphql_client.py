"""The GraphQL client against the loopback gateway: pages, refusals, and a key that is never said.

Client and gateway were written from the same fact sheet, so these tests prove our logic, not the live service's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.clients.graphql import SchemaDrift, SubgraphBehind
from flows.clients.graphql import Subgraph as Client
from flows.errors import ConfigurationError, FlowError, MalformedAnswer, SourceRefused, SourceUnavailable
from tests.flows.aave.candidates.conftest import PLANTED
from tests.flows.aave.candidates.schemas import AAVE_V3
from tests.flows.aave.candidates.server import Book, Gateway, Subgraph

HTML = b"<html>busy</html>"


def users(n: int) -> Book:
    book = Book()
    for i in range(n):
        book.put("User", {"id": f"0x{i:040x}", "borrowedReservesCount": i % 4})
    return book


@pytest.fixture
def gateway(gateway_of: Callable[[dict[str, Subgraph]], Gateway]) -> Gateway:
    return gateway_of({"S": Subgraph(AAVE_V3, users(2_500), head=100, head_time=1_700_000_000)})


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client.from_environment("S") as made:
        yield made


def ids(client: Client, block: int | None = 100, **how: object) -> list[str]:
    return [row["id"] for page in client.pages("users", "id", block=block, **how) for row in page.rows]


def queries_of_pages(gateway: Gateway) -> int:
    return sum("query Page" in request["query"] for request in gateway.requests)


@pytest.mark.parametrize("n", [0, 1, 999, 1000, 1001, 2000, 2001])
def test_every_row_arrives_once_also_where_the_last_page_is_full(n: int, gateway: Gateway, client: Client):
    gateway.subgraphs["S"] = Subgraph(AAVE_V3, users(n), head=100)

    assert ids(client) == [f"0x{i:040x}" for i in range(n)]
    assert queries_of_pages(gateway) == -(-n // 1000) + 1


def test_a_server_with_smaller_pages_than_asked_loses_no_row(gateway: Gateway, client: Client):
    def shorter(request: dict, answer: dict) -> dict:
        answer["data"]["users"] = answer["data"]["users"][:400]
        return answer

    gateway.alter = shorter

    assert len(ids(client)) == 2_500


def test_pages_go_on_after_an_id_and_keep_to_a_condition(client: Client):
    assert ids(client, after=f"0x{2_400:040x}") == [f"0x{i:040x}" for i in range(2_401, 2_500)]
    assert ids(client, where={"borrowedReservesCount_gt": 2, "id_lt": f"0x{8:040x}"}) == [f"0x{i:040x}" for i in (3, 7)]


def test_rows_of_an_old_block_stay_those_of_that_block_while_the_subgraph_moves_on(gateway: Gateway, client: Client):
    subgraph, moved = gateway.subgraphs["S"], []

    def move_on(request: dict) -> None:
        subgraph.head += 1
        subgraph.book.put(
            "User", {"id": f"0x{10**6 + subgraph.head:040x}", "borrowedReservesCount": 0}, block=subgraph.head
        )
        moved.append(subgraph.head)

    gateway.answer_instead = move_on

    assert len(ids(client, block=100)) == 2_500
    assert len(moved) == 4


def test_the_head_is_what_the_subgraph_says(client: Client):
    assert (client.head().block, client.head().time) == (100, 1_700_000_000)


def test_a_block_beyond_the_head_says_how_far_the_subgraph_is(client: Client):
    with pytest.raises(SubgraphBehind, match="only indexed up to block number 100") as refusal:
        ids(client, block=101)
    assert refusal.value.head == 100


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("bad indexers: {0xa: Unavailable(missing block: 101, latest: 100)}", SubgraphBehind, "Ask for an older block"),
        ("bad indexers: {0xa: Unavailable(missing block: 50, latest: 100)}", SourceRefused, "no longer keep block 50"),
        ("bad indexers: {0xa: Unavailable(missing block: 101, latest: 99), 0xb: Unavailable(missing block: 101, "
         "latest: 7)}", SubgraphBehind, "Ask for an older block"),
        ("bad indexers: {0xa: Unavailable(missing block: 50, latest: 9), 0xb: Unavailable(missing block: 50, "
         "latest: 100)}", SourceRefused, "Asking again will not help"),
    ],
)  # fmt: skip
def test_a_missing_block_is_ahead_of_every_indexer_or_pruned_by_one(gateway, client, said, error, words):
    gateway.alter = lambda request, answer: {"errors": [{"message": said}]}

    with pytest.raises(error, match=words) as refusal:
        ids(client, block=50)
    if error is SubgraphBehind:
        assert refusal.value.head == max(int(latest) for latest in re.findall(r"latest: (\d+)", said))


def test_an_indexer_that_is_behind_the_one_asked_before_is_noticed(gateway: Gateway, client: Client):
    def behind(request: dict, answer: dict) -> dict:
        if request["variables"].get("last"):
            answer["data"]["_meta"]["block"]["number"] = 97
        return answer

    gateway.alter = behind

    with pytest.raises(SubgraphBehind, match="has come to 97 only"):
        ids(client, block=100)


def test_indexing_errors_are_never_passed_over(gateway: Gateway, client: Client):
    gateway.subgraphs["S"].has_indexing_errors = True
    with pytest.raises(SourceRefused, match="indexing_error"):
        client.head()

    gateway.subgraphs["S"].has_indexing_errors = False
    meta = {"block": {"number": 100, "timestamp": None}, "hasIndexingErrors": True}
    gateway.alter = lambda request, answer: {"data": answer["data"] | {"_meta": meta}}
    with pytest.raises(SourceRefused, match="hasIndexingErrors"):
        client.head()


def test_a_renamed_field_is_named(gateway: Gateway, client: Client):
    subgraph = gateway.subgraphs["S"]
    subgraph.entities = {**AAVE_V3, "User": {"id": "ID!", "openReservesCount": "Int!"}}
    subgraph.rebuild()

    with pytest.raises(SchemaDrift, match="borrowedReservesCount"):
        list(client.pages("users", "id borrowedReservesCount", block=100))


def test_data_beside_errors_is_not_used(gateway: Gateway, client: Client):
    gateway.alter = lambda request, answer: answer | {"errors": [{"message": "Null value resolved for non-null field"}]}

    with pytest.raises(SourceRefused, match="non-null field"):
        ids(client)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: [rows[0], *rows[:-1]], "twice"),
        (lambda rows: rows[::-1], "out of order"),
        (lambda rows: [*rows, {"id": "0x~"}], "at most 1000"),
        (lambda rows: [None, *rows[1:]], "with an id"),
        (lambda rows: [{"id": None}], "with an id"),
        (lambda rows: None, "a list of users"),
        (lambda rows: [{"id": 7}], "with an id"),
    ],
)
def test_pages_that_are_not_what_was_asked_for(gateway: Gateway, client: Client, spoil: Callable, said: str):
    def spoiled(request: dict, answer: dict) -> dict:
        return {"data": answer["data"] | {"users": spoil(answer["data"]["users"])}}

    gateway.alter = spoiled

    with pytest.raises(MalformedAnswer, match=said):
        ids(client)


def test_a_page_that_comes_again_is_refused(gateway: Gateway, client: Client):
    pages: list[dict] = []

    def again(request: dict, answer: dict) -> dict:
        pages.append(answer)
        return pages[0]

    gateway.alter = again

    with pytest.raises(MalformedAnswer, match="out of order"):
        ids(client)


@pytest.mark.parametrize(
    "meta", [None, {}, {"block": {"number": "100"}, "hasIndexingErrors": False}, {"block": {"number": 100}}]
)
def test_a_meta_of_the_wrong_shape(gateway: Gateway, client: Client, meta: object):
    gateway.alter = lambda request, answer: {"data": answer["data"] | {"_meta": meta}}

    with pytest.raises(MalformedAnswer, match="_meta"):
        client.head()


def test_a_storm_of_refusals_passes(gateway: Gateway, client: Client, no_waiting: list[float]):
    storm = [
        (429, b"slow down", {"Retry-After": "7"}),
        (503, HTML, {}),
        (200, b'{"data": null, "errors": [{"message": "bad indexers: {0xab: Unavailable(no status)}"}]}', {}),
        (500, b'{"data": {"users": []}}', {}),
        (502, HTML, {}),
    ]
    gateway.answer_instead = lambda request: storm.pop(0) if storm else None

    assert len(ids(client)) == 2_500
    assert no_waiting[0] == 7.0


@pytest.mark.parametrize("words", ["bad indexers: {0xab: Timeout}", "Query timed out", "response too large"])
def test_a_page_that_is_too_much_is_asked_for_in_part(
    gateway: Gateway, client: Client, no_waiting: list[float], words: str
):
    def refuse(request: dict) -> tuple | None:
        rows = int(re.search(r"first: (\d+)", str(request["query"])).group(1))
        body = json.dumps({"errors": [{"message": words}]}).encode()
        return (200, body, {}) if rows > 300 else None

    gateway.answer_instead = refuse

    assert len(ids(client)) == 2_500


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((503, HTML, {}), SourceUnavailable, "HTTP 503 to _meta; tried 5 times"),
        ((200, b'{"errors": [{"message": "bad indexers: {}"}]}', {}), SourceUnavailable, "bad indexers"),
        ((200, HTML, {}), MalformedAnswer, "not JSON"),
        ((200, b"[]", {}), MalformedAnswer, "not GraphQL"),
        ((200, b'{"data": {"_me', {}), MalformedAnswer, "not JSON"),
        ((200, b'{"data": null}', {}), MalformedAnswer, "neither data nor errors"),
        ((401, b"no", {}), ConfigurationError, "GRAPH_API_KEY"),
        ((405, b"POST only", {}), SourceRefused, "HTTP 405"),
        ((429, b"", {"Retry-After": "4000"}), SourceUnavailable, "asks to wait 4,000 s"),
    ],
)
def test_answers_that_end_the_run(gateway: Gateway, client: Client, answer: tuple, error: type, said: str):
    gateway.answer_instead = lambda request: answer

    with pytest.raises(error, match=said):
        client.head()


def test_a_missing_key_is_asked_for_before_anything_is_sent(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRAPH_API_KEY")
    with pytest.raises(ConfigurationError, match="set GRAPH_API_KEY"):
        Client.from_environment("S").head()

    monkeypatch.delenv("GRAPH_URL")
    with pytest.raises(ConfigurationError, match="GRAPH_API_KEY is not set"):
        Client.from_environment("S")


def test_the_key_may_be_a_file(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = tmp_path / "key"
    path.write_text(f"{PLANTED}\n", encoding="utf-8")
    monkeypatch.delenv("GRAPH_API_KEY")
    monkeypatch.setenv("GRAPH_API_KEY_FILE", str(path))

    assert Client.from_environment("S").head().block == 100


@pytest.mark.parametrize(
    "echo",
    [
        (200, f'{{"errors": [{{"message": "auth error: API key {PLANTED} not found"}}]}}'.encode(), {}),
        (400, f"bad request with Bearer {PLANTED}".encode(), {}),
        (200, f"<html>{PLANTED}</html>".encode(), {}),
        (403, PLANTED.encode(), {}),
        (200, f'{{"errors": [{{"message": "bad indexers: {PLANTED}"}}]}}'.encode(), {}),
    ],
)
def test_a_key_that_the_server_repeats_is_not_said(gateway: Gateway, client: Client, echo: tuple):
    gateway.answer_instead = lambda request: echo

    with pytest.raises(FlowError) as refusal:
        client.head()

    chain, error = [], refusal.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__
    assert PLANTED not in " ".join(chain)
