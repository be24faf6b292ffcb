"""The error for a publication that is refused."""

from __future__ import annotations

from flows.errors import FlowError


class NotPublished(FlowError):
    """The figure, the feed or the sender does not allow a round; the message says which and why."""
