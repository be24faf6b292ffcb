"""`python -m flows`: what there is, how it is asked for, and how it refuses."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import registry
from flows.__main__ import main
from flows.errors import SourceUnavailable
from flows.options import Options
from flows.pipeline import FlowSpec


def test_the_listing_names_every_flow_that_exists_and_no_other(capsys):
    assert main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.split("flows:\n")[1].splitlines()]
    assert listed == registry.available()
    assert {"market-prices", "risk-scenarios", "daily"} <= set(listed)


@pytest.mark.parametrize("name", registry.available())
def test_every_flow_says_what_it_does_and_explains_each_parameter(name, capsys):
    spec = registry.load(name)
    assert spec.name == name
    summary = registry.NAMES[name].summary
    assert 0 < len(summary) <= 100
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert summary.split()[0] in capsys.readouterr().out
    unexplained = [action.dest for action in registry.parser(spec)._actions if not action.help]
    assert unexplained == []


def test_a_misspelt_name_is_answered_with_the_likely_one(capsys):
    assert main(["risk-scenario"]) == 2
    assert "no flow is called 'risk-scenario' (did you mean risk-scenarios?); known: " in capsys.readouterr().err


def test_a_wrong_parameter_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["risk-scenarios", "--path", "many"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        "python -m flows risk-scenarios: --paths: expected a whole number from 1 to 100,000,000, found 'many'; "
        "--help explains each option\n"
    )


def failing(error: BaseException) -> FlowSpec:
    def run(arguments):
        raise error

    return FlowSpec(name="test", options=Options, run=run)


def test_a_refusal_is_one_line_and_code_1(monkeypatch, capsys):
    monkeypatch.setattr(registry, "load", lambda name: failing(SourceUnavailable("the node is away;\n  try again")))
    assert main(["test"]) == 1
    assert capsys.readouterr().err == "SourceUnavailable: the node is away; try again\n"


def test_an_unexpected_error_is_one_line_too_and_verbose_shows_where(monkeypatch, capsys):
    monkeypatch.setattr(registry, "load", lambda name: failing(ZeroDivisionError("division by zero")))
    assert main(["test"]) == 1
    assert capsys.readouterr().err == "unexpected ZeroDivisionError: division by zero; --verbose shows where\n"
    assert main(["test", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(registry, "load", lambda name: failing(KeyboardInterrupt()))
    assert main(["test"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_refusal_of_the_warehouse_reaches_the_user_without_a_traceback(own_warehouse, capsys):
    assert main(["risk-scenarios"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("WarehouseMissing: ")
    assert said.count("\n") == 1


def test_listing_and_help_wait_for_no_heavy_import():
    code = (
        "import sys; from flows.__main__ import main; main([])\n"
        "heavy = {'prefect', 'numba', 'pandas', 'pandera', 'web3', 'requests', 'sklearn', 'pydantic'}\n"
        "heavy &= sys.modules.keys()\n"
        "heavy |= {name for name in sys.modules if name.startswith('flows.') and name.count('.') > 1}\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert listed.returncode == 0, listed.stderr


def test_options_of_every_flow_are_known_and_checked_without_what_a_run_needs():
    code = (
        "import sys; from flows import registry\n"
        "for name in registry.available():\n"
        "    parser = registry.parser(registry.load(name))\n"
        "    parser.format_help()\n"
        "    parser.parse_args([])\n"
        "heavy = {'dask', 'numba', 'numpy', 'pandas', 'pandera', 'prefect', 'requests', 'scipy', 'tqdm', 'web3'}\n"
        "heavy &= sys.modules.keys()\n"
        "heavy |= {entry.module for entry in registry.NAMES.values()} & sys.modules.keys()\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert asked.returncode == 0, asked.stderr


def test_a_flow_notes_its_runs_under_the_name_it_is_registered_by():
    noted = {}
    for name, entry in registry.NAMES.items():
        tree = ast.parse(Path(*entry.module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "recorded"]
        noted |= {name: {call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)}}
    assert {name: names for name, names in noted.items() if names - {name}} == {}
    assert sum(map(bool, noted.values())) > 15


@pytest.mark.parametrize(("asked", "threads"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")])
def test_linear_algebra_has_one_thread_unless_the_environment_says_otherwise(asked, threads):
    code = (
        "import os, flows.clusters.liquidation_clusters\n"
        "from threadpoolctl import threadpool_info\n"
        "found = [pool['num_threads'] for pool in threadpool_info() if pool['internal_api'] == 'openblas']\n"
        "asked = os.environ['OPENBLAS_NUM_THREADS']\n"
        "print(asked, bool(found) and max(found) <= int(asked))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | asked
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout.split() == [threads, "True"]


def test_a_skip_needs_neither_prefect_nor_the_validation_nor_the_statistics_library(sample):
    code = (
        "import sys; from flows.__main__ import main\n"
        "assert main(['risk-scenarios', '--paths', '64']) == 0\n"
        "heavy = {'prefect', 'pandera', 'sklearn', 'scipy.stats', 'tqdm'} & sys.modules.keys()\n"
        "print('heavy:', sorted(heavy))"
    )
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "Stored in fact_risk_scenarios." in first.stdout
    assert second.stdout.endswith("heavy: []\n")
