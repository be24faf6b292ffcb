"""A scenario's record: every law comes back, and what was stored before laws existed keeps its digest."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import risk_core as rc
from data.results.scenario import scenario_from_record, scenario_hash, scenario_record
from tests.markets import scenario

ROWS = 0.01 * np.random.default_rng(3).standard_t(4, (80, 2))


@pytest.mark.parametrize(
    "change",
    [
        dict(law=rc.StudentT(4.5)),
        dict(law=rc.Jumps(12.0, -0.1, 0.05)),
        dict(law=rc.Jumps(12.0, -0.1, 0.05, beta=(1.0, 0.5)), sampling="quasi"),
        dict(law=rc.OrnsteinUhlenbeck([253.0, 0.0], mean=[0.01, 0.0])),
        dict(law=rc.Bootstrap(ROWS, 12)),
        dict(law=rc.Garch((0.1, 0.2), (0.8, 0.5), (1.0, 2.0), nu=5)),
        dict(law=rc.FilteredHistory(ROWS, (0.1, 0.2), (0.8, 0.5), (1.0, 2.0))),
        dict(sampling="antithetic"),
    ],
)
def test_laws_and_samplings_come_back_and_change_the_digest(change):
    plan = replace(scenario(2), **change)
    back = scenario_from_record(json.loads(json.dumps(scenario_record(plan))))
    assert (back.law, back.sampling) == (plan.law, plan.sampling)
    assert scenario_hash(back) == scenario_hash(plan) != scenario_hash(scenario(2))


def test_the_default_law_leaves_no_trace():
    record = scenario_record(scenario(2))
    assert "law" not in record
    assert "sampling" not in record
    assert scenario_from_record(record).law == rc.GBM()
