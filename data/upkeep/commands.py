"""`python -m data about | backup | verify | snapshots`: arguments and what is printed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.foreign_text import safe_print
from data.store.backup import back_up
from data.store.reader import Reader
from data.upkeep.about import about
from data.upkeep.snapshots import listed
from data.upkeep.verify import checks


def add_arguments(commands: Any) -> None:
    """Add the four commands to the subparsers of `python -m data`."""
    commands.add_parser("about", help="what the file is: layout, code, markets and blocks, rows, size, content digest")
    copied = commands.add_parser(
        "backup", help="copy the file while it is in use; the copy is complete, or there is none"
    )
    copied.add_argument("to", type=Path, metavar="FILE", help="name of the copy; it must not exist yet")
    commands.add_parser("verify", help="check every row against its digest or seal; exit code 1 on a fault")
    shown = commands.add_parser("snapshots", help="stored snapshots: market, block, time, age, accounts, positions")
    shown.add_argument("--market", metavar="NAME", help="only of this market")


def run(arguments: argparse.Namespace, age: Callable[[int], str]) -> int:
    """Run one of the commands; returns the exit status. `age` writes seconds as words. Raises `DataError`."""
    with Reader.open() as store:
        if arguments.command == "about":
            _about(store)
        elif arguments.command == "backup":
            size = back_up(store, arguments.to)
            safe_print(f"{arguments.to}: a copy of {store.path}, {size:,} bytes")
        elif arguments.command == "snapshots":
            _snapshots(store, arguments.market, age)
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
            f"accounts, {row.positions:,} positions, {row.mode}{rests}"
        )
    if not rows:
        elsewhere = f" of {market}; leave out --market for the others" if market else ""
        safe_print(f"no snapshot is stored{elsewhere}")


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
