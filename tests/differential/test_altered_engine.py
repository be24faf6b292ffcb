"""The simulated layer fails when a number of the file or a rule of the engine is altered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

import risk_core as rc
from tests.differential import simulate_layer
from tests.differential.conftest import REPOSITORY, SMALL
from tests.reference.truth import Truth

pytestmark = pytest.mark.differential

RULES = {
    "CLOSE_FACTOR": ("0.5", "0.499"),
    "HALF_ALLOWED_ABOVE": ("0.95", "0.94"),
    "SMALL_POSITION_USD": ("2000.0", "4000.0"),
}


@pytest.mark.parametrize("rule", RULES)
def test_an_altered_rule_of_the_engine_is_noticed(rule, tmp_path):
    for name in ("risk_core", "tests"):
        shutil.copytree(
            REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "build")
        )
    source = tmp_path / "risk_core" / "kernels" / "settle.py"
    before, after = RULES[rule]
    altered = source.read_text().replace(f"\n{rule} = {before}\n", f"\n{rule} = {after}\n")
    assert altered != source.read_text()
    source.write_text(altered)

    done = subprocess.run(
        [sys.executable, "-m", "tests.differential", "--layer", "simulate", str(SMALL)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # As plain Python: compiling the altered kernels takes twelve times as long as running them so.
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(tmp_path)},
    )

    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    checked, _, differences, _ = done.stdout.splitlines()[-1].split()
    assert int(checked) > 2_000
    assert int(differences) > 0


def first_success(raw: dict) -> dict:
    """A recorded call that the policies choose: the whole debt against the only collateral."""
    flagged = {u: bin(int(user["config"], 16)).count("1") for u, user in enumerate(raw["users"])}
    return next(
        r
        for r in raw["liquidations"]
        if "err" not in r and r["cover"] == "max" and flagged[r["u"]] == 2 and not r["deficit"]
    )


@pytest.mark.parametrize("name", ["repaid", "seized", "fee"])
def test_a_recorded_amount_off_by_one_in_a_million_is_noticed(name, small):
    record = first_success(small.raw)
    record[name] = str(int(record[name]) * 1_000_001 // 1_000_000 + 10)

    tally = simulate_layer.check(small)

    assert tally.differences
    assert all(f"{name}: expected" in difference.detail for difference in tally.differences)


def test_a_health_factor_on_the_other_side_of_1_is_noticed(small):
    rows = small.raw["accounts"]["down20"]
    u = next(u for u, row in enumerate(rows) if 10**18 < int(row[5]) < 2 * 10**18)
    rows[u][5] = str(int(0.98e18))

    tally = simulate_layer.check(small)

    assert [difference.where for difference in tally.differences] == [f"truth_small: simulate down20 u={u}"]


def test_a_run_that_loses_a_micro_dollar_between_accounts_is_noticed(small, monkeypatch):
    honest = rc.simulate

    def wrong(market, *arguments, **options):
        result = honest(market, *arguments, **options)
        if market.n_accounts > 1:
            result.path.setflags(write=True)
            result.path[0, 0] += 1
        return result

    monkeypatch.setattr(rc, "simulate", wrong)

    assert len(simulate_layer.check(small).differences) == 3 * len(simulate_layer._alike(small))


def test_the_layer_needs_a_truth_of_its_own(small):
    """A vector that no account row speaks of is no path; nothing is checked without rows."""
    small.raw["accounts"].clear()

    assert simulate_layer.check(Truth.of("empty", small.raw)).checked == 0
