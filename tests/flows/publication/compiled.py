"""Compile the contract of `publish-metric`; `python -m tests.flows.publication.compiled` writes what is committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import vyper
from vyper.compiler import compile_code

HERE = Path(__file__).resolve().parents[3] / "flows" / "publication"
SOURCE = HERE / "metric_feed.vy"
COMPILED = HERE / "metric_feed.json"


def compiled() -> dict[str, Any]:
    """Compiler, ABI, creation code and the code that then stands on the chain, of the source as it is now."""
    formats = ("abi", "bytecode", "bytecode_runtime")
    # Without metadata the code on the chain is that of the source to the last byte, and can be compared.
    made = compile_code(SOURCE.read_text(encoding="utf-8"), output_formats=formats, no_bytecode_metadata=True)
    return {"compiler": f"vyper {vyper.__version__}"} | {name: made[name] for name in formats}


if __name__ == "__main__":
    COMPILED.write_text(json.dumps(compiled(), indent=1) + "\n", encoding="utf-8", newline="\n")
    print(COMPILED.name)
