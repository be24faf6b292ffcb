"""Flow `protocol-snapshot`: TVL and borrow history of lending protocols from DefiLlama, into `fact_protocol_snapshot`.

Beside it the lists that DefiLlama keeps (protocols, chains, stablecoins, yields) are stored as received. A list that is
refused or cannot be reached is named in the run's line and does not end the run, since no figure of the snapshot uses
it; a list that changed its shape ends the run, as with every source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.store.store import Store
from flows.continuous import run_as_asked
from flows.errors import MalformedAnswer, SourceRefused, SourceUnavailable
from flows.pipeline import Finding, Run, recorded
from flows.protocols.defillama import DefiLlama
from flows.protocols.defillama_shapes import ALL_CHAINS
from flows.protocols.options import ProtocolSnapshotOptions

if TYPE_CHECKING:
    from flows.protocols.defillama import Rows
    from flows.protocols.defillama_shapes import ProtocolPoint

SOURCE = "defillama"
TOTAL_BAND = 0.01
"""Largest relative difference between our sum over chains and the total that the answer states."""
LISTS: dict[str, tuple[str, Callable[[DefiLlama], Rows[Any]], bool]] = {
    "protocols": ("raw_defillama_protocols", lambda source: source.protocols(), True),
    "chains": ("raw_defillama_chain_tvl", lambda source: source.chain_tvl(), False),
    "stablecoins": ("raw_defillama_stablecoins", lambda source: source.stablecoins(), True),
    "yields": ("raw_defillama_yields", lambda source: source.pools(), True),
}
"""Lists that are read: (table, how it is read, whether its rows are only valid at the time of reading)."""


def to_frame(answer: Rows[Any], **more: Any) -> pd.DataFrame:
    """Rows of an answer as they go to their raw table; `more`: columns with one value for all."""
    frame = pd.DataFrame([row._asdict() for row in answer.rows]).assign(**more, source=SOURCE)
    return frame.assign(payload_sha256=answer.payload_sha256)


def run(arguments: ProtocolSnapshotOptions) -> str:
    """Read once, or every so many seconds until stopped (`--every`); see `collect`."""
    return run_as_asked(collect, arguments)


def collect(arguments: ProtocolSnapshotOptions) -> str:
    """Store the history of each protocol, then the lists, then bring `fact_protocol_snapshot` up to date.

    Raises `SourceUnavailable`, `SourceRefused` (a slug that is unknown), `MalformedAnswer`, `data.errors.BatchRefused`.
    """
    parameters = {"slugs": arguments.slugs, "lists": arguments.lists}
    with (
        Store.open() as store,
        recorded(store, "protocol-snapshot", parameters) as run,
        DefiLlama.from_environment() as source,
    ):
        read = 0
        for slug in dict.fromkeys(arguments.slugs):
            history = _distinct(slug, source.protocol(slug))
            if not history.rows:
                raise MalformedAnswer(f"DefiLlama has no point of the protocol {slug}; correct --slugs")
            report = run.write(SOURCE, f"protocol:{slug}", {"raw_defillama_protocol": to_frame(history, slug=slug)})
            read += report.rows["raw_defillama_protocol"]
        missed = [line for name in dict.fromkeys(arguments.lists) if (line := _list(run, source, name))]
        run.refresh(["fact_protocol_snapshot"])
        slugs = list(dict.fromkeys(arguments.slugs))
        wrong = _reconcile(run, slugs)
        newest = [_newest(store, slug) for slug in slugs]
    return "; ".join([*newest, f"{read:,} points read", *wrong, *missed])


def _reconcile(run: Run, slugs: Sequence[str]) -> list[str]:
    """Compare the newest sum over chains with the total that DefiLlama states, where it states one.

    Which keys are deposits is our reading of the answer; a new kind of key would show up here first.
    """
    rows, notes = [], []
    for slug in slugs:
        found = run.store.rows(
            "SELECT f.snapshot_ts, f.tvl_usd, p.usd FROM fact_protocol_snapshot AS f "
            "JOIN raw_defillama_protocol AS p ON p.slug = f.slug AND p.series = ? AND p.date = f.snapshot_ts "
            "WHERE f.slug = ? ORDER BY f.snapshot_ts DESC, p.batch DESC LIMIT 1",
            (ALL_CHAINS, slug),
        )
        if not found or abs(found[0][1] - found[0][2]) <= TOTAL_BAND * abs(found[0][2]):
            continue
        ts, ours, stated = found[0]
        notes.append(f"{slug}: CHAINS SUM to {ours:,.0f} USD, DefiLlama's own total is {stated:,.0f}")
        check = f"sum over chains within {TOTAL_BAND:.0%} of the stated total"
        rows.append(Finding("fact_protocol_snapshot", check, "tvl_usd", 1, 1, notes[-1], about=f"{slug}:{ts}"))
    run.finding(SOURCE, f"totals:{run.id}", *rows)
    return notes


def _list(run: Run, source: DefiLlama, name: str) -> str:
    table, read, of_now = LISTS[name]
    try:
        answer = read(source)
    except (SourceUnavailable, SourceRefused) as exc:
        return f"{name} not read ({' '.join(str(exc).split())[:120]})"
    if not answer.rows:
        return f"{name} not read (the list is empty)"
    at = {"fetched_at": int(time.time())} if of_now else {}
    run.write(SOURCE, name, {table: to_frame(answer, **at)})
    return ""


def _distinct(slug: str, history: Rows[ProtocolPoint]) -> Rows[ProtocolPoint]:
    """Each point once, in the order received. Raises `MalformedAnswer` for a point with two different values."""
    found: dict[tuple[str, int], ProtocolPoint] = {}
    for point in history.rows:
        first = found.setdefault((point.series, point.date), point)
        if first.usd != point.usd:
            raise MalformedAnswer(
                f"DefiLlama's history of {slug}: series {point.series} has two values at {point.date} "
                f"({first.usd:,.2f} and {point.usd:,.2f} USD), expected one. Nothing of {slug} was written; run again"
            )
    return history._replace(rows=list(found.values()))


def _newest(store: Any, slug: str) -> str:
    rows = store.rows(
        "SELECT snapshot_ts, tvl_usd, borrowed_usd, utilisation FROM fact_protocol_snapshot WHERE slug = ? "
        "ORDER BY snapshot_ts DESC LIMIT 1",
        (slug,),
    )
    if not rows:
        return f"{slug}: no chain has a point"
    ts, tvl, borrowed, utilisation = rows[0]
    lent = "" if borrowed is None else f", {borrowed:,.0f} USD lent"
    used = "" if utilisation is None else f" ({utilisation:.1%} of deposits)"
    return f"{slug}: {tvl:,.0f} USD locked{lent}{used} at {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(ts))}"
