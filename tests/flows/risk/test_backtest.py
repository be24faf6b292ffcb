"""`backtest`: files that cannot be used are refused with the place, and a known generator is told from a wrong law."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from flows.__main__ import main
from flows.errors import ConfigurationError
from flows.risk import backtest, price_file
from flows.risk.options import BacktestOptions
from flows.risk.price_file import BadPrices
from risk_core.laws.calibrated import DEFAULT
from risk_core.laws.from_returns import NAMES

FIRST = 1_609_459_200  # 2021-01-01 00:00 UTC
HOUR = 3600


def prices(days: int, seed: int = 4) -> pd.DataFrame:
    """Two correlated random walks of stated volatility: 60 and 40 % a year."""
    n = days * 24 + 1
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal((n, 1)), rng.standard_normal((n, 2))
    moves = (0.8 * common + 0.6 * own) * np.array([0.6, 0.4]) / np.sqrt(8760)
    levels = np.exp(np.cumsum(moves, axis=0)) * [2000.0, 40_000.0]
    times = FIRST + HOUR * np.arange(n)
    return pd.concat(
        [pd.DataFrame({"symbol": s, "ts": times, "close": levels[:, i]}) for i, s in enumerate(("ETH", "BTC"))],
        ignore_index=True,
    )


def stored(frame: pd.DataFrame, folder, name: str = "prices.csv"):
    path = folder / name
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return path


def test_the_command_tells_every_law_and_writes_the_same_figures(tmp_path, capsys):
    path, out = stored(prices(132), tmp_path), tmp_path / "deep" / "b.json"
    assert main(["backtest", "--prices", str(path), "--warm-up", "30", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert list(found["laws"]) == list(NAMES)
    assert len(found["day_begins"]) == 102
    assert found["day_begins"][0] == FIRST + 30 * 86_400
    for name, law in found["laws"].items():
        for series in ("ETH", "BTC", "mix"):
            assert said.count(f"{name:<17}{series:<7}") == 2
            for i, score in enumerate(law["series"][series]):
                day_by_day = np.array(law["forecasts"][series])[:, i]
                assert score["exceptions"] == (np.array(found["losses"][series]) > day_by_day).sum()
                gap = score["beyond_default"]
                plain = found["laws"][DEFAULT]["series"][series][i]["pinball"]
                assert gap is None if name == DEFAULT else gap["mean"] == pytest.approx(score["pinball"] - plain)
                assert score["holds"] == (
                    min(score["kupiec_p"], score["independence_p"], score["conditional_p"]) >= 0.05
                )
    assert f"the default, {DEFAULT}, " in said


def test_the_mix_is_held_in_equal_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(backtest, "NAMES", ("normal",))
    frame = prices(140)
    found = backtest.backtest(
        backtest.Prices(*price_file.read(stored(frame, tmp_path), ["ETH", "BTC"]), "a file", False), 30
    )
    wide = frame.pivot_table(index="ts", columns="symbol", values="close")
    at = found["day_begins"][5]
    gains = [wide[s][at + 86_400] / wide[s][at] - 1 for s in ("ETH", "BTC")]
    assert found["losses"]["mix"][5] == pytest.approx(-np.mean(gains))


def test_parquet_pairs_and_closing_seconds_are_read_alike(tmp_path):
    frame = prices(5)
    expected, bridged = price_file.read(stored(frame, tmp_path), ["ETH", "BTC"])
    assert bridged == {"ETH": 0, "BTC": 0}
    assert len(expected) == 121
    other = frame.assign(symbol=frame["symbol"] + "USDT", ts=frame["ts"] - 1).sample(frac=1, random_state=1)
    found, _ = price_file.read(stored(other, tmp_path, "p.parquet"), ["ETH", "BTC"])
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_exact=True)


def test_a_short_hole_is_bridged_and_counted_and_a_long_one_is_refused(tmp_path):
    frame = prices(5)
    hole = (frame["symbol"] == "BTC") & frame["ts"].between(FIRST + 10 * HOUR, FIRST + 15 * HOUR)
    found, bridged = price_file.read(stored(frame[~hole], tmp_path), ["ETH", "BTC"])
    assert bridged == {"ETH": 0, "BTC": 6}
    assert found["BTC"].iloc[15] == found["BTC"].iloc[9]
    with pytest.raises(BadPrices, match=r"BTC has no price for 6 hours after 1609491600 \(2021-01-01 09:00\)"):
        price_file.read(stored(frame[~hole], tmp_path), ["ETH", "BTC"], longest_gap=5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="close"), "has no column close; expected symbol, ts"),
        (lambda f: f.iloc[:0], "holds no row"),
        (lambda f: pd.concat([f, f.iloc[[7]]]), r"ETH: 1 times come twice, first 1609484400 \(2021-01-01 07:00\)"),
        (lambda f: f.assign(close=f["close"].where(f.index != 3, -1.0)), r"ETH: close is .*-1.0.* at 1609470000"),
        (lambda f: f.assign(close=f["close"].where(f.index != 3)), "expected a positive price"),
        (lambda f: f.assign(close=f["close"].astype(object).where(f.index != 3, "n/a!")), "expected a positive price"),
        (lambda f: f.assign(ts=f["ts"] * 1000), "no time in seconds"),
        (lambda f: f.assign(ts=f["ts"] + 0.5), "whole seconds since 1970"),
        (lambda f: f.assign(ts=pd.to_datetime(f["ts"], unit="s").astype(str)), "whole seconds since 1970"),
        (lambda f: f.assign(ts=f["ts"] + 700 * (f.index == 9)), "1 rows are not whole hours after the first"),
        (lambda f: f[f["symbol"] == "ETH"], "expected one symbol BTC, found 'ETH'; name others with --symbols"),
        (lambda f: f.assign(ts=f["ts"] + 10**8 * (f["symbol"] == "BTC")), "no time in common"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_where(tmp_path, change, said):
    with pytest.raises(BadPrices, match=said):
        price_file.read(stored(change(prices(2)), tmp_path), ["ETH", "BTC"])


def test_a_file_of_another_kind_or_none_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no file"):
        price_file.read(tmp_path / "none.csv", ["ETH"])
    (tmp_path / "p.xlsx").write_text("x")
    with pytest.raises(ConfigurationError, match=r"expected a \.parquet or \.csv file"):
        price_file.read(tmp_path / "p.xlsx", ["ETH"])
    (tmp_path / "p.parquet").write_text("no parquet")
    with pytest.raises(BadPrices, match="cannot be read as parquet"):
        price_file.read(tmp_path / "p.parquet", ["ETH"])


def test_too_few_days_and_a_price_that_stands_still_are_refused(tmp_path, capsys):
    path = stored(prices(100), tmp_path)
    assert main(["backtest", "--prices", str(path), "--out", str(tmp_path / "b.json")]) == 1
    assert "100 days of prices leave 90 to forecast after a warm-up of 10" in capsys.readouterr().err
    assert not (tmp_path / "b.json").exists()
    still = prices(150).assign(close=lambda f: f["close"].where(f["symbol"] == "ETH", 1.0))
    with pytest.raises(BadPrices, match="BTC never moves"):
        backtest.run(BacktestOptions(prices=stored(still, tmp_path, "s.csv"), warm_up=30, out=tmp_path / "b.json"))


def test_without_a_file_the_warehouse_is_tested_and_a_sample_says_so(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(backtest, "NAMES", (DEFAULT, "bootstrap"))
    said = backtest.run(BacktestOptions(out=tmp_path / "b.json"))
    assert said.startswith("SAMPLE: generated prices")
    assert "of the warehouse" in said
    assert "warm-up of 19 days; 180 are better" in said


def test_the_ending_names_the_laws_that_hold_and_what_the_default_does():
    def found(*holding: str) -> dict:
        return {"losses": {"ETH": []}, "laws": {n: {"holds": n in holding} for n in ("normal", "t4", "t5")}}

    assert backtest.ending(found(), "normal").startswith("No law holds every test at both levels on ETH (p of at least")
    assert backtest.ending(found("t4"), "t5").endswith("the default, t5, does not.")
    assert backtest.ending(found("t4"), "t4").endswith("the default, t4, is it.")
    assert backtest.ending(found("t4", "t5"), "t4").startswith("t4 and t5 hold every test")


def test_with_a_book_its_liquidations_are_one_more_series(sample, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(backtest, "LEAST_DAYS", 5)
    path, out = stored(prices(30), tmp_path), tmp_path / "b.json"
    assert main(["backtest", "--prices", str(path), "--warm-up", "20", "--book", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert list(found["losses"]) == ["ETH", "BTC", "mix", "book"]
    assert max(found["losses"]["book"]) > 0
    follows = found["book"]["follows"]
    assert {"WETH", "wstETH", "LINK"} <= set(follows["ETH"])
    assert {"WBTC", "cbBTC"} <= set(follows["BTC"])
    assert {"USDC", "USDT", "GHO", "EURC"} <= set(follows["stands still"])
    assert "book: sample SampleAaveV3Ethereum" in capsys.readouterr().out
    for law in found["laws"].values():
        told = np.array(law["forecasts"]["book"])
        assert ((told[:, 1] >= told[:, 0]) & (told[:, 0] > 0)).all()
        assert told.max() < 1
