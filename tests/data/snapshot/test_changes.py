"""What changed between two blocks, by hand and against the two markets; and snapshots that go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import data
from data import marts, snapshot
from data.__main__ import main
from data.errors import DataError, NoSnapshot, SnapshotRefused
from data.sample.book import holdings
from data.sample.frames import frames as sample_frames
from data.snapshot.changes import between
from data.snapshot.forgetting import Rule, fates, forget, rules
from data.store.store import Store
from tests.data.conftest import as_live, checksums
from tests.data.snapshot.test_untouched import BALANCES, STATES, moved

MARKET = "AaveV3Ethereum"
START = 1_760_000_000
DAY = 86_400


def live(frames, block: int, time: int = START) -> dict[str, pd.DataFrame]:
    return as_live(frames, block=block, block_time=time)


def totals(market) -> tuple[float, float]:
    """Debt and enabled supply of a market in USD."""
    return tuple(float((side.amount * market.price[side.reserve]).sum()) for side in (market.debt, market.collateral))


def dearer(frames: dict[str, pd.DataFrame], symbol: str, factor: float) -> dict[str, pd.DataFrame]:
    reserves = frames["raw_aave_reserves"]
    price = [
        str(int(int(raw) * factor)) if name == symbol else raw
        for name, raw in zip(reserves["symbol"], reserves["price_raw"], strict=True)
    ]
    return frames | {"raw_aave_reserves": reserves.assign(price_raw=price)}


def test_a_price_alone_is_all_price_and_no_account_changed(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", live(snapshot_frames, 10))
    snapshot.save_snapshot(store, "s", dearer(live(snapshot_frames, 20, START + 12), "WETH", 1.01))

    found = between(store, MARKET, 10, 20)

    assert (found.opened, found.closed, found.grown, found.shrunk) == (0, 0, 0, 0)
    before, after = (totals(data.load_market(block)) for block in (10, 20))
    debt = found.total("debt")
    assert (debt.before, debt.after) == (pytest.approx(before[0], rel=1e-9), pytest.approx(after[0], rel=1e-9))
    assert debt.price == pytest.approx(after[0] - before[0], rel=1e-6)
    assert debt.action == debt.interest == 0
    assert {row.symbol for row in found.debt if row.price} == {"WETH"}
    assert found.liquidated is None  # no events were read


def test_interest_alone_is_all_interest(store, snapshot_frames):
    snapshot.save_snapshot(store, "s", live(snapshot_frames, 10))
    later = live(snapshot_frames, 20, START + 30 * DAY)
    later["raw_aave_reserves"] = later["raw_aave_reserves"].assign(last_update_timestamp=START)
    snapshot.save_snapshot(store, "s", later)

    debt = between(store, MARKET, 10, 20).total("debt")

    before, after = (totals(data.load_market(block))[0] for block in (10, 20))
    assert after > before
    assert debt.interest == pytest.approx(after - before, rel=1e-6)
    assert debt.action == debt.price == 0


def test_what_people_did_is_told_by_account_and_by_action(store, snapshot_frames):
    first, second = live(snapshot_frames, 10), moved(snapshot_frames, 20)
    snapshot.save_snapshot(store, "s", first)
    snapshot.save_snapshot(store, "s", second)
    touched = set(first[STATES]["account"].iloc[::10])
    owing = first[BALANCES][first[BALANCES]["scaled_debt"] != "0"]

    found, back = between(store, MARKET, 10, 20), between(store, MARKET, 20, 10)

    assert (found.opened, found.closed, found.grown) == (0, 1, 0)
    assert found.shrunk == len(touched & set(owing["account"]))
    assert (back.opened, back.closed, back.grown, back.shrunk) == (1, 0, found.shrunk, 0)
    before, after = (totals(data.load_market(block))[0] for block in (10, 20))
    assert found.total("debt").action == pytest.approx(after - before, rel=1e-6)
    for side in ("debt", "supply"):
        for row in getattr(found, side):
            assert row.before + row.action + row.interest + row.price == pytest.approx(row.after, rel=1e-9)


def test_a_block_with_borrowers_alone_tells_no_supplies_and_no_accounts_that_left(store, snapshot_frames, capsys):
    first, second = live(snapshot_frames, 10), live(snapshot_frames, 20, START + 12)
    owing = set(second[BALANCES].loc[second[BALANCES]["scaled_debt"] != "0", "account"])
    for name in (STATES, BALANCES):
        second[name] = second[name][second[name]["account"].isin(owing)]
    second["fact_snapshot"] = second["fact_snapshot"].assign(read_mode="borrowers")
    for frames in (first, second):
        snapshot.save_snapshot(store, "s", frames)

    found = between(store, MARKET, 10, 20)

    assert (found.opened, found.closed, found.supply) == (None, None, ())
    assert (found.grown, found.shrunk) == (0, 0)
    assert found.total("debt").action == 0
    assert main(["changes", "10"]) == 0
    assert "only accounts with debt were read, 0 owe more" in capsys.readouterr().out


def test_a_block_that_was_not_read_is_refused_with_those_near_it(store, snapshot_frames):
    for block in (10, 20, 30, 40):
        snapshot.save_snapshot(store, "s", live(snapshot_frames, block))

    with pytest.raises(NoSnapshot, match=f"block 21 of {MARKET} is not stored; nearest stored blocks: 20, 30, 10"):
        between(store, MARKET, 21, 40)


def test_a_market_that_counts_in_ether_is_not_told_in_dollars(store, snapshot_frames):
    for block in (10, 20):
        head = {"protocol": "aave_v2", "base_currency_unit": str(10**18)}
        snapshot.save_snapshot(store, "s", as_live(snapshot_frames, block=block, block_time=START, **head))

    with pytest.raises(SnapshotRefused, match=r"not in USD with 8 decimals \(one unit is 1000000000000000000\)"):
        between(store, MARKET, 10, 20)


# Snapshots that go


def test_a_snapshot_that_goes_leaves_the_others_as_they_were(store, snapshot_frames):
    for frames in (live(snapshot_frames, 10), moved(snapshot_frames, 20), live(snapshot_frames, 30, START + 60)):
        snapshot.save_snapshot(store, "s", frames)
    marts.refresh(store)
    kept = {block: data.load_market(block).snapshot for block in (10, 30)}

    assert forget(store, [(MARKET, 20), (MARKET, 21)]) == 1

    assert {block: data.load_market(block).snapshot for block in kept} == kept
    with pytest.raises(NoSnapshot):
        data.load_market(20)
    # What the removed block alone said is gone: the balances of the first and the last are one row again.
    assert store.rows(f"SELECT DISTINCT valid_from, valid_to FROM {BALANCES}") == [(10, None)]
    before = checksums(store.path)
    marts.refresh(store)
    marts.refresh(store, full=True)
    after = checksums(store.path)
    assert {name for name in before if before[name] != after[name]} <= {
        "mart_state", "fact_pipeline_event", "mart_freshness", "stg_account_health", "stg_wallet_daily", "dim_market",
        "stg_aave_terms", "dim_block_day", "stg_positions",
    }  # fmt: skip


def test_which_snapshots_stay_and_why(store, snapshot_frames):
    now = START + 40 * DAY
    times = {10: now - 39 * DAY, 11: now - 39 * DAY + 7_200, 20: now - 3_600 * 50, 21: now - 3_600 * 50 + 60, 30: now}
    for block, time in times.items():
        snapshot.save_snapshot(store, "s", live(snapshot_frames, block, time))

    found = {fate.block: fate.kept for fate in fates(store, rules("hourly 30 days, daily 365 days"), now)}

    assert found[10].startswith("daily")
    assert found[11] == ""
    assert found[20].startswith("hourly")
    assert found[21] == ""
    assert found[30] == "newest of its market"


def test_the_rules_are_read_or_refused():
    assert rules("hourly 30 days, Daily 1 day, weekly") == [Rule(3_600, 30 * DAY), Rule(DAY, DAY), Rule(604_800, None)]
    for wrong in ("hourly 30", "monthly", "", "daily -3 days"):
        with pytest.raises(DataError, match=r"--keep: expected rules such as .*, found"):
            rules(wrong)


def test_a_snapshot_under_a_risk_run_always_stays(filled: Path):
    with Store.open() as store:
        [(market, block, digest)] = store.rows("SELECT market, block, snapshot_hash FROM fact_snapshot")
        frames = sample_frames(holdings(400, 11))
        snapshot.save_snapshot(store, "sample", {n: f.assign(**{"valid_from" if "valid_from" in f else "block": 2})
                                                 for n, f in frames.items()})  # fmt: skip
        now = 10**10
        assert [fate.kept for fate in fates(store, rules("all 1 days"), now)] == ["", "newest of its market"]
        with store.transaction() as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(fact_risk_run)")]
            kinds = [row[2] for row in connection.execute("PRAGMA table_info(fact_risk_run)")]
            given = {"market": market, "block": block, "snapshot_hash": digest}
            row = [
                given.get(n, {"TEXT": "x", "INTEGER": 1, "REAL": 1.0}[k]) for n, k in zip(columns, kinds, strict=True)
            ]
            connection.execute(f"INSERT INTO fact_risk_run VALUES ({', '.join('?' * len(row))})", row)

        assert [f.kept for f in fates(store, rules("all 1 days"), now)] == [
            "1 risk runs rest on it",
            "newest of its market",
        ]
        assert forget(store, [(market, block)]) == 0  # whoever asks


def test_the_commands_say_what_they_would_do_and_do_it_when_told(store, snapshot_frames, capsys):
    for block in (10, 20, 30):
        snapshot.save_snapshot(store, "s", live(snapshot_frames, block, START + block))
    assert main(["changes", "10", "20"]) == 0
    assert "0 accounts opened, 0 closed, 0 owe more, 0 owe less" in capsys.readouterr().out
    assert main(["changes", "11"]) == 1
    assert "block 11 of AaveV3Ethereum is not stored" in capsys.readouterr().err

    assert main(["retain", "--keep", "weekly"]) == 0
    assert "1 snapshots may go, 2 stay (weekly); --yes removes them" in capsys.readouterr().out
    assert store.rows("SELECT count(*) FROM fact_snapshot") == [(3,)]
    assert main(["retain", "--keep", "weekly", "--yes"]) == 0
    assert "1 snapshots removed, 2 stay" in capsys.readouterr().out
    assert store.rows("SELECT block FROM fact_snapshot ORDER BY block") == [(10,), (30,)]

    assert main(["vacuum"]) == 0
    assert "nothing was done; --yes rewrites the file" in capsys.readouterr().out
    assert main(["vacuum", "--yes"]) == 0
    assert "bytes now" in capsys.readouterr().out
    assert np.isfinite(data.load_market().price).all()
