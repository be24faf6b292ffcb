"""Events of the warehouse as Prefect events, for automations that wait for new blocks or new data.

The events are stored in `fact_pipeline_event`; this is one of its consumers, with an offset of its own, which moves
when the Prefect API has confirmed. So every row becomes a Prefect event at least once, also rows written while the API
could not be reached, and a change that was rolled back gives none; an event that is sent again has the same id. Where
PREFECT_API_URL is not set nothing is sent, and Prefect is not imported.

    event aave-risk.new_block, resource prefect.resource.id = aave-risk.chain-1, payload as in data.events
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from data import events
from data.errors import DataError
from data.events import PipelineEvent
from data.store.store import Store
from flows import settings

CONSUMER = "prefect"
AT_ONCE = 500
"""Events sent to the API with one confirmation, at most."""
SECONDS = 20.0
"""Seconds to wait for the API's confirmation; then the events wait for the next call."""


def begin(store: Store) -> None:
    """Where nothing was sent before, start with events from now on: older ones are not sent."""
    if not settings.get("PREFECT_API_URL") or events.offset(store, CONSUMER) is not None:
        return
    with store.one_state() as connection:
        newest = events.newest(connection)
    events.commit_offset(store, CONSUMER, events.EVERYTHING, newest)


def relay(store: Store) -> str:
    """Send what has happened since the last call. Returns why that failed; empty where it succeeded or no API is set.

    Raises nothing of Prefect's: the data are stored, and the events wait for the next call.
    """
    if not settings.get("PREFECT_API_URL"):
        return ""
    while waiting := events.read_events(store, CONSUMER, limit=AT_ONCE):
        try:
            asyncio.run(asyncio.wait_for(_send(waiting), SECONDS))
        except Exception as exc:  # whatever a library of another service may raise: the data are stored
            return f"events were not sent to Prefect ({type(exc).__name__}); they are sent later"
        events.commit_offset(store, CONSUMER, events.EVERYTHING, waiting[-1].id)
    return ""


async def _send(waiting: Sequence[PipelineEvent]) -> None:
    # Imported here, not at the top: Prefect takes 0.8 s of processor time, and without PREFECT_API_URL nothing is sent.
    from prefect.events import Event as PrefectEvent
    from prefect.events import Resource
    from prefect.events.clients import get_events_client

    # `emit_event` would queue them for a thread that drops what it cannot send; this client confirms.
    async with get_events_client(reconnection_attempts=0, checkpoint_every=len(waiting)) as client:
        for event in waiting:
            about = f"aave-risk.{event.topic}"
            await client.emit(
                PrefectEvent(
                    id=uuid.uuid5(uuid.NAMESPACE_URL, f"aave-risk:{event.id}:{event.created_at}:{event.topic}"),
                    occurred=datetime.fromtimestamp(event.created_at, UTC),
                    event=f"aave-risk.{event.type}",
                    resource=Resource({"prefect.resource.id": about, "prefect.resource.name": event.topic}),
                    payload=event.payload | {"event_id": event.id},
                )
            )


class Relay:
    """`relay` in a thread of its own, one call at a time, so that the caller does not wait for another service."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="relay")
        self._running: Future[str] | None = None
        self._complaint = ""

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def wake(self) -> None:
        """Start a call, as there may be new events; does nothing while a call is under way."""
        if not settings.get("PREFECT_API_URL") or (self._running is not None and not self._running.done()):
            return
        complaint = self._running.result() if self._running is not None else ""
        if complaint and complaint != self._complaint:
            self._say(complaint)
        self._complaint = complaint
        self._running = self._pool.submit(self._call)

    def _call(self) -> str:
        try:
            with Store.open(self._path) as store:
                return relay(store)
        except DataError as exc:  # another writer holds the warehouse
            return f"events were not sent to Prefect ({type(exc).__name__}); they are sent later"
