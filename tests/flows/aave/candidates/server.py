"""A subgraph and its gateway on loopback: graphql-core executes real queries over rows that a test puts in.

    book = Book()
    book.put("User", {"id": "0xab…", "borrowedReservesCount": 1}, block=100)      # from block 100 on
    book.put("User", None, id="0xab…", block=200)                                 # removed at block 200
    gateway = Gateway({"SUBGRAPHID": Subgraph(AAVE_V3, book, head=1_000)}, key="SECRETKEY")
    with serving(gateway) as url:                  # url has {SUBGRAPH_ID} in it, as GRAPH_URL has
        monkeypatch.setenv("GRAPH_URL", url)

References to other entities are stored as their ids, BigInt and BigDecimal as int, str or Decimal. To add an entity or
a field, add its line in `schemas.py` (or build a dictionary of that form of your own and give it to `Subgraph`): query
fields, filters and orders are made from it as graph-node makes them.

What is like graph-node and the gateway: `first` 100 by default and 1,000 at most, `skip` at most 5,000, ids in string
order, `block: {number}` with its refusal beyond the head, `_meta` with a head that may lag, integers as strings, errors
inside an HTTP 200, `indexing_error`, POST only, the key as a bearer token. Written from the same fact sheet as the
client, and the wording of the gateway's errors is from memory: what a test proves against it is our own logic, not
that the live service agrees. The words for a block beyond the head and for `first` and `skip` are graph-node's.
"""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import graphql

from tests.flows.aave.candidates.schemas import Entities

DEFAULT_FIRST, MOST_FIRST, MOST_SKIP = 100, 1000, 5000
NUMBERS = ("Int", "BigInt", "BigDecimal", "Int8")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda a, b: a == b,
    "_not": lambda a, b: a != b,
    "_gt": lambda a, b: a is not None and a > b,
    "_lt": lambda a, b: a is not None and a < b,
    "_gte": lambda a, b: a is not None and a >= b,
    "_lte": lambda a, b: a is not None and a <= b,
    "_in": lambda a, b: a in b,
    "_not_in": lambda a, b: a not in b,
}


class Refused(Exception):
    """Answer the query with this error, in an HTTP 200."""


class Book:
    """Rows of every entity, each with its history by block."""

    def __init__(self) -> None:
        self._history: dict[str, dict[str, tuple[list[int], list[dict[str, Any] | None]]]] = {}
        self._states: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}

    def put(self, entity: str, row: Mapping[str, Any] | None, *, id: str | None = None, block: int = 0) -> None:
        """From `block` on, the entity has these values; None removes it (then name its `id`)."""
        blocks, rows = self._history.setdefault(entity, {}).setdefault(row["id"] if row else id or "", ([], []))
        at = bisect_right(blocks, block)
        blocks.insert(at, block)
        rows.insert(at, dict(row) if row else None)
        self._states.clear()

    def at(self, entity: str, block: int) -> dict[str, dict[str, Any]]:
        """Rows by id, in string order of the ids, as they were after `block`."""
        if (entity, block) not in self._states:
            found = {}
            for key, (blocks, rows) in sorted(self._history.get(entity, {}).items()):
                newest = bisect_right(blocks, block) - 1
                if newest >= 0 and rows[newest] is not None:
                    found[key] = rows[newest]
            self._states[entity, block] = found
        return self._states[entity, block]


@dataclass
class Row:
    """One entity at one block, as the resolvers pass it on."""

    entity: str
    values: Mapping[str, Any]
    block: int


@dataclass
class Subgraph:
    """One deployment: what it knows, how far it has come, and whether it stumbled on the way."""

    entities: Entities
    book: Book
    head: int
    head_time: int | None = 0
    first_block: int = 0
    has_indexing_errors: bool = False
    schema: graphql.GraphQLSchema = field(init=False)

    def __post_init__(self) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        """Take over a changed `entities`."""
        self.schema = graphql.build_schema(sdl(self.entities))
        for scalar in ("BigInt", "BigDecimal", "Bytes"):
            self.schema.type_map[scalar].coerce_output_value = str  # type: ignore[attr-defined]
        query = self.schema.type_map["Query"].fields  # type: ignore[attr-defined]
        query["_meta"].resolve = lambda root, info, block=None: self._meta(block)
        for name in records(self.entities):
            query[singular(name)].resolve = self._one(name)
            query[plural(name)].resolve = self._many(name)
            self._bind(name)

    def execute(self, query: str, variables: Mapping[str, Any] | None) -> dict[str, Any]:
        """The `data` and `errors` that answer a query."""
        try:
            document = graphql.parse(query)
        except graphql.GraphQLSyntaxError as exc:
            return {"errors": [{"message": str(exc)}]}
        if problems := graphql.validate(self.schema, document):
            return {"errors": [{"message": problem.message} for problem in problems]}
        if self.has_indexing_errors and "subgraphError: allow" not in query:
            return {"data": None, "errors": [{"message": "indexing_error"}]}
        result = graphql.execute(self.schema, document, variable_values=dict(variables or {}))
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [{"message": error.message, "path": error.path} for error in result.errors]
        return answer

    def _meta(self, block: Mapping[str, Any] | None) -> dict[str, Any]:
        number = self._block(block)
        return {
            "block": {"number": number, "hash": None, "timestamp": self.head_time if number == self.head else None},
            "deployment": "QmLoopback",
            "hasIndexingErrors": self.has_indexing_errors,
        }

    def _block(self, wanted: Mapping[str, Any] | None) -> int:
        number = self.head if wanted is None else wanted.get("number", self.head)
        where = f"data for block number {number} is therefore not"
        why = None
        if number > self.head:
            why = f"has only indexed up to block number {self.head} and {where} yet available"
        elif number < self.first_block:
            why = f"only has data starting at block number {self.first_block} and {where} available"
        if why:
            raise Refused(f"Failed to decode `block.number` value: `subgraph QmLoopback {why}`")
        return number

    def _one(self, entity: str) -> Callable[..., Row | None]:
        def resolve(root: Any, info: Any, id: str, block: Any = None, **_: Any) -> Row | None:
            at = self._block(block)
            values = self.book.at(entity, at).get(id)
            return Row(entity, values, at) if values is not None else None

        return resolve

    def _many(self, entity: str) -> Callable[..., list[Row]]:
        def resolve(root: Any, info: Any, block: Any = None, **arguments: Any) -> list[Row]:
            return self._select(entity, self._block(block), **arguments)

        return resolve

    def _select(
        self,
        entity: str,
        block: int,
        first: int = DEFAULT_FIRST,
        skip: int = 0,
        orderBy: str = "id",
        orderDirection: str = "asc",
        where: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> list[Row]:
        for name, value, most in (("first", first, MOST_FIRST), ("skip", skip, MOST_SKIP)):
            if not 0 <= value <= most:
                raise Refused(f"The `{name}` argument must be between 0 and {most}, but is {value}")
        passes = self._condition(entity, where)
        chosen = [values for values in self.book.at(entity, block).values() if passes(values)]
        if (orderBy, orderDirection) != ("id", "asc"):
            kind = named_type(self._fields(entity)[orderBy])
            chosen.sort(
                key=lambda values: (comparable(kind, values.get(orderBy)), values["id"]),
                reverse=orderDirection == "desc",
            )
        return [Row(entity, values, block) for values in chosen[skip : skip + first]]

    def _condition(self, entity: str, where: Mapping[str, Any] | None) -> Callable[[Mapping[str, Any]], bool]:
        tests = []
        for condition, wanted in (where or {}).items():
            name = max((f for f in self._fields(entity) if condition == f or condition.startswith(f"{f}_")), key=len)
            kind = named_type(self._fields(entity)[name])
            want = [comparable(kind, w) for w in wanted] if isinstance(wanted, list) else comparable(kind, wanted)
            tests.append((name, kind, OPERATORS[condition[len(name) :]], want))
        return lambda values: all(holds(comparable(kind, values.get(name)), w) for name, kind, holds, w in tests)

    def _fields(self, entity: str) -> dict[str, str]:
        return self.entities[entity]  # type: ignore[return-value]

    def _bind(self, entity: str) -> None:
        known = records(self.entities)
        for name, declared in self._fields(entity).items():
            target = named_type(declared)
            resolver: Callable[..., Any]
            if "@derivedFrom" in declared:
                back = declared[declared.index("field:") + 6 :].strip(" )")
                resolver = self._derived(target, back)
            elif target in known:
                resolver = self._reference(name, target)
            else:
                resolver = lambda row, info, name=name: row.values.get(name)  # noqa: E731
            self.schema.type_map[entity].fields[name].resolve = resolver  # type: ignore[attr-defined]

    def _reference(self, name: str, target: str) -> Callable[..., Row | None]:
        def resolve(row: Row, info: Any) -> Row | None:
            key = row.values.get(name)
            values = self.book.at(target, row.block).get(key) if key is not None else None
            return Row(target, values, row.block) if values is not None else None

        return resolve

    def _derived(self, target: str, back: str) -> Callable[..., list[Row]]:
        def resolve(row: Row, info: Any, where: Any = None, **arguments: Any) -> list[Row]:
            return self._select(target, row.block, where={**(where or {}), back: row.values["id"]}, **arguments)

        return resolve


class Gateway:
    """Subgraphs by id behind one address; change the attributes to make it misbehave."""

    def __init__(self, subgraphs: Mapping[str, Subgraph], key: str | None = None) -> None:
        self.subgraphs = dict(subgraphs)
        self.key = key
        self.requests: list[dict[str, Any]] = []
        """Every request that was understood: `subgraph`, `query`, `variables`."""
        self.answer_instead: Callable[[dict[str, Any]], tuple[int, bytes, dict[str, str]] | None] = lambda request: None
        """May give (status, body, headers) instead of the answer."""
        self.alter: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda request, answer: answer
        """May spoil an answer before it is sent."""
        self._lock = threading.Lock()

    def answer(self, subgraph: str, body: dict[str, Any], authorization: str | None) -> tuple[int, bytes, dict]:
        request = {"subgraph": subgraph, "query": body.get("query"), "variables": body.get("variables") or {}}
        with self._lock:  # the hooks of a test need not be thread-safe
            self.requests.append(request)
            instead = self.answer_instead(request)
        if instead is not None:
            return instead
        if self.key is not None and authorization != f"Bearer {self.key}":
            why = "missing authorization header" if authorization is None else "API key not found"
            return _json({"errors": [{"message": f"auth error: {why}"}]})
        if subgraph not in self.subgraphs:
            return _json({"errors": [{"message": f"subgraph not found: {subgraph}"}]})
        answer = self.subgraphs[subgraph].execute(request["query"], request["variables"])
        with self._lock:
            return _json(self.alter(request, answer))


def sdl(entities: Entities) -> str:
    """The schema that graph-node makes of the entities: types, filters, orders and query fields."""
    parts = [
        "scalar BigInt scalar BigDecimal scalar Bytes scalar Int8",
        "enum OrderDirection { asc desc }",
        "input Block_height { hash: Bytes number: Int number_gte: Int }",
        "enum _SubgraphErrorPolicy_ { allow deny }",
        "type _Block_ { hash: Bytes number: Int! timestamp: Int }",
        "type _Meta_ { block: _Block_! deployment: String! hasIndexingErrors: Boolean! }",
    ]
    known, queries = records(entities), ["_meta(block: Block_height): _Meta_"]
    for name, fields in entities.items():
        if isinstance(fields, list):
            parts.append(f"enum {name} {{ {' '.join(fields)} }}")
            continue
        declared, filters, orders = [], [], []
        for column, kind in fields.items():
            target = named_type(kind)
            if "@derivedFrom" in kind:
                declared.append(f"{column}({_arguments(target)}): {kind[: kind.index('@')].strip()}")
                continue
            declared.append(f"{column}: {kind}")
            orders.append(column)
            scalar = "String" if target in known else target
            for operator in OPERATORS:
                filters.append(f"{column}{operator}: " + (f"[{scalar}!]" if operator.endswith("in") else scalar))
        parts.append(f"type {name} {{ {' '.join(declared)} }}")
        parts.append(f"input {name}_filter {{ {' '.join(filters)} }}")
        parts.append(f"enum {name}_orderBy {{ {' '.join(orders)} }}")
        policy = "subgraphError: _SubgraphErrorPolicy_! = deny"
        queries.append(f"{singular(name)}(id: ID!, block: Block_height, {policy}): {name}")
        queries.append(f"{plural(name)}({_arguments(name)}, block: Block_height, {policy}): [{name}!]!")
    return "\n".join([*parts, f"type Query {{ {' '.join(queries)} }}"])


def records(entities: Entities) -> set[str]:
    """Names of the entities that are not enums."""
    return {name for name, fields in entities.items() if isinstance(fields, dict)}


def named_type(declared: str) -> str:
    """The name inside a type: `[UserReserve!]! @derivedFrom(field: user)` is about UserReserve."""
    return re.sub(r"@.*|[\[\]! ]", "", declared)


def singular(name: str) -> str:
    return name[0].lower() + name[1:]


def plural(name: str) -> str:
    """As graph-node forms it: eModeCategories, repays, supplies."""
    word = singular(name)
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def comparable(kind: str, value: Any) -> Any:
    """A stored or asked value in the order of its type: integers by size, ids and bytes as strings."""
    if value is None or isinstance(value, bool):
        return value
    if kind == "BigDecimal":
        return float(value)
    return int(value) if kind in NUMBERS else str(value)


def _arguments(name: str) -> str:
    return (
        f"skip: Int = 0, first: Int = {DEFAULT_FIRST}, orderBy: {name}_orderBy, orderDirection: OrderDirection, "
        f"where: {name}_filter"
    )


def _json(body: object, status: int = 200) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps(body, default=str).encode(), {"Content-Type": "application/json"}


@contextmanager
def serving(gateway: Gateway) -> Iterator[str]:
    """The gateway's address on a free loopback port, with `{SUBGRAPH_ID}` in the place of a subgraph's id."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet; two would wait for each other's acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            subgraph = self.path.rsplit("/", 1)[-1]
            self._send(*gateway.answer(subgraph, body, self.headers.get("Authorization")))

        def do_GET(self) -> None:
            self._send(405, b"method not allowed", {})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/subgraphs/id/{{SUBGRAPH_ID}}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
