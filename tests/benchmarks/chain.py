"""The chain: decoding logs, logs and transfers to Parquet beside cryo, and a backfill into the warehouse."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.chain_node import Blocks
from tests.benchmarks.table import Table
from tests.benchmarks.timing import seconds

REPOSITORY = Path(__file__).resolve().parents[2]
CRYO = "cryo==0.3.2"
DECODED = 100_000
BY_WEB3 = 2_000
PARQUET_BLOCKS, PARQUET_LOGS = 2_000, 200
BACKFILL_BLOCKS, BACKFILL_LOGS = 10_000, 100
ROUNDS = 3
TABLES = ("raw_chain_blocks", "raw_chain_transactions", "raw_chain_receipts", "raw_chain_logs", "stg_chain_blocks",
          "stg_token_transfers", "stg_dex_swaps", "stg_primitives")  # fmt: skip


def run(table: Table) -> None:
    """Every row of the chain."""
    table.title(f"decoding: ERC-20 transfers, {DECODED:,} logs as JSON-RPC sends them")
    decode(table)
    table.title(f"to Parquet: {PARQUET_BLOCKS:,} blocks of {PARQUET_LOGS} logs from one node on loopback")
    to_parquet(table)
    table.title(f"backfill: {BACKFILL_BLOCKS:,} blocks of {BACKFILL_LOGS} logs into the warehouse")
    backfill(table)


def decode(table: Table) -> None:
    """Ours against web3.py's `process_log`, the same values asserted."""
    import json

    from hexbytes import HexBytes
    from web3 import Web3
    from web3.datastructures import AttributeDict

    from flows.chain.transfers import TRANSFERS
    from flows.clients.log_columns import LogColumns

    event = TRANSFERS[2]
    logs: list[dict[str, Any]] = []
    blocks = Blocks(DECODED // 100, 200)
    for number in range(DECODED // 100):
        logs += [log for log in json.loads(blocks.logs(number, number, event.topic0)) if len(log["topics"]) == 3]
    logs = logs[:DECODED]
    inputs = [{"name": i.name, "type": i.type, "indexed": i.indexed} for i in event.inputs]
    abi = [{"anonymous": False, "type": "event", "name": "Transfer", "inputs": inputs}]
    theirs = Web3().eth.contract(abi=abi).events.Transfer()
    # As web3.py's own eth.get_logs would give them: formatting is no part of its decoding.
    formatted = [
        AttributeDict({
            "address": log["address"], "topics": [HexBytes(t) for t in log["topics"]], "data": HexBytes(log["data"]),
            "blockNumber": 1, "blockHash": HexBytes(log["blockHash"]), "logIndex": 0, "transactionIndex": 0,
            "transactionHash": HexBytes(log["transactionHash"]),
        })
        for log in logs[:BY_WEB3]
    ]  # fmt: skip
    found = event.decode(LogColumns.of(logs)).columns
    expected = [theirs.process_log(log)["args"] for log in formatted]
    ours = list(zip(found["from"], found["to"], map(int, found["value"]), strict=True))[:BY_WEB3]
    assert ours == [(a["from"].lower(), a["to"].lower(), a["value"]) for a in expected]
    taken = seconds(
        {
            "ours": lambda: event.decode(LogColumns.of(logs)),
            "web3": lambda: [theirs.process_log(log) for log in formatted],
        }
    )
    rate, slow = len(logs) / taken["ours"], len(formatted) / taken["web3"]
    table.add("decode_logs_s", rate, "logs/s", f"decoded by the column; web3.py's process_log: {slow:,.0f}")
    table.add("decode_vs_web3", rate / slow, "x", "against web3.py's process_log, equal values", 50)


def to_parquet(table: Table) -> None:
    """Ours against cryo, which is installed into an environment of its own for the occasion."""
    with tempfile.TemporaryDirectory() as name, node(PARQUET_BLOCKS, PARQUET_LOGS) as url:
        folder = Path(name)
        cryo = cryo_python(folder / "cryo")
        if cryo is None:
            table.note(f"not measured: {CRYO} cannot be installed here")
            return
        for dataset, theirs in (("logs", "logs"), ("transfers", "erc20_transfers")):
            rates: dict[str, list[float]] = {"ours": [], "cryo": []}
            for _ in range(ROUNDS):
                rows, taken = export_by_flow(folder / "ours", url, dataset)
                rates["ours"].append(rows / taken)
                try:
                    rows_of_cryo, taken = export_by_cryo(cryo, folder / "theirs", url, theirs)
                except subprocess.CalledProcessError as crash:
                    shutil.rmtree(folder / "theirs", ignore_errors=True)
                    table.note(f"cryo ended with {crash.returncode}: {crash.stderr.strip()[-200:]}")
                    continue
                rates["cryo"].append(rows_of_cryo / taken)
                assert rows == rows_of_cryo, f"{dataset}: {rows} rows here, {rows_of_cryo} there"
            if not rates["cryo"]:
                table.note(f"{dataset}_vs_cryo is not measured: cryo never came to its end")
                continue
            ours, bar = max(rates["ours"]), max(rates["cryo"])
            table.add(f"parquet_{dataset}_s", ours, "rows/s", f"{dataset} to Parquet; cryo {bar:,.0f}")
            table.add(
                f"{dataset}_vs_cryo", ours / bar, "x", "against cryo, process start left out of both, best of 3", 0.5
            )


def export_by_flow(folder: Path, url: str, dataset: str) -> tuple[int, float]:
    """Rows and seconds of the flow's own export; ERC-20 alone is counted, as cryo does."""
    script = (
        "import sys, time, pathlib, pyarrow.parquet as pq; from flows.chain.parquet import export\n"
        "from flows.chain.node import ChainNode; from flows.clients.json_rpc import JsonRpc\n"
        "folder, url, dataset, last = sys.argv[1:]\n"
        "start = time.perf_counter()\n"
        "export(ChainNode(JsonRpc(url)), 1, dataset, 0, int(last), pathlib.Path(folder))\n"
        "taken = time.perf_counter() - start\n"
        "tables = [pq.read_table(p, partitioning=None) for p in pathlib.Path(folder).rglob('*.parquet')]\n"
        "rows = sum(t.num_rows if dataset == 'logs' else t['standard'].to_pylist().count('ERC20') for t in tables)\n"
        "print(rows, taken)"
    )
    return _timed([sys.executable, "-c", script, str(folder), url, dataset, str(PARQUET_BLOCKS - 1)], folder)


def export_by_cryo(python: Path, folder: Path, url: str, dataset: str) -> tuple[int, float]:
    script = (
        "import os, sys, time, cryo; folder, url, dataset, end = sys.argv[1:]\n"
        "start = time.perf_counter()\n"
        "cryo.freeze(dataset, blocks=[f'0:{end}'], rpc=url, output_dir=folder, inner_request_size=20, verbose=False)\n"
        # Its runtime sometimes crashes while Python ends, after the work.
        "print(time.perf_counter() - start, flush=True); os._exit(0)"
    )
    folder.mkdir()
    done = subprocess.run(
        [str(python), "-c", script, str(folder), url, dataset, str(PARQUET_BLOCKS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    import pyarrow.parquet as parquet

    rows = sum(parquet.ParquetFile(path).metadata.num_rows for path in folder.glob("*.parquet"))
    shutil.rmtree(folder)
    return rows, float(done.stdout.split()[-1])


def _timed(command: list[str], folder: Path) -> tuple[int, float]:
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=600)
    shutil.rmtree(folder)
    rows, taken = done.stdout.split()[-2:]
    return int(rows), float(taken)


def cryo_python(folder: Path) -> Path | None:
    """The Python of a new environment that has cryo, None where it cannot be had. cryo is no part of the project."""
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False, capture_output=True)
    python = folder / "bin" / "python"
    if (
        made.returncode
        or subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", CRYO], check=False, capture_output=True
        ).returncode
    ):
        return None
    return python


def backfill(table: Table) -> None:
    """`python -m flows chain-activity` as a user runs it: process start, validation and marts included."""
    peaks, rates = {}, {}
    with node(BACKFILL_BLOCKS, BACKFILL_LOGS) as url:
        for blocks in (BACKFILL_BLOCKS // 10, BACKFILL_BLOCKS):
            rows, taken, peaks[blocks] = _backfilled(url, blocks)
            rates[blocks] = rows / taken
            table.note(f"{blocks:,} blocks: {rows:,} rows in {taken:.1f} s, {peaks[blocks]:,.0f} MB at most")
    few, many = peaks
    table.add("backfill_rows_s", rates[many], "rows/s", f"raw and staged rows of {many:,} blocks, all in")
    table.add("backfill_peak_mb", peaks[many], "MB", f"most memory; {peaks[few]:,.0f} for a tenth of the blocks")
    table.add("backfill_memory_10x", peaks[many] / peaks[few], "x", "memory for ten times the blocks", 1.5, True)


def _backfilled(url: str, blocks: int) -> tuple[int, float, float]:
    """Rows written, seconds, megabytes of memory at most."""
    with tempfile.TemporaryDirectory() as folder:
        db, report = Path(folder) / "risk.sqlite", Path(folder) / "peak_mb"
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.memory",
            str(report),
            "flows",
            "chain-activity",
            "--start-block",
            "0",
            "--end-block",
            str(blocks - 1),
        ]
        start = time.perf_counter()
        environment = os.environ | {"ETH_RPC_URL": url, "RISK_DB": str(db)}
        subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, check=True)
        taken = time.perf_counter() - start
        from data.store.store import Store

        with Store.open(db, readonly=True) as store:
            rows = sum(store.rows(f"SELECT count(*) FROM {name}")[0][0] for name in TABLES)
            logs = store.rows("SELECT count(*) FROM raw_chain_logs")[0][0]
        assert logs == blocks * BACKFILL_LOGS, logs
        return rows, taken, float(report.read_text())


@contextmanager
def node(blocks: int, logs: int) -> Iterator[str]:
    """A node on loopback in a process of its own; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.benchmarks.chain_node", str(port), str(blocks), str(logs)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
