"""Truth files: what real Aave contracts on a real node answered, as JSON under xz.

All chain quantities are decimal strings in native units. A file states the pool's revision, every reserve and
e-mode at the tip of the chain, price vectors, users with scaled balances, and recorded answers. This module turns
one into the integer model's own records and guesses nothing: what is missing is named.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.reference.aave_exact import Pool
from tests.reference.aave_records import Account, EMode, Reserve
from tests.reference.aave_rules import RulesV36, rules_of
from tests.reference.fixed_point import compounded_growth, linear_growth, ray_mul

REQUIRED = ("meta", "reserves", "emodes", "vectors", "users", "accounts", "horizons", "liquidations", "sequences")
BASE = "base"


class TruthError(ValueError):
    """A file is not a truth file; the message says what was expected and what was found."""


@dataclass(frozen=True)
class Truth:
    """One truth file. `raw` is its JSON; `name` is how reports call it."""

    name: str
    raw: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Truth:
        """Read `X.json.xz` (or plain `X.json`). Raises `TruthError`."""
        path = Path(path)
        opener = lzma.open if path.suffix == ".xz" else open
        try:
            with opener(path, "rt", encoding="utf-8") as stream:
                raw = json.load(stream)
        except (OSError, EOFError, lzma.LZMAError, ValueError) as exc:
            raise TruthError(f"{path}: expected JSON under xz (a truth file), found: {exc}") from exc
        return cls.of(path.name.removesuffix(".xz").removesuffix(".json"), raw)

    @classmethod
    def of(cls, name: str, raw: Any) -> Truth:
        """Check the outline of a document. Raises `TruthError`, and `UnknownRevision` for rules nobody wrote down."""
        if not isinstance(raw, Mapping):
            raise TruthError(f"{name}: expected a JSON object, found {type(raw).__name__}")
        missing = [key for key in REQUIRED if key not in raw]
        if missing:
            raise TruthError(f"{name}: expected the keys of a truth file, missing {', '.join(missing)}")
        truth = cls(name, raw)
        try:
            truth.rules, truth.users  # noqa: B018 - read them once, so that a broken outline is named here
            truth.pool(BASE)
        except (KeyError, IndexError, TypeError, ZeroDivisionError) as exc:
            raise TruthError(f"{name}: the outline is broken: {type(exc).__name__} {exc}") from exc
        return truth

    @cached_property
    def revision(self) -> int:
        return int(self.raw["meta"]["pool"]["POOL_REVISION"])

    @cached_property
    def rules(self) -> RulesV36:
        return rules_of(self.revision)

    @cached_property
    def eval_time(self) -> int:
        """The time of all balances, accounts and liquidations."""
        return int(self.raw["meta"]["t_eval"])

    @cached_property
    def users(self) -> list[Account]:
        return [_account(user) for user in self.raw["users"]]

    def flags(self, vector: str) -> Mapping[str, Any]:
        """Administration that precedes a vector: paused, frozen, grace_until; empty for most."""
        return (self.raw.get("vector_flags") or {}).get(vector, {})

    def indices(self, reserve: Mapping[str, Any], time: int) -> tuple[int, int]:
        """Income and debt index (ray) of a reserve record brought from its last update to `time`."""
        seconds = time - int(reserve["lastUpdateTimestamp"])
        income = linear_growth(int(reserve["liquidityRate"]), seconds)
        growth = compounded_growth(int(reserve["variableBorrowRate"]), seconds)
        return ray_mul(income, int(reserve["liquidityIndex"])), ray_mul(growth, int(reserve["variableBorrowIndex"]))

    def pool(self, vector: str, time: int | None = None) -> Pool:
        """The pool at `time` (default: the evaluation time) under the prices and flags of a vector."""
        time = self.eval_time if time is None else time
        flags = self.flags(vector)
        frozen = {int(j) for j in flags.get("frozen", ())}
        records, prices = self.raw["reserves"], self.raw["vectors"][vector]
        if len(prices) != len(records):  # ids with gaps: the list is by id
            prices = [prices[int(record["id"])] for record in records]
        reserves = [self._reserve(record, int(p), flags, time) for record, p in zip(records, prices, strict=True)]
        return Pool(
            time=time,
            rules=self.rules,
            reserves={r.id: r for r in reserves},
            emodes={int(e["id"]): _emode(e, frozen) for e in self.raw["emodes"]},
        )

    def _reserve(self, record: Mapping[str, Any], price: int, flags: Mapping[str, Any], time: int) -> Reserve:
        income, debt_index = self.indices(record, time)
        j = int(record["id"])
        return Reserve(
            id=j,
            symbol=record["symbol"],
            decimals=int(record["decimals"]),
            # Freezing sets the reserve's LTV to 0 (v3.1 on), and its bit in every e-mode's ltvzeroBitmap (v3.6 on).
            ltv=0 if j in {int(k) for k in flags.get("frozen", ())} else int(record["baseLTVasCollateral"]),
            liquidation_threshold=int(record["reserveLiquidationThreshold"]),
            liquidation_bonus=int(record["reserveLiquidationBonus"]),
            protocol_fee=int(record["liquidationProtocolFee"]),
            active=bool(record["isActive"]),
            paused=bool(record["isPaused"]) or j in {int(k) for k in flags.get("paused", ())},
            grace_until=int(flags.get("grace_until", {}).get(str(j), record.get("graceUntil", 0))),
            price=price,
            income=income,
            debt_index=debt_index,
        )

    def vectors(self) -> Iterator[str]:
        yield from self.raw["vectors"]


def _emode(record: Mapping[str, Any], frozen: set[int]) -> EMode:
    return EMode(
        id=int(record["id"]),
        ltv=int(record["ltv"]),
        liquidation_threshold=int(record["liquidationThreshold"]),
        liquidation_bonus=int(record["liquidationBonus"]),
        collateral_bitmap=int(record["collateralBitmap"]),
        ltvzero_bitmap=int(record.get("ltvzeroBitmap", 0)) | sum(1 << j for j in frozen),
        isolated=bool(record.get("isolated", False)),
    )


def _account(record: Mapping[str, Any]) -> Account:
    return Account(
        address=record["address"],
        emode=int(record["emode"]),
        config=int(record["config"], 16),
        supply={int(p[0]): int(p[1]) for p in record["pos"]},
        debt={int(p[0]): int(p[3]) for p in record["pos"]},
    )
