"""Many blocks of one market in a file: what a refresh adds, what a thousand make, how an old block comes back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import data
from data import amounts, snapshot
from data.sample.book import holdings
from data.sample.frames import frames
from data.schemas.tables import tables
from data.snapshot import building
from data.snapshot.changes import between
from data.snapshot.untouched import Untouched
from data.store import validity
from data.store.batches import Effect, next_batch, note_batch
from data.store.store import Store
from data.store.validity import Moment
from tests.benchmarks.table import Table
from tests.benchmarks.timing import median

ACCOUNTS = 100_000
MARKET = "AaveV3Ethereum"
START = 1_760_000_000
STATES, BALANCES = "raw_aave_account_states", "raw_aave_balances"


def run(table: Table) -> None:
    """Every row on stored blocks."""
    table.title(f"stored blocks: {ACCOUNTS:,} accounts, some of them touched at each")
    book = _live(frames(holdings(ACCOUNTS, 7)), 10)
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "risk.sqlite"
        with Store.open(db) as store:
            snapshot.save_snapshot(store, "bench", book)
        sizes = [_size(db)]
        for turn in (1, 2, 3):
            _refresh(db, book, 10 + turn, 0.01, turn)
            sizes.append(_size(db))
        growth = (sizes[-1] - sizes[0]) / 3e6
        table.add("refresh_mb", growth, "MB", "file growth for a refresh after 1 % of the accounts moved", 1.5, True)
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "risk.sqlite"
        with Store.open(db) as store:
            snapshot.save_snapshot(store, "bench", book)
        size = {0: _size(db)}
        with Store.open(db) as store:
            for turn in range(1, 1_001):
                _stored(store, book, 10 + turn, turn)
                if turn in (500, 1_000):
                    size[turn] = _size(db)
        table.add("history_1000_mb", size[1_000] / 1e6, "MB", "1,000 refreshes of 0.2 %, the whole file", 500, True)
        second, first = size[1_000] - size[500], size[500] - size[0]
        table.add("history_linear", second / first, "x", "growth of the second 500 over the first")
        newest = median(lambda: data.load_market(1_010, MARKET, db, verify=False), 3)
        past = median(lambda: data.load_market(110, MARKET, db, verify=False), 3)
        table.add(
            "load_past_ratio", past / newest, "x", f"load_market 900 refreshes ago; newest {newest:.2f} s", 3, True
        )
        with Store.open(db) as store:
            taken = median(lambda: between(store, MARKET, 110, 1_010), 3)
        table.add("diff_s", taken, "s", "what changed between two blocks, 900 refreshes apart", 1, True)


def _live(rows: dict[str, pd.DataFrame], block: int) -> dict[str, pd.DataFrame]:
    found = {
        name: frame.assign(market=MARKET, **{"valid_from" if "valid_from" in frame else "block": block})
        for name, frame in rows.items()
    }
    found["fact_snapshot"] = found["fact_snapshot"].assign(is_synthetic=0, block_time=START + 12 * block)
    found["raw_aave_reserves"] = found["raw_aave_reserves"].assign(last_update_timestamp=START + 12 * block)
    return found


def _size(db: Path) -> int:
    with Store.open(db) as store:
        store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return db.stat().st_size


def _refresh(db: Path, book: dict[str, pd.DataFrame], block: int, share: float, seed: int) -> None:
    """A snapshot through the door: some accounts have one balance more than before, the others are carried."""
    later = _live(book, block)
    states, balances = later[STATES], later[BALANCES]
    rng = np.random.default_rng(seed)
    touched = set(rng.choice(states["account"].to_numpy(), int(share * len(states)), replace=False))
    mine = balances["account"].isin(touched)
    moved = balances["scaled_supply"].where(
        ~(mine & ~balances["account"].duplicated()), balances["scaled_supply"] + "0"
    )
    with Store.open(db) as store:
        [(batch,)] = store.rows("SELECT batch FROM fact_snapshot WHERE block = ?", (block - 1,))
        reserve = building._taken(later["raw_aave_reserves"], (*building.RESERVE, *building.INDICES))
        rest, others = states[~states["account"].isin(touched)], balances[~mine]
        state = {name: rest[name].tolist() for name in building.STATE}
        balance = {name: others[name].tolist() for name in building.BALANCE if name != "stable_debt"}
        balance["stable_debt"] = [None] * len(others)
        position = amounts.positions(state, balance, amounts.terms(reserve, START + 12 * block))
        untouched = Untouched(
            base_block=block - 1,
            base_batch=batch,
            touched=frozenset(touched),
            account={name: state[name] for name in building.ACCOUNT},
            position=position,
        )
        kept = {STATES: states[states["account"].isin(touched)], BALANCES: balances.assign(scaled_supply=moved)[mine]}
        snapshot.save_snapshot(store, "bench", later | kept, untouched=untouched)


def _stored(store: Store, book: dict[str, pd.DataFrame], block: int, seed: int) -> None:
    """The rows that a refresh of 0.2 % writes, without the digest of the whole market: a thousand would take long."""
    rng = np.random.default_rng(seed)
    balances = book[BALANCES]
    rows = rng.choice(len(balances), ACCOUNTS // 500, replace=False)
    accounts = frozenset(balances["account"].iloc[rows])
    with store.transaction() as connection:
        number = next_batch(connection)
        [(base,)] = connection.execute("SELECT batch FROM fact_snapshot WHERE block = ?", (block - 1,)).fetchall()
        layout = tables()[BALANCES]
        held = {
            row[:3]: row[3:]
            for account in accounts
            for row in connection.execute(
                "SELECT market, account, asset, reserve_id, scaled_supply, scaled_debt, stable_debt FROM "
                f"{BALANCES} WHERE market = ? AND account = ? AND valid_to IS NULL",
                (MARKET, account),
            )
        }
        for row in rows:
            key = (MARKET, balances["account"].iloc[row], balances["asset"].iloc[row])
            reserve, supply, debt, stable = held[key]
            held[key] = (reserve, str(int(supply) * 2 + 1), debt, stable)
        validity.put(connection, layout, held.items(), number, Moment(MARKET, block, accounts, block - 1, base))
        for name in ("fact_snapshot", "raw_aave_reserves", "raw_aave_emodes"):
            columns = ", ".join(tables()[name].names)
            taken = columns.replace("block,", f"{block},", 1).replace("block_time", f"{START + 12 * block}")
            connection.execute(
                f"INSERT INTO {name} ({columns}) SELECT {taken} FROM {name} WHERE market = ? AND block = 10", (MARKET,)
            )
        effects = [Effect("fact_snapshot", 1, 1, 0, None)]
        note_batch(
            connection, number, "bench", str(block), run_id="bench", payload_sha256="", at=START, effects=effects
        )
