"""Settings: where the warehouse is, which market is used. The environment is read when needed, never at import."""

from __future__ import annotations

import os
from pathlib import Path

from data.errors import ExportFailed

DEFAULT_MARKET = "AaveV3Ethereum"
"""Address-book name of the market read when `AAVE_MARKET` is not set."""

SAMPLE_MARKET = "SampleAaveV3Ethereum"
"""Market name of the built-in sample."""

SAMPLE_CHAIN = 0
"""Chain id of the sample's made-up blocks: no network has it, so they never mix with those of a real one."""

_HERE = Path(__file__).resolve().parent


def risk_db() -> Path:
    """Path of the warehouse: `RISK_DB`, by default `db/risk.sqlite` beside this package (ignored by git)."""
    named = os.environ.get("RISK_DB", "").strip()
    return Path(named).expanduser() if named else _HERE / "db" / "risk.sqlite"


def upgrade_copy() -> bool:
    """Whether a file is copied before its layout is changed: `RISK_UPGRADE_COPY`, yes unless it says no."""
    return os.environ.get("RISK_UPGRADE_COPY", "").strip().lower() not in ("no", "0", "false")


def aave_market() -> str:
    """Name under which the configured market is stored.

    `AAVE_MARKET`; where only `AAVE_POOL_ADDRESSES_PROVIDER` is set, a name made of that address, so that a local chain
    is never taken for a market of the address book; else `AaveV3Ethereum`.
    """
    named = os.environ.get("AAVE_MARKET", "").strip()
    provider = os.environ.get("AAVE_POOL_ADDRESSES_PROVIDER", "").strip().lower()
    return named or (f"AaveV3 at {provider[:10]}" if provider else DEFAULT_MARKET)


def warehouse_url() -> str | None:
    """Where `python -m data.export` puts the tables: `WAREHOUSE_URL`, or what the file `WAREHOUSE_URL_FILE` says.

    Raises `ExportFailed` when that file cannot be read.
    """
    name = "WAREHOUSE_URL"
    url = os.environ.get("WAREHOUSE_URL", "").strip()
    named = os.environ.get(f"{name}_FILE", "").strip()
    if url or not named:
        return url or None
    try:
        return Path(named).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ExportFailed(f"{name}_FILE: cannot read {named} ({reason}); fix the path or unset it") from None
