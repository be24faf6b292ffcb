"""A scenario as JSON and back, and its digest: two scenarios with the same digest give the same paths."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from risk_core import Scenario
from risk_core.laws import LAWS, Law
from risk_core.price_models import DEFAULTS


def scenario_record(scenario: Scenario) -> dict[str, Any]:
    """Fields as plain JSON values; times in seconds, floats in full.

    `law` and `sampling` only where they are not the default, so that what was stored before they existed keeps its
    digest.
    """
    record = {field.name: getattr(scenario, field.name) for field in fields(scenario)}
    return {name: _plain(value) for name, value in record.items() if name not in DEFAULTS or DEFAULTS[name] != value}


def scenario_from_record(record: Mapping[str, Any]) -> Scenario:
    """The scenario that `scenario_record` recorded. Raises `InputError` for a record that breaks its rules."""
    given = {**record, "horizon": timedelta(seconds=record["horizon"])}
    if "law" in record:
        numbers = dict(record["law"])
        given["law"] = LAWS[numbers.pop("name")](**numbers)
    return Scenario(**given)


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
    if isinstance(value, Law) and is_dataclass(value):
        return {"name": type(value).__name__} | {name: _plain(number) for name, number in asdict(value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
