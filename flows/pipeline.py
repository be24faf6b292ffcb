"""What every flow shares: its specification, and the way its rows are written to the warehouse."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from data.errors import WarehouseError
from flows.redaction import clean, hidden_values, quiet_libraries

if TYPE_CHECKING:
    import pandas as pd

    from data.snapshot.untouched import Untouched
    from data.store.store import Store, WriteReport
    from flows.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """The specification of a flow, which `flows.registry.load` makes of its entry.

    `options` declares the parameters; `run` executes the flow in-process from them and returns one line for the user.
    It raises `flows.errors.FlowError` or an error of `data`. No secret that was read from settings is in what it
    raises, nor in a cause of that.
    """

    name: str
    options: type[Options]
    run: Callable[[Any], str]

    def __post_init__(self) -> None:
        run = self.run

        @wraps(run)
        def guarded(arguments: Any) -> str:
            quiet_libraries()
            try:
                return run(arguments)
            except BaseException as exc:
                clean(exc)
                raise

        object.__setattr__(self, "run", guarded)


class Mark(NamedTuple):
    """Progress of a scan: `state`, of JSON values, is read back by `Store.checkpoint(source, key)`."""

    source: str
    key: str
    state: Mapping[str, object]


class Finding(NamedTuple):
    """A check that failed: `n_failed` of `n_rows`, with one example.

    `table` and `column` name the figure, `column` is empty where it is about whole rows. `about`: the batch that was
    checked, where it is written in another one.
    """

    table: str
    check: str
    column: str
    n_failed: int
    n_rows: int
    example: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a flow: what it writes into `store` names its `id`, that of its row in `fact_run`."""

    store: Store
    id: str

    def write(
        self,
        source: str,
        key: str,
        frames: Mapping[str, pd.DataFrame],
        *,
        marks: Iterable[Mark] = (),
        findings: Iterable[Finding] = (),
        **options: Any,
    ) -> WriteReport:
        """Write tables, marks of progress and findings, together or not at all.

        `options`: see `Store.write_batch`. Raises `data.errors.BatchRefused`, `WarehouseError`.
        """
        noted = self._noted(source, key, marks, findings)
        return self.store.write_batch(source, key, {**frames, **noted}, self.id, **options)

    def mark(self, source: str, key: str, state: Mapping[str, object], *, batch: str = "") -> None:
        """Store the progress of a scan in a batch of its own; `write(..., marks=...)` stores it with its rows."""
        self.write(source, batch or key, {}, marks=[Mark(source, key, state)])

    def finding(self, source: str, key: str, *found: Finding) -> None:
        """Keep findings in `fact_validation`; nothing is written where there are none."""
        if found:
            self.write(source, key, {}, findings=found)

    def snapshot(
        self,
        source: str,
        frames: Mapping[str, pd.DataFrame],
        *,
        marks: Iterable[Mark] = (),
        findings: Iterable[Finding] = (),
        untouched: Untouched | None = None,
    ) -> WriteReport:
        """A whole market at one block, marks and findings, in one transaction; see `data.snapshot.save_snapshot`."""
        # Imported here, not at the top: it brings the validation library and the schemas (1 s of processor time), which
        # a flow whose figures are stored already does not need; nor does --help.
        from data.snapshot.saving import save_snapshot

        noted = self._noted(source, "", marks, findings)
        return save_snapshot(self.store, source, {**frames, **noted}, self.id, untouched=untouched)

    def refresh(self, tables: Sequence[str]) -> None:
        """Bring tables that SQL makes of others up to date; see `data.marts.refresh`."""
        # Imported here for the same reason as in `snapshot`.
        from data import marts

        marts.refresh(self.store, tables, run_id=self.id)

    def _noted(
        self, source: str, key: str, marks: Iterable[Mark], findings: Iterable[Finding]
    ) -> dict[str, pd.DataFrame]:
        # Imported here, not at the top: 0.3 s of processor time, which --help does not need.
        import pandas as pd

        now = int(time.time())
        marked = [
            {
                "source": mark.source,
                "key": mark.key,
                "value": json.dumps(mark.state, sort_keys=True),
                "updated_at": now,
            }
            for mark in marks
        ]
        found = [
            {
                "run_id": self.id, "source": source, "batch_key": finding.about or key, "table_name": finding.table,
                "check_name": finding.check, "column_name": finding.column, "n_failed": finding.n_failed,
                "n_rows": finding.n_rows, "example": finding.example, "checked_at": now,
            }
            for finding in findings
        ]  # fmt: skip
        tables = {"ingest_checkpoint": marked, "fact_validation": found}
        return {table: pd.DataFrame(rows) for table, rows in tables.items() if rows}


@contextmanager
def recorded(store: Store, flow: str, params: Mapping[str, object]) -> Iterator[Run]:
    """Run a flow with a row of `fact_run`: yields its `Run`, and stores how it ended, also when it raises.

    Its events are then sent to Prefect, where its API is configured (`flows.event_relay`).
    """
    # Imported here for the same reason as in `Run.snapshot`.
    from flows import event_relay

    event_relay.begin(store)
    run_id = store.start_run(flow, hidden_values(dict(params)))
    try:
        yield Run(store, run_id)
    except BaseException as exc:
        clean(exc)
        with suppress(WarehouseError):  # a full disk has no room for this note either, and `exc` says why
            store.finish_run(run_id, "failed", f"{type(exc).__name__}: {exc}")
        raise
    store.finish_run(run_id, "completed", event_relay.relay(store))
