"""Read and write `fact_metric_publication`: a row for each transaction, written before it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from flows.clients.signer import Signed, Unsigned
from flows.clients.transactions import Mined
from flows.publication.figure import Published

if TYPE_CHECKING:
    from data.store.reader import Reader
    from flows.pipeline import Run

SOURCE = "publication"
TABLE = "fact_metric_publication"
OPEN = ("prepared", "sent")
MAY_STAND = (*OPEN, "confirmed")
"""States of a transaction that is in a block or may still come into one."""
COLUMNS = (
    "chain_id", "transaction_hash", "contract", "metric", "metric_id", "market", "measure", "level", "horizon_seconds",
    "as_of", "value", "unit", "decimals", "answer", "inputs_hash", "is_synthetic", "publisher", "nonce", "gas",
    "max_fee_wei", "priority_fee_wei", "state", "message", "round_id", "mined_block", "mined_block_hash", "mined_at",
    "prepared_at",
)  # fmt: skip
WHOLE = ("round_id", "mined_block", "mined_at")
UNMINED = {"round_id": None, "mined_block": None, "mined_block_hash": None, "mined_at": None}

Rebuilt = Callable[[str, int, int, str], str]
"""Call data of (metric id, answer, as of, inputs hash)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A stored transaction: its row, and its unsigned content."""

    row: dict[str, Any]
    unsigned: Unsigned

    @property
    def nonce(self) -> int:
        """The nonce of the transaction."""
        return self.unsigned.nonce


def attempts(store: Reader, chain_id: int, contract: str, publisher: str, data: Rebuilt) -> list[Attempt]:
    """Transactions of a publisher to a feed that are in a block or may come into one, by nonce and fee."""
    rows = store.rows(
        f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE chain_id = ? AND contract = ? AND publisher = ? "
        f"AND state IN ({', '.join('?' * len(MAY_STAND))}) ORDER BY nonce, length(max_fee_wei), max_fee_wei",
        (chain_id, contract, publisher, *MAY_STAND),
    )
    return [_attempt(dict(zip(COLUMNS, row, strict=True)), data) for row in rows]


def _attempt(row: dict[str, Any], data: Rebuilt) -> Attempt:
    unsigned = Unsigned(
        chain_id=row["chain_id"],
        nonce=row["nonce"],
        to=row["contract"],
        data=data(row["metric_id"], int(row["answer"]), row["as_of"], row["inputs_hash"]),
        gas=row["gas"],
        max_fee=int(row["max_fee_wei"]),
        priority_fee=int(row["priority_fee_wei"]),
    )
    return Attempt(row=row, unsigned=unsigned)


@dataclass(slots=True)
class Ledger:
    """Writes the states of the transactions of one figure when they change."""

    run: Run
    of: Published
    contract: str
    publisher: str
    decimals: int
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take_up(self, attempt: Attempt) -> None:
        """Continue with a stored transaction."""
        self._rows[attempt.row["transaction_hash"]] = attempt.row

    def note(self, signed: Signed, state: str, message: str) -> None:
        """Store a transaction of this figure that is prepared, sent, replaced or failed, and in no block."""
        row = self._rows.setdefault(signed.hash, self._new(signed))
        self._write(row | UNMINED | {"state": state, "message": message})

    def confirm(self, mined: Mined, round_id: int) -> None:
        """Store that a transaction made a round and is confirmed; others with its nonce can never be mined."""
        row = self._rows[mined.signed.hash]
        self._write(row | _where(mined) | {"state": "confirmed", "message": "", "round_id": round_id})
        self.replace(mined.signed.unsigned.nonce, mined.signed.hash, f"{mined.signed.hash} was mined instead")

    def fail(self, mined: Mined, message: str) -> None:
        """Store that a transaction was mined but made no round."""
        self._write(self._rows[mined.signed.hash] | _where(mined) | {"state": "failed", "message": message})
        self.replace(mined.signed.unsigned.nonce, mined.signed.hash, f"{mined.signed.hash} was mined instead")

    def replace(self, nonce: int, winner: str, message: str) -> None:
        """Store that no transaction with `nonce` except `winner` can be mined; winner "": none of this figure's."""
        for hash_, row in list(self._rows.items()):
            applies = bool(winner) or row["inputs_hash"] == self.of.inputs_hash
            if row["nonce"] == nonce and hash_ != winner and applies and row["state"] in MAY_STAND:
                self._write(row | UNMINED | {"state": "replaced", "message": message})

    def replace_one(self, attempt: Attempt, message: str) -> None:
        """Store that a transaction can never be mined."""
        self._write(attempt.row | UNMINED | {"state": "replaced", "message": message})

    def _write(self, row: dict[str, Any]) -> None:
        self._rows[row["transaction_hash"]] = row
        frame = pd.DataFrame([row]).astype(dict.fromkeys(WHOLE, "Int64"))
        self.run.write(SOURCE, f"{row['chain_id']}:{row['transaction_hash']}", {TABLE: frame})

    def _new(self, signed: Signed) -> dict[str, Any]:
        of, made = self.of, signed.unsigned
        return {
            "chain_id": made.chain_id, "transaction_hash": signed.hash, "contract": self.contract,
            "metric": of.metric, "metric_id": of.metric_id, "market": of.market, "measure": of.measure,
            "level": of.level, "horizon_seconds": of.horizon_seconds, "as_of": of.as_of, "value": of.value,
            "unit": of.unit, "decimals": self.decimals, "answer": str(of.answer(self.decimals)),
            "inputs_hash": of.inputs_hash, "is_synthetic": int(of.synthetic), "publisher": self.publisher,
            "nonce": made.nonce, "gas": made.gas, "max_fee_wei": str(made.max_fee),
            "priority_fee_wei": str(made.priority_fee), "state": "prepared", "message": "", **UNMINED,
            "prepared_at": int(time.time()),
        }  # fmt: skip


def _where(mined: Mined) -> dict[str, Any]:
    return {
        "mined_block": mined.block, "mined_block_hash": mined.block_hash, "mined_at": mined.block_time,
        "round_id": None,
    }  # fmt: skip
