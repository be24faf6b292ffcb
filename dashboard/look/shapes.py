"""Protocols of what this package shows: it knows only these attributes, not the market, the warehouse or the engine."""

from __future__ import annotations

from typing import Protocol


class Shown(Protocol):
    """A figure with its error; `low` to `high` is its 95 % interval, None where it is not known."""

    @property
    def value(self) -> float:
        """The figure itself."""

    @property
    def low(self) -> float | None:
        """Lower end of the 95 % interval; None where it is not known."""

    @property
    def high(self) -> float | None:
        """Upper end of the 95 % interval; None where it is not known."""

    @property
    def n_positive(self) -> int | None:
        """Draws above zero that determine the figure; None where it is not known."""

    @property
    def few_draws(self) -> bool:
        """Too few draws to trust the error."""

    @property
    def no_interval(self) -> str:
        """Why there is no interval, in words; empty where there is one."""

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval; NaN where it is not known."""


class Handle(Protocol):
    """A driver with a slider; numbers are in the unit on screen."""

    @property
    def key(self) -> str:
        """Name of the slider in links and stores."""

    @property
    def label(self) -> str:
        """What a reader sees beside the slider."""

    @property
    def unit(self) -> str:
        """Unit of the values."""

    @property
    def low(self) -> float:
        """Left end of the track, in `unit`."""

    @property
    def high(self) -> float:
        """Right end of the track, in `unit`."""

    @property
    def step(self) -> float:
        """Smallest change, in `unit`."""

    @property
    def baseline(self) -> float:
        """Value without any change, in `unit`."""

    def position(self, value: float) -> float:
        """Where `value` sits on the track, 0 to 1."""


class Snapshot(Protocol):
    """The snapshot that a page shows. `block` is None when there is none; `fault` says why it cannot be read."""

    @property
    def market(self) -> str:
        """Name of the market; empty without a snapshot."""

    @property
    def block(self) -> int | None:
        """Block number; None without a snapshot."""

    @property
    def block_time(self) -> int:
        """Time of the block, UTC epoch seconds."""

    @property
    def revision(self) -> int:
        """The pool's `POOL_REVISION`."""

    @property
    def version(self) -> str:
        """Aave's version name of that revision."""

    @property
    def snapshot_hash(self) -> str:
        """Hash that identifies the snapshot."""

    @property
    def synthetic(self) -> bool:
        """The market is the built-in sample."""

    @property
    def age_seconds(self) -> float:
        """Seconds since the block."""

    @property
    def stale(self) -> bool:
        """True for a snapshot older than the limit for live data."""

    @property
    def fault(self) -> str:
        """Why the snapshot cannot be read, in words; empty when it can."""
