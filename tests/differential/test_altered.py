"""The comparison fails on a file with one altered number, whichever number it is."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import risk_core as rc
from tests.differential import float_layer, integer_layer
from tests.differential.__main__ import main
from tests.differential.tally import Tally
from tests.reference.aave_records import UnknownRevision
from tests.reference.truth import Truth, TruthError

pytestmark = pytest.mark.differential

UNWITNESSED = {
    "format", "meta.tip_block", "meta.chain_id", "meta.pool.FLASHLOAN_PREMIUM_TOTAL", "meta.pool.MAX_NUMBER_RESERVES",
    # Configuration that health factors and liquidations do not read.
    *(
        f"reserves.*.{name}"
        for name in (
            "reserveFactor", "usageAsCollateralEnabled", "borrowingEnabled", "isFrozen", "availableLiquidity",
            "variableRateSlope1", "variableRateSlope2", "baseVariableBorrowRate", "optimalUsageRatio",
            "isSiloedBorrowing", "accruedToTreasury", "isolationModeTotalDebt", "flashLoanEnabled", "debtCeiling",
            "debtCeilingDecimals", "borrowCap", "supplyCap", "borrowableInIsolation", "virtualUnderlyingBalance",
            "deficit",
        )
    ),
    "emodes.*.borrowableBitmap",
    "emodes.*.isolated",  # read from v3.7 on; this file is v3.6
    "vector_flags.flags.grace_until.5",  # one second more of an hour changes no answer
    # Where the seized aTokens go, what a call cost, and labels of how a case was made.
    "liquidations.*.ra", "liquidations.*.gas", "liquidations.*.self", "liquidations.*.helper",
    "sequences.*.steps.*.ra", "sequences.*.steps.*.gas",
}  # fmt: skip
"""Kinds of numbers that no recorded answer of this file depends on: nobody could tell that they are wrong."""


def numbers(node: Any, path: tuple = (), kind: tuple = ()) -> Iterator[tuple[tuple, str]]:
    """(path, kind) of every number; the kind is the path with list indices as `*`."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from numbers(value, (*path, key), (*kind, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from numbers(value, (*path, index), (*kind, "*"))
    elif altered(node) is not None:
        yield path, ".".join(kind)


def altered(value: Any) -> Any:
    """The value one off; None for what is not a number."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str) and value.isdigit():
        return str(int(value) + 1)
    if isinstance(value, str) and value.startswith("0x") and len(value) < 40:
        return hex(int(value, 16) ^ 1)
    return None


def at(raw: Any, path: tuple) -> tuple[Any, Any]:
    """The container and the key that a path ends at."""
    for key in path[:-1]:
        raw = raw[key]
    return raw, path[-1]


@pytest.mark.slow
def test_one_number_altered_is_noticed_in_every_kind_of_place(small):
    kinds: dict[str, list[tuple]] = {}
    for path, kind in numbers(small.raw):
        kinds.setdefault(kind, []).append(path)
    assert kinds.keys() >= UNWITNESSED

    unnoticed = set()
    for kind, paths in kinds.items():
        samples = dict.fromkeys([paths[len(paths) // 2], paths[0], paths[len(paths) // 3], paths[-1]])
        if kind in UNWITNESSED:
            samples = [paths[0]]
        if not any(noticed(small.raw, path) for path in samples):
            unnoticed.add(kind)

    assert unnoticed == UNWITNESSED


def noticed(raw: Any, path: tuple) -> bool:
    holder, key = at(raw, path)
    kept = holder[key]
    holder[key] = altered(kept)
    try:
        return any(differs(part, Truth.of("altered", raw)) for part in integer_layer.PARTS)
    except (UnknownRevision, TruthError):
        return True
    finally:
        holder[key] = kept


def differs(part, truth: Truth) -> bool:
    tally = Tally()
    integer_layer.guarded(tally, "altered", part, truth, tally)
    return bool(tally.differences)


def first(records: list[dict], wanted) -> int:
    return next(i for i, record in enumerate(records) if wanted(record))


def succeeded(record: dict) -> bool:
    return "err" not in record


ALTERATIONS = {
    "a health factor by one wad unit": lambda raw: ("accounts", "down20", 3, 5),
    "a total collateral by 1e-8 USD": lambda raw: ("accounts", "base", 0, 0),
    "a repaid amount by one unit": lambda raw: ("liquidations", first(raw["liquidations"], succeeded), "repaid"),
    "a seized amount by one unit": lambda raw: ("liquidations", first(raw["liquidations"], succeeded), "seized"),
    "a fee by one unit": lambda raw: ("liquidations", first(raw["liquidations"], succeeded), "fee"),
    "a deficit by one unit": lambda raw: (
        "liquidations", first(raw["liquidations"], lambda r: r.get("deficit")), "deficit", 0, 1,
    ),
    "a balance after by one unit": lambda raw: (
        "liquidations", first(raw["liquidations"], succeeded), "after", 0, 2,
    ),
    "a health factor after": lambda raw: ("liquidations", first(raw["liquidations"], succeeded), "account", 5),
    "an index at a horizon": lambda raw: ("horizons", 4, "debt", 0),
    "an index at the evaluation": lambda raw: ("reserves", 0, "normalizedIncome_eval"),
    "an adviser's amount": lambda raw: ("helper", 1, "maxCollateral"),
    "a price": lambda raw: ("vectors", "rand1", 4),
    "a scaled balance": lambda raw: ("users", 0, "pos", 0, 1),
    "a step of a sequence": lambda raw: ("sequences", 0, "steps", 0, "repaid"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_command_fails_on_a_file_with_one_altered_number(name, small, tmp_path, capsys):
    holder, key = at(small.raw, ALTERATIONS[name](small.raw))
    holder[key] = altered(holder[key])
    path = tmp_path / "altered.json.xz"
    with lzma.open(path, "wt", preset=0) as stream:
        json.dump(small.raw, stream)

    status = main([str(path), "--layer", "integers"])

    last = capsys.readouterr().out.splitlines()[-1]
    assert status == 1
    assert last.split()[1] == "checked,"
    assert int(last.split()[2]) > 0


def test_another_error_name_is_a_difference_to_both_layers(small):
    record = next(r for r in small.raw["liquidations"] if r.get("err") == "MustNotLeaveDust" and r["cover"] == "max")
    record["err"] = "ReservePaused"

    assert len(integer_layer.check(small).differences) == 1
    assert len(float_layer.check(small).differences) >= 1


@pytest.mark.parametrize("field", ["repaid", "seized", "fee", "health_factor_after"])
def test_an_engine_off_by_one_in_a_million_is_noticed(field, small, monkeypatch):
    honest = rc.liquidate

    def wrong(*arguments):
        outcome = honest(*arguments)
        return replace(outcome, **{field: getattr(outcome, field) * (1 + 1e-6)})

    monkeypatch.setattr(rc, "liquidate", wrong)

    assert len(float_layer.check(small).differences) > 100


def test_an_engine_that_forgets_a_deficit_is_noticed(small, monkeypatch):
    honest = rc.liquidate
    monkeypatch.setattr(rc, "liquidate", lambda *a: replace(honest(*a), deficit=honest(*a).deficit * 0))

    assert any("deficit" in d.detail for d in float_layer.check(small).differences)


def test_an_unknown_revision_is_refused_by_number(small, tmp_path, capsys):
    small.raw["meta"]["pool"]["POOL_REVISION"] = "12"
    path = tmp_path / "later.json.xz"
    with lzma.open(path, "wt", preset=0) as stream:
        json.dump(small.raw, stream)

    assert main([str(path)]) == 2
    assert "expected one of 10, 11, found 12" in capsys.readouterr().err


def test_what_is_not_a_truth_file_is_named(tmp_path, capsys):
    broken = tmp_path / "broken.json.xz"
    broken.write_bytes(b"not xz")
    other = tmp_path / "other.json"
    other.write_text("{}")

    assert main([str(broken), str(other)]) == 2
    said = capsys.readouterr().err
    assert "broken.json.xz: expected JSON under xz" in said
    assert "missing meta, reserves" in said


def test_a_file_without_the_optional_keys_is_compared_all_the_same(small):
    for key in ("helper", "exact", "vector_flags"):
        small.raw.pop(key)
    for key in ("accounts", "vectors"):
        small.raw[key].pop("flags")
    for key in ("liquidations", "sequences"):
        small.raw[key][:] = [record for record in small.raw[key] if record["v"] != "flags"]

    tally = integer_layer.check(Truth.of("plain", small.raw))

    assert tally.differences == []
    assert tally.checked > 2_000


def test_a_case_that_refers_to_nobody_is_one_difference_and_the_rest_is_compared(small):
    small.raw["liquidations"][0]["u"] = 10_000

    tally = integer_layer.check(small)

    assert [d.where for d in tally.differences] == ["truth_small: liquidations[0]"]
    assert "IndexError" in tally.differences[0].detail
