"""`aave-market --candidates`: the recorded market of the fake node, with the accounts named by a subgraph or a file.

Node and subgraph answer from the same recording, so they agree until a test changes one of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import data
from data.store.store import Store
from flows.aave.candidates import accounts as verified_reading
from flows.aave.candidates.agreement import AccountsMissing, RoutesDisagree
from flows.clients.graphql import SubgraphBehind
from flows.errors import ConfigurationError, CrossCheckFailed, SourceRefused
from tests.flows.aave.candidates.book import indexed, put_holding
from tests.flows.aave.candidates.conftest import ID, PLANTED, TABLES, fast, nothing_is_stored, run, stored
from tests.flows.aave.candidates.server import Gateway
from tests.flows.aave.fake_node import FakeNode, Refused, call_data, word

STRANGER = "0x" + "e" * 40


def snapshot() -> dict[str, list[tuple]]:
    """What a snapshot says, how and when it came left out."""
    left_out = {"batch", "run_id", "ingested_at", "payload_sha256"}
    found = {}
    with Store.open(readonly=True) as store:
        for table in TABLES:
            frame = store.read(f"SELECT * FROM {table}")
            found[table] = sorted(
                map(tuple, frame.drop(columns=left_out & set(frame.columns)).values.tolist()), key=str
            )
    return found


def test_the_fast_way_stores_what_the_scan_of_the_log_stores(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = fast()
    by_subgraph = snapshot()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "by_log.sqlite"))
    run()

    assert by_subgraph == snapshot()
    assert "their balances are every token's whole supply" in said
    assert "the subgraph differs in 0 of" in said


def test_no_log_is_read_and_the_subgraph_is_asked_for_holders_only_once(node: FakeNode, gateway: Gateway):
    fast()

    assert node.asked["eth_getLogs"] == 0
    assert node.blocks_read == {hex(node.tip)}
    assert {r["variables"]["block"] for r in gateway.requests if "block" in r["variables"]} == {node.tip}


def test_the_estimate_comes_first_and_writes_nothing(node: FakeNode, gateway: Gateway):
    said = fast("--estimate")

    n = len([u for u in node.recorded["users"] if u["pos"]])
    assert f"{n} accounts" in said
    assert "node requests at" in said
    assert not data.settings.risk_db().exists()


def test_what_the_subgraph_said_is_kept_as_received_and_typed(node: FakeNode, gateway: Gateway):
    fast()

    columns = "account, asset, scaled_supply, supply_raw, scaled_debt, debt_raw"
    positions = stored(f"SELECT {columns} FROM stg_graph_account_positions ORDER BY account, asset")
    assert positions == stored(f"SELECT {columns} FROM stg_positions ORDER BY account, asset")
    assert stored("SELECT count(*) FROM raw_graph_account_positions") == [(len(positions),)]
    kinds = stored("SELECT entity, count(*) FROM raw_graph_market_data GROUP BY entity ORDER BY entity")
    assert kinds == [("emode", len(node.recorded["emodes"])), ("reserve", len(node.recorded["reserves"]))]
    assert stored("SELECT sum(price_usd <= 0 OR price_usd IS NULL), min(price_base) FROM stg_graph_market_data") == [
        (0, "USD")
    ]


def test_a_subgraph_behind_the_node_chooses_the_block(node: FakeNode, gateway: Gateway):
    gateway.subgraphs[ID].head, gateway.subgraphs[ID].head_time = node.tip - 3, node.time - 36
    # The recording knows one state only: its indices are those of the newest block, so this one must not be believed.
    with pytest.raises(CrossCheckFailed, match="normalized"):
        fast()

    assert node.blocks_read == {hex(node.tip - 3)}


def test_a_subgraph_far_behind_is_refused(node: FakeNode, gateway: Gateway):
    gateway.subgraphs[ID].head = node.tip - 4

    with pytest.raises(SourceRefused, match="4 behind the node"):
        fast("--max-lag", "3")
    with pytest.raises(SubgraphBehind, match=f"Use block {node.tip - 4} or an older one"):
        fast("--block", str(node.tip - 1))


def test_a_subgraph_of_another_chain_is_refused(node: FakeNode, gateway: Gateway):
    gateway.subgraphs[ID].head_time = node.time + 1

    with pytest.raises(CrossCheckFailed, match="of another chain"):
        fast()


def test_a_subgraph_of_another_market_is_refused(node: FakeNode, gateway: Gateway):
    gateway.subgraphs[ID] = indexed(node.recorded, "0x" + "77" * 20, node.tip, node.time)

    with pytest.raises(CrossCheckFailed, match="no reserve of the pool"):
        fast()
    assert nothing_is_stored()


def holding(node: FakeNode, side: str) -> tuple[str, dict, list]:
    """(account, reserve, its recorded row) of the largest holding of one side."""
    column = 1 if side == "supply" else 3
    rows = [(int(p[column]), u["address"].lower(), p) for u in node.recorded["users"] for p in u["pos"]]
    _, account, row = max(rows, key=lambda found: found[0])
    return account, next(r for r in node.recorded["reserves"] if r["id"] == row[0]), row


def test_an_altered_balance_of_one_account_is_caught(node: FakeNode, gateway: Gateway):
    account, reserve, row = holding(node, "supply")
    asset = reserve["underlyingAsset"].lower()
    put_holding(gateway.subgraphs[ID].book, account, asset, node.provider, int(row[1]) * 2, int(row[3]), True)

    with pytest.raises(RoutesDisagree, match=rf"scaled_supply differs in 1 of .*{account} in {reserve['symbol']}"):
        fast("--max-disagreement", "0")

    assert nothing_is_stored()
    noted = stored("SELECT table_name, check_name, column_name, n_failed, example FROM fact_validation")
    assert ("stg_graph_account_positions", "routes agree", "scaled_supply", 1) in [row[:4] for row in noted]
    assert any(account in row[4] for row in noted)

    assert "the subgraph differs in 1 of" in fast("--max-disagreement", "0.05")  # the chain's figure is stored
    assert stored(f"SELECT scaled_supply FROM stg_positions WHERE account = '{account}' AND asset = '{asset}'") == [
        (row[1],)
    ]


def test_a_refused_run_asks_the_subgraph_again(node: FakeNode, gateway: Gateway):
    account, reserve, row = holding(node, "supply")
    book, asset = gateway.subgraphs[ID].book, reserve["underlyingAsset"].lower()
    put_holding(book, account, asset, node.provider, int(row[1]) * 2, int(row[3]), True)
    put_holding(book, STRANGER, asset, node.provider, 7, 0, True)  # whom the chain does not know
    book.put("User", {"id": STRANGER, "borrowedReservesCount": 0})
    for getter in ("getUserConfiguration(address)", "getUserEMode(address)"):
        node.say(node.pool, getter, STRANGER, answer=word(0))
    node.say(reserve["aTokenAddress"], "scaledBalanceOf(address)", STRANGER, answer=word(0))
    with pytest.raises(RoutesDisagree):
        fast("--max-disagreement", "0")

    put_holding(book, account, asset, node.provider, int(row[1]), int(row[3]), True)
    book.put("UserReserve", None, id=STRANGER + asset + node.provider)

    assert "the subgraph differs in 0 of" in fast("--max-disagreement", "0")
    positions = stored("SELECT count(*), sum(account = '" + STRANGER + "') FROM stg_graph_account_positions")
    assert positions == [(stored("SELECT count(*) FROM stg_positions")[0][0], 0)]


def test_a_state_of_another_block_is_caught(node: FakeNode, gateway: Gateway):
    for r in node.recorded["reserves"]:
        key = r["underlyingAsset"].lower() + node.provider
        book = gateway.subgraphs[ID].book
        row = book.at("Reserve", node.tip)[key]
        book.put("Reserve", row | {"liquidityIndex": int(row["liquidityIndex"]) - 1})

    with pytest.raises(RoutesDisagree, match="liquidity_index"):
        fast()
    assert nothing_is_stored()


def test_one_wei_apart_is_rounding_and_said(node: FakeNode, gateway: Gateway):
    account, reserve, row = holding(node, "supply")
    asset = reserve["underlyingAsset"].lower()
    put_holding(gateway.subgraphs[ID].book, account, asset, node.provider, int(row[1]) + 1, int(row[3]), True)

    assert "the subgraph differs in 0 of" in (said := fast("--max-disagreement", "0"))
    assert "1 more by rounding" in said
    assert ("routes equal up to rounding",) in stored("SELECT check_name FROM fact_validation")


def forget_account(gateway: Gateway, node: FakeNode, account: str, assets: list[str] | None = None) -> None:
    for r in node.recorded["reserves"]:
        asset = r["underlyingAsset"].lower()
        if assets is None or asset in assets:
            gateway.subgraphs[ID].book.put("UserReserve", None, id=account + asset + node.provider)


def test_an_account_that_the_subgraph_does_not_have_is_missed_by_its_share(node: FakeNode, gateway: Gateway):
    account, reserve, row = holding(node, "supply")
    forget_account(gateway, node, account)

    with pytest.raises(AccountsMissing, match=r"and \d more of the scaled supply; at most 0.1000%"):
        fast()

    assert nothing_is_stored()
    share = int(row[1]) / int(reserve["scaledATokenSupply"])
    check = f"check_name = 'holders complete: {reserve['symbol']}' AND column_name = 'scaled_supply'"
    assert (
        f"missing {reserve['symbol']} supply {share:.4%}"
        in stored(f"SELECT example FROM fact_validation WHERE {check}")[0][0]
    )

    assert "missing from" in fast("--max-missing", "1")
    assert (account,) not in stored("SELECT account FROM raw_aave_user_accounts")


def test_the_whole_log_is_scanned_instead_where_that_is_allowed(node: FakeNode, gateway: Gateway):
    account, _, _ = holding(node, "supply")
    forget_account(gateway, node, account)

    run("--candidates", "subgraph", "--scan-when-short")

    assert node.asked["eth_getLogs"] > 0
    assert (account,) in stored("SELECT account FROM raw_aave_user_accounts")


def test_a_debt_that_the_subgraph_left_out_is_found_by_its_flag(node: FakeNode, gateway: Gateway):
    user = next(
        u
        for u in node.recorded["users"]
        if sum(int(p[1]) > 0 for p in u["pos"]) and any(int(p[3]) and not int(p[1]) for p in u["pos"])
    )
    owed = next(p for p in user["pos"] if int(p[3]) and not int(p[1]))
    asset = next(r["underlyingAsset"].lower() for r in node.recorded["reserves"] if r["id"] == owed[0])
    forget_account(gateway, node, user["address"].lower(), [asset])

    said = fast("--max-disagreement", "0.05")

    assert "1 balances it did not list" in said
    assert "their balances are every token's whole supply" in said


def test_accounts_may_come_from_a_file(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "accounts.csv"
    lines = [f"{u['address']},{len(u['pos'])}" for u in node.recorded["users"]]
    path.write_text("# account, holdings\n\n" + "\n".join(lines) + "\n", encoding="utf-8")

    said = run("--candidates", str(path))
    from_file = snapshot()
    monkeypatch.setenv("RISK_DB", str(tmp_path / "by_log.sqlite"))
    run()

    assert "their balances are every token's whole supply" in said
    assert from_file == snapshot()


@pytest.mark.parametrize(
    ("text", "said"), [("0x12\n", "line 1"), ("# nobody\n", "names no account"), (None, "neither")]
)
def test_files_that_name_nobody(node: FakeNode, tmp_path: Path, text: str | None, said: str):
    path = tmp_path / "accounts.txt"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=said):
        run("--candidates", str(path))


class Killed(BaseException):
    """As if the process had ended: nothing catches it."""


def test_a_killed_run_goes_on_at_its_block(
    node: FakeNode, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(verified_reading, "PART", 10)
    fast()
    undisturbed, whole = snapshot(), sum(node.asked.values())
    monkeypatch.setenv("RISK_DB", str(tmp_path / "killed.sqlite"))
    kept = verified_reading._keep
    parts = []

    def keep_and_die(*arguments: object) -> None:
        kept(*arguments)
        parts.append(1)
        if len(parts) == 3:
            raise Killed

    monkeypatch.setattr(verified_reading, "_keep", keep_and_die)
    with pytest.raises(Killed):
        fast()
    monkeypatch.setattr(verified_reading, "_keep", kept)
    assert nothing_is_stored()
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(30,)]
    tip, node.tip = node.tip, node.tip + 5  # the chain went on meanwhile
    node.time += 60
    gateway.requests.clear()
    asked_before = node.asked.copy()

    said = fast()

    asked = node.asked - asked_before
    node.tip, node.time = tip, node.time - 60
    assert "going on at block" in capsys.readouterr().out
    assert undisturbed == snapshot()
    assert f"at block {tip:,}" in said
    pages = sum("userReserves" in r["query"] for r in gateway.requests)
    gateway.requests.clear()
    fast("--estimate", "--block", str(tip))
    assert pages == sum("userReserves" in r["query"] for r in gateway.requests)  # no shard is paged again
    assert sum(asked.values()) < whole
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(0,)]
    assert stored("SELECT state FROM fact_run ORDER BY state") == [("completed",), ("failed",)]


def test_what_a_replaced_block_left_unfinished_is_dropped(
    node: FakeNode, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
):
    kept = verified_reading._keep

    def keep_and_die(*arguments: object) -> None:
        kept(*arguments)
        raise Killed

    monkeypatch.setattr(verified_reading, "_keep", keep_and_die)
    with pytest.raises(Killed):
        fast()
    monkeypatch.setattr(verified_reading, "_keep", kept)
    node.hash_salt += 1
    account, _, _ = holding(node, "supply")
    node.say(node.pool, "getUserEMode(address)", account, answer=word(0))

    fast("--max-disagreement", "1")

    assert stored(f"SELECT emode_id FROM raw_aave_user_accounts WHERE account = '{account}'") == [(0,)]


def test_a_second_run_changes_nothing(gateway: Gateway):
    fast()
    before = snapshot(), stored("SELECT * FROM raw_graph_account_positions"), stored("SELECT * FROM stg_positions")

    assert "already stored, nothing changed" in fast()
    assert before == (
        snapshot(),
        stored("SELECT * FROM raw_graph_account_positions"),
        stored("SELECT * FROM stg_positions"),
    )


def test_a_balance_that_the_chain_does_not_answer_refuses_the_run(node: FakeNode, gateway: Gateway):
    account, reserve, _ = holding(node, "supply")
    node.answers.pop((reserve["aTokenAddress"].lower(), call_data("scaledBalanceOf(address)", account)))

    with pytest.raises(Exception, match=account):
        fast()
    assert nothing_is_stored()


def test_the_planted_key_is_nowhere(
    node: FakeNode, gateway: Gateway, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(0)
    said = fast()
    node.before = lambda method, params: (_ for _ in ()).throw(Refused(-32005, "rate limit exceeded"))
    with pytest.raises(Exception, match="load") as refusal:
        fast()

    output = capsys.readouterr()
    assert PLANTED not in said + output.out + output.err + caplog.text + str(refusal.value)
    assert PLANTED.encode() not in data.settings.risk_db().read_bytes()


def test_a_market_without_a_subgraph_says_what_to_do(node: FakeNode, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AAVE_SUBGRAPH_ID")

    with pytest.raises(ConfigurationError, match="--candidates FILE"):
        fast()
