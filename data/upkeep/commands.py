"""`python -m data about | backup | verify | snapshots | changes | retain | vacuum`: arguments, and what is printed."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data import snapshot
from data.foreign_text import safe_print
from data.snapshot.changes import between
from data.snapshot.forgetting import KEEP, fates, forget, rules
from data.store.backup import back_up
from data.store.reader import Reader
from data.store.store import Store
from data.upkeep.about import about
from data.upkeep.snapshots import listed
from data.upkeep.verify import checks

MOST = 8
"""Most reserves that `changes` lists for each side."""


def add_arguments(commands: Any) -> None:
    """Add the commands to the subparsers of `python -m data`."""
    commands.add_parser("about", help="describe the file: layout, code, markets and blocks, rows, size, content digest")
    copied = commands.add_parser(
        "backup", help="copy the file while it is in use; the copy is complete, or there is none"
    )
    copied.add_argument("to", type=Path, metavar="FILE", help="name of the copy; it must not exist yet")
    commands.add_parser("verify", help="check every row against its digest or seal; exit code 1 on a fault")
    shown = commands.add_parser("snapshots", help="stored snapshots: market, block, time, age, accounts, positions")
    shown.add_argument("--market", metavar="NAME", help="of this market alone")
    compared = commands.add_parser("changes", help="what changed in a market between two stored blocks, and why")
    compared.add_argument("first", type=_block, metavar="BLOCK", help="the earlier block")
    compared.add_argument("second", type=_block, metavar="BLOCK", nargs="?", help="the later one (default: the newest)")
    compared.add_argument("--market", metavar="NAME", help="the market (default: that of the newest snapshot)")
    kept = commands.add_parser("retain", help="which snapshots may go; --yes removes them")
    kept.add_argument("--keep", default=KEEP, metavar="RULES", help=f"what stays (default: {KEEP})")
    kept.add_argument("--market", metavar="NAME", help="of this market alone")
    kept.add_argument("--yes", action="store_true", help="remove them; a snapshot under a risk run always stays")
    packed = commands.add_parser("vacuum", help="how much room the file would give back; --yes rewrites it")
    packed.add_argument(
        "--yes", action="store_true", help="rewrite the file; it needs up to twice its size as free room meanwhile"
    )


def run(arguments: argparse.Namespace, age: Callable[[int], str]) -> int:
    """Run one of the commands; returns the exit status. `age` writes seconds as words. Raises `DataError`."""
    if arguments.command in ("retain", "vacuum") and arguments.yes:
        with Store.open() as writer:
            return _retain(writer, arguments) if arguments.command == "retain" else _vacuum(writer, arguments)
    with Reader.open() as store:
        if arguments.command == "about":
            _about(store)
        elif arguments.command == "backup":
            size = back_up(store, arguments.to)
            safe_print(f"{arguments.to}: a copy of {store.path}, {size:,} bytes")
        elif arguments.command == "snapshots":
            _snapshots(store, arguments.market, age)
        elif arguments.command == "changes":
            _changes(store, arguments)
        elif arguments.command == "retain":
            return _retain(store, arguments)
        elif arguments.command == "vacuum":
            return _vacuum(store, arguments)
        else:
            return _verify(store)
    return 0


def _about(store: Reader) -> None:
    found = about(store)
    safe_print(f"{found.path}: {found.size:,} bytes, {found.rows:,} rows in {found.tables} tables")
    safe_print(f"layout {found.layout}, read by code version {found.code}")
    safe_print(f"content {found.digest}")
    for m in found.markets:
        safe_print(
            f"{m.market} (chain {m.chain_id}{', invented accounts' if m.is_synthetic else ''}): {m.snapshots:,} "
            f"snapshots, from block {m.first_block:,} ({_moment(m.first_time)}) to {m.last_block:,} "
            f"({_moment(m.last_time)})"
        )
    if not found.markets:
        safe_print("no snapshot is stored")


def _verify(store: Reader) -> int:
    faults = n = 0
    for check in checks(store):
        n, faults = n + 1, faults + check.is_fault
        safe_print(f"{'FAULT' if check.is_fault else 'sound'}  {check.subject}: {check.found}", flush=True)
    safe_print(f"{n} checked, {faults} faults")
    return 1 if faults else 0


def _snapshots(store: Reader, market: str | None, age: Callable[[int], str]) -> None:
    rows = listed(store, int(time.time()), market)
    for row in rows:
        rests = f", {row.runs} risk runs rest on it" if row.runs else ""
        safe_print(
            f"{row.market} at block {row.block:,}, {_moment(row.time)} ({age(row.age)} ago): {row.accounts:,} "
            f"accounts, {row.touched:,} of them with a balance that changed, {row.positions:,} positions, "
            f"{row.mode}{rests}"
        )
    if not rows:
        elsewhere = f" of {market}; leave out --market for the others" if market else ""
        safe_print(f"no snapshot is stored{elsewhere}")


def _changes(store: Reader, arguments: argparse.Namespace) -> None:
    stored = snapshot.newest(arguments.market, store.path)
    second = stored.block if arguments.second is None else arguments.second
    found = between(store, stored.market, arguments.first, second)
    turnover = (
        "only accounts with debt were read"
        if found.opened is None
        else f"{found.opened:,} accounts opened, {found.closed:,} closed"
    )
    liquidated = "events were not read that far" if found.liquidated is None else f"{found.liquidated:,} liquidated"
    safe_print(
        f"{found.market}, block {found.first:,} ({_moment(found.first_time)}) to {found.second:,} "
        f"({_moment(found.second_time)}): {turnover}, {found.grown:,} "
        f"owe more, {found.shrunk:,} owe less, {liquidated}"
    )
    for side in ("debt", "supply") if found.opened is not None else ("debt",):
        for row in (found.total(side), *getattr(found, side)[:MOST]):
            safe_print(
                f"{side + ' ' + (row.symbol or 'in all'):>16}: {row.before:,.0f} USD, by action {row.action:+,.0f}, "
                f"by interest {row.interest:+,.0f}, by price {row.price:+,.0f}, at the end {row.after:,.0f}"
            )
    if found.unpriced:
        safe_print(f"without a price, in no sum: {', '.join(found.unpriced)}")


def _retain(store: Reader, arguments: argparse.Namespace) -> int:
    found = fates(store, rules(arguments.keep), int(time.time()), arguments.market)
    leaving = [fate for fate in found if not fate.kept]
    for fate in leaving:
        safe_print(f"{fate.market} at block {fate.block:,}, {_moment(fate.time)}: may go")
    stay = len(found) - len(leaving)
    if isinstance(store, Store):
        run = store.start_run("retain", {"keep": arguments.keep, "market": arguments.market})
        try:
            gone = forget(store, ((fate.market, fate.block) for fate in leaving), run)
        except BaseException as error:
            store.finish_run(run, "failed", f"{type(error).__name__}: {error}")
            raise
        words = f"{gone:,} snapshots removed, {len(found) - gone:,} stay"
        store.finish_run(run, "completed", words)
        safe_print(f"{words}; `python -m data vacuum` gives the room back")
    else:
        safe_print(f"{len(leaving):,} snapshots may go, {stay:,} stay ({arguments.keep}); --yes removes them")
    return 0


def _vacuum(store: Reader, arguments: argparse.Namespace) -> int:
    size, free = store.rows("SELECT page_count * page_size, freelist_count * page_size FROM "
                            "pragma_page_count, pragma_page_size, pragma_freelist_count")[0]  # fmt: skip
    room = shutil.disk_usage(store.path.parent).free
    safe_print(
        f"{store.path}: {size:,} bytes, of which {free:,} are unused; rewriting it takes up to {2 * size:,} bytes of "
        f"room for a while, {room:,} are free"
    )
    if not isinstance(store, Store):
        safe_print("nothing was done; --yes rewrites the file")
        return 0
    if room < 2 * size:
        safe_print("not enough room: nothing was done")
        return 1
    store.vacuum()
    safe_print(f"{store.path}: {store.path.stat().st_size:,} bytes now")
    return 0


def _block(text: str) -> int:
    try:
        block = int(text.replace(",", ""))
    except ValueError:
        block = -1
    if block < 0:
        raise argparse.ArgumentTypeError(f"expected a block number, found {text!r}")
    return block


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
