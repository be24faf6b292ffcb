"""Our rules against the contracts' recorded answers: no difference in any case, and the command says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.differential import float_layer, integer_layer, simulate_layer
from tests.differential.conftest import REPOSITORY, SMALL
from tests.reference.truth import Truth

pytestmark = pytest.mark.differential


def show(tally) -> str:
    return "\n".join(str(difference) for difference in tally.differences[:10])


def test_the_integer_model_equals_the_contracts_in_every_number(small):
    tally = integer_layer.check(small)

    assert tally.differences == [], show(tally)
    cases = sum(len(small.raw[key]) for key in ("liquidations", "helper", "users"))
    assert tally.checked > cases + 20 * len(small.users)  # 20 price vectors of account rows


def test_the_engine_decides_as_the_contracts_and_stays_within_its_bounds(small):
    tally = float_layer.check(small)

    assert tally.differences == [], show(tally)
    assert tally.checked > 2_500
    assert len(tally.aside) < 0.1 * (len(small.raw["liquidations"]) + len(small.raw["sequences"]))


def test_every_vector_is_a_path_that_the_engine_liquidates_as_recorded(small):
    tally = simulate_layer.check(small)

    assert tally.differences == [], show(tally)
    cases = len(small.users) * len(small.raw["accounts"])
    assert tally.checked > cases + 300, "at least 300 recorded calls are among what the policies chose"
    assert len(tally.aside) < 0.01 * tally.checked


@pytest.mark.parametrize(("name", "checked"), [("truth_edges", 140), ("truth_edges37", 520)])
def test_every_layer_agrees_at_the_edge_of_the_rules(name, checked):
    """Calls that leave 1,000 USD to within one unit of a token with 6 decimals, and advice off by one base unit."""
    truth = Truth.load(SMALL.with_name(f"{name}.json.xz"))

    tallies = [layer.check(truth) for layer in (integer_layer, float_layer, simulate_layer)]
    assert [difference for tally in tallies for difference in tally.differences] == []
    assert sum(tally.checked for tally in tallies) > checked


@pytest.mark.parametrize("name", ["truth_A", "truth_A37"])
def test_every_layer_agrees_on_a_large_book(name, large_path):
    truth = Truth.load(large_path(name))

    for layer in (integer_layer, float_layer, simulate_layer):
        tally = layer.check(truth)
        assert tally.differences == [], show(tally)
        assert tally.checked > 15_000


def test_the_command_ends_with_the_count_and_status_0(small_path):
    run = subprocess.run(
        [sys.executable, "-m", "tests.differential", str(small_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    count, words = run.stdout.splitlines()[-1].split(" ", 1)
    assert words == "checked, 0 differences"
    assert int(count) > 6_000
    assert "stood aside, judged by the integer model alone" in run.stdout
