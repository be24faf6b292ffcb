"""JSON-RPC over HTTP: single calls and batches, with retries for passing errors and plain messages for others.

Raw requests instead of a contract object for each call: a market of a thousand accounts is ten thousand calls, and
encoding and decoding them one by one through a client library costs ten times the network.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from flows.clients import bounded
from flows.clients.answers import TRIES_BEFORE_LESS, Kind, classify, is_batch_limit, is_out_of_time
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable
from flows.settings import redacted

REVERT_WORDS = ("revert", "invalid opcode", "out of gas", "stack underflow", "evm error", "vm execution error")
NO_STATE_WORDS = ("header not found", "unknown block", "missing trie node", "block not found", "out of range",
                  "outofrange", "not available", "pruned", "historical state", "archive")  # fmt: skip


class Struggling(SourceUnavailable):
    """The node was reached but failed (HTTP 5xx, no answer in time): it may have been asked for too much."""


class RpcError(SourceRefused):
    """The node answered a request with a JSON-RPC error. `code` and `reason` are the node's, `data` its revert data."""

    def __init__(self, message: str, code: int, reason: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.data = data

    @property
    def is_revert(self) -> bool:
        """A contract refused, or ran out of gas; the node itself works."""
        text = self.reason.lower()
        return self.code == 3 or any(word in text for word in REVERT_WORDS)

    @property
    def is_busy(self) -> bool:
        """The node cannot answer now; waiting helps."""
        return not self.is_revert and classify(200, self.code, self.reason) is Kind.PASSING

    @property
    def is_limit(self) -> bool:
        """More was asked for than the node gives in one answer; asking for less helps, waiting does not."""
        return not self.is_revert and classify(200, self.code, self.reason) is Kind.LIMIT

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
    """One method call; `params` are JSON values. `divisible`: the caller can ask for less where the node fails."""

    method: str
    params: tuple[Any, ...]
    divisible: bool = False


class JsonRpc:
    """One node. `attempts` tries with doubling pauses for what may pass: no connection, 429, 5xx, "too many requests".

    `batch_size` is the number of requests in one HTTP body; it halves by itself when the node refuses long batches.
    `timeout` (seconds) is for a whole request, `largest` (bytes) for an answer after decompression; redirects are not
    followed. What each answer leads to is the table of `flows.clients.answers`. `variable`: the setting that has `url`.
    Safe to use from several threads. Messages show the host only: an endpoint's path is often its key.
    """

    def __init__(
        self,
        url: str,
        *,
        attempts: int = 5,
        timeout: float = 60.0,
        batch_size: int = 100,
        largest: int = bounded.LARGEST_ANSWER,
        sleep: Callable[[float], None] | None = None,
        variable: str = "ETH_RPC_URL",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{variable}: expected an address like https://host, found one with another scheme"
            )
        self._url = url
        self._variable = variable
        self._attempts = attempts
        self._timeout = timeout
        self._batch_size = batch_size
        self._largest = largest
        self._sleep = sleep or time.sleep
        self._idle: list[requests.Session] = []
        self._lock = threading.Lock()
        self._places: AbstractContextManager[Any] = nullcontext()
        self.requests_made = 0
        """HTTP requests sent so far, repetitions included."""

    def __str__(self) -> str:
        return f"the node at {redacted(self._url)}"

    def limit(self, at_once: int) -> None:
        """From now on at most `at_once` requests are under way, however many threads ask."""
        self._places = threading.BoundedSemaphore(at_once)

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
            except MalformedAnswer as failure:
                if attempt >= TRIES_BEFORE_LESS and _divisible(part):  # long answers are cut more often
                    raise RpcError(f"{failure}; asked for less", 0, f"{failure}") from failure
                if attempt == self._attempts:
                    raise MalformedAnswer(f"{failure} Tried {attempt} times") from failure
            except SourceUnavailable as failure:
                if isinstance(failure, Struggling) and attempt >= TRIES_BEFORE_LESS and _divisible(part):
                    raise RpcError(f"{failure}; asked for less", 0, f"{failure}") from failure
                if attempt == self._attempts:
                    raise SourceUnavailable(
                        f"{failure}; tried {attempt} times. Nothing was written; "
                        f"check {self._variable} and the node, then run again"
                    ) from failure
            else:
                over = next((a for a in answers if isinstance(a, RpcError) and is_batch_limit(a.reason)), None)
                if over is not None and len(part) > 1:
                    raise over
                # A range that is too large shares its code with "slow down"; only the caller can make it smaller.
                if part[0].method == "eth_getLogs":
                    return answers
                errors = [answer for answer in answers if isinstance(answer, RpcError)]
                busy = next((error for error in errors if error.is_busy), None)
                late = attempt >= TRIES_BEFORE_LESS and busy is not None and is_out_of_time(busy.reason)
                if late and len(part) == 1 and _divisible(part):
                    return answers
                # Behind a balancer, the next node may not have the newest block yet.
                behind = any(error.is_missing_state for error in errors)
                if busy is None and (not behind or attempt == self._attempts):
                    return answers
                if busy is not None and attempt == self._attempts:
                    raise SourceUnavailable(
                        f"{self} keeps refusing {part[0].method} for its load ({busy.reason}); "
                        f"tried {attempt} times. Nothing was written; run again later"
                    )
            self._sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def raw(self, method: str, *params: Any) -> bytes:
        """The body of the answer as it came, errors in it included; one try. Raises `SourceUnavailable`."""
        return self._exchange([Request(method, params)])[1]

    def _exchange(self, part: Sequence[Request]) -> tuple[int, bytes]:
        """HTTP status and body. Raises `SourceUnavailable` for a node that cannot be reached or is busy."""
        bodies = [{"jsonrpc": "2.0", "id": i, "method": r.method, "params": list(r.params)} for i, r in enumerate(part)]
        content = json.dumps(bodies[0] if len(bodies) == 1 else bodies, separators=(",", ":"))
        try:
            with self._places, self._session() as session:
                answer = bounded.exchange(
                    session, "POST", self._url, within=self._timeout, largest=self._largest, data=content
                )
        except bounded.TooLarge as exc:
            raise RpcError(
                f"{self} answers {part[0].method} with {exc}, the most that is read; nothing was written",
                413,
                f"the answer is larger than is read ({exc})",
            ) from exc
        except requests.Timeout as exc:
            raise Struggling(f"{self} did not answer {part[0].method} in {self._timeout:g} s") from exc
        except requests.RequestException as exc:
            # The text of the exception repeats the whole URL, so it is not shown.
            raise SourceUnavailable(f"{self} cannot be reached ({type(exc).__name__})") from exc
        status = answer.status
        if answer.redirects:
            raise SourceRefused(
                f"{self} answers HTTP {status}, a redirect to {_host(answer.headers.get('Location'))}; "
                f"redirects are not followed: set {self._variable} to the node's own address"
            )
        if status >= 400:
            self._failed(status, answer.content, part)
        return status, answer.content

    def _failed(self, status: int, body: bytes, part: Sequence[Request]) -> None:
        """Raise what an answer with an HTTP error means; a 4xx with an answer for each request is left to `_post`."""
        message = _words(body)
        kind = classify(status, None, message)
        if kind is Kind.LIMIT:
            raise RpcError(
                f"{self} refuses {_what(part)} with HTTP {status}: {message}", 413, message or "request too large"
            )
        if status == 429:
            raise SourceUnavailable(f"{self} answers HTTP {status}{': ' if message else ''}{message}")
        if status >= 500 or status in (408, 425):
            raise Struggling(f"{self} answers HTTP {status}{': ' if message else ''}{message}")

    def _post(self, part: Sequence[Request]) -> list[Any]:
        status, body = self._exchange(part)
        try:
            answer = orjson.loads(body)
        except ValueError as exc:
            if status >= 400:
                raise SourceRefused(
                    f"{self} refuses with HTTP {status}; check the key in {self._variable} "
                    "and whether the plan allows this method"
                ) from exc
            shown = " ".join(body[:400].decode("utf-8", "replace").split())[:80]
            raise MalformedAnswer(
                f"{self} answers {part[0].method} with something that is not JSON, beginning "
                f"{shown!r}; is {self._variable} the address of a node?"
            ) from exc
        return self._sorted_out(answer, part)

    def _sorted_out(self, answer: Any, part: Sequence[Request]) -> list[Any]:
        if isinstance(answer, dict) and len(part) > 1:
            if "error" not in answer:
                raise MalformedAnswer(f"{self} answers a batch of {len(part)} requests with one result")
            raise self._error(answer["error"], f"a batch of {len(part)} requests")
        rows = [answer] if isinstance(answer, dict) else answer
        if not isinstance(rows, list):
            raise MalformedAnswer(f"{self} answers {part[0].method} with {type(answer).__name__}, not an object")
        errors = [row["error"] for row in rows if isinstance(row, dict) and row.get("error")]
        if len(part) > 1 and len(rows) == 1 and errors:
            # geth refuses a batch by a list with one error, under the id of the first request or none.
            raise self._error(errors[0], _what(part))
        by_id = {row.get("id"): row for row in rows if isinstance(row, dict)}
        results: list[Any] = []
        for i, request in enumerate(part):
            # An error about the request as a whole may come without its id.
            row = by_id.get(i, rows[0] if len(part) == 1 and rows else None)
            if not isinstance(row, dict) or not ("result" in row or "error" in row):
                raise MalformedAnswer(
                    f"{self}: expected {len(part)} answers, found none for request {i} ({request.method})"
                )
            results.append(self._error(row["error"], request.method) if row.get("error") else row.get("result"))
        return results

    def _error(self, error: Any, what: str) -> RpcError:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        reason = " ".join(str(error.get("message", "no reason given")).split())[:300]
        if isinstance(error.get("data"), dict):  # the reason behind "invalid params"
            more = next((error["data"][key] for key in ("payload", "message", "reason") if key in error["data"]), "")
            if isinstance(more, str) and more.strip() and more not in reason:
                reason = f"{reason}: {' '.join(more.split())}"[:300]
        code = error["code"] if isinstance(error.get("code"), int) else 0
        data = error.get("data") if isinstance(error.get("data"), str) else None
        return RpcError(f"{self} refuses {what}: {reason} (code {code})", code, reason, data)

    def rest(self, seconds: float) -> None:
        """Wait before the next request to the node."""
        self._sleep(seconds)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """A session for this thread alone (sessions of requests are not thread-safe), with its connection kept open."""
        with self._lock:
            self.requests_made += 1
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = bounded.session()
            session.headers["Content-Type"] = "application/json"
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append(session)


def _what(part: Sequence[Request]) -> str:
    return part[0].method if len(part) == 1 else f"a batch of {len(part)} requests"


def _divisible(part: Sequence[Request]) -> bool:
    """Whether less can be asked for: a batch of several, a divisible request, logs of more than one block."""
    if len(part) > 1 or part[0].divisible:
        return True
    wanted = part[0].params[0] if part[0].method == "eth_getLogs" and part[0].params else None
    return isinstance(wanted, dict) and "fromBlock" in wanted and wanted["fromBlock"] != wanted.get("toBlock")


def _words(body: bytes) -> str:
    """The message in the body of an HTTP error: that of a JSON error, else the beginning of the body; HTML gives ""."""
    try:
        found = orjson.loads(body)
    except ValueError:
        text = body[:400].decode("utf-8", "replace")
        return "" if text.lstrip().startswith("<") else " ".join(text.split())[:120]
    row = found[0] if isinstance(found, list) and found else found
    error = row.get("error", row.get("message", "")) if isinstance(row, dict) else ""
    return " ".join(str(error.get("message", "") if isinstance(error, dict) else error).split())[:200]


def _host(location: str | None) -> str:
    shown = redacted(location or "")
    return "another path" if "?" in shown else shown


def quantity(value: Any, what: str) -> int:
    """A JSON-RPC quantity ("0x1a") as an integer. Raises `MalformedAnswer` naming `what`."""
    try:
        return int(value, 16)
    except (TypeError, ValueError) as exc:
        raise MalformedAnswer(f"{what}: expected a hexadecimal quantity, found {value!r:.80}") from exc
