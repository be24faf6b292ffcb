"""`aave-history` against a node that has all logs of a life and the state of its newest block alone."""

from __future__ import annotations

import json

import pytest

import data
from flows.aave.history import HistoryError
from flows.aave.history.decoding import TOPICS
from flows.errors import ConfigurationError, SourceRefused
from tests.flows.aave.fake_node import word
from tests.flows.running import ran


def run(*arguments: str) -> str:
    return ran("aave-history", "--attempts", "2", *arguments)


def test_the_books_of_a_past_block_are_what_the_contracts_answered_then(life, tmp_path):
    said = run("--at", "132", "--out", str(tmp_path / "books.json"))
    assert "reserves equal the node's at block 298; at block 132" in said
    book = json.loads((tmp_path / "books.json").read_text(encoding="utf-8"))
    truth = next(t for t in life.life["truth"] if t["block"] == 132)
    assert (book["block"], book["time"], book["revision"]) == (132, truth["timestamp"], 9)
    expected = {
        account: {number: [int(value) for value in pair] for number, pair in held.items()}
        for account, (_, _, held) in truth["users"].items()
        if held
    }
    found = {
        account: {number: [int(value) for value in pair] for number, pair in held.items()}
        for account, held in book["holdings"].items()
    }
    assert found == expected
    # No state of an old block was asked for.
    assert {int(block, 16) for block in life.blocks_read} == {298}


def test_a_node_that_left_out_one_flag_is_found_out_at_the_tip(life, tmp_path):
    enabled = [log for log in life.logs if log["topics"][0] == TOPICS["UserEModeSet"]]
    life.logs.remove(enabled[-1])
    account = "0x" + enabled[-1]["topics"][1][-40:]
    with pytest.raises(HistoryError, match=f"differ from the node in 1 of .*e-mode of account {account}"):
        run("--out", str(tmp_path / "books.json"))
    assert not (tmp_path / "books.json").exists()


@pytest.mark.parametrize("getter", ["scaledTotalSupply()", "getUserConfiguration(address)", "scaledBalanceOf(address)"])
def test_every_kind_of_value_at_the_tip_is_compared(life, getter):
    truth = life.life["truth"][-1]
    account, (_, _, held) = next((a, row) for a, row in truth["users"].items() if row[2])
    token = next(r for r in truth["reserves"] if str(r["id"]) in held)["atoken"]
    if getter == "scaledTotalSupply()":
        life.say(token, getter, answer=word(1))
    else:
        life.say(life.pool if "Configuration" in getter else token, getter, account, answer=word(1))
        if "Configuration" in getter:
            life.say(life.pool, "getUserEMode(address)", account, answer=word(truth["users"][account][1]))
    with pytest.raises(HistoryError, match="differ from the node in 1 of"):
        run()


@pytest.mark.parametrize(
    ("getter", "to", "argument", "answer", "said"),
    [
        ("getEModeCategoryCollateralConfig(uint8)", "pool", 2, [9000, 9301, 10260], "terms of e-mode 2"),
        ("getEModeCategoryCollateralConfig(uint8)", "pool", 77, [1, 2, 3], "terms of e-mode 77"),
        ("getEModeCategoryCollateralBitmap(uint8)", "pool", 2, [1], "collateral of e-mode 2"),
        ("getEModeCategoryBorrowableBitmap(uint8)", "pool", 2, [1], "borrowable of e-mode 2"),
        ("getEModeCategoryLtvzeroBitmap(uint8)", "pool", 2, [1], "ltvzero of e-mode 2"),
        ("getIsEModeCategoryIsolated(uint8)", "pool", 2, [1], "isolated of e-mode 2"),
        ("getInterestRateData(address)", "rate_strategy", "asset", [1, 2, 3, 4], "rate parameters"),
    ],
)
def test_parameters_that_no_other_log_confirms_are_compared_at_the_tip(life, getter, to, argument, answer, said):
    asset = life.life["truth"][-1]["reserves"][0]["asset"]
    argument = asset if argument == "asset" else argument
    life.say(life.life["meta"][to], getter, argument, answer=b"".join(map(word, answer)))
    with pytest.raises(HistoryError, match=f"differ from the node in 1 of .*{said}"):
        run()


def test_logs_that_do_not_begin_at_the_beginning_are_refused(life):
    with pytest.raises((HistoryError, SourceRefused)):
        run("--from-block", "100")


def test_code_of_an_unknown_revision_is_refused(life):
    code = next(iter(life.life["meta"]["pool_revision_of_implementation"]))
    life.say(code, "POOL_REVISION()", answer=word(12))
    with pytest.raises(HistoryError, match=f"{code} has revision 12"):
        run()


def test_a_block_outside_is_refused_and_an_estimate_reads_nothing(life):
    with pytest.raises(ConfigurationError, match="--at: expected a block from 0 to 298, found 299"):
        run("--at", "299")
    assert "blocks 0 to 298 take about 3 queries" in run("--estimate")
    assert life.asked["eth_getLogs"] == 0
    assert not data.settings.risk_db().exists()
