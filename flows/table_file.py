"""A table from a Parquet or CSV file that a user names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flows.errors import ConfigurationError, FlowError


def read_table(path: Path, option: str, damaged: type[FlowError]) -> pd.DataFrame:
    """The rows of a file; its name ends in .parquet or .csv.

    Raises `ConfigurationError`, which names `option`, where there is no such file, and `damaged` where it cannot be
    read.
    """
    if not path.is_file():
        raise ConfigurationError(f"{option}: there is no file {path}")
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise ConfigurationError(f"{option}: expected a .parquet or .csv file, found {path.name}")
    try:
        return pd.read_parquet(path) if kind == ".parquet" else pd.read_csv(path)
    except ImportError:
        raise ConfigurationError(
            f"{option}: {path.name} needs pyarrow: `pip install -r requirements-export.txt`, or give a .csv file"
        ) from None
    except Exception as exc:  # each library has errors of its own for a file of another kind
        raise damaged(f"{path}: cannot be read as {kind[1:]}: {exc}") from None
