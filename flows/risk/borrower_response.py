"""Flow `borrower-response`: how borrowers act when they are close to liquidation, fitted to what they did.

Accounts are followed between stored snapshots (`flows.risk.borrower_spells`), and share, delay and target of a response
are fitted to their spells (`risk_core.analytics.responses`). The model envelope of `risk-scenarios` uses the fit.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.borrowers import HIGHEST
from data.errors import SnapshotIncomplete, SnapshotRefused
from data.prices import assets
from data.snapshot import available, load_market
from data.store.store import Store
from flows.errors import FlowError
from flows.pipeline import recorded
from flows.risk.borrower_spells import LEAST_RISE, TOGETHER, Series, Spell, Track, between, followed
from flows.risk.factors import factors_of
from flows.risk.options import BorrowerResponseOptions
from risk_core import Market, Snapshot
from risk_core.analytics import responses

SOURCE = "borrower-response"
DAY = 86_400
FARTHEST = 7 * DAY
"""Between two snapshots that are further apart nobody is followed: interest and transfers are not seen."""
READ_EVENTS = "python -m flows lending-events"
READ_PAST = "python -m flows aave-history --store --every day"
READ_PRICES = "python -m flows market-prices"


class TooFewSpells(FlowError):
    """Too little is stored to say how borrowers respond; the message says what is missing and what brings it."""


class Observed(NamedTuple):
    """What was followed: ended spells, number of accounts in the zone whose begin was not seen, snapshots, seconds."""

    spells: list[Spell]
    unseen: int
    snapshots: list[Snapshot]
    seconds: int
    notes: tuple[str, ...]


def run(arguments: BorrowerResponseOptions) -> str:
    """Follow, fit, store and report. Raises `TooFewSpells`, and what `load_market` raises."""
    with Store.open() as store:
        at = load_market(arguments.block, arguments.market).snapshot
        try:
            seen = observed(store, at, arguments)
            spells = as_arrays(seen.spells)
            fit = fitted(at, spells, seen)
        except TooFewSpells as few:
            if arguments.or_nothing:
                return f"{few}: nothing to do"
            raise
        row = row_of(at, arguments, spells, seen, fit)
        with recorded(store, SOURCE, dict(arguments)) as run:
            key = row["response"]
            frame = pd.DataFrame([row]).astype({name: "float64" for name, value in row.items() if value is None})
            run.write(SOURCE, key, {"fact_borrower_response": frame}, scope={"response": key})
    return "\n".join(report(at, arguments, spells, seen, fit))


def observed(store: Store, at: Snapshot, asked: BorrowerResponseOptions) -> Observed:
    """Follow every account over the snapshots up to `at`. Raises `TooFewSpells` where none can be followed."""
    pairs = _pairs(store, at, asked.days)
    read = Series(pairs[0][0].block_time, pairs[-1][1].block_time, synthetic=at.synthetic)
    out: list[Spell] = []
    going: dict[str, float] = {}
    unseen: set[str] = set()
    notes: list[str] = []
    used: list[Snapshot] = []
    seconds, loaded = 0, None
    for first, last in tqdm(pairs, desc="following accounts", unit="snapshot", disable=None):
        try:
            begin = loaded if loaded is not None and loaded.snapshot == first else load_market(first.block, at.market)
            loaded = load_market(last.block, at.market)
        except (SnapshotIncomplete, SnapshotRefused) as error:
            notes.append(f"nobody is followed from block {first.block} to {last.block}: {error}")
            loaded = None
            continue
        if used and used[-1] != first:
            _close(going, used[-1].block_time, asked.zone, out)
            going = {}
        mapping = assets.asset_map(at.market, block=first.block)
        times, price = between(begin, loaded, *factors_of(begin, mapping), read)
        going, new = followed(
            begin, times, price, _events(store, begin, last), zone=asked.zone, least_debt_usd=asked.least_debt_usd,
            going=going, out=out,
        )  # fmt: skip
        unseen |= new
        seconds += last.block_time - first.block_time
        used += [first, last] if not used or used[-1] != first else [last]
    if used:
        _close(going, used[-1].block_time, asked.zone, out)
    if read.missing:
        notes.append(
            f"prices of {', '.join(sorted(read.missing))} are not stored for all hours: between two snapshots they are "
            f"drawn straight (`{READ_PRICES}`)"
        )
    return Observed(out, len(unseen), used, seconds, tuple(notes))


def _pairs(store: Store, at: Snapshot, days: int) -> list[tuple[Snapshot, Snapshot]]:
    """Snapshots that follow one another closely enough, with every event between them stored, oldest first."""
    known = sorted(
        (one for one in available(store.path)
         if one.market == at.market and at.block_time - days * DAY <= one.block_time <= at.block_time),
        key=lambda one: (one.block_time, one.block),
    )  # fmt: skip
    near = [(a, b) for a, b in pairwise(known) if 0 < b.block_time - a.block_time <= FARTHEST]
    if not near:
        sample = "; the sample has one snapshot alone, so it has no spells" if at.synthetic else ""
        raise TooFewSpells(
            f"{at.market}: no two snapshots at most {FARTHEST // DAY} days apart are stored in the {days} days up to "
            f"block {at.block} ({len(known)} in all), and accounts are followed from one to the next; `{READ_PAST}` "
            f"brings past ones{sample}"
        )
    spans = store.rows(
        "SELECT first_time, last_time FROM raw_lending_reads WHERE market = ? AND chain_id = ?",
        (at.market, at.chain_id),
    )
    found = [(a, b) for a, b in near if any(first <= a.block_time and b.block_time <= last for first, last in spans)]
    if not found:
        raise TooFewSpells(
            f"{at.market}: the events between the {len(near) + 1} stored snapshots up to block {at.block} are not all "
            f"stored, and they say who acted; `{READ_EVENTS}` reads them"
        )
    return found


def _events(store: Store, market: Market, last: Snapshot) -> dict[str, list[tuple[Any, ...]]]:
    """Of each account the events after the first snapshot's block, up to the last one's, in the order of the chain."""
    at = market.snapshot
    rows = store.rows(
        "SELECT wallet, block_timestamp, event_type, asset, amount_raw, debt_asset, debt_amount_raw "
        "FROM stg_lending_events WHERE event_type IN ('borrow', 'deposit', 'repay', 'withdraw', 'liquidation', "
        "'deficit') AND block_timestamp BETWEEN ? AND ? AND market = ? AND chain_id = ? AND block_number > ? "
        "AND block_number <= ? ORDER BY block_number, log_index",
        (at.block_time, last.block_time, at.market, at.chain_id, at.block, last.block),
    )
    found: dict[str, list[tuple[Any, ...]]] = {}
    for wallet, *event in rows:
        found.setdefault(wallet, []).append(tuple(event))
    return found


def _close(going: dict[str, float], ts: int, zone: float, out: list[Spell]) -> None:
    """The end of these spells is not seen."""
    for account, begun in going.items():
        Track(account, zone, ts, 1.0, begun, out).ends(responses.NOT_SEEN, ts)


def as_arrays(found: list[Spell]) -> responses.Spells:
    """The spells as the fit takes them."""
    names = {name: i for i, name in enumerate(sorted({one.account for one in found}))}
    return responses.Spells(
        account=np.array([names[one.account] for one in found], dtype=np.int64),
        seconds=np.array([one.seconds for one in found], dtype=np.float64),
        outcome=np.array([one.outcome for one in found], dtype=np.int64),
        after=np.array([one.after for one in found], dtype=np.float64),
    )


def fitted(at: Snapshot, spells: responses.Spells, seen: Observed) -> responses.Response:
    """The fit. Raises `TooFewSpells`."""
    try:
        return responses.fit(spells)
    except responses.NoFit as none:
        raise TooFewSpells(
            f"{at.market}: {none} ({len(spells.account)} spells in {seen.seconds / DAY:.1f} days between "
            f"{len(seen.snapshots)} snapshots); more snapshots (`{READ_PAST}`) with the events between them "
            f"(`{READ_EVENTS}`) give more" + "".join(f"; {note}" for note in seen.notes)
        ) from none


def row_of(
    at: Snapshot, asked: BorrowerResponseOptions, spells: responses.Spells, seen: Observed, fit: responses.Response
) -> dict[str, Any]:
    """The row of `fact_borrower_response`; a number that is not finite is NULL."""
    method = {
        "version": 1, "model": "cure model, exponential delay", "zone": asked.zone,
        "least_debt_usd": asked.least_debt_usd, "together_seconds": TOGETHER, "least_rise": LEAST_RISE,
        "farthest_seconds": FARTHEST,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps([at.market, method, seen.snapshots[0].block, at.block]).encode())
    for array in (spells.account, spells.seconds, spells.outcome, spells.after):
        digest.update(np.ascontiguousarray(array).tobytes())
    row: dict[str, Any] = {
        "response": digest.hexdigest(), "market": at.market, "first_ts": seen.snapshots[0].block_time,
        "last_ts": seen.snapshots[-1].block_time, "n_snapshots": len(seen.snapshots),
        "observed_seconds": seen.seconds, "zone": asked.zone, "method": json.dumps(method),
        "outcomes": json.dumps(spells.counts()), "n_spells": fit.n_spells, "n_accounts": fit.n_accounts,
        "n_responses": fit.n_responses, "log_likelihood": fit.log_likelihood, "is_synthetic": int(at.synthetic),
        "target_q25": fit.quartiles[0], "target_q75": fit.quartiles[1],
    }  # fmt: skip
    for name in ("share", "delay", "target"):
        one: responses.Estimated = getattr(fit, name)
        row |= {name: one.value, f"{name}_se": one.se, f"{name}_low": one.low, f"{name}_high": one.high}
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def report(
    at: Snapshot, asked: BorrowerResponseOptions, spells: responses.Spells, seen: Observed, fit: responses.Response
) -> list[str]:
    """The fit in lines of text."""
    counts = ", ".join(f"{n:,} {words}" for words, n in spells.counts().items())
    first, last = (
        f"{datetime.fromtimestamp(one.block_time, UTC):%Y-%m-%d %H:%M}"
        for one in seen.snapshots[:: len(seen.snapshots) - 1]
    )
    lines = ["SAMPLE: synthetic accounts and prices"] if at.synthetic else []
    lines += [
        f"{at.market}, {first} to {last} UTC: {len(seen.snapshots)} snapshots, {seen.seconds / DAY:.1f} days followed",
        f"{fit.n_spells:,} spells of {fit.n_accounts:,} accounts between health factor 1 and {asked.zone:g}: {counts}",
        f"  share that responds  {_share(fit.share)}",
        f"  delay                {_hours(fit.delay)}, the mean of those who respond",
        f"  health factor after  {_health(fit.target.value)} in the middle ({_health(fit.target.low)} to "
        f"{_health(fit.target.high)}), half of them from {_health(fit.quartiles[0])} to {_health(fit.quartiles[1])}",
        f"  note: assumed is that a warning begins at health factor {asked.zone:g}; accounts with less than "
        f"{asked.least_debt_usd:,.0f} USD of debt are left out",
        f"  note: not seen are the spells of {seen.unseen:,} accounts that were in the zone at a snapshot and whose "
        "begin is not known (before the first one, or by their own act), and acts without an event, such as a transfer",
    ]
    if fit.everybody:
        lines.append("  note: the data do not exclude that everybody responds and the others had too little time")
    if fit.target.value < asked.zone:
        lines.append("  note: the middle is below the zone, and the engine repays to the zone at least")
    if not fit.target.value <= HIGHEST:
        lines.append(f"  note: most repay all; the engine takes health factor {HIGHEST:g} for it")
    lines += [f"  note: {note}" for note in seen.notes]
    return [*lines, "Stored in fact_borrower_response; the next run of risk-scenarios shows its figure with it, too."]


def _share(one: responses.Estimated) -> str:
    error = "" if np.isnan(one.se) else f" ± {one.se:.1%}"
    return f"{one.value:.1%}{error} (95 %: {one.low:.1%} to {one.high:.1%})"


def _hours(one: responses.Estimated) -> str:
    value, se, low, high = (part / 3_600 for part in (one.value, one.se, one.low, one.high))
    error = "" if np.isnan(se) else f" ± {se:.2f}"
    return f"{value:.2f}{error} h (95 %: {low:.2f} to {high:.2f} h)"


def _health(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "no debt left"
