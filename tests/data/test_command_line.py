"""`python -m data` looks after the file, and importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import data
from data.__main__ import main
from data.errors import BatchRefused
from tests.data.conftest import price_rows


def test_migrate_creates_the_file(own_warehouse, capsys):
    assert main(["migrate"]) == 0

    assert own_warehouse.exists()
    assert "layout" in capsys.readouterr().out


def test_tables_are_described_with_units(filled, capsys):
    assert main(["tables"]) == 0

    printed = capsys.readouterr().out
    assert "raw_aave_account_states: 400 rows, key market, account, valid_from" in printed
    assert "[ray]" in printed


def test_quarantine_shows_the_row_and_the_reason(store, capsys):
    with pytest.raises(BatchRefused):
        store.write_batch("binance", "ETHUSDT", {"dim_prices": price_rows(1, price_usd=[-3.0])})

    assert main(["quarantine"]) == 0
    printed = capsys.readouterr().out
    assert "binance ETHUSDT  refused, 1 rows wait, 1 are bad\n" in printed
    assert "dim_prices: 1 of 1 rows are bad, the first is row 0: price_usd: greater_than(0), found -3.0\n" in printed
    assert main(["quarantine", "--table", "raw_aave_balances"]) == 0
    assert capsys.readouterr().out == "nothing is in quarantine\n"


def test_an_error_is_one_line(own_warehouse, capsys):
    assert main(["tables"]) == 1

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "import data",
        "import data.settings, data.errors, data.store, data.snapshot, data.results, data.prices, data.prices.rules",
        "import data.sample; data.sample.book(100, 1)",
        "import data; market = data.load_market(); data.load_market(block=market.snapshot.block)",
        "import data.store; data.store.Reader.open().rows('SELECT count(*) FROM raw_aave_balances')",
        "from data.results import latest; from contextlib import suppress\n"
        "with suppress(data.errors.NoResult): latest()",
    ],
)
def test_reading_stored_figures_does_not_wait_for_the_validation_library(statement, filled):
    program = (
        f"import data\n{statement}\nimport sys; print([m for m in ('pandera', 'pandas', 'dask') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(data.__file__).parents[1],
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", [data.store, data.snapshot, data.results, data.sample])
def test_a_package_hands_on_its_names(package):
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


def test_the_package_names_its_parts():
    for name in data.__all__:
        assert getattr(data, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data.nothing
