"""Building blocks of the table schemas: one function for each kind of value the warehouse stores.

Each gives a pandera field with a description, a unit and the checks of its kind. Two mistakes are prevented here: `$`
also matches before a final line feed (so patterns must match the whole text), and pandas turns 1.5 into 1 where an
integer is wanted (`data.store.validation` refuses it before coercion).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera import extensions

ADDRESS = r"0x[0-9a-f]{40}"
HASH32 = r"0x[0-9a-f]{64}"
SHA256 = r"[0-9a-f]{64}"
PROTOCOLS = ["aave_v2", "aave_v3", "aave_v4", "compound_v2", "compound_v3"]
UINT = r"[0-9]{1,78}"
"""uint256 in decimal: 2**256 - 1 has 78 digits."""


LONGEST_NAME = 200
"""Characters of a name, at most. A token may have any name; the longest in use have under a hundred."""
LONGEST_TEXT = 2_000
"""Characters of other text that comes from outside."""


@extensions.register_check_method(statistics=["pattern"])
def whole_text_matches(series: pd.Series, *, pattern: str) -> pd.Series:
    """The whole text matches, final line feeds included."""
    return series.astype("str").str.fullmatch(pattern)


@extensions.register_check_method(statistics=["bits"])
def fits_bits(series: pd.Series, *, bits: int) -> pd.Series:
    """A decimal text is an integer below 2**bits."""
    limit = str(2**bits)
    digits = series.astype("str").str.lstrip("0")
    # Same length compares as text; int() of a million 78-digit numbers would take seconds.
    return (digits.str.len() < len(limit)) | ((digits.str.len() == len(limit)) & (digits < limit))


@extensions.register_check_method(statistics=["finite"])
def is_finite(series: pd.Series, *, finite: bool) -> pd.Series:
    """Neither infinite nor NaN; `finite=False` allows infinities."""
    return pd.Series(np.isfinite(series.to_numpy(dtype=float)) | (not finite), index=series.index)


def _field(description: str, unit: str, *, provenance: bool = False, **checks: Any) -> Any:
    return pa.Field(description=description, metadata={"unit": unit, "provenance": provenance}, **checks)


def text(description: str, unit: str = "text", *, longest: int | None = LONGEST_TEXT, **checks: Any) -> Any:
    """Free text of at most `longest` characters; None, without a limit, for text that this project writes itself."""
    if longest is not None and "isin" not in checks and "whole_text_matches" not in checks:
        checks["str_length"] = {"max_value": longest}
    return _field(description, unit, **checks)


def name(description: str, unit: str = "name", *, longest: int | None = LONGEST_NAME, **checks: Any) -> Any:
    """Non-empty text that names something, often as part of a key: a symbol, a source, a slug."""
    return _field(description, unit, str_length={"min_value": 1, "max_value": longest}, **checks)


def document(description: str, **checks: Any) -> Any:
    """A JSON document as text."""
    return _field(description, "JSON", **checks)


def address(description: str, **checks: Any) -> Any:
    """A lower-case 20-byte address."""
    return _field(description, "address", whole_text_matches=ADDRESS, **checks)


def block_hash(description: str, **checks: Any) -> Any:
    """A lower-case 32-byte hash with 0x."""
    return _field(description, "hash", whole_text_matches=HASH32, **checks)


def sha256(description: str, **checks: Any) -> Any:
    """A lower-case SHA-256 digest without prefix."""
    return _field(description, "sha256", whole_text_matches=SHA256, **checks)


def uint(description: str, unit: str, **checks: Any) -> Any:
    """An unsigned 256-bit integer as decimal text, exact."""
    return _field(description, unit, whole_text_matches=UINT, fits_bits=256, **checks)


def integer(description: str, unit: str, **checks: Any) -> Any:
    """A 64-bit integer that is not negative."""
    return _field(description, unit, ge=0, **checks)


def signed(description: str, unit: str, **checks: Any) -> Any:
    """A 64-bit integer of either sign."""
    return _field(description, unit, **checks)


def seconds(description: str, **checks: Any) -> Any:
    """A time: whole seconds since 1970-01-01 UTC. Milliseconds are refused (they would be the year 5000)."""
    return _field(description, "unix seconds UTC", in_range={"min_value": 0, "max_value": 99_999_999_999}, **checks)


def bps(description: str, **checks: Any) -> Any:
    """Basis points: 10000 is 100 %."""
    return _field(description, "bps", in_range={"min_value": 0, "max_value": 65_535}, **checks)


def flag(description: str, **checks: Any) -> Any:
    """0 or 1."""
    return _field(description, "0/1", isin=[0, 1], **checks)


def real(description: str, unit: str, **checks: Any) -> Any:
    """A finite float."""
    return _field(description, unit, is_finite=True, **checks)


def ingested_at() -> Any:
    """When a row first arrived. It is not part of the row's content, so a re-run does not change it."""
    return _field(
        "when the row first arrived",
        "unix seconds UTC",
        provenance=True,
        in_range={"min_value": 0, "max_value": 99_999_999_999},
    )


def payload_sha256() -> Any:
    """Digest of the raw answer a row was read from."""
    return _field(
        "SHA-256 of the raw answer the row was first read from", "sha256", provenance=True, whole_text_matches=SHA256
    )


def batch() -> Any:
    """The write that brought a row. The store fills it in; marts find new rows by it, and every row can be traced."""
    return _field("write that brought the row to its present content (fact_batch)", "id", provenance=True, ge=0)


def content_sha256() -> Any:
    """Digest of a row's content columns, filled in by the store; tells a corrected row from a repeated one."""
    return _field(
        "SHA-256 of the row's content (data.store.content.digests)",
        "sha256",
        provenance=True,
        whole_text_matches=SHA256,
    )


def written_by() -> Any:
    """The run that first wrote a row."""
    return _field("run that first wrote the row (fact_run)", "id", provenance=True)
