"""No address, however it is mistyped, becomes a folder named after its password."""

from __future__ import annotations

import traceback

import pytest

from data.errors import ExportFailed
from data.export.targets import target


@pytest.mark.parametrize("text", [
    "postgresql:/user:s3cret@host/x", "postgres:user:s3cret@host/x", "POSTGRESQL:/user:s3cret@host/x",
    "postgresql+psycopg:/user:s3cret@host", "user:s3cret@host/x", "host=h user=u password=s3cret",
    "postgresql:///user:s3cret@host/x", "postgresql://user:s3cret@host:s3cret/x", "postgresql://user:a/s3cret@host/x",
    "s3cret:x://host", "mysql:/user:s3cret@host/x", "duckdb:/s3cret.duckdb", "postgresql:\\\\user:s3cret@host",
])  # fmt: skip
def test_a_mistyped_address_is_refused_without_its_password(text: str):
    with pytest.raises(ExportFailed) as refusal:
        target(text)
    assert "s3cret" not in "".join(traceback.format_exception_only(refusal.value))
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "kind"), [("build/out", "parquet"), ("a:b/c.duckdb", "duckdb"), ("C:\\risk", "parquet")]
)
def test_a_path_with_a_colon_stays_a_path(text: str, kind: str):
    assert target(text).kind == kind
