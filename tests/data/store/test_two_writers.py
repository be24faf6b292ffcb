"""Two processes write at once and a third reads: both complete, nothing is lost, a reader sees whole batches only."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

from data.store.store import Store
from tests.conftest import REPOSITORY

BATCHES, ROWS = 15, 250

WRITER = f"""
import sys
from data.store import Store
from tests.data.conftest import price_rows

path, me = sys.argv[1:]
with Store.open(path) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range({BATCHES}):
        own = price_rows({ROWS}, symbol=f"{{me}}{{number}}", price_usd=float(number + 1))
        shared = price_rows({ROWS}, symbol="SHARED", price_usd=float(number + 1), usd_proxy=me)
        store.write_batch("test", f"{{me}} {{number}}", {{"dim_prices": own}})
        store.write_batch("test", f"shared {{me}} {{number}}", {{"dim_prices": shared}})
"""


def test_two_writers_complete_and_a_reader_sees_whole_batches(own_warehouse):
    Store.open().close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(own_warehouse), name],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("A", "B")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n", writer.stderr.read()
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen: Counter[int] = Counter()
    with Store.open(readonly=True) as reader:
        while any(writer.poll() is None for writer in writers):
            with reader.one_state():
                own = reader.rows("SELECT symbol, count(*) FROM dim_prices WHERE symbol <> 'SHARED' GROUP BY symbol")
                shared = reader.rows(
                    "SELECT count(*), count(DISTINCT price_usd || usd_proxy) FROM dim_prices WHERE symbol = 'SHARED'"
                )
            assert {count for _, count in own} <= {ROWS}
            assert shared in ([(0, 0)], [(ROWS, 1)])
            seen[len(own)] += 1
            time.sleep(0.005)
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said

    assert len(seen) > 5, "the reader saw too few states to say anything"
    with Store.open(readonly=True) as reader:
        rows = reader.rows("SELECT symbol, count(*), min(price_usd), max(price_usd) FROM dim_prices GROUP BY symbol")
    expected = {f"{name}{number}": (ROWS, number + 1.0, number + 1.0) for name in "AB" for number in range(BATCHES)}
    assert {row[0]: row[1:] for row in rows} == expected | {"SHARED": (ROWS, BATCHES, BATCHES)}
