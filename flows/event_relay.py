"""Events of the warehouse as Prefect events, for automations that wait for new blocks or new data.

The durable channel is `fact_pipeline_event`; this is one of its consumers, with an offset of its own. So a Prefect
event is sent for every row at least once, also of what was written while no Prefect API was there, and never for
something that was rolled back. Where PREFECT_API_URL is not set nothing is sent, and nothing is imported.

    event aave-risk.new_block, resource prefect.resource.id = aave-risk.chain-1, payload as in data.events

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows import settings

if TYPE_CHECKING:
    from data.store import Store

CONSUMER = "prefect"
AT_ONCE = 500
"""Events of one call; what is left goes with the next."""


def begin(store: Store) -> None:
    """Where nothing was ever sent, begin with what happens from now on: history is no news."""
    from data import events

    if not settings.get("PREFECT_API_URL") or events.offset(store, CONSUMER) is not None:
        return
    with store.one_state() as connection:
        newest = events.newest(connection)
    events.commit_offset(store, CONSUMER, events.EVERYTHING, newest)


def relay(store: Store) -> str:
    """Send what has happened since the last call; returns why not, empty where it went well or nobody asked for it.

    Raises nothing that Prefect raises: the data are stored, and the events wait for the next call.
    """
    from data import events

    if not settings.get("PREFECT_API_URL"):
        return ""
    waiting = events.read_events(store, CONSUMER, limit=AT_ONCE)
    if not waiting:
        return ""
    try:
        for event in waiting:
            _emit(event)
    except Exception as exc:  # whatever a library of another service may raise: it is not our data's fault
        return f"{len(waiting)} events were not sent to Prefect ({type(exc).__name__}); they are sent later"
    events.commit_offset(store, CONSUMER, events.EVERYTHING, waiting[-1].id)
    return ""


def _emit(event: Any) -> None:
    from prefect.events import emit_event

    emit_event(
        event=f"aave-risk.{event.type}",
        resource={"prefect.resource.id": f"aave-risk.{event.topic}", "prefect.resource.name": event.topic},
        payload=event.payload | {"event_id": event.id, "created_at": event.created_at},
    )
