"""Recorded lives of real contracts, v3.0.2 to v3.7: every value of every block, and what a missing log does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from flows.aave.history import configuration, pool, tokens
from flows.aave.history.decoding import TOPICS
from flows.aave.history.replay import Replay
from tests.history.__main__ import main
from tests.history.compare import check, load

REPOSITORY = Path(__file__).resolve().parents[2]
COMMITTED = REPOSITORY / "tests" / "fixtures" / "truth"
BESIDE = REPOSITORY.parent / "shared" / "truth"
LIVES = ("history_small", "history_v30", "history_gho")

pytestmark = pytest.mark.differential


@pytest.fixture(scope="module")
def small():
    return load(COMMITTED / "history_small.json.xz")


@pytest.mark.parametrize(
    ("name", "checked"), [("history_small", 6_646), ("history_v30", 5_126), ("history_gho", 7_418)]
)
def test_every_value_of_every_block_is_what_the_contracts_answered(name, checked):
    tally = check(load(COMMITTED / f"{name}.json.xz"))
    assert tally.differences == []
    assert tally.checked == checked


def test_lives_beside_the_repository():
    paths = sorted(BESIDE.glob("history_*.json.xz"))
    if not paths:
        pytest.skip("no history_*.json.xz beside the repository (../shared/truth)")
    assert main([str(path) for path in paths]) == 0


def test_the_command_ends_with_the_count(capsys):
    assert main([str(COMMITTED / "history_gho.json.xz")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "7418 checked, 0 differences"


def test_the_command_fails_without_one_log(tmp_path, small, capsys):
    import json

    told = without(small, middle(small, "Burn"))
    path = tmp_path / "short.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    assert main([str(path)]) == 1
    assert "the replay stopped: block" in capsys.readouterr().out


def test_a_file_that_is_no_life_is_said(tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text("{}", encoding="utf-8")
    assert main([str(path)]) == 1
    assert "cannot be read as a recorded life" in capsys.readouterr().err


def middle(told, name):
    """Position of the middle log of a kind."""
    at = [n for n, row in enumerate(told["logs"]) if row["topics"][0] == TOPICS[name]]
    return at[len(at) // 2]


def without(told, at):
    """The life without the log at a position."""
    return {**told, "logs": told["logs"][:at] + told["logs"][at + 1 :]}


@pytest.mark.parametrize(
    "name",
    ["Burn", "Supply", "Withdraw", "Borrow", "Repay", "LiquidationCall", "MintedToTreasury", "UserEModeSet",
     "ReserveInitialized", "CollateralConfigurationChanged"],
)  # fmt: skip
def test_a_life_without_one_log_differs(small, name):
    tally = check(without(small, middle(small, name)))
    assert tally.differences


def wrong_share(revision, *rest):
    return right_share(9 if revision < 9 else 8, *rest)


right_share, right_balance, right_compound = pool.treasury_share, tokens.balance, pool.compound


@pytest.mark.parametrize(
    ("rules", "name", "wrong"),
    [
        (pool, "treasury_share", wrong_share),
        (tokens, "balance", lambda revision, *rest: right_balance(8, *rest)),
        (tokens, "balance", lambda revision, *rest: right_balance(9, *rest)),
        (pool, "compound", lambda revision, *rest: right_compound(7, *rest)),
        (pool, "compound", lambda revision, *rest: right_compound(8, *rest)),
        (tokens, "scaled_for", lambda debt, units, index: units * 10**27 // index),
        (pool, "V3_7", 99),  # the treasury's share twice in v3.7 as well
        (pool, "V3_3", 99),  # flags without debt never cleared
        (configuration, "V3_1", 99),  # a new reserve factor holds for the past
    ],
)
def test_a_wrong_rule_is_noticed(small, monkeypatch, rules, name, wrong):
    monkeypatch.setattr(rules, name, wrong)
    assert check(small).differences


@pytest.mark.parametrize("handler", ["_advance_silently", "_premium", "_clear"])
def test_a_rule_left_out_is_noticed(small, monkeypatch, handler):
    monkeypatch.setattr(Replay, handler, lambda self, *_: None)
    assert check(small).differences


@pytest.mark.parametrize("seed", range(3))
def test_the_same_books_whatever_the_pieces(small, seed):
    from flows.aave.history import decode
    from tests.history.compare import replay_of

    happenings = decode(small["logs"], dict(small["blocks"]))
    whole, pieces, at = replay_of(small), replay_of(small), 0
    whole.feed(happenings)
    draw = random.Random(seed)
    while at < len(happenings):
        upto = at + draw.randint(1, 400)
        pieces.feed(happenings[at:upto])
        at = upto
    assert pieces.book() == whole.book()
