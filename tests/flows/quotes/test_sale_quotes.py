"""`sale-quotes`: a file of quotes is stored whole or not at all, and what cannot be used is named."""

import sqlite3

import numpy as np
import pandas as pd
import pytest

from data import load_market
from data.errors import BatchRefused
from data.quotes import load_quotes
from data.sample import configuration, quotes
from data.sample.book import holdings
from flows.errors import ConfigurationError, WrongOption
from flows.quotes.sale_quotes import BadQuotes
from risk_core.analytics.slippage import fit
from tests.flows.running import ran

NOW = configuration.BLOCK_TIME


def rows_of(path, sql):
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


def table(**changes):
    base = {
        "sold": ["WETH", "weth", "WETH"],
        "bought": ["USDC"] * 3,
        "size_usd": [1e6, 1e7, 2e7],
        "received_usd": [0.995e6, 0.97e7, 0.96e7],
        "quoted_at": [NOW] * 3,
        "source": ["desk"] * 3,
    }
    return pd.DataFrame(base | changes)


def stored(tmp_path, frame, name="quotes.csv"):
    path = tmp_path / name
    frame.to_csv(path, index=False)
    return path


def run(path):
    return ran("sale-quotes", "--file", str(path))


def test_quotes_take_the_place_of_assumptions_and_a_second_run_changes_nothing(sample, tmp_path):
    market = load_market()
    weth, usdc = (market.reserves.symbol.index(s) for s in ("WETH", "USDC"))
    before = next(one for one in load_quotes(market) if one.sold == weth)
    assert before.assumed.all()

    said = run(stored(tmp_path, table()))

    assert said.startswith("3 quotes of 1 pairs, 3 of them new")
    assert "WETH to USDC 20,000,000 USD of desk (less for more)" in said
    ladder = next(one for one in load_quotes(market) if one.sold == weth)
    assert (ladder.bought, ladder.source, ladder.assumed.any()) == (usdc, ("desk",) * 3, False)
    np.testing.assert_array_equal(ladder.size_usd, [1e6, 1e7, 2e7])
    assert fit(ladder.size_usd, ladder.received_usd).state == ("used", "used", "less for more")
    sql = "SELECT * FROM dim_quote_ladder ORDER BY sold, size_usd, source"
    kept = rows_of(sample, sql)
    assert "0 of them new" in run(stored(tmp_path, table()))
    assert rows_of(sample, sql) == kept


def test_of_each_source_the_newest_ladder_counts(sample, tmp_path):
    run(stored(tmp_path, table()))
    run(stored(tmp_path, table(quoted_at=[NOW + 60] * 3, size_usd=[2e6, 1e7, 2e7])))
    run(stored(tmp_path, table(source=["other"] * 3, size_usd=[3e6, 1e7, 2e7])))
    market = load_market()
    ladder = next(one for one in load_quotes(market) if one.sold == market.reserves.symbol.index("WETH"))
    found = list(zip(ladder.size_usd.tolist(), ladder.source, (ladder.quoted_at - NOW).tolist(), strict=True))
    assert found == [
        (2e6, "desk", 60),
        (3e6, "other", 0),
        (1e7, "desk", 60),
        (1e7, "other", 0),
        (2e7, "desk", 60),
        (2e7, "other", 0),
    ]


def test_a_ladder_of_long_ago_is_not_set_beside_a_new_one(sample, tmp_path):
    """A better price of the week before would make the market look deeper than anybody says it is."""
    run(stored(tmp_path, table(quoted_at=[NOW - 7 * 86_400] * 3, received_usd=[1e6, 1e7, 2e7], source=["old"] * 3)))
    run(stored(tmp_path, table()))
    market = load_market()
    [ladder] = [one for one in load_quotes(market) if one.sold == market.reserves.symbol.index("WETH")]
    assert set(ladder.source) == {"desk"}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (table().drop(columns=["received_usd", "source"]), "has no column received_usd, source; expected sold, bought"),
        (table()[:0], "holds no row"),
        (table(sold=["WETH", "NIX", "WETH"]), "row 2: sold: expected a reserve of SampleAaveV3Ethereum .* found 'NIX'"),
        (table(bought=["USDC", "USDC", "WETH"]), "row 3: sold and bought are one asset"),
        (table(quoted_at=[NOW, NOW * 1000, NOW]), r"row 2: quoted_at: expected whole seconds UTC up to now .* found"),
        (table(quoted_at=[NOW, NOW + 0.5, NOW]), r"row 1: quoted_at: expected whole seconds"),
        (table(size_usd=[1e6, 1e6, 2e6]), "row 2: a row before it has the same pair, source, time and size"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_row(sample, tmp_path, frame, words):
    with pytest.raises(BadQuotes, match=words):
        run(stored(tmp_path, frame))
    assert rows_of(sample, "SELECT count(*) FROM dim_quote_ladder WHERE source <> 'synthetic'") == [(0,)]


@pytest.mark.parametrize(("column", "value"), [("size_usd", -1.0), ("received_usd", np.nan), ("received_usd", np.inf)])
def test_a_quote_that_is_no_amount_is_in_quarantine_and_nothing_else_is_stored(sample, tmp_path, column, value):
    frame = table()
    frame.loc[1, column] = value
    with pytest.raises(BatchRefused, match=column):
        run(stored(tmp_path, frame))
    assert rows_of(sample, "SELECT count(*) FROM dim_quote_ladder WHERE source = 'desk'") == [(0,)]
    [(kept,)] = rows_of(sample, "SELECT n_rows FROM quarantine_batch WHERE source = 'sale-quotes'")
    assert kept == 3


def test_no_file_and_no_such_file_are_said(sample, tmp_path):
    with pytest.raises(WrongOption, match="--file: expected a Parquet or CSV file with sold, bought"):
        ran("sale-quotes")
    with pytest.raises(ConfigurationError, match="--file: there is no file"):
        run(tmp_path / "none.csv")
    (tmp_path / "quotes.txt").write_text("")
    with pytest.raises(ConfigurationError, match=r"expected a \.parquet or \.csv file, found quotes\.txt"):
        run(tmp_path / "quotes.txt")


def test_the_samples_assumptions_are_one_pool_for_each_collateral_and_one_planted_refusal():
    [ladder] = quotes.frames(holdings(500, 7)).values()
    reserves = configuration.reserves()
    assert set(ladder["kind"]) == {"assumed"}
    assert set(ladder["is_synthetic"]) == {1}
    for (sold, _), rows in ladder.groupby(["sold", "bought"]):
        size, received = rows["size_usd"].to_numpy(), rows["received_usd"].to_numpy()
        symbol = reserves.symbol[reserves.asset.index(sold)]
        states = fit(size, received).state
        assert states.count("less for more") == (symbol == quotes.PLANTED[0])
        good = np.array([state == "used" for state in states])
        # A constant-product pool: 1 / received - 1 / size is 1 / depth at every size.
        depth = 1 / (1 / received[good] - 1 / size[good])
        np.testing.assert_allclose(depth, depth[0], rtol=1e-6)
