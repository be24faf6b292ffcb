"""`parameter-change`: the report and the stored rows are those of the comparison, and wrong options are one line."""

from __future__ import annotations

import json

import pytest

from data import load_market
from data.store.store import Store
from flows.errors import WrongOption
from risk_core.proposals import compare
from tests.flows.running import ran

CUT = ("--set", "WETH.liquidation_threshold=0.80", "WETH.ltv=0.78")


def run(*words: str) -> str:
    return ran("parameter-change", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_who_falls_is_stored_and_the_figures_have_their_differences(sample):
    said = run(*CUT, "--paths", "256")
    found = compare(load_market(), {"WETH.liquidation_threshold": 0.80, "WETH.ltv": 0.78})
    assert "SAMPLE: synthetic accounts and prices" in said
    assert f"at once: {len(found.falls):,} accounts become liquidatable" in said
    assert "Liquidations at risk, debt repaid 99%" in said

    stored = rows(
        "SELECT account, effect, health_after FROM mart_parameter_change_account ORDER BY effect, debt_usd DESC"
    )
    falls = [row for row in stored if row[1] == "liquidatable"]
    assert [row[0] for row in falls] == [str(found.before.accounts[r]) for r in found.falls]
    assert all(row[2] < 1 for row in falls)
    assert len(stored) == len(found.falls) + len(found.warn)

    [(before, after, low, high)] = rows(
        "SELECT before, after, low, high FROM mart_parameter_change WHERE measure = 'lar' AND level = 0.99"
    )
    assert low <= after - before <= high
    [(repaid, changes, paths)] = rows(
        "SELECT after, changes, n_paths FROM mart_parameter_change WHERE measure = 'repaid_now'"
    )
    assert repaid == pytest.approx(found.then.repaid_usd)
    assert json.loads(changes) == {"WETH.liquidation_threshold": 0.80, "WETH.ltv": 0.78}
    assert paths == 0

    kept = rows("SELECT * FROM mart_parameter_change ORDER BY measure, level")
    run(*CUT, "--paths", "256")
    assert rows("SELECT * FROM mart_parameter_change ORDER BY measure, level") == kept


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "--set: expected at least one NAME.FIELD=VALUE"),
        (("--set", "WETH.ltv"), "found 'WETH.ltv'"),
        (("--set", "WETH.ltv=x"), "found 'WETH.ltv=x'"),
        (("--set", "WETH.ltv=0.5", "WETH.ltv=0.6"), "given twice"),
        (("--set", "NIX.ltv=0.5"), "NIX"),
        (("--set", "WETH.liquidation_threshold=0.5"), "above the threshold"),
    ],
)
def test_a_wrong_change_is_one_line_and_stores_nothing(sample, words, why):
    with pytest.raises(WrongOption, match=why):
        run(*words)
    assert rows("SELECT count(*) FROM mart_parameter_change") == [(0,)]
