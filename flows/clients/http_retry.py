"""JSON answers from a host that limits requests: wait when it asks to, retry passing errors, stop at others.

| answer | what happens |
|---|---|
| 429, 418 | waits `Retry-After`, as long as all waiting together stays inside `max_wait` |
| 5xx, 408, 425, no connection, time-out | repeated with doubling pauses and jitter, `attempts` times in all |
| other 4xx | `HttpRefused` at once: repeating a refused request may lead to a ban |
| 3xx | `HttpRefused` at once: a redirect is not followed, as its target is not in the settings |
| 200 without JSON (empty, cut, HTML) | repeated like a 5xx, then `MalformedAnswer` |
| more bytes than `largest` after decompression | `MalformedAnswer` at once |

`timeout` is for a whole request: a server that sends a byte from time to time cannot hold it longer.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from flows.clients import bounded
from flows.clients.answers import Kind, classify
from flows.errors import ConfigurationError, MalformedAnswer, SourceRefused, SourceUnavailable
from flows.settings import redacted

RATE_LIMITED = {429: "too many requests", 418: "this address is banned for going on after 429"}
FIRST_PAUSE = 0.5
"""Seconds before the first repetition after a 5xx; doubles each time."""
PAUSE_WITHOUT_ADVICE = 10.0
"""Seconds to wait after a 429 that does not say for how long."""


class HttpRefused(SourceRefused):
    """A 4xx answer that repeating cannot change. `status` is the HTTP status, `body` the decoded JSON or None."""

    def __init__(self, message: str, status: int, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """Decoded `body` of a 200 answer, its `headers` (case-insensitive) and its bytes as received."""

    body: Any
    headers: Mapping[str, str]
    content: bytes


class JsonSource:
    """One host that answers JSON. `name` is how messages call it, `variable` the setting that holds its URL.

    `max_wait` (seconds) bounds the sum of all waits of this object's life, so a run ends in known time.
    `sleep` and `jitter` are arguments so that tests need not wait.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        variable: str,
        max_wait: float = 180.0,
        attempts: int = 5,
        timeout: float = 15.0,
        largest: int = bounded.LARGEST_ANSWER,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            # Not shown: `https:/user:password@host` and `user:password@host` hold the password at their beginning.
            raise ConfigurationError(
                f"{variable}: expected an address like https://host, found one that does not begin with http:// or https://"
            )
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._variable = variable
        self._patience = max_wait
        self._max_wait = max_wait
        self._attempts = attempts
        self._timeout = timeout
        self._largest = largest
        self._sleep = sleep
        self._jitter = jitter
        self._session = bounded.session()

    def __str__(self) -> str:
        return f"{self.name} ({redacted(self.base_url)})"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str | int]) -> JsonAnswer:
        """Answer to GET `path`. Raises `SourceUnavailable`, `HttpRefused` or `MalformedAnswer` (see the module).

        Raises `ConfigurationError` where the base address has a query: a path cannot follow it.
        """
        if "?" in self.base_url or "#" in self.base_url:
            raise ConfigurationError(
                f"{self._variable}: expected an address without a query such as https://host/base, found one with "
                f"'?' or '#' at {redacted(self.base_url)}; paths are appended to it. Nothing was asked"
            )
        return self._answered(path, lambda: self._exchange("GET", self.base_url + path, params=params))

    def post(self, body: Any, headers: Mapping[str, str], about: str) -> JsonAnswer:
        """Answer to POSTing `body` as JSON to the base address; only for requests that may be repeated.

        `about` is what messages call the request, since the address itself may hold a key. Raises like `get`.
        """
        return self._answered(about, lambda: self._exchange("POST", self.base_url, json=body, headers=headers))

    def _exchange(self, method: str, url: str, **options: Any) -> bounded.Received:
        return bounded.exchange(self._session, method, url, within=self._timeout, largest=self._largest, **options)

    def _answered(self, path: str, send: Callable[[], bounded.Received]) -> JsonAnswer:
        failures = 0
        while True:
            try:
                response = send()
            except bounded.TooLarge as exc:
                raise MalformedAnswer(
                    f"{self} answers {path} with {exc} after decompression, the most that is read. Nothing was "
                    f"written; check {self._variable}"
                ) from exc
            except requests.RequestException as exc:
                failures += 1
                self._pause_or_give_up(failures, f"cannot be reached ({_reason(exc)})", exc)
                continue
            if response.status in RATE_LIMITED:
                self._wait_as_told(response)
            elif classify(response.status, None, "") is Kind.PASSING:
                failures += 1
                self._pause_or_give_up(failures, f"answers HTTP {response.status} to {path}")
            elif response.status >= 300:
                raise self._refusal(response, path)
            else:
                try:
                    return JsonAnswer(self._decoded(response, path), response.headers, response.content)
                except MalformedAnswer:
                    failures += 1
                    if failures >= self._attempts:
                        raise
                    self._pause_or_give_up(failures, f"answers {path} with what is not JSON")

    def wait(self, seconds: float, because: str) -> None:
        """Sleep, unless that would exhaust `max_wait`: then raises `SourceUnavailable` saying `because`."""
        if seconds > self._patience:
            again = datetime.fromtimestamp(time.time() + seconds, UTC)
            raise SourceUnavailable(
                f"{self} {because} and asks to wait {seconds:,.0f} s; a run waits at most {self._max_wait:,.0f} s "
                f"in all ({self._max_wait - self._patience:,.0f} s are used). Nothing was written; run again after "
                f"{again:%Y-%m-%d %H:%M} UTC"
            )
        self._patience -= seconds
        self._sleep(seconds)

    def _wait_as_told(self, response: bounded.Received) -> None:
        status = response.status
        advice = _retry_after(response.headers.get("Retry-After"))
        # A server may say 0 and go on refusing; the floor makes such a loop use up its patience.
        seconds = PAUSE_WITHOUT_ADVICE if advice is None else max(advice, 1.0)
        self.wait(seconds, f"answers HTTP {status} ({RATE_LIMITED[status]})")

    def _pause_or_give_up(self, failures: int, what: str, cause: Exception | None = None) -> None:
        if failures >= self._attempts:
            raise SourceUnavailable(
                f"{self} {what}; tried {failures} times. Nothing was written; "
                f"check {self._variable} and the network, then run again"
            ) from cause
        # Full jitter on top of doubling: many clients that failed together must not come back together.
        self.wait(FIRST_PAUSE * 2 ** (failures - 1) * (1 + self._jitter()), what)

    def _refusal(self, response: bounded.Received, path: str) -> HttpRefused:
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            body = None
        text = body if body is not None else _beginning(response)
        hint = ""
        if response.status == 451:
            hint = f"; the service is closed to this country, set {self._variable} to a host that serves it"
        if response.redirects:
            text = f"a redirect to {redacted(response.headers.get('Location', ''))}, which is not followed"
            hint = f"; set {self._variable} to the address that answers by itself"
        return HttpRefused(
            f"{self} refuses {path} with HTTP {response.status}: {text}{hint}. Nothing was written",
            response.status,
            body,
        )

    def _decoded(self, response: bounded.Received, path: str) -> Any:
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as exc:
            kind = response.headers.get("Content-Type", "no content type")
            raise MalformedAnswer(
                f"{self} answers {path} with {kind} that is not JSON, beginning {_beginning(response)!r}. "
                f"Nothing was written; check {self._variable} (a login page or a proxy in between?)"
            ) from exc


def _retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header: a number of seconds or an HTTP date (RFC 9110, 10.2.3); None if neither."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _reason(exc: Exception) -> str:
    # requests wraps urllib3's wrapping of the socket's error, with the whole URL inside: the kind says enough.
    if isinstance(exc, requests.Timeout):
        return "timed out"
    if isinstance(exc, requests.ConnectionError):
        return "connection refused or lost"
    return type(exc).__name__


def _beginning(response: bounded.Received) -> str:
    text = " ".join(response.content[:400].decode("utf-8", "replace").split())
    return text[:80] + ("…" if len(text) > 80 else "")
