"""The Chain page: what is stored is what is shown."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from dashboard.app import create_app
from dashboard.market.chain import Activity, Hours, Token
from dashboard.market.warehouse import Warehouse
from dashboard.pages.chain import charts, page
from dashboard.pages.chain.answers import provisions, volumes
from data.sample.activity import JUST_IN_TIME, PLANTED
from tests.dashboard.conftest import MemorySource, words

BLOCK = 14 * 24 + 1 + PLANTED
"""The block of the sample's sandwich."""


@pytest.fixture(scope="module")
def activity(sample_warehouse: Path) -> Activity:
    found = Warehouse(sample_warehouse).chain()
    assert found is not None
    return found


@pytest.fixture
def own(sample_warehouse: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.sqlite"
    shutil.copy(sample_warehouse, path)
    return path


def changed(path: Path, *statements: str) -> Warehouse:
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, statement
    connection.commit()
    connection.close()
    return Warehouse(path)


def test_the_page_in_words(sample_warehouse: Path, activity: Activity):
    said = words(page.build(Warehouse(sample_warehouse), ""))
    for part in ("1 carries a sandwich", "1 of 48 hours", "USDe at 30 Jun 2025, 20:00 UTC", "made-up chain", "0 sets"):
        assert part in said, part
    assert activity.synthetic


def test_the_planted_block(activity: Activity):
    """The attacker buys 62 WETH for 155,000 USDC and sells them for 155,744; two pay more in between."""
    said = words(page.block_card(activity, activity.number.tolist().index(BLOCK)))
    for part in ("155,000 USDC for 62 WETH", "front-run", "victim", "back-run", "+744 USDC", "2 of 13 swaps"):
        assert part in said, part
    assert "No sandwich" in words(page.block_card(activity, 0))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts(activity: Activity, theme: str):
    drawn = charts.transfers(volumes(activity.hours), theme)
    assert [trace["name"] for trace in drawn["data"]][-2:] == ["usual", "unusual"]
    assert len(drawn["data"][-1]["x"]) == 1
    drawn = charts.heatmap(activity, theme, 3)
    assert len(drawn["data"][0]["y"]) == len(activity.number)
    assert drawn["layout"]["shapes"][0]["x0"] == 2.5
    assert not any(trace["type"] == "scattergl" for trace in drawn["data"])


def test_by_standard(activity: Activity):
    found = volumes(activity.hours, "standard")
    assert found.names == ("ERC-20", "ERC-721")
    np.testing.assert_allclose(found.transfers.sum(axis=1), volumes(activity.hours).transfers.sum(axis=1))
    with pytest.raises(rc.InputError, match="token or standard"):
        volumes(activity.hours, "colour")


def test_json_says_what_the_charts_show(sample_warehouse: Path, activity: Activity):
    client = create_app(Warehouse(sample_warehouse)).server.test_client()
    told = client.get("/api/v1/token-volume?hours=5").get_json()
    assert told["transfers"] == volumes(activity.hours).transfers[-5:].tolist()
    assert told["series"][0] == "USDC"
    assert sum(map(sum, told["unusual"])) == 1
    told = client.get("/api/v1/mev-heatmap?blocks=20").get_json()
    assert told["block"] == activity.number[-20:].tolist()
    assert told["score"] == activity.scores.score[-20:].tolist()
    assert told["sandwiches"][0]["block"] == BLOCK
    assert (told["sandwiches"][0]["profit_raw"], len(told["sandwiches"][0]["victims"])) == (744e6, 2)
    for wrong in ("token-volume?by=x", "token-volume?hours=0", "token-volume?hours=x", "mev-heatmap?blocks=4900"):
        assert client.get(f"/api/v1/{wrong}").status_code == 400, wrong


def test_without_blocks_the_command_is_named(source: MemorySource):
    said = words(page.build(source, ""))
    assert "python -m flows chain-activity" in said
    assert "python -m flows lending-events" in said
    client = create_app(source).server.test_client()
    for name in ("token-volume", "mev-heatmap"):
        answer = client.get(f"/api/v1/{name}")
        assert (answer.status_code, answer.get_json()["command"]) == (503, page.FILL)


def test_the_liquidity_that_stood_for_two_swaps(sample_warehouse: Path, activity: Activity):
    """The provider puts in 400 WETH and 1,000,000 USDC; two swap; the keeper's liquidity stays and is none."""
    block = 14 * 24 + 1 + JUST_IN_TIME
    (one,) = provisions(activity)
    assert (one.block, one.swaps, one.taken_at - one.put_at) == (block, 2, 4)
    assert (one.put_in, one.taken_out) == ("400 WETH and 1,000,000 USDC", "340 WETH and 1,150,000 USDC")
    said = words(page.build(Warehouse(sample_warehouse), ""))
    assert f"#{one.put_at}: 400 WETH and 1,000,000 USDC" in said
    assert "for 2 swaps" in said
    client = create_app(Warehouse(sample_warehouse)).server.test_client()
    (told,) = client.get("/api/v1/mev-heatmap").get_json()["just_in_time"]
    assert (told["block"], len(told["swaps"]), told["put_in_raw"]) == (block, 2, [400e18, 1e12])
    assert told["tokens"] == [token.address for symbol in ("WETH", "USDC") for token in activity.tokens
                              if token.symbol == symbol]  # fmt: skip
    assert client.get("/api/v1/mev-heatmap?blocks=2").get_json()["just_in_time"] == []


def test_liquidity_that_somebody_else_takes_out_is_none(own: Path):
    """Without the burn, and where the transaction that took out is another account's."""
    block = 14 * 24 + 1 + JUST_IN_TIME
    burn = f"SELECT transaction_hash FROM stg_primitives WHERE block_number = {block} AND primitive = 'burn'"
    after = changed(own, f"UPDATE raw_chain_transactions SET from_address = '0x{'7' * 40}' "
                         f"WHERE transaction_hash = ({burn})")  # fmt: skip
    found = after.chain()
    assert found is not None
    assert found.just_in_time == ()
    assert "No account took liquidity out" in words(page.build(after, ""))


def test_a_changed_row_changes_each_figure(own: Path, activity: Activity):
    hour = int(volumes(activity.hours).ts[-1])
    after = changed(
        own,
        f"UPDATE mart_token_transfer_hourly SET transfers = 900 WHERE hour = {hour} AND token = "
        f"'{activity.hours.series[0][0].address}'",
        "UPDATE stg_lending_events SET amount_usd = 123400000.0 WHERE event_type = 'liquidation'",
        f"UPDATE stg_primitives SET primitive = 'flash_loan' WHERE block_number = {BLOCK}",
    )
    found = after.chain()
    assert found is not None
    assert volumes(found.hours).transfers[-1, 0] == 900
    assert "USDC at 30 Jun 2025, 22:00" in words(page.build(after, ""))
    assert "$123.4M" in words(page.build(after, ""))
    at = found.number.tolist().index(BLOCK)
    assert found.scores.score[at] == pytest.approx(activity.scores.score[at] - 3)
    assert found.flash_loans[at] == 1


def test_what_a_reorganisation_took_away_is_not_shown(own: Path):
    after = changed(
        own,
        f"UPDATE stg_chain_blocks SET orphaned = 1 WHERE block_number = {BLOCK}",
    )
    found = after.chain()
    assert found is not None
    assert BLOCK not in found.number
    assert found.scores.sandwiches.found == ()


def test_an_hour_with_a_missing_block_is_not_known(own: Path, activity: Activity):
    """An hour of the sample is one block: without it the hours beside it cannot be said to be whole."""
    number = 14 * 24 - 10
    found = changed(own, f"DELETE FROM stg_chain_blocks WHERE block_number = {number}").chain()
    assert found is not None
    unknown = np.flatnonzero(np.isnan(found.hours.transfers[:, 0])).tolist()
    before = np.flatnonzero(np.isnan(activity.hours.transfers[:, 0])).tolist()
    assert sorted(set(unknown) - set(before)) == [number - 2, number - 1, number]


def test_a_real_chain_goes_before_the_samples(own: Path):
    found = changed(own, f"UPDATE stg_chain_blocks SET chain_id = 10 WHERE block_number = {BLOCK}").chain()
    assert found is not None
    assert (found.chain_id, found.synthetic, len(found.number)) == (10, False, 1)
    assert not len(volumes(found.hours).ts)
    assert "Too few whole hours" in words(page.build(Warehouse(own), ""))


HOSTILE = "<b onload=x>%{y}\u202e=cmd()" + "x" * 100_000


def test_a_hostile_symbol_loses_its_meaning(activity: Activity):
    token = Token("0x" + "0" * 40, HOSTILE, 77)
    hours = Hours(
        ts=activity.hours.ts,
        transfers=activity.hours.transfers,
        amounts=activity.hours.amounts,
        series=((token, "ERC20"), *activity.hours.series[1:]),
    )
    found = volumes(hours)
    assert len(found.names[0]) < 100
    assert "\u202e" not in found.names[0]
    drawn = charts.transfers(found, "dark")["data"][0]
    assert "<b" not in drawn["name"]
    assert "%{y}\\" not in drawn["hovertemplate"]
    assert "<b onload" not in drawn["hovertemplate"]
    hostile = replace(activity, tokens=tuple(replace(token) for _ in activity.tokens))
    said = words(page.block_card(hostile, activity.number.tolist().index(BLOCK)))
    assert "\u202e" not in said
    assert "x" * 100 not in said
