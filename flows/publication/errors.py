"""What a publication is refused for."""

from __future__ import annotations

from flows.errors import FlowError


class NotPublished(FlowError):
    """The figure, the feed or the sender are not such that a round can be made; the message says which."""
