"""What a refusal of a node means for the one who asked: one classifier for all answers that are not results.

| kind | what is done |
|---|---|
| limit | asked for less: a batch is halved down to single requests, a range of blocks is narrowed |
| passing | waited for and asked again, `attempts` times in all, then given up with the node's own words |
| refusal | given up at once with the node's own words |
| malformed | empty, cut, HTML: asked again, since a proxy in between may mend itself, then given up |

`LIMIT` and `PASSING` are wordings of nodes and providers (geth, erigon, nethermind, reth, proxyd, and hosted ones).
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
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
    "logs matched by query exceeds",
)  # fmt: skip
"""More was asked for than one answer may hold. Asking for less helps, waiting does not."""
PASSING = (
    "rate limit", "rate-limit", "rate exceeded", "too many requests", "throughput", "compute units per second",
    "capacity exceeded", "try again", "timed out", "timeout", "temporarily", "unavailable", "overloaded",
    "not healthy", "no backend", "bad gateway", "server is busy", "too busy", "daily request count",
)  # fmt: skip
"""The node cannot now. Waiting helps."""
PASSING_CODES = frozenset({429, -32005, -32011, -32016, -32090, -32097})
LIMIT_CODES = frozenset({413, -32003, -32014, -32020, -32047, -32614})
"""geth's -32003 is "response too large" of a batch; proxyd's -32014 too many calls, -32020 too large an answer."""
REVERT = ("revert", "invalid opcode", "out of gas", "stack underflow", "evm error", "vm execution error")


def classify(status: int, code: int | None, reason: str) -> Kind:
    """Kind of an answer with HTTP `status`, JSON-RPC `code` (None: it was no JSON-RPC) and text `reason`.

    Words decide before codes: nodes give -32005 to "too many requests" and to "more than 10000 results" alike.
    """
    said = reason.lower()
    if any(words in said for words in REVERT):
        return Kind.REFUSAL
    if status == 413 or any(words in said for words in LIMIT):
        return Kind.LIMIT
    if any(words in said for words in PASSING) or code in PASSING_CODES:
        return Kind.PASSING
    if code in LIMIT_CODES and code != -32003:  # outside batches -32003 is "transaction rejected"
        return Kind.LIMIT
    if code is not None:
        return Kind.REFUSAL
    if status in (408, 425, 429) or status >= 500:
        return Kind.PASSING
    return Kind.REFUSAL if status >= 300 else Kind.MALFORMED


def is_batch_limit(reason: str) -> bool:
    """The words refuse a body of many requests, or the size of their answers together."""
    said = reason.lower()
    return any(words in said for words in (*BATCH_LIMIT, "response too large"))
