"""A scenario as JSON and back, and its digest: two scenarios with the same digest give the same paths."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np

from risk_core import Scenario


def scenario_record(scenario: Scenario) -> dict[str, Any]:
    """Every field as plain JSON values; times in seconds, floats in full."""
    return {field.name: _plain(getattr(scenario, field.name)) for field in fields(scenario)}


def scenario_from_record(record: Mapping[str, Any]) -> Scenario:
    """The scenario that `scenario_record` recorded. Raises `InputError` for a record that breaks its rules."""
    return Scenario(**{**record, "horizon": timedelta(seconds=record["horizon"])})


def scenario_hash(scenario: Scenario) -> str:
    """SHA-256 of the record."""
    return hashlib.sha256(json.dumps(scenario_record(scenario), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
