"""Price series come out aligned, in the order asked for, or are named as missing."""

from __future__ import annotations

import pandas as pd
import pytest

from data.errors import NoPrices
from data.prices.series import load_prices
from tests.data.conftest import price_rows

START = 1_700_000_000


def test_columns_are_in_the_order_asked_for_and_times_rise(store):
    rows = pd.concat([price_rows(3), price_rows(3, symbol="BTCUSDT", price_usd=[1.0, 2.0, 3.0])])
    store.write_batch("s", "k", {"dim_prices": rows.sample(frac=1, random_state=1)})

    prices = load_prices(["BTCUSDT", "ETHUSDT", "BTCUSDT"])

    assert list(prices.columns) == ["BTCUSDT", "ETHUSDT"]
    assert prices.index.tolist() == [START, START + 3_600, START + 7_200]
    assert prices["BTCUSDT"].tolist() == [1.0, 2.0, 3.0]


def test_only_times_that_all_series_share_are_kept(store):
    store.write_batch("s", "k", {"dim_prices": pd.concat([price_rows(3), price_rows(2, symbol="BTCUSDT")])})

    assert load_prices(["ETHUSDT", "BTCUSDT"]).index.tolist() == [START, START + 3_600]


def test_both_ends_of_the_window_are_included(store):
    store.write_batch("s", "k", {"dim_prices": price_rows(4)})

    assert load_prices(["ETHUSDT"], start=START + 3_600, end=START + 7_200)["ETHUSDT"].tolist() == [2_001.0, 2_002.0]


def test_synthetic_prices_never_stand_in_for_observed_ones(store):
    store.write_batch("s", "k", {"dim_prices": price_rows(2, source="synthetic", is_synthetic=1)})

    assert len(load_prices(["ETHUSDT"], synthetic=True)) == 2
    with pytest.raises(NoPrices, match=r"no observed 1h prices of ETHUSDT.*market-prices"):
        load_prices(["ETHUSDT"])


def test_what_is_missing_is_named(store):
    store.write_batch("s", "k", {"dim_prices": price_rows(2)})

    with pytest.raises(NoPrices, match="prices of AAVEUSDT, BTCUSDT in the window"):
        load_prices(["ETHUSDT", "BTCUSDT", "AAVEUSDT"])


def test_series_without_a_common_time_are_refused(store):
    later = price_rows(1, symbol="BTCUSDT", ts=[START + 1])
    store.write_batch("s", "k", {"dim_prices": pd.concat([price_rows(1), later])})

    with pytest.raises(NoPrices, match="no 1h time in common"):
        load_prices(["ETHUSDT", "BTCUSDT"])


def test_no_symbols_give_an_empty_frame(store):
    assert load_prices([]).empty
