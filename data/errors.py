"""Errors of the warehouse. A message says what was expected, what was found, where, and what to do."""

from __future__ import annotations


class DataError(Exception):
    """Base of every error that the warehouse raises on purpose."""


class WarehouseError(DataError):
    """The database file itself cannot be used."""


class WarehouseMissing(WarehouseError):
    """There is no file yet."""


class NotAWarehouse(WarehouseError):
    """The file is damaged, or is some other program's database."""


class DamagedValue(WarehouseError):
    """A stored value cannot be read as what it should be: the file was changed by another program."""


class WarehouseReadOnly(WarehouseError):
    """The file or its directory cannot be written."""


class WarehouseLocked(WarehouseError):
    """Another process holds the write lock for longer than the timeout."""


class WarehouseFull(WarehouseError):
    """There is no room left on the disk."""


class SchemaTooNew(WarehouseError):
    """The file was written by a newer version of this package; it is not changed."""


class MigrationFailed(WarehouseError):
    """An older file could not be brought to the current layout; it is left as it was."""


class BatchRefused(DataError):
    """Too many rows of a batch are bad (or a column is missing): nothing of the batch was written.

    `failures` maps each table to the number of its bad rows.
    """

    def __init__(self, message: str, failures: dict[str, int] | None = None) -> None:
        super().__init__(message)
        self.failures = failures or {}


class MartFailed(DataError):
    """A table that SQL makes could not be brought up to date; it is left as it was."""


class NotInQuarantine(DataError):
    """Quarantine has no such batch, or the beginning of an id fits more than one."""


class ReplayRefused(DataError):
    """A quarantined batch cannot be replayed or dropped: it is settled already, or was written since."""


class NoSnapshot(DataError):
    """The warehouse holds no snapshot for the request."""


class SnapshotIncomplete(DataError):
    """The stored rows are not the whole snapshot; half a snapshot is not a snapshot."""


class SnapshotRefused(DataError):
    """The snapshot is whole but not believable, or older than the caller allows."""


class UnmappedReserve(DataError):
    """A reserve has no price series in `dim_asset`; it is never silently given a volatility of zero."""


class NoPrices(DataError):
    """The warehouse holds no prices for the series and window asked for."""


class NoResult(DataError):
    """The warehouse holds no risk run for the request."""


class ResultRefused(DataError):
    """A stored risk run is not as it was written, or was stored without a seal."""


class ExportFailed(DataError):
    """Tables could not be exported; what is at the target is left as it was."""


class NoLiquidation(DataError):
    """No stored liquidation has the key that was asked for, or more than one has it."""
