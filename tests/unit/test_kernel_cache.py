"""A cached kernel must not outlive an edit of a kernel that it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT")
REPOSITORY = Path(__file__).resolve().parents[2]
RUN = """
import risk_core as rc
from tests.markets import one_account
print(rc.what_if(one_account(), {}).repaid_usd)
"""


def test_an_edited_rule_is_compiled_again(tmp_path):
    """Half of the debt, 8,000, is repaid; with the close factor edited to a quarter, 4,000 and then more calls."""
    for name in ("risk_core", "tests"):
        shutil.copytree(
            REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "build")
        )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}

    def repaid() -> float:
        done = subprocess.run(
            [sys.executable, "-c", RUN], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    assert repaid() == 8_000.0
    rule = tmp_path / "risk_core" / "kernels" / "settle.py"
    edited = rule.read_text().replace("CLOSE_FACTOR = 0.5", "CLOSE_FACTOR = 0.25")
    assert edited != rule.read_text()
    rule.write_text(edited)
    assert repaid() == 4_000.0
