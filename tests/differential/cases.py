"""The recorded cases of a truth file, one record each, in the units of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.reference.truth import Truth

MISFIT = (KeyError, IndexError, TypeError, ValueError, ArithmeticError)
"""What a case raises that refers to something its file does not have, or holds something that is not a number."""


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded `liquidationCall`: its arguments, and the answer either as an error name or as amounts."""

    where: str
    vector: str
    user: int
    collateral: int
    debt: int
    cover: int | None
    receive_atoken: bool
    liquidator: str
    error: str | None
    answer: Mapping[str, Any]

    @classmethod
    def of(cls, truth: Truth, record: Mapping[str, Any], where: str, vector: str) -> Call:
        user = int(record["u"])
        address = truth.users[user].address
        own = bool(record.get("self"))
        cover = record["cover"]
        where = f"{where} ({vector} u={user} c={record['c']} d={record['d']} cover={cover})"
        return cls(
            where=where,
            vector=vector,
            user=user,
            collateral=int(record["c"]),
            debt=int(record["d"]),
            cover=None if cover == "max" else int(cover),
            receive_atoken=bool(record.get("ra")),
            liquidator=address if own else str(truth.raw["meta"].get("liquidator", "")),
            error=record.get("err"),
            answer=record,
        )

    def amount(self, name: str) -> int:
        return int(self.answer[name])

    @property
    def deficit(self) -> list[tuple[int, int]]:
        return [(int(j), int(amount)) for j, amount in self.answer["deficit"]]

    @property
    def account(self) -> tuple[int, ...]:
        """The six numbers of `getUserAccountData` after the call."""
        return tuple(int(x) for x in self.answer["account"])

    @property
    def after(self) -> list[tuple[int, int, int, int, int]]:
        """(reserve id, scaled supply, supply, scaled debt, debt) of the reserves that moved."""
        return [tuple(int(x) for x in row) for row in self.answer["after"]]
