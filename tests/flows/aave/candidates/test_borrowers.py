"""`aave-market --borrowers`: the recorded market, whose `Borrow` events name 86 accounts; 85 of them owe at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import data
from flows.aave.candidates import accounts as verified_reading
from flows.aave.candidates.borrowers import BorrowScan
from flows.aave.candidates.debt_estimate import DebtEstimate
from flows.aave.holders import Tokens
from flows.clients import abis
from flows.errors import CrossCheckFailed, MalformedAnswer
from risk_core import health_factor
from tests.flows.aave.candidates.conftest import nothing_is_stored, run, stored
from tests.flows.aave.fake_node import FakeNode, Refused, serving, word
from tests.flows.aave.test_aave_v2 import ALICE, BOB, BOOK, ETH, USDC, WETH, V2Node, token

POOL, SOMEBODY, CALLER = "0x" + "9" * 40, "0x" + "a" * 40, "0x" + "b" * 40


def borrowers(*arguments: str) -> str:
    return run("--borrowers", *arguments)


def borrow(pool: str, owner: str, *, block: int = 7, event: str = abis.BORROW, asset: str = WETH) -> dict[str, Any]:
    """A `Borrow` that CALLER made: he is `user`, a word of the data; who owes is `onBehalfOf`, a topic."""
    topics = [event, *("0x" + who[2:].zfill(64) for who in (asset, owner, "0x0"))]
    return {"address": pool, "blockNumber": hex(block), "topics": topics, "data": "0x" + CALLER[2:].zfill(64)}


def debtors(node: FakeNode) -> dict[str, list[str]]:
    """What the contracts said of each account with debt: collateral, debt, ..., health factor."""
    pairs = zip(node.recorded["users"], node.recorded["accounts"]["base"], strict=True)
    return {user["address"].lower(): row for user, row in pairs if any(int(p[3]) for p in user["pos"])}


@pytest.fixture
def wanted_logs(node: FakeNode) -> list[dict[str, Any]]:
    """The filters of `eth_getLogs` that the node is asked, as they come."""
    filters: list[dict[str, Any]] = []
    node.before = lambda method, params: filters.append(params[0]) if method == "eth_getLogs" else None
    return filters


def test_one_contract_and_one_topic_are_read(node: FakeNode, wanted_logs: list[dict[str, Any]]):
    borrowers()

    assert {(*f["address"], *f["topics"][0]) for f in wanted_logs} == {(node.pool, abis.BORROW)}


def test_the_accounts_are_those_with_debt_as_a_whole_read_finds_them(node: FakeNode):
    said = borrowers()

    owing = debtors(node)
    assert len(owing) == 85
    assert {a for (a,) in stored("SELECT account FROM raw_aave_user_accounts")} == set(owing)
    assert stored("SELECT n_accounts, read_mode FROM fact_snapshot") == [(85, "borrowers")]
    assert "85 accounts with debt" in said
    assert "86 accounts have ever borrowed" in said
    columns = "account, asset, scaled_supply, supply_raw, scaled_debt, debt_raw, is_collateral"
    fewer = stored(f"SELECT {columns} FROM stg_positions ORDER BY account, asset")
    run("--full")
    whole = stored(f"SELECT {columns} FROM stg_positions ORDER BY account, asset")
    # A supply that is no collateral backs nothing: it is not asked for.
    assert fewer == [
        (*row[:2], *(row[2:4] if row[6] else ("0", "0")), *row[4:])
        for row in whole
        if row[0] in owing and (row[4] != "0" or row[6])
    ]


def test_the_first_figure_is_printed_and_is_the_pools_own(node: FakeNode, capsys: pytest.CaptureFixture):
    borrowers()

    rows = debtors(node).values()
    below = {limit: [int(row[1]) for row in rows if int(row[5]) < limit * 10**18] for limit in (1, 1.1)}
    total = sum(int(row[1]) for row in rows)
    said = capsys.readouterr().out
    assert f"{total / 1e8:,.0f} USD of 85 accounts is owed" in said
    assert f"below health factor 1.1: {sum(below[1.1]) / 1e8:,.0f} USD of {len(below[1.1])} accounts" in said
    assert f"below 1, open to liquidation: {sum(below[1]) / 1e8:,.0f} USD of {len(below[1])} accounts" in said
    assert said.index("estimate: about") < said.index("is owed")


def test_the_engine_gets_the_same_debt_and_health_and_a_note(node: FakeNode):
    borrowers()
    few = data.load_market()
    run("--full")
    whole = data.load_market()

    rows = [whole.index(str(account)) for account in few.accounts]
    assert (health_factor(few) == health_factor(whole)[rows]).all()
    assert few.debt.amount.sum() == pytest.approx(whole.debt.amount.sum(), rel=1e-12)
    supplied = sum(
        int(p[2]) * int(r["priceInMarketReferenceCurrency"]) / 10 ** int(r["decimals"]) / 1e8
        for user in node.recorded["users"]
        for p in user["pos"]
        for r in node.recorded["reserves"]
        if r["id"] == p[0]
    )
    note = next(note for note in few.notes if note.startswith("Only accounts with debt were read (85;"))
    said = float(note.split(" USD by all accounts")[0].rsplit(" ", 1)[1].replace(",", ""))
    assert said == pytest.approx(supplied, rel=0.01)  # the recorded balances are of users; the treasury has some, too
    assert not any(note.startswith("Only accounts") for note in whole.notes)


def test_a_debtor_that_no_event_names_is_missed_by_his_token(node: FakeNode):
    reserve, account, scaled = next(
        (r, user["address"].lower(), int(p[3]))
        for user in node.recorded["users"]
        for p in user["pos"]
        for r in node.recorded["reserves"]
        if int(p[3]) and r["id"] == p[0]
    )
    node.logs = [log for log in node.logs if account[2:] not in log["topics"][-2]]

    with pytest.raises(CrossCheckFailed) as refusal:
        borrowers()
    message = str(refusal.value)
    total = int(reserve["totalScaledVariableDebt"])
    assert reserve["vTokenAddress" if "vTokenAddress" in reserve else "variableDebtTokenAddress"].lower() in message
    assert f"scaledTotalSupply is {total}, the accounts owe {total - scaled}, {scaled} are missing" in message
    assert nothing_is_stored()


def test_a_scan_that_proved_incomplete_is_read_again_from_its_beginning(node: FakeNode):
    whole = node.logs
    node.logs = whole[: len(whole) // 2]
    node.tip += 100  # the scan is kept up to 64 blocks behind the newest one
    for _ in range(2):  # the first run has read all that there is, the second only resumed it
        with pytest.raises(CrossCheckFailed, match="are missing"):
            borrowers()
    node.logs = whole

    assert "85 accounts with debt" in borrowers()


def test_who_owes_is_on_behalf_of_whoever_called():
    scan = BorrowScan(None, None, "M", 1, Tokens(POOL, {}, {}))  # type: ignore[arg-type]

    logs = [
        borrow(POOL, SOMEBODY, block=9),
        borrow(POOL, SOMEBODY, block=4),
        borrow("0x" + "8" * 40, CALLER),
        borrow(POOL, CALLER, event=abis.BORROW_V2),
    ]
    assert scan.named(logs) == {(POOL, SOMEBODY): 4}


@pytest.mark.parametrize("topics", [3, 5])
def test_a_log_with_other_topics_is_no_borrow(topics: int):
    scan = BorrowScan(None, None, "M", 1, Tokens(POOL, {}, {}))  # type: ignore[arg-type]
    log = borrow(POOL, SOMEBODY)
    log["topics"] = [*log["topics"], "0x" + "00" * 32][:topics]

    with pytest.raises(MalformedAnswer, match="eth_getLogs"):
        scan.named([log])


def test_the_state_is_of_the_newest_block_when_the_log_has_been_read(node: FakeNode):
    first = node.tip

    def pass_time(method: str, params: list[Any]) -> None:
        if method == "eth_getLogs" and node.tip == first:
            node.tip += 200  # a node that is no archive would have forgotten the block by now
            node.blocks_read.clear()

    node.before = pass_time
    node.time += 200 * 12
    with pytest.raises(CrossCheckFailed, match=r"normalized income"):  # the recorded indices are of the first block
        borrowers()
    assert hex(first + 200) in node.blocks_read
    assert node.log_ranges[-1][1] == first + 200


def test_a_killed_run_goes_on_and_a_second_one_changes_nothing(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    kept = verified_reading._keep

    def keep_and_die(*arguments: Any) -> None:
        kept(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(verified_reading, "DEBTORS_PART", 30)
    monkeypatch.setattr(verified_reading, "_keep", keep_and_die)
    with pytest.raises(KeyboardInterrupt):
        borrowers()
    monkeypatch.setattr(verified_reading, "_keep", kept)
    assert nothing_is_stored()
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(30,)]

    assert "85 accounts with debt" in borrowers()
    assert "going on at block" in capsys.readouterr().out
    assert stored("SELECT count(*) FROM ingest_aave_accounts") == [(0,)]
    assert "already stored, nothing changed" in borrowers()


def test_fewer_accounts_never_take_the_place_of_all_of_them(node: FakeNode):
    run()

    assert "all its accounts (97) are stored already" in borrowers()
    assert stored("SELECT n_accounts, read_mode FROM fact_snapshot") == [(97, "full")]


def test_names_that_a_whole_scan_has_stored_are_not_read_again(node: FakeNode, wanted_logs: list[dict[str, Any]]):
    node.tip += 1000
    run()
    wanted_logs.clear()
    borrowers()

    assert min(int(f["fromBlock"], 16) for f in wanted_logs) == node.tip - 63


def test_the_rest_is_read_in_full_afterwards(node: FakeNode):
    borrowers()
    assert stored("SELECT count(*) FROM ingest_checkpoint WHERE source = 'aave_full_read'") == [(0,)]

    run()
    assert stored("SELECT n_accounts, read_mode FROM fact_snapshot") == [(97, "full")]


def test_an_estimate_reads_nothing_else(node: FakeNode):
    said = borrowers("--estimate")

    assert "accounts with debt, estimate: about" in said
    assert "about 86 accounts that they name" in said
    assert nothing_is_stored()
    assert stored("SELECT count(*) FROM fact_run") == [(0,)]


def test_the_requests_of_an_estimate_can_be_counted_by_hand():
    takes = DebtEstimate(log_requests=900, names=85_000, log_latency=0.2, node_latency=0.4, concurrency=4)

    # 42,500 owe: 85,000 + 4 * 42,500 reads, 400 at a time: 637.5; 2,000 + 2,125 compared, 50 at a time: 82.5; 12 fixed
    assert takes.requests == 900 + 638 + 83 + 12
    assert takes.seconds == pytest.approx((900 * 0.2 + 733 * 0.4) / 4)
    assert str(takes).startswith("about 1,633 requests, 2.0 min: 900 for the pool's Borrow events")


def test_a_node_that_gives_no_logs_says_so_in_its_own_words(node: FakeNode):
    def refuse(method: str, params: list[Any]) -> None:
        if method == "eth_getLogs":
            raise Refused(-32601, "the method eth_getLogs does not exist")

    node.before = refuse
    with pytest.raises(Exception, match="does not give logs"):
        borrowers()
    assert nothing_is_stored()


@pytest.fixture
def v2(monkeypatch: pytest.MonkeyPatch) -> Iterator[V2Node]:
    """Alice owes 8,000 USDC, Bob 1,000 at a stable rate alone; Carol supplies."""
    fake = V2Node()
    fake.say(token("d", USDC), "scaledBalanceOf(address)", BOB, answer=word(0))
    fake.logs = [borrow(BOOK.pool, who, event=abis.BORROW_V2, asset=USDC) for who in (ALICE, BOB)]
    with serving(fake) as url:
        monkeypatch.setenv("ETH_RPC_URL", url)
        monkeypatch.setenv("AAVE_MARKET", BOOK.name)
        yield fake


def test_v2_has_debt_at_stable_rates_as_well(v2: V2Node, capsys: pytest.CaptureFixture):
    borrowers("--from-block", "1")

    assert stored(
        "SELECT account, asset, scaled_debt, debt_raw FROM stg_positions WHERE debt_raw != '0' ORDER BY account"
    ) == [
        (ALICE, USDC, str(8_000 * 10**6), str(8_000 * 10**6)),
        (BOB, USDC, "0", str(1_000 * 10**6)),
    ]
    assert stored("SELECT protocol, n_accounts, read_mode FROM fact_snapshot") == [("aave_v2", 2, "borrowers")]
    # 9,000 USDC at 2,000 to the ETH; nobody is below 1.1
    assert f"{9_000 / 2_000:,.0f} of the oracle's unit of 2 accounts is owed" in capsys.readouterr().out
    assert ETH == 10**18


def test_a_stable_debt_that_nobody_owes_is_missed(v2: V2Node):
    v2.logs = v2.logs[:1]

    with pytest.raises(
        CrossCheckFailed, match=r"stable debt token of USDC .* totalSupply is 1000000000, the accounts owe 0"
    ):
        borrowers("--from-block", "1")
    assert nothing_is_stored()
