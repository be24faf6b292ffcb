"""Names are found by the beginnings of their words, and never ones that a later write has changed."""

from __future__ import annotations

import pytest

from data.__main__ import main
from data.errors import DataError
from data.look_up import KINDS, Found, find
from data.store.store import Store
from tests.data.conftest import execute

MARKET = "SampleAaveV3Ethereum"


@pytest.fixture
def sample(filled):
    with Store.open() as opened:
        yield opened


def test_each_kind_is_found_as_the_tables_have_it(sample):
    account, at = sample.rows(
        "SELECT a.account, s.block_time FROM raw_aave_account_states AS a JOIN fact_snapshot AS s USING (market) "
        "ORDER BY a.account LIMIT 1 OFFSET 7"
    )[0]
    weth = sample.rows("SELECT asset FROM raw_aave_reserves WHERE symbol = 'WETH'")[0][0]
    newest = sample.rows("SELECT max(ts) FROM dim_prices WHERE symbol = 'ETHUSDT'")[0][0]

    assert find(sample, account) == [Found("account", account, "", MARKET, at)]
    assert find(sample, account[:30].upper()) == [Found("account", account, "", MARKET, at)]
    assert find(sample, "weth") == [Found("token", "WETH", weth, MARKET, at)]
    assert find(sample, weth[:12]) == [Found("token", "WETH", weth, MARKET, at)]
    assert find(sample, "weth sample") == find(sample, "weth")
    assert find(sample, "ethusdt") == [Found("series", "ETHUSDT", "", "synthetic", newest)]
    assert find(sample, "samp", kind="market") == [Found("market", MARKET, "", MARKET, at)]


def test_every_account_and_reserve_of_the_newest_snapshot_is_in_it(sample):
    n_accounts, n_reserves = sample.rows("SELECT n_accounts, n_reserves FROM fact_snapshot")[0]

    assert len(find(sample, "0x", kind="account", limit=10**6)) == n_accounts
    assert len(find(sample, "0x", kind="token", limit=10**6)) == n_reserves
    assert len(find(sample, "sample", limit=3)) == 3
    assert {found.kind for found in find(sample, "sample", limit=10**6)} == {"account", "token", "market"} < set(KINDS)


def test_a_later_write_is_found_and_what_is_unchanged_is_not_made_anew(sample):
    find(sample, "weth")
    made = sample.rows("SELECT refreshed_at, watermark FROM mart_state WHERE target = 'look_up'")
    with sample.transaction() as connection:
        connection.execute("UPDATE mart_state SET refreshed_at = 1 WHERE target = 'look_up'")
    find(sample, "weth")
    assert sample.rows("SELECT refreshed_at FROM mart_state WHERE target = 'look_up'") == [(1,)]

    frame = sample.read("SELECT * FROM dim_prices LIMIT 1").assign(symbol="NEWUSDT").drop(columns="batch")
    assert not find(sample, "newusdt")
    sample.write_batch("s", "k", {"dim_prices": frame})

    assert [found.name for found in find(sample, "newusdt")] == ["NEWUSDT"]
    assert sample.rows("SELECT watermark FROM mart_state WHERE target = 'look_up'")[0][0] > made[0][1]


@pytest.mark.parametrize("text", ['a"b*', "(OR", "weth NOT", "name : x", "-weth-", "^weth", "weth*", "' ; DROP TABLE"])
def test_signs_of_the_index_s_own_language_are_words_or_nothing(sample, text):
    find(sample, text)


@pytest.mark.parametrize("text", ["", "  ", "***", '"'])
def test_a_text_without_a_word_is_refused(sample, text):
    with pytest.raises(DataError, match="expected a letter or digit to look for"):
        find(sample, text)


def test_a_kind_that_is_none_is_refused(sample):
    with pytest.raises(DataError, match="kind must be one of account, token, market, series, found 'user'"):
        find(sample, "weth", kind="user")


def test_the_command_prints_a_line_for_each(filled, capsys):
    assert main(["find", "weth"]) == 0
    assert main(["find", "nobody", "--kind", "account"]) == 0
    told = capsys.readouterr().out.splitlines()

    assert told[0].startswith("token    WETH 0x")
    assert told[0].split("  ")[-1].startswith(f"{MARKET}, 20")
    assert told[-1] == "nothing has a word that begins with nobody"


def test_a_file_that_was_looked_into_is_opened_exported_and_upgraded_as_before(filled, tmp_path):
    with Store.open() as opened:
        find(opened, "weth")
    execute(filled, "DELETE FROM schema_version")

    assert main(["migrate"]) == 0
    assert main(["tables"]) == 0
    with Store.open() as opened:
        assert opened.rows("PRAGMA integrity_check") == [("ok",)]
        assert find(opened, "weth")
