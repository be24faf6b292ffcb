"""GraphQL over HTTP, and subgraphs on The Graph's gateway: read page by page at one block, checked to be complete.

| what comes back | what happens |
|---|---|
| 429, 5xx, time-outs, no connection | `http_retry` waits and repeats |
| `errors` in a 200: what may pass (`flows.clients.answers`) | repeated with doubling pauses, then `SourceUnavailable` |
| `errors` in a 200: a limit, or twice out of time | a page is asked for with half the rows, down to one |
| `errors` in a 200: block beyond the subgraph's head | `SubgraphBehind`, which knows that head |
| `errors` in a 200: a field or type that is not there | `SchemaDrift` with the server's words, which name it |
| `errors` in a 200: the key | `ConfigurationError`, without the key |
| `indexing_error`, `hasIndexingErrors` | `SourceRefused`: the data of such a subgraph cannot be trusted |
| a page out of order, repeated, over-long, or a null | `MalformedAnswer` naming the row and the field |

Limits of the gateway (docs of The Graph): 1,000 rows a page, 100 without `first`; ids sort as strings.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gql import Client, GraphQLRequest
from gql.transport import Transport
from gql.transport.exceptions import TransportQueryError
from graphql import ExecutionResult, GraphQLSyntaxError

from flows import settings
from flows.clients.answers import TRIES_BEFORE_LESS, Kind, classify, is_out_of_time
from flows.clients.http_retry import HttpRefused, JsonSource
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable

GATEWAY = "https://gateway.thegraph.com/api/subgraphs/id/{SUBGRAPH_ID}"
PLACE_OF_ID = "{SUBGRAPH_ID}"
PAGE = 1000
"""Most rows that a subgraph gives in one answer."""
BEYOND_HEAD = re.compile(r"only indexed up to block number (\d+)")
MISSING_BLOCK = re.compile(r"missing block: (\d+), latest: (\d+)")
"""A gateway's words on an indexer that cannot answer at a block: it is not indexed yet, or its data was pruned."""
NOT_THERE = re.compile(
    r"cannot query field|has no field|unknown (type|argument|field)|is not defined by type|does not exist in",
    re.IGNORECASE,
)
KEY = re.compile(r"auth error|api key|unauthorized|authorization", re.IGNORECASE)


class SubgraphBehind(SourceRefused):
    """The subgraph has not indexed the block that was asked for yet. `head` is its newest block."""

    def __init__(self, message: str, head: int) -> None:
        super().__init__(message)
        self.head = head


class TooMuch(SourceUnavailable):
    """The server ran out of time, or refuses an answer this long; a shorter one may succeed."""


class SchemaDrift(MalformedAnswer):
    """The server no longer has a field or type that was asked for."""


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """`data` of an answer without errors, and the SHA-256 of its bytes as received."""

    data: dict[str, Any]
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class Head:
    """Newest block of a subgraph; `time` is UTC seconds, None where the subgraph does not report it."""

    block: int
    time: int | None


@dataclass(frozen=True, slots=True)
class RowPage:
    """Rows in ascending order of their ids, all of one block; `head` is the subgraph's when it answered."""

    rows: list[dict[str, Any]]
    payload_sha256: str
    head: Head


class GraphQL:
    """One GraphQL address. `name` is how messages call it, `variable` the setting with its address.

    `key` is sent as a bearer token; a server may repeat it, and `flows.redaction` removes it from messages. Other
    arguments: see `JsonSource`.
    An object belongs to one thread.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        variable: str,
        key: str | None = None,
        max_wait: float = 180.0,
        attempts: int = 5,
        timeout: float = 60.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._http = JsonSource(name, url, variable=variable, max_wait=max_wait, attempts=attempts, timeout=timeout,
                                sleep=sleep or time.sleep)  # fmt: skip
        self._key = key
        self._attempts = attempts
        self._transport = _Posted(self._http, {"Authorization": f"Bearer {key}"} if key else {})
        self._session = Client(transport=self._transport).connect_sync()

    def __str__(self) -> str:
        return str(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        about: str = "the query",
        *,
        divisible: bool = False,
    ) -> GraphAnswer:
        """Answer to `query`. `about` names it in messages. Raises as the module's table says.

        `divisible`: the caller can ask for less; `TooMuch` tells it to.
        """
        try:
            request = GraphQLRequest(query, variable_values=dict(variables or {}))
        except GraphQLSyntaxError as exc:
            raise ConfigurationError(f"{about}: {exc}") from exc
        self._transport.about = about
        failures = 0
        while True:
            try:
                data = self._session.execute(request)
            except TransportQueryError as exc:
                failures += 1
                message = "; ".join(_message(error) for error in exc.errors or [])
                kind = classify(200, 0, message)
                late = failures >= TRIES_BEFORE_LESS and is_out_of_time(message)
                if divisible and (kind is Kind.LIMIT or (kind is Kind.PASSING and late)):
                    raise TooMuch(f"{self} answers {about} with {message[:200]!r}") from None
                if (
                    kind is not Kind.PASSING  # a passing error may not occur at another indexer, or later
                    or BEYOND_HEAD.search(message)
                    or MISSING_BLOCK.search(message)
                ):
                    raise self._refusal(message, about) from None
                if failures >= self._attempts:
                    raise SourceUnavailable(
                        f"{self} answers {about} with {message[:200]!r}; tried {failures} times. Nothing was written; "
                        "run again later"
                    ) from None
                self._http.wait(0.5 * 2**failures, f"answers {about} with {message[:80]!r}")
                continue
            except HttpRefused as exc:
                if exc.status in (401, 403):
                    raise self._bad_key(f"HTTP {exc.status}") from None
                raise
            return GraphAnswer(data, self._transport.payload_sha256)

    def _refusal(self, message: str, about: str) -> Exception:
        shown = f"{self} answers {about} with an error: {message[:300]}"
        if found := BEYOND_HEAD.search(message):
            return SubgraphBehind(f"{shown}. Ask for an older block, or run again later", int(found[1]))
        if missing := [(int(block), int(latest)) for block, latest in MISSING_BLOCK.findall(message)]:
            block, latest = max(missing)[0], max(latest for _, latest in missing)
            if block > latest:
                return SubgraphBehind(f"{shown}. Ask for an older block, or run again later", latest)
            return SourceRefused(
                f"{shown}. Its indexers have come to block {latest} and no longer keep block {block}: ask for a newer "
                "block, or read the old one from an archive node. Asking again will not help; nothing was written"
            )
        if "indexing_error" in message:
            return SourceRefused(
                f"{shown}. The subgraph failed while it was indexing, so its data cannot be trusted; "
                "read the market from a node's log instead"
            )
        if NOT_THERE.search(message):
            return SchemaDrift(f"{shown}. Its schema has changed, or is not the one expected; nothing was written")
        if KEY.search(message):
            return self._bad_key(message[:200])
        return SourceRefused(f"{shown}. Nothing was written")

    def _bad_key(self, message: str) -> ConfigurationError:
        have = "the key in GRAPH_API_KEY" if self._key else "a request without a key; set GRAPH_API_KEY"
        return ConfigurationError(f"{self} does not accept {have} ({message}). Nothing was written")


class Subgraph(GraphQL):
    """One subgraph of a gateway, as graph-node serves it."""

    def __init__(self, subgraph_id: str, url: str = GATEWAY, *, key: str | None = None, **how: Any) -> None:
        self.id = subgraph_id
        address = url.replace(PLACE_OF_ID, subgraph_id)
        super().__init__(f"subgraph {subgraph_id}", address, variable="GRAPH_URL", key=key, **how)

    @classmethod
    def from_environment(cls, subgraph_id: str, **how: Any) -> Subgraph:
        """At GRAPH_URL (a template with `{SUBGRAPH_ID}`), else The Graph's gateway, which needs GRAPH_API_KEY."""
        url = settings.get("GRAPH_URL")
        key = settings.get("GRAPH_API_KEY")
        if url is None and key is None:
            raise ConfigurationError(
                "GRAPH_API_KEY is not set (nor GRAPH_API_KEY_FILE); the gateway of The Graph needs a "
                "key. Set it, or GRAPH_URL to a server that needs none"
            )
        return cls(subgraph_id, url or GATEWAY, key=key, **how)

    def head(self) -> Head:
        """Newest block of the subgraph. Raises `SourceRefused` when its indexing has failed."""
        answer = self.ask("query Head { _meta { block { number timestamp } hasIndexingErrors } }", about="_meta")
        return self._checked_head(answer.data)

    def pages(
        self,
        entity: str,
        fields: str,
        *,
        block: int | None = None,
        where: Mapping[str, Any] | None = None,
        after: str = "",
        id_type: str = "ID",
    ) -> Iterator[RowPage]:
        """Every row of `entity` (the plural, as queries spell it) that satisfies `where`, after id `after`.

        `fields` is the selection, `id` included; `where` maps graph-node's filters to JSON values. With `block` all
        rows are of that block, else of whatever block each page happens to see. A short page does not end the list,
        only an empty one does: no rows are lost where a server gives fewer than asked for.
        """
        conditions = "".join(f", {name}: {json.dumps(value)}" for name, value in (where or {}).items())
        at = ", block: {number: $block}" if block is not None else ""
        last, size = after, PAGE
        while True:
            query = (
                f"query Page($last: {id_type}!{', $block: Int!' if at else ''}) {{ "
                "_meta { block { number timestamp } hasIndexingErrors } "
                f"{entity}(first: {size}, orderBy: id, orderDirection: asc{at}, where: {{id_gt: $last{conditions}}}) "
                f"{{ {fields} }} }}"
            )
            variables = {"last": last} | ({"block": block} if at else {})
            try:
                answer = self.ask(query, variables, about=entity, divisible=size > 1)
            except TooMuch:
                size //= 2
                continue
            head = self._checked_head(answer.data)
            if block is not None and head.block < block:
                raise SubgraphBehind(
                    f"{self} answers {entity} of block {block} but has come to {head.block} only; "
                    "an indexer is behind another. Run again later",
                    head.block,
                )
            rows = self._checked_rows(answer.data, entity, last)
            if not rows:
                return
            yield RowPage(rows, answer.payload_sha256, head)
            last = rows[-1]["id"]

    def _checked_head(self, data: Mapping[str, Any]) -> Head:
        meta = data.get("_meta")
        try:
            number, seconds, failed = meta["block"]["number"], meta["block"].get("timestamp"), meta["hasIndexingErrors"]
        except (TypeError, KeyError, AttributeError):
            number = seconds = failed = None
        if not isinstance(number, int) or not isinstance(seconds, int | None) or not isinstance(failed, bool):
            raise MalformedAnswer(
                f"{self}: expected _meta with block.number, block.timestamp and hasIndexingErrors, found {meta!r:.120}"
            )
        if failed:
            raise SourceRefused(
                f"{self} says hasIndexingErrors: it failed at a block before {number} and went on, so its data cannot "
                "be trusted; read the market from a node's log instead"
            )
        return Head(number, seconds)

    def _checked_rows(self, data: Mapping[str, Any], entity: str, last: str) -> list[dict[str, Any]]:
        rows = data.get(entity)
        if not isinstance(rows, list):
            raise MalformedAnswer(f"{self}: expected a list of {entity}, found {rows!r:.80}")
        if len(rows) > PAGE:
            raise MalformedAnswer(f"{self}: asked for at most {PAGE} {entity}, found {len(rows)}")
        before = last
        for row in rows:
            found = row.get("id") if isinstance(row, dict) else None
            if not isinstance(found, str) or not found:
                raise MalformedAnswer(f"{self}: expected {entity} with an id, found {row!r:.120}")
            if found <= before:
                what = "twice" if found == before else "out of order"
                raise MalformedAnswer(
                    f"{self}: {entity} after {last!r} come {what}: {found!r} follows {before!r}. "
                    "The page is not what was asked for; nothing was written"
                )
            before = found
        return rows


class _Posted(Transport):
    """gql's requests, sent by `http_retry`, which waits and repeats as this project's other sources do."""

    def __init__(self, http: JsonSource, headers: Mapping[str, str]) -> None:
        self._http = http
        self._headers = dict(headers)
        self.about = "the query"
        self.payload_sha256 = ""

    def execute(self, request: Any, *args: Any, **kwargs: Any) -> ExecutionResult:
        answer = self._http.post(request.payload, self._headers, self.about)
        body = answer.body
        if not isinstance(body, dict) or not ("data" in body or "errors" in body):
            raise MalformedAnswer(f"{self._http} answers {self.about} with {body!r:.80}, which is not GraphQL")
        if body.get("errors") is None and not isinstance(body.get("data"), dict):
            raise MalformedAnswer(f"{self._http} answers {self.about} with neither data nor errors")
        self.payload_sha256 = hashlib.sha256(answer.content).hexdigest()
        return ExecutionResult(data=body.get("data"), errors=body.get("errors"))


def _message(error: Any) -> str:
    text = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(text).split()).rstrip(".")
