"""A payload's calls made on the real configurator: the market that is read afterwards is the one that was foretold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import data
import risk_core as rc
from data.payloads import UndecodablePayload, decoded
from tests.node.artifacts import contract
from tests.node.chain import Reverted
from tests.node.conftest import Ingested, run_flow
from tests.node.deployment import CONFIGURATOR

pytestmark = pytest.mark.node


def test_a_payload_does_on_the_chain_what_the_changed_market_says(ingested: Ingested, tmp_path: Path):
    """Loan to value, threshold and bonus of two reserves, one of them twice, and of an e-mode; no balance moves."""
    node, market = ingested.node, ingested.market
    at, asset = node.deployment.configurator, node.deployment.asset
    code = contract(CONFIGURATOR)
    calls = [
        ("configureReserveAsCollateral", asset["WETH"], 6000, 6500, 11000),
        ("configureReserveAsCollateral", asset["LINK"], 5000, 9434, 10600),  # 1.000004, rounded to 1
        ("setEModeCategory", 1, 8900, 9000, 10250, "ETH correlated, again"),
        ("configureReserveAsCollateral", asset["WETH"], 6200, 6800, 10900),
    ]
    payload = [{"to": at, "data": code.encode(*call)} for call in calls]
    found = decoded(json.dumps(payload), market, configurator=at)
    foretold = rc.parameter_change(market, found.changes)

    with node.chain.undone():
        for call in payload:
            node.chain.send(node.chain.admin, call["to"], call["data"])
        node.chain.mine(0)  # at the time of the last block: no interest
        run_flow(node, tmp_path / "after.sqlite", "--full")
        after = data.load_market(db=tmp_path / "after.sqlite", verify=True)

    assert after.snapshot.block > market.snapshot.block
    for name in ("ltv", "liquidation_threshold", "liquidation_bonus"):
        for owner in ("reserves", "emodes"):
            chain, ours = (getattr(getattr(one, owner), name) for one in (after, foretold))
            assert np.array_equal(chain, ours), (owner, name)
    assert not np.array_equal(after.reserves.ltv, market.reserves.ltv)
    assert np.array_equal(after.collateral.amount, foretold.collateral.amount)
    assert np.array_equal(rc.health_factor(after), rc.health_factor(foretold))
    then, expected = rc.what_if(after, {"WETH": -0.1}), rc.what_if(foretold, {"WETH": -0.1})
    assert then.repaid_usd == expected.repaid_usd > rc.what_if(market, {"WETH": -0.1}).repaid_usd
    assert then.deficit_usd == expected.deficit_usd


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("configureReserveAsCollateral", "LINK", 6000, 5500, 10800), "InvalidReserveParams"),
        (("configureReserveAsCollateral", "LINK", 6000, 6500, 10000), "InvalidReserveParams"),
        (("configureReserveAsCollateral", "LINK", 6000, 6500, 15800), "InvalidReserveParams"),
        (("configureReserveAsCollateral", "LINK", 6000, 9435, 10600), "InvalidReserveParams"),
        (("setEModeCategory", 1, 0, 9000, 10250, "x"), "InvalidEmodeCategoryParams"),
        (("setEModeCategory", 1, 9100, 9000, 10250, "x"), "InvalidEmodeCategoryParams"),
    ],
)
def test_what_the_contract_refuses_is_refused_here(ingested: Ingested, call: tuple, error: str):
    node = ingested.node
    function, target, *terms = call
    target = node.deployment.asset.get(target, target)
    text = contract(CONFIGURATOR).encode(function, target, *terms)
    with pytest.raises((UndecodablePayload, rc.InputError)):
        rc.parameter_change(
            ingested.market,
            decoded(json.dumps([{"to": node.deployment.configurator, "data": text}]), ingested.market).changes,
        )
    with node.chain.undone():
        node.chain.send(node.chain.admin, node.deployment.configurator, text)
        with pytest.raises(Reverted, match=error):
            node.chain.mine(0)
