"""Store a market that was read: its rows, the findings about it, and the line that the flow returns.

Used by both ways of reading: the scan of the log (`flows.aave.aave_market`) and accounts that a source names
(`flows.aave.candidates.route`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import UnmappedReserve
from data.prices import assets
from flows.aave import address_book
from flows.aave.rows import to_frames
from flows.errors import CrossCheckFailed
from flows.pipeline import Finding, Mark, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.store.store import WriteReport
    from flows.aave.place import Place
    from flows.aave.rows import MarketState

SOURCE = "aave_rpc"
FULL_READ = "aave_full_read"
"""Source of the checkpoint with the time of the last full read."""
NOT_READ = "Aave v4 is not read and is in no total"
READ_ONLY = "Aave v2 is for reading only, the engine does not know its rules"
UNPRICED = "; the oracle has no price of {} ({}), which nobody owes or has as collateral: it is in no total"
OWN_POOL = (
    "the market runs a pool of its own: valuations are compared with it, the rules of its liquidations are taken from "
    "its POOL_REVISION"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A market as it was read: `n_read` accounts from the node, the rest carried from `state.base_block`.

    `differences`: accounts that carrying forward got wrong, found by a full read of the same block.
    """

    state: MarketState
    n_read: int
    key: str
    differences: Sequence[str] = ()


def write(run: Run, reading: Reading) -> WriteReport:
    """Store the snapshot in one transaction; rows of a replaced block of the same number go."""
    state = reading.state
    full = Mark(FULL_READ, reading.key, {"block": state.block.number, "time": state.block.time})
    unpriced = [r for r in state.reserves if r.no_price]
    found = [
        Finding("raw_aave_reserves", "the oracle has a price", "price_raw", len(unpriced), len(state.reserves),
                f"{unpriced[0].symbol}: {unpriced[0].no_price}", f"{state.market}:{state.block.number}")
    ] if unpriced else []  # fmt: skip
    is_full = state.read_mode == "full"
    is_new = is_full and run.store.checkpoint(FULL_READ, reading.key) != full.state
    return run.snapshot(
        SOURCE, to_frames(state), marks=[full] if is_new else [], findings=found, untouched=state.untouched
    )


def report_differences(run: Run, reading: Reading) -> None:
    """Where carrying got accounts wrong, note them in `fact_validation` and raise `CrossCheckFailed`."""
    if not reading.differences:
        return
    state, wrong = reading.state, reading.differences
    found = Finding(
        "raw_aave_balances", "carried forward equals read in full", "", len(wrong), state.n_accounts, wrong[0][:300]
    )
    run.finding(SOURCE, f"{state.market}:{state.block.number}", found)
    raise CrossCheckFailed(
        f"{state.market} at block {state.block.number}: {len(wrong)} of {state.n_accounts} accounts, carried "
        f"forward from an earlier snapshot, are not what a full read finds; the first is {wrong[0]:.300}. The full "
        "read is stored; incremental snapshots since the full read before it are in doubt (fact_snapshot.read_mode)"
    )


def map_assets(run: Run, market: str) -> str:
    """Store in `dim_asset` which prices the reserves follow; returns a message about what is missing, else "".

    A reserve without a price series is not an error of the snapshot, so nothing is raised.
    """
    try:
        assets.save_map(run.store, assets.asset_map(market, run.store.path), run.id)
    except UnmappedReserve as exc:
        return str(exc)
    return ""


def described(place: Place, reading: Reading, report: WriteReport) -> str:
    """One line for the user."""
    state = reading.state
    changed = sum(report.changed.values())
    n_positions = report.rows["raw_aave_balances"] + (
        len(state.untouched.position["account"]) if state.untouched else 0
    )
    below = state.checked.below_one_confirmed
    how = ""
    if state.debtors_only:
        how = " with debt"
    elif state.base_block is not None:
        how = f" ({reading.n_read:,} read, the others carried from {state.base_block:,})"
    return (
        f"{state.market} at block {state.block.number:,}: {len(state.reserves)} reserves, {len(state.emodes)} e-modes, "
        f"{state.n_accounts:,} accounts{how}, {n_positions:,} positions; "
        f"{state.checked.hf_checked:,} health factors equal the pool's"
        + (" within its rounding" if state.contracts.protocol == address_book.V2 else "")
        + (f", {below:,} of them below 1" if below else "")
        + "".join(UNPRICED.format(r.symbol, r.no_price) for r in state.reserves if r.no_price)
        + (f"; {OWN_POOL}" if place.known and place.known.own_implementation else "")
        + (f"; {READ_ONLY}" if state.contracts.protocol == address_book.V2 else "")
        + f"; {NOT_READ}"
        + ("" if changed else "; already stored, nothing changed")
    )
