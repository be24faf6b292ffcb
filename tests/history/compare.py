"""A recorded life of a market (logs, and what the contracts answered at some blocks) against its replay."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.aave.history import EModeBook, HistoryError, MarketBook, Replay, decode

KEYS = ("meta", "blocks", "logs", "truth")
RESERVE = {
    "atoken": "atoken",
    "vtoken": "debt_token",
    "configuration": "configuration",
    "liquidityIndex": "liquidity_index",
    "variableBorrowIndex": "debt_index",
    "currentLiquidityRate": "supply_rate",
    "currentVariableBorrowRate": "debt_rate",
    "lastUpdateTimestamp": "last_update",
    "accruedToTreasury": "accrued_to_treasury",
    "isolationModeTotalDebt": "isolation_debt",
    "deficit": "deficit",
    "unbacked": "unbacked",
    "virtualUnderlyingBalance": "virtual_balance",
    "liquidationGracePeriodUntil": "grace_until",
    "pendingLtv": "pending_ltv",
    "aTokenScaledTotalSupply": "scaled_supply",
    "vTokenScaledTotalSupply": "scaled_debt",
    "rateData": "rates",
    "price": "price",
    "id": "id",
    "asset": "asset",
}
EMODE = {
    "id": "id",
    "ltv": "ltv",
    "liquidationThreshold": "threshold",
    "liquidationBonus": "bonus",
    "label": "label",
    "collateralBitmap": "collateral",
    "borrowableBitmap": "borrowable",
    "ltvzeroBitmap": "ltvzero",
    "isolated": "isolated",
}
BLOCK = {
    "poolRevision": "revision",
    "timestamp": "time",
    "flashloanPremium": "flash_premium",
    "flashloanPremiumToProtocol": "flash_premium_to_protocol",
}
"""Names of a truth file and ours."""


@dataclass
class Tally:
    """What was compared, and the differences in words."""

    checked: int = 0
    differences: list[str] = field(default_factory=list)

    def same(self, what: str, found: object, expected: object) -> None:
        self.checked += 1
        if found != expected:
            self.differences.append(f"{what}: expected {expected}, found {found}")

    def merge(self, other: Tally) -> None:
        self.checked += other.checked
        self.differences += other.differences

    def summary(self) -> str:
        return f"{self.checked} checked, {len(self.differences)} differences"


def load(path: Path) -> dict[str, Any]:
    """A recorded life, .json or .json.xz. Raises `ValueError` where it is something else."""
    raw = path.read_bytes()
    life = json.loads(lzma.decompress(raw) if path.suffix == ".xz" else raw)
    if not isinstance(life, dict) or any(key not in life for key in KEYS):
        raise ValueError(f"expected an object with {', '.join(KEYS)}")
    return life


def replay_of(life: dict[str, Any]) -> Replay:
    meta = life["meta"]
    return Replay(
        meta["pool"], meta["configurator"], meta["pool_revision_of_implementation"], provider=meta.get("provider")
    )


def check(life: dict[str, Any]) -> Tally:
    """Every value of every block of the truth against the replay; a replay that stops is one difference."""
    tally, replay = Tally(), replay_of(life)
    times = {int(number): int(time) for number, time in life["blocks"]}
    try:
        happenings = decode(life["logs"], times)
        at = 0
        for truth in sorted(life["truth"], key=lambda item: item["block"]):
            upto = at
            while upto < len(happenings) and happenings[upto].block <= truth["block"]:
                upto += 1
            replay.feed(happenings[at:upto])
            at = upto
            compare(truth, replay.book(truth["block"], times[truth["block"]]), tally)
        replay.feed(happenings[at:])
    except HistoryError as stopped:
        tally.differences.append(f"the replay stopped: {stopped}")
    return tally


def compare(truth: dict[str, Any], book: MarketBook, tally: Tally) -> None:
    """One block: reserves, categories, and every account in either of the two."""
    block = f"block {truth['block']}"
    for name, ours in BLOCK.items():
        if name in truth:
            tally.same(f"{block} {name}", getattr(book, ours), truth[name])
    _records(f"{block} reserve", truth["reserves"], book.reserves, RESERVE, tally)
    # The contracts answer zeros for a category that nobody added.
    added = {emode.id for emode in book.emodes}
    empty = [EModeBook(e["id"], 0, 0, 0, "", 0, 0, 0, False) for e in truth["emodes"] if e["id"] not in added]
    _records(f"{block} e-mode", truth["emodes"], (*book.emodes, *empty), EMODE, tally)
    users = truth["users"]
    ours = set(book.holdings) | set(book.flags) | set(book.categories)
    for account in sorted(ours | set(users)):
        bits, category, held = users.get(account, ["0x0", 0, {}])
        where = f"{block} account {account}"
        tally.same(f"{where} flags", book.flags.get(account, 0), int(bits, 16))
        tally.same(f"{where} e-mode", book.categories.get(account, 0), category)
        expected = {int(number): tuple(map(int, amounts)) for number, amounts in held.items()}
        found = book.holdings.get(account, {})
        for number in sorted(set(expected) | set(found)):
            for side, mine, theirs in zip(
                ("supply", "debt"), found.get(number, (0, 0)), expected.get(number, (0, 0)), strict=True
            ):
                tally.same(f"{where} reserve {number} scaled {side}", mine, theirs)


def _records(where: str, expected: list[dict[str, Any]], found: tuple, names: dict[str, str], tally: Tally) -> None:
    ours = {record.id: record for record in found}
    tally.same(f"{where} ids", sorted(ours), sorted(record["id"] for record in expected))
    for record in expected:
        mine = ours.get(record["id"])
        if mine is None:
            continue
        for name, theirs in record.items():
            if name not in names:
                raise ValueError(f"{where}: a value {name!r} that is not known")
            value = getattr(mine, names[name])
            if isinstance(value, bool) or name in ("label",):
                tally.same(f"{where} {record['id']} {name}", value, theirs)
            elif name in ("asset", "atoken", "vtoken"):
                tally.same(f"{where} {record['id']} {name}", value, theirs.lower())
            elif name == "rateData":
                tally.same(f"{where} {record['id']} {name}", list(value or ()), list(map(int, theirs)))
            else:
                tally.same(f"{where} {record['id']} {name}", value, int(theirs))
