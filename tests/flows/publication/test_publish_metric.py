"""What is published of a run, what the feed would refuse, and what is said without a chain.

What a chain makes of it stands in tests/node/test_publication.py.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from data.errors import ResultRefused
from data.store.store import Store
from flows.__main__ import main
from flows.clients.signer import Signer, Unsigned
from flows.clients.transactions import raised
from flows.errors import ConfigurationError
from flows.publication.errors import NotPublished
from flows.publication.feed import FeedState, refusal
from flows.publication.figure import Published, of_run, scaled
from flows.publication.place import signer_of_settings
from tests.data.conftest import execute
from tests.flows.publication.compiled import COMPILED, compiled
from tests.flows.publication.runs import stored_run
from tests.flows.running import ran

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of the first account of every local node (the mnemonic "test test test … junk"), so its address is known."""


def flow(*words: str) -> str:
    return ran("publish-metric", *words)


def test_the_committed_bytecode_and_interface_are_those_of_the_source():
    assert json.loads(COMPILED.read_text(encoding="utf-8")) == compiled()


# The figure


def test_a_value_is_scaled_exactly_and_rounded_once():
    assert scaled(1_234.5, 8) == 123_450_000_000
    assert scaled(0.1, 18) == 100_000_000_000_000_006  # what the float is: 0.1 + 5.55e-18
    assert [scaled(value, 0) for value in (0.5, 1.5, 2.5, -0.5)] == [0, 2, 2, 0]
    assert scaled(1.7e308, 18) == int(1.7e308) * 10**18


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 18))
def test_an_answer_is_never_further_from_the_value_than_half_a_unit(value, decimals):
    assert abs(Fraction(scaled(value, decimals), 10**decimals) - Fraction(value)) <= Fraction(1, 2 * 10**decimals)


def test_a_run_gives_its_figure_the_time_of_its_block_and_its_own_id_as_inputs(own_warehouse: Path):
    run = stored_run(own_warehouse)
    of = of_run(run, "lar_repaid", None)
    assert (of.value, of.as_of, of.inputs_hash) == (run.figure("lar_repaid", 0.99).value, run.block_time, run.run_id)
    assert (of.level_bps, of.horizon_seconds, of.unit, of.synthetic) == (9_900, 86_400, "USD", True)
    assert of.metric == "SAMPLE SampleAaveV3Ethereum lar_repaid 99 % 24 h USD test-law largest_legs"
    assert of_run(run, "lar_repaid", 0.95).metric != of.metric
    assert of_run(run, "mean_repaid", None).level_bps == 0  # a mean has no level


def test_a_figure_that_cannot_stand_in_a_feed_is_refused_in_one_line(own_warehouse: Path):
    run = stored_run(own_warehouse)
    with pytest.raises(
        NotPublished, match=r"has no lar_repaid at level 0\.5; it has lar_repaid at the levels 0\.9, 0\.95"
    ):
        of_run(run, "lar_repaid", 0.5)
    with pytest.raises(NotPublished, match=r"has no magic at level 0; it has es_deficit, "):
        of_run(run, "magic", None)
    weak = replace(run.figure("lar_repaid", 0.99), few_draws=True)
    with pytest.raises(NotPublished, match=r"rests on too few of its 4,000 paths"):
        of_run(replace(run, figures={("lar_repaid", 0.99): weak}), "lar_repaid", None)
    ahead = replace(run, series=run.series | {"calibration": run.series.get("calibration", {}) | {"looks_ahead": True}})
    with pytest.raises(NotPublished, match="so it is no forecast"):
        of_run(ahead, "lar_repaid", None)
    with pytest.raises(NotPublished, match="does not note its law"):
        of_run(replace(run, series={}), "lar_repaid", None)
    fine = replace(run.figure("lar_repaid", 0.99), level=0.99995)
    with pytest.raises(NotPublished, match="no whole number of basis points"):
        of_run(replace(run, figures={("lar_repaid", 0.99995): fine}), "lar_repaid", 0.99995)
    with pytest.raises(NotPublished, match="longer than the 128 bytes of a description"):
        of_run(replace(run, market="Ä" * 50), "lar_repaid", None)


def test_a_run_that_was_changed_after_it_was_written_is_not_published(own_warehouse: Path):
    stored_run(own_warehouse)
    execute(own_warehouse, "UPDATE fact_risk_scenarios SET value = value * 2 WHERE measure = 'lar_repaid'")
    with pytest.raises(ResultRefused):
        flow()


# The feed

OF = Published(
    market="M", measure="lar_repaid", level=0.99, horizon_seconds=86_400, unit="USD", law="l", policy="p", value=2.5,
    as_of=1_000, inputs_hash="ab" * 32, synthetic=False,
)  # fmt: skip
STATE = FeedState(
    block=1, now=1_000, owner="0xowner", publisher="0xpublisher", known=True, level_bps=9_900, horizon_seconds=86_400,
    decimals=1, minimum=0, maximum=25, last_round=4, last_as_of=999, round_id=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("of", "state", "sender", "said"),
    [
        ({}, {}, "0xpublisher", ""),
        ({}, {}, None, ""),
        ({}, {"known": False}, None, "has no metric 'M lar_repaid 99 % 24 h USD l p'; its owner 0xowner adds it"),
        ({}, {"level_bps": 9_500}, None, "at 9500 bp and 86400 s, the figure is at 9900 bp"),
        ({}, {}, "0xother", "wrong key: 0xother is not the feed's publisher 0xpublisher"),
        ({"value": 2.6}, {}, None, "lar_repaid is 2.6 USD, outside the bounds of its metric in the feed: 0 to 2.5 USD"),
        ({"value": 2.5499}, {}, None, ""),  # as an integer it is 25
        ({"value": -0.1}, {}, None, "outside the bounds"),
        ({"as_of": 999}, {}, None, "old timestamp: the figure speaks of 999"),
        ({"as_of": 1_001}, {}, None, "which the chain at 1000 has not reached"),
    ],
)
def test_what_the_feed_would_refuse_is_said_before(of, state, sender, said):
    found = refusal(replace(OF, **of), replace(STATE, **state), sender)
    assert said in found
    assert bool(said) == bool(found)


@given(*[st.integers(0, 10**15) for _ in range(4)])
def test_a_replacement_offers_more_than_what_nodes_ask_for_in_both_fees(fee, tip, now_fee, now_tip):
    before = Unsigned(chain_id=1, nonce=1, to=None, data="0x", gas=1, max_fee=fee + tip, priority_fee=tip)
    after = raised(replace(before, max_fee=now_fee + now_tip, priority_fee=now_tip), before)
    for name in ("max_fee", "priority_fee"):
        assert getattr(after, name) > getattr(before, name)
        assert getattr(after, name) * 100 >= getattr(before, name) * 110
    assert after.max_fee >= after.priority_fee


# The key


@pytest.mark.parametrize("key", [KEY, f"0x{KEY}", KEY.upper(), f" {KEY}\n"])
def test_a_key_is_read_as_it_may_be_written(key):
    assert Signer(key, "PUBLISHER_KEY").address == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "0", "0" * 64, "f" * 64, "x" * 64, "PLANTED secret words"])
def test_what_is_no_key_is_refused_without_showing_it(key, tmp_path: Path, monkeypatch):
    (tmp_path / "key").write_text(key)
    monkeypatch.setenv("PUBLISHER_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ConfigurationError, match=r"^PUBLISHER_KEY: expected a private key") as refused:
        signer_of_settings()
    assert key not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_the_key_is_in_nothing_that_is_said_or_stored(
    own_warehouse: Path, httpserver: HTTPServer, monkeypatch, capfd, prefix
):
    def echo(request: Request) -> Response:  # a node that knows the key and tells everybody
        error = {"code": 3, "message": f"execution reverted: {KEY} 0x{KEY}", "data": f"0x{KEY}"}
        asked = request.get_json()
        if isinstance(asked, dict) and asked["method"] == "eth_chainId":
            return Response(json.dumps({"jsonrpc": "2.0", "id": 0, "result": "0x7a69"}))
        many = asked if isinstance(asked, list) else [asked]
        answers = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in many]
        return Response(json.dumps(answers if isinstance(asked, list) else answers[0]))

    httpserver.expect_request("/").respond_with_handler(echo)
    stored_run(own_warehouse)
    monkeypatch.setenv("PUBLISHER_RPC_URL", httpserver.url_for("/"))
    monkeypatch.setenv("PUBLISHER_KEY", prefix + KEY)
    for words in (["--deploy", "--highest", "9"], ["--contract", "0x" + "12" * 20]):
        send = ["--send", "--chain-id", "31337"]
        assert main(["publish-metric", "--verbose", "--attempts", "1", *send, *words]) == 1
    out, err = capfd.readouterr()
    assert "reverted" in err
    assert KEY[:12] not in out + err
    for path in own_warehouse.parent.glob(f"{own_warehouse.name}*"):
        assert KEY[:12].encode() not in path.read_bytes()


# Without a chain


def test_without_a_feed_the_run_says_what_it_would_publish(own_warehouse: Path):
    run = stored_run(own_warehouse)
    said = flow()
    assert said.startswith("dry run: SAMPLE SampleAaveV3Ethereum lar_repaid 99 % 24 h USD test-law largest_legs = ")
    assert run.run_id[:12] in said
    assert "name one in PUBLISHER_CONTRACT, or make one with --deploy" in said
    with Store.open(readonly=True) as store:
        assert store.rows("SELECT count(*) FROM fact_metric_publication") == [(0,)]
        assert store.rows("SELECT count(*) FROM fact_run WHERE flow = 'publish-metric'") == [(0,)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--send", "--send needs --chain-id N"),
        ("--deploy", "--highest is missing: the largest lar_repaid in USD"),
        ("--deploy --lowest 5 --highest 4", "--lowest 5 is above --highest 4"),
        ("--deploy --declare", "--deploy cannot be given together with --declare"),
        ("--level 1", "--level: expected a level from 0 to 0.9999, found '1'"),
    ],
)
def test_options_that_do_not_go_together_are_one_line_and_code_2(own_warehouse: Path, capsys, words, said):
    stored_run(own_warehouse)
    with pytest.raises(SystemExit) as exit_:
        main(["publish-metric", *words.split()])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--send --chain-id 1", "no feed is named; give --contract ADDRESS or set PUBLISHER_CONTRACT"),
        ("--contract 0x12", "--contract or PUBLISHER_CONTRACT: expected 0x and 40 hexadecimal digits, found '0x12'"),
        (f"--contract 0x{'12' * 20}", "neither PUBLISHER_RPC_URL nor ETH_RPC_URL is set"),
        ("--measure magic", "has no magic"),
        ("--market Elsewhere", "holds no risk run of Elsewhere; run `python -m flows risk-scenarios`"),
    ],
)
def test_what_is_missing_is_one_line_and_code_1(own_warehouse: Path, capsys, words, said):
    stored_run(own_warehouse)
    assert main(["publish-metric", *words.split()]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
