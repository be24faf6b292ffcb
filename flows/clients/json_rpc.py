"""JSON-RPC over HTTP: single calls and batches, with retries for what may pass and plain words for what will not.

Raw requests instead of a contract object for each call: a market of a thousand accounts is ten thousand calls, and
encoding and decoding them one by one through a client library costs ten times the network.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable
from flows.settings import redacted

BUSY_CODES = {-32005, -32016, -32090, 429}
"""JSON-RPC error codes by which nodes say "too many requests"; eth_getLogs uses the first for too large a range."""
BUSY_WORDS = ("rate limit", "too many requests", "throughput", "capacity exceeded", "try again")
REVERT_WORDS = ("revert", "invalid opcode", "out of gas", "stack underflow", "evm error", "vm execution error")
NO_STATE_WORDS = ("header not found", "unknown block", "missing trie node", "block not found", "out of range",
                  "outofrange", "not available", "pruned", "historical state", "archive")  # fmt: skip


class RpcError(SourceRefused):
    """The node answered a request with a JSON-RPC error. `code` and `reason` are the node's, `data` its revert data."""

    def __init__(self, message: str, code: int, reason: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.data = data

    @property
    def is_revert(self) -> bool:
        """A contract refused, or ran out of gas; the node itself is well."""
        said = self.reason.lower()
        return self.code == 3 or any(word in said for word in REVERT_WORDS)

    @property
    def is_busy(self) -> bool:
        said = self.reason.lower()
        return not self.is_revert and (self.code in BUSY_CODES or any(word in said for word in BUSY_WORDS))

    @property
    def is_unknown_method(self) -> bool:
        """The node does not offer the method; asking again cannot help."""
        return self.code == -32601

    @property
    def is_missing_state(self) -> bool:
        """The node does not have the block, or not the state at it any more."""
        return (
            not self.is_revert
            and not self.is_unknown_method
            and any(word in self.reason.lower() for word in NO_STATE_WORDS)
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One method call; `params` are JSON values."""

    method: str
    params: tuple[Any, ...]


class JsonRpc:
    """One node. `attempts` tries with doubling pauses for what may pass: no connection, 429, 5xx, "too many requests".

    `batch_size` is the number of requests in one HTTP body; it halves by itself when the node refuses long batches.
    Safe to use from several threads. Messages show the host only: an endpoint's path is often its key.
    """

    def __init__(
        self,
        url: str,
        *,
        attempts: int = 5,
        timeout: float = 60.0,
        batch_size: int = 100,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                "ETH_RPC_URL: expected an address like https://host, found one with another scheme"
            )
        self._url = url
        self._attempts = attempts
        self._timeout = timeout
        self._batch_size = batch_size
        self._sleep = sleep or time.sleep
        self._idle: list[requests.Session] = []
        self._lock = threading.Lock()
        self.requests_made = 0
        """HTTP requests sent so far, repetitions included."""

    def __str__(self) -> str:
        return f"the node at {redacted(self._url)}"

    def call(self, method: str, *params: Any) -> Any:
        """Result of one method. Raises `RpcError`, `SourceUnavailable`, `SourceRefused`, `MalformedAnswer`."""
        answer = self.batch([Request(method, params)])[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, wanted: Sequence[Request]) -> list[Any]:
        """Results in the order of `wanted`; a request that the node refused gives its `RpcError` in that place."""
        results: list[Any] = []
        while len(results) < len(wanted):
            size = self._batch_size
            part = wanted[len(results) : len(results) + size]
            try:
                results += self._patiently(part)
            except RpcError as refusal:  # of the batch as a whole
                if len(part) == 1:
                    results.append(refusal)
                    continue
                self._batch_size = max(1, len(part) // 2)
        return results

    def _patiently(self, part: Sequence[Request]) -> list[Any]:
        pause = 0.5
        for attempt in range(1, self._attempts + 1):
            try:
                answers = self._post(part)
            except SourceUnavailable as failure:
                if attempt == self._attempts:
                    raise SourceUnavailable(f"{failure}; tried {attempt} times. Nothing was written; "
                                            "check ETH_RPC_URL and the node, then run again") from failure  # fmt: skip
            else:
                # A range that is too large shares its code with "slow down"; only the caller can make it smaller.
                if part[0].method == "eth_getLogs":
                    return answers
                errors = [answer for answer in answers if isinstance(answer, RpcError)]
                busy = next((error for error in errors if error.is_busy), None)
                # Behind a balancer, the next node may not have the newest block yet.
                behind = any(error.is_missing_state for error in errors)
                if busy is None and (not behind or attempt == self._attempts):
                    return answers
                if busy is not None and attempt == self._attempts:
                    raise SourceUnavailable(f"{self} keeps refusing {part[0].method} for its load ({busy.reason}); "
                                            f"tried {attempt} times. Nothing was written; run again later")  # fmt: skip
            self._sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def raw(self, method: str, *params: Any) -> bytes:
        """The body of the answer as it came, errors in it included; one try. Raises `SourceUnavailable`."""
        return self._exchange([Request(method, params)])[1]

    def _exchange(self, part: Sequence[Request]) -> tuple[int, bytes]:
        """HTTP status and body. Raises `SourceUnavailable` for a node that is away or busy."""
        bodies = [{"jsonrpc": "2.0", "id": i, "method": r.method, "params": list(r.params)} for i, r in enumerate(part)]
        content = json.dumps(bodies[0] if len(bodies) == 1 else bodies, separators=(",", ":"))
        try:
            with self._session() as session:
                response = session.post(self._url, data=content, timeout=self._timeout, stream=True)
                # In large pieces: by default a body comes in steps of 10 kB, each a turn for another thread.
                body = b"".join(response.iter_content(1 << 22))
        except requests.Timeout as exc:
            raise SourceUnavailable(f"{self} did not answer {part[0].method} in {self._timeout:g} s") from exc
        except requests.RequestException as exc:
            # The text of the exception repeats the whole URL, so it is not shown.
            raise SourceUnavailable(f"{self} cannot be reached ({type(exc).__name__})") from exc
        if response.status_code == 429 or response.status_code >= 500:
            raise SourceUnavailable(f"{self} answers HTTP {response.status_code}")
        return response.status_code, body

    def _post(self, part: Sequence[Request]) -> list[Any]:
        status, body = self._exchange(part)
        try:
            answer = orjson.loads(body)
        except ValueError as exc:
            if status == 413:
                raise RpcError(f"{self}: request too large", 413, "request too large") from exc
            if status >= 400:
                raise SourceRefused(f"{self} refuses with HTTP {status}; check the key in ETH_RPC_URL "
                                    "and whether the plan allows this method") from exc  # fmt: skip
            shown = " ".join(body.decode("utf-8", "replace").split())[:80]
            raise MalformedAnswer(f"{self} answers {part[0].method} with something that is not JSON, beginning "
                                  f"{shown!r}; is ETH_RPC_URL the address of a node?") from exc  # fmt: skip
        return self._sorted_out(answer, part)

    def _sorted_out(self, answer: Any, part: Sequence[Request]) -> list[Any]:
        if isinstance(answer, dict) and len(part) > 1:
            if "error" not in answer:
                raise MalformedAnswer(f"{self} answers a batch of {len(part)} requests with one result")
            raise self._error(answer["error"], f"a batch of {len(part)} requests")
        rows = [answer] if isinstance(answer, dict) else answer
        if not isinstance(rows, list):
            raise MalformedAnswer(f"{self} answers {part[0].method} with {type(answer).__name__}, not an object")
        by_id = {row.get("id"): row for row in rows if isinstance(row, dict)}
        results: list[Any] = []
        for i, request in enumerate(part):
            # An error about the request as a whole may come without its id.
            row = by_id.get(i, rows[0] if len(part) == 1 and rows else None)
            if not isinstance(row, dict) or not ("result" in row or "error" in row):
                raise MalformedAnswer(f"{self}: expected {len(part)} answers, found none for request {i} "
                                      f"({request.method})")  # fmt: skip
            results.append(self._error(row["error"], request.method) if row.get("error") else row.get("result"))
        return results

    def _error(self, error: Any, what: str) -> RpcError:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        reason = " ".join(str(error.get("message", "no reason given")).split())[:300]
        code = error["code"] if isinstance(error.get("code"), int) else 0
        data = error.get("data") if isinstance(error.get("data"), str) else None
        return RpcError(f"{self} refuses {what}: {reason} (code {code})", code, reason, data)

    def rest(self, seconds: float) -> None:
        """Leave the node alone for a moment."""
        self._sleep(seconds)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """A session that nobody else uses meanwhile (requests promises no more), with its connection kept open."""
        with self._lock:
            self.requests_made += 1
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = requests.Session()
            session.headers["Content-Type"] = "application/json"
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append(session)


def quantity(value: Any, what: str) -> int:
    """A JSON-RPC quantity ("0x1a") as an integer. Raises `MalformedAnswer` naming `what`."""
    try:
        return int(value, 16)
    except (TypeError, ValueError) as exc:
        raise MalformedAnswer(f"{what}: expected a hexadecimal quantity, found {value!r:.80}") from exc
