"""What a refusal of a node means for the caller: one classifier for all answers that are not results.

| kind | what is done |
|---|---|
| limit | ask for less: a batch is halved down to single requests, a range of blocks is narrowed |
| passing | wait and ask again, `attempts` times in all, then give up with the node's own message |
| refusal | give up at once with the node's own message |
| malformed | empty, cut, HTML: ask again, since a proxy in between may recover, then give up |

A node that fails (5xx, no answer in time, an answer that is cut) may have been asked for too much: a request that can
be made smaller is made smaller after a second try. `LIMIT` and `PASSING` are wordings of nodes and providers (geth,
erigon, nethermind, reth, proxyd, erpc, graph-node, and hosted ones); tests/flows/clients/test_answers.py has them in
full with their codes.
"""

from __future__ import annotations

from enum import StrEnum

TRIES_BEFORE_LESS = 2
"""Failures (5xx, time-outs, cut answers) after which a request that can be made smaller is made smaller."""


class Kind(StrEnum):
    """What a node's refusal means for the caller."""

    LIMIT = "limit"
    PASSING = "passing"
    REFUSAL = "refusal"
    MALFORMED = "malformed"


BATCH_LIMIT = (
    "batch too large", "batch size", "batch limit", "batch of more than", "calls in batch", "batch request exceeds",
    "requests in batch", "batch requests are", "batching is not", "batch requests not", "batch is too large",
)  # fmt: skip
"""Too many requests in one body. Asking one by one helps."""
LIMIT = (
    *BATCH_LIMIT, "response too large", "response size", "request too large", "entity too large", "content too large",
    "payload too large", "answer is larger", "more than 10000 results", "query returned more than", "max results",
    "block range", "range too large", "range is too large", "range too wide", "range is too wide", "range limit",
    "is limited to a", "limited to 0 -", "ranges over", "too many blocks", "too many results", "too many logs",
    "exceed max", "exceeds max", "exceeds the limit", "exceeds the range", "query timeout exceeded",
    "logs matched by query exceeds", "exceeds limit of", "exceeds range", "range exceeds", "max allowed range",
    "bigger than range", "larger than max", "narrow your filter", "narrow the block", "returns too many",
    "returned more than", "logs over more", "response size should not", "too large, max is", "query exceeds limit",
    "limit the query to", "blocks distance", "try paginating", "log response", "logs range",
)  # fmt: skip
"""More was asked for than one answer may hold. Asking for less helps, waiting does not."""
PASSING = (
    "rate limit", "rate-limit", "rate exceeded", "too many requests", "throughput", "compute units per second",
    "capacity exceeded", "try again", "timed out", "timeout", "temporarily", "unavailable", "overloaded",
    "not healthy", "no backend", "bad gateway", "server is busy", "too busy", "daily request count",
    "deadline exceeded", "deadline has elapsed", "execution aborted", "canceled due to", "temporary error",
    "upstreams exhausted", "bad indexers", "no indexers", "list of indexers", "store error",
)  # fmt: skip
"""The node cannot answer now. Waiting helps."""
OUT_OF_TIME = ("timeout", "timed out", "deadline", "execution aborted")
"""The node ran out of time: waiting helps, and so does asking for less."""
PASSING_CODES = frozenset({429, -32005, -32011, -32016, -32090, -32097})
LIMIT_CODES = frozenset({413, -32003, -32012, -32014, -32020, -32047, -32062, -32614})
"""geth's -32003 is "response too large" of a batch; proxyd's -32014 too many calls, -32020 too large an answer."""
NEVER = ("invalid block range",)
"""Looks like a limit but is the caller's mistake: a range that ends before it begins, or above the head."""
REVERT = ("revert", "invalid opcode", "out of gas", "stack underflow", "evm error", "vm execution error")


def classify(status: int, code: int | None, reason: str) -> Kind:
    """Kind of an answer with HTTP `status`, JSON-RPC `code` (None where it was not JSON-RPC) and text `reason`.

    Words decide before codes: nodes give -32005 to "too many requests" and to "more than 10000 results" alike.
    """
    text = reason.lower()
    if any(words in text for words in (*REVERT, *NEVER)):
        return Kind.REFUSAL
    if status == 413 or any(words in text for words in LIMIT):
        return Kind.LIMIT
    if any(words in text for words in PASSING) or code in PASSING_CODES:
        return Kind.PASSING
    if code in LIMIT_CODES and code != -32003:  # outside batches -32003 is "transaction rejected"
        return Kind.LIMIT
    if code is not None:
        return Kind.REFUSAL
    if status in (408, 425, 429) or status >= 500:
        return Kind.PASSING
    return Kind.REFUSAL if status >= 300 else Kind.MALFORMED


def says_passing(reason: str) -> bool:
    """Whether the text itself says that waiting helps; a code such as -32005 may mean a limit as well."""
    text = reason.lower()
    return any(words in text for words in PASSING)


def is_out_of_time(reason: str) -> bool:
    """Whether the text says that the node, or a proxy before it, ran out of time."""
    text = reason.lower()
    return any(words in text for words in OUT_OF_TIME)


def is_batch_limit(reason: str) -> bool:
    """Whether the text refuses a body of many requests, or the total size of their answers."""
    text = reason.lower()
    return any(words in text for words in (*BATCH_LIMIT, "response too large"))
