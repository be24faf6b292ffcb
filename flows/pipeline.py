"""What every flow shares: how it presents itself, and the one way rows reach the warehouse."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any

from data.errors import WarehouseError
from flows import event_relay
from flows.redaction import clean, hidden_values, quiet_libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """How a flow module presents itself to `python -m flows`; each flow module has one, named `FLOW`.

    `add_arguments` declares the parameters; `run` executes the flow in-process from the parsed arguments and
    returns one line for the user. It raises `flows.errors.FlowError` (or an error of `data`) when it refuses. What
    it raises, and every cause of that, holds no secret that was read from settings.
    """

    name: str
    summary: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], str]

    def __post_init__(self) -> None:
        run = self.run

        @wraps(run)
        def guarded(arguments: Namespace) -> str:
            quiet_libraries()
            try:
                return run(arguments)
            except BaseException as exc:
                clean(exc)
                raise

        object.__setattr__(self, "run", guarded)


@contextmanager
def recorded(store: Any, flow: str, params: Mapping[str, object]) -> Iterator[str]:
    """Run a flow under a `fact_run` row: yields the run id, and stores how it ended, also when it raises.

    What it wrote is then told to Prefect, where there is an API for that (`flows.event_relay`).
    """
    event_relay.begin(store)
    run_id = store.start_run(flow, hidden_values(dict(params)))
    try:
        yield run_id
    except BaseException as exc:
        clean(exc)
        with suppress(WarehouseError):  # a full disk has no room for this note either, and `exc` says why
            store.finish_run(run_id, "failed", f"{type(exc).__name__}: {exc}")
        raise
    store.finish_run(run_id, "completed", event_relay.relay(store))
