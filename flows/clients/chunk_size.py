"""How many calls go in one request: as many as the node answers quickly."""

from __future__ import annotations

import threading

LARGEST_CHUNK = 1_600
"""A balance read costs about 10,000 gas through a proxy, and nodes give a call some 50 million."""
SLOW = 5.0
"""Seconds after which an answer counts as slow: chunks grow no further."""


class ChunkSize:
    """Number of calls in one request: grows while the node answers quickly, halves when it refuses.

    A size that was refused is not asked for again. Shared by the threads of one reader.
    """

    def __init__(self, first: int, largest: int = LARGEST_CHUNK) -> None:
        self.now = first
        self._largest = max(first, largest)
        self._lock = threading.Lock()

    def answered(self, calls: int, seconds: float) -> None:
        """A chunk of `calls` was answered in `seconds`: grow when it was quick, shrink when it was slow."""
        with self._lock:
            if seconds > SLOW:
                self._largest = max(1, min(self._largest, calls))
                self.now = min(self.now, self._largest)
            elif calls >= self.now:
                self.now = min(self._largest, self.now + self.now // 2 + 1)

    def refused(self, calls: int) -> None:
        """A chunk of `calls` was refused as too large: half of it is tried next."""
        with self._lock:
            self._largest = max(1, min(self._largest, calls - 1))
            self.now = max(1, min(self.now, calls // 2))
