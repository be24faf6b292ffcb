"""The daily brief: rows in, sentences out; a changed row changes its sentence, and nothing is said without a row."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data import brief
from data.brief.parts import MISSING, Number, Ref, Sentence
from data.brief.rules import sentences
from data.brief.writing import stored
from data.errors import DamagedValue, NoSnapshot
from data.results.runs import RiskRun
from data.sample.book import holdings
from data.sample.frames import frames
from data.schemas.tables import tables
from data.snapshot.saving import save_snapshot
from data.store.store import Store
from tests.conftest import SampleOf
from tests.data.made_up_rows import made_up
from tests.flows.running import ran

AT = 1_751_328_000
DAY = 86_400
MARKET = "SampleAaveV3Ethereum"


@pytest.fixture(scope="module")
def two_days(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, a snapshot of a day later with less debt, a risk run of each, pegs and clusters."""
    path = sample_of(300, 7, tmp_path_factory.mktemp("brief") / "risk.sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(path))
        ran("risk-scenarios", "--paths", "300")
        with Store.open(path) as store:
            rows = frames(holdings(300, 7))
            balances = rows["raw_aave_balances"]
            rows["raw_aave_balances"] = balances.assign(
                scaled_debt=[str(int(raw) * 9 // 10) for raw in balances["scaled_debt"]]
            )
            rows = {
                name: frame.assign(**{"valid_from" if "valid_from" in frame else "block": 2})
                for name, frame in rows.items()
            }
            rows["raw_aave_reserves"] = rows["raw_aave_reserves"].assign(last_update_timestamp=AT + DAY)
            rows["fact_snapshot"] = rows["fact_snapshot"].assign(block_time=AT + DAY)
            save_snapshot(store, "test", rows)
        ran("risk-scenarios", "--paths", "300")
        with Store.open(path) as store:
            place = {"market": MARKET, "chain_id": 1}
            events = [
                {"block_number": n, "log_index": 0, "event_type": kind, "block_timestamp": at, "amount_usd": usd,
                 "part": 0}
                for n, kind, at, usd in (
                    (900_001, "liquidation", AT + 60, 5e6), (900_002, "liquidation", AT + 120, 1e6),
                    (900_003, "deficit", AT + 180, 2e5),
                )
            ]  # fmt: skip
            states = [
                {"token": token, "source": "synthetic", "ts": ts, "deviation_bps": bps, "status": word,
                 "is_synthetic": 1}
                for token, ts, bps, word in (
                    ("DAI", AT - 60, -3.0, "healthy"), ("DAI", AT + DAY - 60, -120.0, "warning"),
                    ("USDC", AT - 60, 1.0, "healthy"), ("USDC", AT + DAY - 60, 2.0, "healthy"),
                )
            ]  # fmt: skip
            chances = [
                {"market": MARKET, "ts": ts, "horizon_seconds": DAY, "within_seconds": 3600, "at_least": 8,
                 "calibration_id": "a" * 64, "probability": p, "low": p - 0.01, "high": p + 0.01, "poisson": 0.0}
                for ts, p in ((AT, 0.1), (AT + DAY, 0.2))
            ]  # fmt: skip
            read = [{**place, "source": "sample", "first_time": AT - 60 * DAY, "last_time": AT + DAY}]
            store.write_batch("test", "day", {
                "stg_lending_events": made_up("stg_lending_events", [place | row for row in events]),
                "raw_lending_reads": made_up("raw_lending_reads", read),
                "mart_peg_health": made_up("mart_peg_health", states),
                "mart_cluster_probability": made_up("mart_cluster_probability", chances),
            })  # fmt: skip
    with Store.open(path) as store, store.transaction() as connection:
        connection.execute("DELETE FROM quarantine")
    return path


@pytest.fixture
def own(two_days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with Store.open(two_days) as store:
        store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    path = Path(shutil.copy(two_days, tmp_path / "own.sqlite"))
    monkeypatch.setenv("RISK_DB", str(path))
    return path


def said(path: Path, topic: str) -> str:
    return " ".join(one.text for one in brief.write(db=path).sentences if one.topic == topic)


def change(path: Path, sql: str) -> None:
    with Store.open(path) as store, store.transaction() as connection:
        connection.execute(sql)


def test_a_day_against_the_day_before(own):
    found = brief.write(db=own)
    assert (found.block, found.before_block) == (2, 1)
    text = said(own, "debt")
    assert "down 10.0 % from" in text
    assert "at block 1, 2025-07-01 00:00 UTC" in text
    assert "went from healthy (-3 bp) to warning (-120 bp, 2025-07-01 23:59 UTC)" in said(own, "pegs")
    assert "DAI" in said(own, "pegs")
    assert "USDC" not in said(own, "pegs")
    assert "2 liquidations of 6.0M USD" in said(own, "liquidations")
    assert "the largest took 5.0M USD at 2025-07-01 00:01 UTC" in said(own, "liquidations")
    assert "booked 1 deficit of 200k USD; the day before it was 0 deficits of 0 USD" in said(own, "deficits")
    assert "20.0 % (95 % 19.0 % to 21.0 %), the day before it was 10.0 % (9.0 % to 11.0 %): a change" in said(
        own, "clusters"
    )
    text = said(own, "liquidations at risk")
    assert re.search(r"Liquidations at risk are .* USD \(no interval: few draws; 99 %, 24 h\), down .* % from", text)
    assert "too few draws to tell whether that is a change" in text


@pytest.mark.parametrize(
    ("topic", "sql", "says"),
    [
        ("liquidations", "UPDATE stg_lending_events SET amount_usd = 7e6 WHERE block_number = 900002", "12.0M USD"),
        ("deficits", "UPDATE stg_lending_events SET block_timestamp = block_timestamp - 86400 "
         "WHERE event_type = 'deficit'",
         "booked 0 deficits of 0 USD; the day before it was 1 deficit of 200k USD"),
        ("pegs", "UPDATE mart_peg_health SET status = 'critical', deviation_bps = -300.0 WHERE ts = 1751414340 AND "
         "token = 'DAI'", "to critical (-300 bp"),
        ("pegs", "UPDATE mart_peg_health SET status = 'healthy' WHERE token = 'DAI'",
         "None of 2 stablecoins left its state; furthest from its peg is DAI at -120 bp"),
        ("clusters", "UPDATE mart_cluster_probability SET probability = 0.105, low = 0.09, high = 0.12 WHERE "
         "ts = 1751414400", "10.5 % (95 % 9.0 % to 12.0 %), the day before it was 10.0 % (9.0 % to 11.0 %): no "
         "change beyond its error"),
        ("clusters", "DELETE FROM mart_cluster_probability", "Run `python -m flows liquidation-clusters`"),
        ("pegs", "DELETE FROM mart_peg_health", "Run `python -m flows peg-health`"),
        ("liquidations", "DELETE FROM raw_lending_reads", "The lending events of the day were not all read"),
        ("liquidations", f"UPDATE raw_lending_reads SET first_time = {AT + 60}", "were not all read"),
        ("liquidations", f"UPDATE raw_lending_reads SET last_time = {AT + DAY - 7 * 3_600}", "were not all read"),
        ("liquidations", f"UPDATE raw_lending_reads SET last_time = {AT + DAY - 3_600}",
         "In the day to 2025-07-01 23:00 UTC there were"),
        ("liquidations", f"UPDATE raw_lending_reads SET first_time = {AT - 60}",
         "2 liquidations of 6.0M USD of collateral; the largest"),
        ("liquidations", "UPDATE stg_lending_events SET amount_usd = NULL WHERE block_number = 900002",
         "2 liquidations of at least 5.0M USD (1 without a price) of collateral; the day before"),
        ("liquidations", "DELETE FROM stg_lending_events", "0 liquidations of 0 USD of collateral"),
        ("pegs", f"DELETE FROM mart_peg_health WHERE ts < {AT}", "Furthest from its peg is DAI"),
        ("pegs", f"UPDATE mart_peg_health SET source = 'other' WHERE ts < {AT} AND token = 'DAI'",
         "None of 1 stablecoin left"),
        ("debt", "DELETE FROM fact_snapshot WHERE block = 1", "from the second day on. Run `python -m flows daily`"),
        ("liquidations at risk", "DELETE FROM fact_risk_run", "Run `python -m flows risk-scenarios`"),
    ],
)  # fmt: skip
def test_a_changed_row_changes_its_sentence(own, topic: str, sql: str, says: str):
    assert says not in said(own, topic)
    change(own, sql)
    assert says in said(own, topic)


def test_refused_rows_and_late_tables_are_named(own):
    with Store.open(own) as store:
        row = {"table_name": "dim_prices", "state": "open", "quarantined_at": 1_000_000, "id": "b" * 64}
        store.write_batch("test", "q", {"quarantine": made_up("quarantine", [row])})
    late = brief.write(db=own, now=1_000_100)
    assert "1 row of dim_prices" in " ".join(one.text for one in late.sentences)
    none = brief.write(db=own, now=1_000_000 + 2 * DAY)
    assert "0 rows were refused that are still open" in " ".join(one.text for one in none.sentences)


def test_no_number_is_without_a_row_that_is_there(own):
    """Every number names a table of the warehouse, columns it has, and at least one row, but for counts of none."""
    with Store.open(own) as store:
        for sentence in brief.write(db=own).sentences:
            for number in sentence.numbers:
                for ref in number.refs:
                    assert set(ref.key) <= set(tables()[ref.table].names)
                    exact = {name: value for name, value in ref.key.items() if not re.match(r"\(|not null", str(value))}
                    where = " AND ".join(f"{name} = ?" for name in exact) or "1"
                    [(n,)] = store.rows(f"SELECT count(*) FROM {ref.table} WHERE {where}", tuple(exact.values()))
                    assert n or number.text.startswith("0 "), (number.text, ref.text)


def test_a_claim_without_a_row_cannot_be_made():
    ref = Ref("fact_snapshot", {"block": 1})
    with pytest.raises(ValueError, match="has no row behind it"):
        Number("5 USD", ())
    with pytest.raises(ValueError, match="hold a number without a row"):
        Sentence("debt", "state", ("Debt is 5 USD", Number("5 USD", (ref,))))
    with pytest.raises(ValueError, match="found words alone"):
        Sentence("debt", "change", ("Debt rose.",))
    with pytest.raises(ValueError, match="kind: expected one of change, state, missing"):
        Sentence("debt", "rumour", ("Debt rose.",))


def test_what_is_kept_is_what_was_said_and_again_changes_nothing(own):
    text = ran("brief")
    with Store.open(own) as store:
        before = store.rows("SELECT * FROM mart_daily_brief")
        kept = stored(store, MARKET)
    assert kept.sentences == brief.write(db=own).sentences
    assert kept.plain() == text
    assert "(SAMPLE: synthetic data)" in text
    assert "[1] fact_risk_scenarios run_id=" in text
    ran("brief")
    with Store.open(own) as store:
        assert store.rows("SELECT * FROM mart_daily_brief") == before
    change(own, "UPDATE mart_daily_brief SET parts = '[{}]' WHERE place = 0")
    with Store.open(own) as store, pytest.raises(DamagedValue, match="mart_daily_brief: liquidations at risk"):
        stored(store, MARKET)


def test_the_first_day_says_what_is_missing_and_an_empty_file_names_the_sample(own, tmp_path):
    change(own, "DELETE FROM fact_snapshot WHERE block = 1")
    change(own, "DELETE FROM fact_risk_run WHERE block = 1")
    missing = [one.topic for one in brief.write(db=own).sentences if one.kind == MISSING]
    assert missing == ["liquidations at risk", "debt"]
    Store.open(tmp_path / "empty.sqlite").close()
    with pytest.raises(NoSnapshot, match=r"python -m data\.sample"):
        brief.write(db=tmp_path / "empty.sqlite")


def test_a_run_that_saw_later_prices_is_called_no_forecast(own, monkeypatch):
    monkeypatch.setattr(RiskRun, "looks_ahead", property(lambda run: True))

    assert (
        "USD (no interval: few draws; 99 %, 24 h) (its calibration saw prices later than the block: no forecast)"
        in said(own, "liquidations at risk")
    )


@pytest.mark.parametrize(
    ("ends", "says"),
    [((1.0e6, 2.0e6), "more than their errors explain"), ((1.0e6, 3.0e6), "within their errors")],
)
def test_a_change_is_held_against_both_errors(own, ends: tuple[float, float], says: str):
    rows = rows_of_the_day(own)

    def run(value: float, low: float, high: float):
        figure = replace(
            rows.run.figures["lar_repaid", 0.99], value=value, low=low, high=high, few_draws=False, n_positive=100
        )
        return replace(rows.run, figures={("lar_repaid", 0.99): figure})

    both = replace(rows, run=run(4.0e6, 2.5e6, 5.0e6), run_before=run(1.5e6, *ends))
    [text] = [one.text for one in sentences(both) if one.topic == "liquidations at risk"]
    assert "4.0M USD (95 % 2.5M USD to 5.0M USD; 99 %, 24 h), up 166.7 % from 1.5M USD" in text
    assert says in text


def rows_of_the_day(own: Path):
    from data.brief.reading import rows_of
    from data.snapshot.loading import newest

    with Store.open(own) as store:
        return rows_of(store, newest(db=own), AT)


def test_a_volatility_that_moved_is_named_as_a_reason(own):
    """The rule alone: the same run with ETH half as volatile the day before."""
    rows = rows_of_the_day(own)
    record = dict(rows.run.scenario_record)
    halved = [v / 2 if name == "ETH" else v for name, v in zip(record["factors"], record["volatility"], strict=True)]
    calm = replace(rows, run_before=replace(rows.run, scenario_record=record | {"volatility": halved}))
    reasons = [one.text for one in sentences(calm) if one.topic == "why"]
    assert len(reasons) == 1
    assert re.search(r"changed most is ETH from \d+ % to \d+ % a year", reasons[0])
