"""Where the warehouse is and which market is meant. The environment is read when needed, never at import."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_MARKET = "AaveV3Ethereum"
"""Address-book name of the market read when `AAVE_MARKET` is not set."""

SAMPLE_MARKET = "SampleAaveV3Ethereum"
"""Market name of the built-in sample."""

_HERE = Path(__file__).resolve().parent


def risk_db() -> Path:
    """Path of the warehouse: `RISK_DB`, by default `db/risk.sqlite` beside this package (ignored by git)."""
    named = os.environ.get("RISK_DB", "").strip()
    return Path(named).expanduser() if named else _HERE / "db" / "risk.sqlite"


def aave_market() -> str:
    """Name of the live market: `AAVE_MARKET`, by default `AaveV3Ethereum`."""
    return os.environ.get("AAVE_MARKET", "").strip() or DEFAULT_MARKET
