"""The loopback subgraph itself: its limits and errors, and its schema held against the published field lists."""

from __future__ import annotations

import json
import re

import pytest
import requests

from tests.conftest import REPOSITORY
from tests.flows.aave.candidates.schemas import AAVE_V2, AAVE_V3, Entities
from tests.flows.aave.candidates.server import Book, Gateway, Subgraph, plural, serving


@pytest.fixture
def subgraph() -> Subgraph:
    """2,500 users with ids of different lengths; one changes at block 50 and one is gone from block 60 on."""
    book = Book()
    for i in range(2_500):
        book.put("User", {"id": f"0x{i:x}", "borrowedReservesCount": i % 3, "eModeCategoryId": None})
    book.put("User", {"id": "0x1", "borrowedReservesCount": 9, "eModeCategoryId": None}, block=50)
    book.put("User", None, id="0x2", block=60)
    return Subgraph(AAVE_V3, book, head=100, head_time=1_700_000_000)


def ask(subgraph: Subgraph, query: str) -> dict:
    return subgraph.execute(query, None)


def test_a_page_has_100_rows_unless_more_are_asked_and_never_over_1000(subgraph: Subgraph):
    assert len(ask(subgraph, "{ users { id } }")["data"]["users"]) == 100
    assert len(ask(subgraph, "{ users(first: 1000) { id } }")["data"]["users"]) == 1_000

    refused = ask(subgraph, "{ users(first: 1001) { id } }")

    assert refused["errors"][0]["message"] == "The `first` argument must be between 0 and 1000, but is 1001"
    assert "between 0 and 5000" in ask(subgraph, "{ users(skip: 5001) { id } }")["errors"][0]["message"]


def test_ids_are_in_string_order(subgraph: Subgraph):
    ids = [row["id"] for row in ask(subgraph, '{ users(first: 3, where: {id_gt: "0xff"}) { id } }')["data"]["users"]]

    assert ids == sorted(f"0x{i:x}" for i in range(2_500) if f"0x{i:x}" > "0xff")[:3]


def test_an_old_block_has_the_old_rows(subgraph: Subgraph):
    at = lambda n: ask(subgraph, f'{{ user(id: "0x1", block: {{number: {n}}}) {{ borrowedReservesCount }} }}')  # noqa: E731

    assert [at(n)["data"]["user"]["borrowedReservesCount"] for n in (49, 50, 100)] == [1, 9, 9]
    assert ask(subgraph, '{ user(id: "0x2", block: {number: 60}) { id } }')["data"]["user"] is None
    assert ask(subgraph, '{ user(id: "0x2", block: {number: 59}) { id } }')["data"]["user"] == {"id": "0x2"}
    assert "has only indexed up to block number 100" in at(101)["errors"][0]["message"]


def test_filters_compare_integers_by_size_and_reach_referenced_entities():
    book = Book()
    for name, scaled in (("a", "9"), ("b", "10"), ("c", 2**200)):
        book.put("UserReserve", {"id": name, "user": name, "reserve": "r", "scaledATokenBalance": scaled})
    book.put("User", {"id": "b", "borrowedReservesCount": 0})
    graph = Subgraph(AAVE_V3, book, head=1)

    rows = ask(graph, '{ userReserves(where: {scaledATokenBalance_gt: "9"}) { id scaledATokenBalance } }')

    assert rows["data"]["userReserves"] == [
        {"id": "b", "scaledATokenBalance": "10"},
        {"id": "c", "scaledATokenBalance": str(2**200)},
    ]
    assert ask(graph, '{ user(id: "b") { reserves { id } } }')["data"]["user"]["reserves"] == [{"id": "b"}]
    assert ask(graph, '{ userReserves(where: {user: "c"}) { id } }')["data"]["userReserves"] == [{"id": "c"}]


def test_errors_come_inside_an_http_200(subgraph: Subgraph):
    gateway = Gateway({"S": subgraph}, key="k")
    with serving(gateway) as url:

        def post(query: str, subgraph: str = "S", key: str | None = "k") -> requests.Response:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return requests.post(url.format(SUBGRAPH_ID=subgraph), json={"query": query}, headers=headers, timeout=5)

        meta = "{ _meta { block { number timestamp } hasIndexingErrors } }"
        good, no_key, unknown, wrong = post(meta), post(meta, key=None), post(meta, "T"), post("{ users { nme } }")
        subgraph.has_indexing_errors = True
        failing = post("{ users { id } }")
        got = requests.get(url.format(SUBGRAPH_ID="S"), timeout=5)

    assert good.json()["data"]["_meta"] == {
        "block": {"number": 100, "timestamp": 1_700_000_000},
        "hasIndexingErrors": False,
    }
    assert {r.status_code for r in (good, no_key, unknown, wrong, failing)} == {200}
    assert "auth error" in no_key.json()["errors"][0]["message"]
    assert "subgraph not found" in unknown.json()["errors"][0]["message"]
    assert "nme" in wrong.json()["errors"][0]["message"]
    assert failing.json() == {"data": None, "errors": [{"message": "indexing_error"}]}
    assert got.status_code == 405


@pytest.mark.parametrize(
    ("word", "many"),
    [
        ("UserReserve", "userReserves"),
        ("EModeCategory", "eModeCategories"),
        ("Repay", "repays"),
        ("Supply", "supplies"),
        ("Borrow", "borrows"),
    ],
)
def test_names_of_lists_are_those_of_the_published_queries(word: str, many: str):
    assert plural(word) == many


@pytest.mark.parametrize(("name", "entities"), [("aave_v3", AAVE_V3), ("aave_v2", AAVE_V2)])
def test_every_field_is_one_of_the_published_schema(name: str, entities: Entities):
    path = REPOSITORY.parent / "shared" / "facts" / "subgraph_entities.json"
    if not path.is_file():
        pytest.skip("no published field lists beside the repository (../shared/facts/subgraph_entities.json)")
    published = json.loads(path.read_text(encoding="utf-8"))["schemas"][name]

    for entity, fields in entities.items():
        if isinstance(fields, list):
            assert fields == published[entity], entity
            continue
        ours = {column: re.sub(r"\(.*", "", kind) for column, kind in fields.items()}
        assert {column: published[entity].get(column) for column in ours} == ours, entity
