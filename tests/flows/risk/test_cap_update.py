"""`cap-update`: the report and the stored row are those of the check, and wrong options are one line."""

from __future__ import annotations

import json

import pytest

from data import load_market
from data.store.store import Store
from flows.errors import WrongOption
from risk_core.oracle_gap import oracle_gap
from tests.data.test_oracle_facts import WSTETH, add_adapter
from tests.flows.running import ran

MARCH = ("--asset", "wstETH", "--snapshot-ratio", "0.9", "--growth", "9.68")


def run(*words: str) -> str:
    return ran("cap-update", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_an_update_that_binds_names_who_falls_and_is_stored_once(sample):
    said = run(*MARCH)
    market = load_market()
    price = market.price
    ratio = float(price[market.reserves.index("wstETH")] / price[market.reserves.index("WETH")])
    most = 0.9 * (1 + 0.0968 * 7 / 365)
    gap = oracle_gap(market, {}, errors={"wstETH": most / ratio - 1})
    assert "SAMPLE" in said
    assert f"IT BINDS: the oracle's price of wstETH moves by {most / ratio - 1:.2%} at once" in said
    assert "terms in force are not stored" in said
    assert "by the oracle's prices, which a cap in force may hold down" in said
    [(asset, binds, move, falls, repaid, loss, refused, synthetic)] = rows(
        "SELECT asset, binds, price_move, liquidated_accounts, repaid_usd, borrower_loss_usd, refused_because, "
        "is_synthetic FROM mart_cap_update"
    )
    assert (asset, binds, synthetic) == (WSTETH, 1, 1)
    assert move == pytest.approx(most / ratio - 1, rel=1e-9)
    assert falls == gap.first.n_accounts > 0
    assert (repaid, loss) == pytest.approx((gap.repaid_usd, gap.borrower_loss_usd), rel=1e-6)
    assert json.loads(refused) == []
    kept = rows("SELECT * FROM mart_cap_update")
    run(*MARCH)
    assert rows("SELECT * FROM mart_cap_update") == kept


def test_the_terms_in_force_give_growth_ratio_and_what_is_refused(sample):
    terms = {"snapshot_ratio": 115 * 10**16, "snapshot_timestamp": 1_750_000_000, "max_yearly_growth_bps": 968}
    add_adapter(
        sample, parameters=json.dumps(terms), parameters_status="chain", ratio=1.21e18, implied_ratio=1.21,
        max_ratio=1.3e18, cap_binds=0,
    )  # fmt: skip
    said = run("--asset", WSTETH, "--snapshot-ratio", "1.25", "--days-old", "2")
    assert "the ratio is 1.210000 WETH, as its provider said at block 1" in said
    assert "it does not bind" in said
    assert "nobody is liquidated" in said
    assert "refused: it raises the snapshot ratio by 8.6957%" in said
    assert "wants at least 604,800 s" in said
    [(growth, before, after)] = rows("SELECT max_yearly_growth, largest_before, largest_after FROM mart_cap_update")
    assert growth == pytest.approx(0.0968)
    assert before < after


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "--asset: expected"),
        (("--asset", "wstETH"), "--snapshot-ratio: expected"),
        (("--asset", "wstETH", "--snapshot-ratio", "1.2"), "--growth: expected"),
        (("--asset", "NIX", "--snapshot-ratio", "1.2", "--growth", "9"), "--asset: no reserve 'NIX'"),
        (("--asset", "USDC", "--snapshot-ratio", "1.2", "--growth", "9"), "to which reserve USDC is a ratio; name it"),
        (("--asset", "wstETH", "--snapshot-ratio", "1.2", "--growth", "9", "--base", "wstETH"), "ratio of itself"),
    ],
)
def test_a_wrong_option_is_one_line_and_stores_nothing(sample, words, why):
    with pytest.raises(WrongOption, match=why):
        run(*words)
    assert rows("SELECT count(*) FROM mart_cap_update") == [(0,)]


@pytest.mark.parametrize(
    "words", [("--snapshot-ratio", "0", "--growth", "9"), ("--snapshot-ratio", "1.2", "--growth", "900")]
)
def test_a_number_out_of_range_is_said_before_anything_runs(sample, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("--asset", "wstETH", *words)
    assert f"{words[0] if words[1] == '0' else '--growth'}: expected" in capsys.readouterr().err
