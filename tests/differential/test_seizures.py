"""What was taken in each recorded liquidation, told from the event and the prices alone."""

from __future__ import annotations

import pytest

from risk_core.analytics import postmortem as pm
from tests.differential.conftest import SMALL
from tests.reference.truth import Truth

pytestmark = pytest.mark.differential


def check(truth: Truth) -> tuple[int, int]:
    """(liquidations, those that took all of the collateral); raises where one is told otherwise than it was."""
    whole = checked = 0
    pools = {vector: truth.pool(vector) for vector in truth.vectors()}
    for case in truth.raw["liquidations"]:
        if "err" in case:
            continue
        pool, user = pools[case["v"]], truth.raw["users"][case["u"]]
        c, d = pool.reserves[case["c"]], pool.reserves[case["d"]]
        emode = pool.emodes.get(int(user["emode"]))
        inside = emode is not None and emode.collateral_bitmap >> c.id & 1
        bonus = emode.liquidation_bonus if emode is not None and inside else c.liquidation_bonus
        net, fee, repaid = (int(case[name]) for name in ("seized", "fee", "repaid"))
        had = next(int(held[2]) for held in user["pos"] if held[0] == c.id)

        found = pm.seizure_of(net, bonus, c.protocol_fee, truth.revision)
        assert abs(fee - found.fee) <= 1, "the treasury's aTokens round by a unit"
        terms = {
            "debt_price": d.price, "collateral_price": c.price, "debt_decimals": d.decimals,
            "collateral_decimals": c.decimals, "bonus_bps": bonus, "revision": truth.revision,
        }  # fmt: skip
        owed = pm.seizure(pm.owed_collateral(repaid, **terms), bonus, c.protocol_fee, truth.revision)
        if net + fee >= had - 2:
            whole += 1
            assert repaid in [pm.needed_debt(found.gross + unit, **terms) for unit in (-1, 0, 1)] or owed.net == net
        else:
            assert owed.net == net
        checked += 1
    return checked, whole


def test_every_seizure_follows_from_the_event():
    checked, whole = check(Truth.load(SMALL))
    assert checked > 400
    assert 100 < whole < 300


@pytest.mark.parametrize("name", ["truth_A", "truth_A37"])
def test_every_seizure_of_a_large_book(name, large_path):
    assert check(Truth.load(large_path(name)))[0] > 3_000
