"""The page of one liquidation: what is stored is what is shown, and what is not known says so."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

import risk_core as rc
from dashboard import ids
from dashboard.app import create_app
from dashboard.market.warehouse import Warehouse
from dashboard.pages.accounts.account import account_page
from dashboard.pages.chain import page, postmortem, postmortem_charts
from dashboard.pages.chain import postmortem_answers as answers
from data.postmortem import PostMortem
from data.sample.liquidations import PLANTED_LOG
from tests.conftest import SampleOf
from tests.dashboard.conftest import MemorySource, words


@pytest.fixture(scope="module")
def sample(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 1,000 accounts, which holds both planted liquidations."""
    return sample_of(1_000, 7, tmp_path_factory.mktemp("postmortem") / "risk.sqlite")


@pytest.fixture
def own(sample: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.sqlite"
    shutil.copy(sample, path)
    return path


def keys(path: Path, where: str) -> list[str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            f"SELECT tx_hash FROM stg_lending_events WHERE event_type = 'liquidation' AND {where} ORDER BY block_number"
        ).fetchall()
    connection.close()
    return [row[0] for row in rows]


def told(path: Path) -> tuple[PostMortem, PostMortem]:
    """The one that prices caused, and the one that an oracle did."""
    by_prices, by_oracle = (Warehouse(path).post_mortem(tx) for tx in keys(path, f"log_index = {PLANTED_LOG}"))
    return by_prices, by_oracle


def changed(path: Path, *statements: str) -> Warehouse:
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, statement
    connection.commit()
    connection.close()
    return Warehouse(path)


def said(path: Path, transaction: str) -> str:
    return words(page.build(Warehouse(path), f"?transaction={transaction}&log_index={PLANTED_LOG}"))


def test_an_oracle_is_blamed_with_its_figures(sample: Path):
    found = told(sample)[1]
    text = said(sample, found.event.tx_hash)
    assert found.loss is not None
    for part in (
        "The oracle of its collateral, not the market, made it fall.", "2.85\u202f% too low",
        "Waiting an hour would have saved it.", answers.dollars(float(found.loss.total)), "Avoidable",
        "snapshot at block 1", "confirmed: they give the amounts to the unit", "synthetic", "52\u00a0min after",
    ):  # fmt: skip
        assert part in text, part
    for unknown in ("What was paid for being first", "A change of parameters"):
        assert unknown in text
    # Nothing is stored of what was paid to a builder: that is no payment of 0.
    assert "Paid for being first" in text
    assert "Not told: the sample holds no receipt" in text
    assert found.sale is not None
    assert answers.dollars(float(found.sale.usd)) in text
    assert "assumed, nobody quoted it" in text


def test_prices_are_blamed(sample: Path):
    text = said(sample, told(sample)[0].event.tx_hash)
    assert "The market price of its collateral made it fall." in text
    assert "oracle error" not in text.split("Where the loss")[0]


def test_both_halves_of_the_loss_end_at_the_total(sample: Path):
    for found in told(sample):
        parts = answers.parts(found)
        total = next(part.value for part in parts if part.kind == "total")
        for kind in ("cause", "receiver"):
            half = [part.value for part in parts if part.kind == kind and part.value is not None]
            assert sum(half) == pytest.approx(total, rel=1e-12)
        assert [part.value is None for part in parts if part.name in ("Paid for being first", "Slippage")] == [
            True, False,
        ]  # fmt: skip


def test_quotes_that_lose_more_leave_less_to_the_liquidator(own: Path):
    by_prices, by_oracle = told(own)
    found = changed(own, "UPDATE dim_quote_ladder SET received_usd = received_usd * 0.9").post_mortem(
        by_oracle.event.tx_hash, str(PLANTED_LOG)
    )
    assert found.sale is not None
    assert found.sale.share == pytest.approx(1 - 0.9 * (1 - by_oracle.sale.share), abs=0.02)
    assert found.receipts.rest < by_oracle.receipts.rest
    text = said(own, by_oracle.event.tx_hash)
    assert answers.dollars(float(found.sale.usd)) in text
    changed(own, f"DELETE FROM dim_quote_ladder WHERE quoted_at < {by_prices.event.ts}")
    # What was quoted after the liquidation says nothing of it.
    text = said(own, by_oracle.event.tx_hash)
    assert "Not told: no quote for selling" in text


def test_a_lower_bound_is_marked_on_the_chart(own: Path):
    by_oracle = told(own)[1]
    found = changed(
        own, "DELETE FROM dim_quote_ladder WHERE size_usd > 100000", "UPDATE dim_quote_ladder SET size_usd = 900, "
        "received_usd = 890",
    ).post_mortem(by_oracle.event.tx_hash, str(PLANTED_LOG))  # fmt: skip
    assert found.sale.lower_bound
    notes = [note["text"] for note in postmortem_charts.loss(found, "dark")["layout"]["annotations"]]
    assert any("≥" in note for note in notes)
    assert found.sale.lower_bound in answers.sale_words(found)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts(sample: Path, theme: str):
    for found in told(sample):
        drawn = postmortem_charts.loss(found, theme)
        assert [note["text"] for note in drawn["layout"]["annotations"]].count("not known") == 1
        assert "Paid for being first" not in drawn["data"][0]["y"]
        drawn = postmortem_charts.fall(found, theme)
        assert drawn["data"][0]["customdata"][-1] == answers.fmt.health_factor(found.state.before, 4)
        drawn = postmortem_charts.path(found, theme)
        assert drawn["data"][-1]["y"] == [found.state.before]
        json.dumps(drawn, allow_nan=False)


def test_json_says_what_the_page_shows(sample: Path):
    found = told(sample)[1]
    client = create_app(Warehouse(sample)).server.test_client()
    got = client.get(f"/api/v1/chain/post-mortem?transaction={found.event.tx_hash}").get_json()
    assert got["loss_usd"]["total"] == float(found.loss.total)
    assert got["state"]["before"] == found.state.before
    assert got["received_usd"]["oev"] is None
    assert got["received_usd"]["slippage"] == got["sale"]["usd"] == float(found.sale.usd)
    assert got["not_known"]["oev"] == found.why["oev"]
    assert got["path"]["without"] == pytest.approx(found.path.without.tolist())
    newest = client.get("/api/v1/chain/liquidations").get_json()["liquidations"]
    largest = client.get("/api/v1/chain/liquidations?order=largest").get_json()["liquidations"]
    assert max(one["ts"] for one in largest) <= newest[0]["ts"]
    assert largest[0]["seized_usd"] == max(one["seized_usd"] for one in largest)
    for wrong in (
        "chain/post-mortem", "chain/post-mortem?transaction=0x12", "chain/post-mortem?transaction=0x" + "0" * 64,
        f"chain/post-mortem?transaction={found.event.tx_hash}&log_index=x", "chain/liquidations?order=oldest",
    ):  # fmt: skip
        answer = client.get(f"/api/v1/{wrong}")
        assert (answer.status_code, bool(answer.get_json()["detail"])) == (400, True), wrong


def test_the_callbacks_draw(sample: Path):
    found = told(sample)[1]
    client = create_app(Warehouse(sample)).server.test_client()
    for name in (ids.POSTMORTEM_PATH, ids.POSTMORTEM_FALL, ids.POSTMORTEM_LOSS):
        question = {
            "output": f"{name}.figure",
            "outputs": {"id": name, "property": "figure"},
            "inputs": [{"id": "theme", "property": "data", "value": "dark"}],
            "state": [{"id": ids.POSTMORTEM_KEY, "property": "data", "value": [found.event.tx_hash, "500"]}],
            "changedPropIds": ["theme.data"],
        }
        answer = client.post("/_dash-update-component", json=question)
        assert answer.status_code == 200
        assert answer.get_json()["response"][name]["figure"]["data"]


def test_what_is_not_known_is_said_in_its_place(sample: Path):
    """Hardly any account of a drawn liquidation could have been liquidated: no health factor is made up."""
    text = said_of_drawn = ""
    for tx in keys(sample, f"log_index < {PLANTED_LOG}")[-6:]:
        text = words(page.build(Warehouse(sample), f"?transaction={tx}"))
        if "What made it fall is not known." in text:
            said_of_drawn = text
    assert "Whether waiting an hour would have saved it is not known." in said_of_drawn
    assert "only below 1 is anybody liquidated" in said_of_drawn
    assert "The borrower lost $" in said_of_drawn


def test_without_prices_the_loss_is_that_of_the_oracle(own: Path):
    tx = keys(own, f"log_index = {PLANTED_LOG}")[1]
    source = changed(own, "DELETE FROM dim_prices")
    text = words(page.build(source, f"?transaction={tx}"))
    assert "At the oracle's prices the borrower lost $" in text
    assert "python -m flows market-prices" in text
    figure = postmortem_charts.loss(source.post_mortem(tx), "dark")
    assert [note["text"] for note in figure["layout"]["annotations"]].count("not known") > 3


def test_a_changed_row_changes_the_page(own: Path):
    tx = keys(own, f"log_index = {PLANTED_LOG}")[1]
    before = said(own, tx)
    loss = answers.dollars(float(told(own)[1].loss.total))
    assert loss in before
    after = changed(own, "UPDATE dim_prices SET price_usd = price_usd * 1.01 WHERE symbol = 'ETHUSDT'")
    assert loss not in words(page.build(after, f"?transaction={tx}"))


def test_a_wrong_key_is_words(sample: Path, source: MemorySource):
    for search in ("?transaction=0x12", "?transaction=<script>", "?transaction=0x" + "0" * 64):
        for of in (Warehouse(sample), source):
            text = words(page.build(of, search))
            assert "No such liquidation" in text
            assert "The newest liquidations" in text
    with pytest.raises(rc.InputError, match="whole number"):
        Warehouse(sample).post_mortem("0x" + "0" * 64, "-1")


def links(component: object) -> list[str]:
    """Addresses of every link of a component."""
    found = [component.href] if getattr(component, "href", None) else []
    children = getattr(component, "children", None)
    for child in children if isinstance(children, list | tuple) else [children]:
        if hasattr(child, "to_plotly_json"):
            found += links(child)
    return found


def test_the_list_and_the_account_lead_to_it(sample: Path):
    found = told(sample)[1]
    address = postmortem.link(found.event.tx_hash, found.event.log_index)
    assert address in links(page.build(Warehouse(sample), ""))
    assert address in links(account_page(Warehouse(sample), found.event.wallet))
    quiet = account_page(Warehouse(sample), next(iter(set(accounts(sample)))))
    assert "Liquidations of it" in words(quiet)


def accounts(path: Path) -> list[str]:
    """Accounts that were never liquidated."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT account FROM raw_aave_user_accounts WHERE account NOT IN (SELECT wallet FROM stg_lending_events)"
        ).fetchall()
    connection.close()
    return [row[0] for row in rows]


HOSTILE = "<b onload=x>%{y}\u202e=cmd()" + "x" * 1_000


def test_a_hostile_symbol_loses_its_meaning(own: Path):
    tx = keys(own, f"log_index = {PLANTED_LOG}")[1]
    connection = sqlite3.connect(own)
    connection.execute("DELETE FROM fact_snapshot WHERE block <> 1")
    connection.execute("UPDATE dim_lending_asset SET symbol = ?", (HOSTILE,))
    connection.execute("DELETE FROM raw_aave_reserves")
    connection.execute("DELETE FROM fact_snapshot")
    connection.commit()
    connection.close()
    source = Warehouse(own)
    text = words(page.build(source, f"?transaction={tx}"))
    assert "\u202e" not in text
    assert "x" * 100 not in text
    assert "No such liquidation" not in text
    for draw in (postmortem_charts.path, postmortem_charts.loss, postmortem_charts.fall):
        figure = json.dumps(draw(source.post_mortem(tx), "dark"))
        assert "<b onload" not in figure
        assert "%{y}\\u202e" not in figure
