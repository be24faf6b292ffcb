"""What the real contracts say of a past block, asked from a node that keeps every state: all reserves, all accounts.

The result has the form of a recorded life (`tests.history.compare`), so that both are compared by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.history.compare import RESERVE
from tests.node.artifacts import contract
from tests.node.chain import Chain
from tests.node.deployment import CONFIGURATOR, POOL, Deployment

ATOKEN, STRATEGY = "ATokenInstance", "DefaultReserveInterestRateStrategyV2"
DATA = (
    "configuration", "liquidityIndex", "currentLiquidityRate", "variableBorrowIndex", "currentVariableBorrowRate",
    "stable rate", "lastUpdateTimestamp", "id", "atoken", "stable debt token", "vtoken", "strategy",
    "accruedToTreasury", "unbacked", "isolationModeTotalDebt",
)  # fmt: skip
"""The answer of `getReserveData`, in its order (`DataTypes.ReserveDataLegacy`)."""
TOGETHER = 500
"""Calls in one request."""

Question = tuple[str, str, str, tuple[Any, ...]]
"""(address, contract, function, arguments)."""


class PastTruth:
    """Asks a node about blocks at which the market was deployed. `accounts` should be all that ever held something."""

    def __init__(self, chain: Chain, market: Deployment, accounts: Sequence[str], categories: Sequence[int]) -> None:
        self._chain, self._market = chain, market
        self._accounts, self._categories = sorted(accounts), categories
        self._of_accounts: dict[tuple[str, ...], list[str]] = {}
        self.asked = 0

    def at(self, block: int) -> dict[str, Any]:
        """One entry of `truth`. Raises `AssertionError` unless the accounts hold everything that there is."""
        pool = self._market.pool
        header = self._chain.rpc("eth_getBlockByNumber", hex(block), False)
        assets, revision, premium, to_protocol = self._ask(
            [(pool, POOL, name, ()) for name in
             ("getReservesList", "POOL_REVISION", "FLASHLOAN_PREMIUM_TOTAL", "FLASHLOAN_PREMIUM_TO_PROTOCOL")],
            block,
        )  # fmt: skip
        reserves = self._reserves(list(assets), block)
        return {
            "block": block,
            "timestamp": int(header["timestamp"], 16),
            "poolRevision": revision,
            "flashloanPremium": premium,
            "flashloanPremiumToProtocol": to_protocol,
            "reserves": reserves,
            "emodes": self._emodes(block),
            "users": self._users(reserves, block),
        }

    def _reserves(self, assets: list[str], block: int) -> list[dict[str, Any]]:
        market, n = self._market, len(assets)
        one: Callable[[str, str, str], list[Question]] = lambda to, name, function: [  # noqa: E731
            (to, name, function, (asset,)) for asset in assets
        ]
        answers = self._ask(
            one(market.pool, POOL, "getReserveData")
            + one(market.pool, POOL, "getReserveDeficit")
            + one(market.pool, POOL, "getVirtualUnderlyingBalance")
            + one(market.pool, POOL, "getLiquidationGracePeriod")
            + one(market.configurator, CONFIGURATOR, "getPendingLtv")
            + one(market.oracle, "AaveOracle", "getAssetPrice"),
            block,
        )
        data, deficits, virtual, grace, pending, prices = (answers[n * i : n * (i + 1)] for i in range(6))
        rows = [dict(zip(DATA, answer, strict=True)) for answer in data]
        more = self._ask(
            [(row["atoken"], ATOKEN, "scaledTotalSupply", ()) for row in rows]
            + [(row["vtoken"], ATOKEN, "scaledTotalSupply", ()) for row in rows]
            + [(row["strategy"], STRATEGY, "getInterestRateDataBps", (asset,)) for row, asset in
               zip(rows, assets, strict=True)],
            block,
        )  # fmt: skip
        for i, row in enumerate(rows):
            row |= {
                "asset": assets[i],
                "configuration": row["configuration"][0],
                "deficit": deficits[i],
                "virtualUnderlyingBalance": virtual[i],
                "liquidationGracePeriodUntil": grace[i],
                "pendingLtv": pending[i],
                "price": prices[i],
                "aTokenScaledTotalSupply": more[i],
                "vTokenScaledTotalSupply": more[n + i],
                "rateData": more[2 * n + i],
            }
        return [{name: row[name] for name in RESERVE} for row in rows]

    def _emodes(self, block: int) -> list[dict[str, Any]]:
        getters = ("getEModeCategoryData", "getEModeCategoryLabel", "getEModeCategoryCollateralBitmap",
                   "getEModeCategoryBorrowableBitmap", "getEModeCategoryLtvzeroBitmap")  # fmt: skip
        answers = iter(
            self._ask([(self._market.pool, POOL, g, (n,)) for n in self._categories for g in getters], block)
        )
        found = []
        for number, terms, label, *bitmaps in zip(self._categories, *[answers] * len(getters), strict=True):
            ltv, threshold, bonus = terms[:3]
            found.append(
                {"id": number, "ltv": ltv, "liquidationThreshold": threshold, "liquidationBonus": bonus, "label": label}
                | dict(zip(("collateralBitmap", "borrowableBitmap", "ltvzeroBitmap"), bitmaps, strict=True))
            )
        return found

    def _users(self, reserves: list[dict[str, Any]], block: int) -> dict[str, list[Any]]:
        """Every account that has a balance, a flag or an e-mode; and nobody else has a balance."""
        tokens = [(r["id"], side, r[name].lower()) for r in reserves for side, name in enumerate(("atoken", "vtoken"))]
        words = self._words(tuple(token for *_, token in tokens), block)
        width, users = len(tokens) + 2, {}
        totals = [0] * len(tokens)
        for row, account in enumerate(self._accounts):
            bits, category, *scaled = words[width * row : width * (row + 1)]
            held: dict[str, list[str]] = {}
            for place, ((number, side, _), amount) in enumerate(zip(tokens, scaled, strict=True)):
                totals[place] += amount
                if amount:
                    held.setdefault(str(number), ["0", "0"])[side] = str(amount)
            if bits or category or held:
                users[account] = [hex(bits), category, held]
        stated = [r[name] for r in reserves for name in ("aTokenScaledTotalSupply", "vTokenScaledTotalSupply")]
        assert totals == stated, f"block {block}: accounts hold {totals}, the tokens say {stated}"
        return users

    def _words(self, tokens: tuple[str, ...], block: int) -> list[int]:
        """Flags, e-mode and scaled balances, account after account. Questions are encoded once for all blocks."""
        if tokens not in self._of_accounts:
            pool = self._market.pool
            self._of_accounts[tokens] = _encoded([
                question
                for account in self._accounts
                for question in (
                    (pool, POOL, "getUserConfiguration", (account,)),
                    (pool, POOL, "getUserEMode", (account,)),
                    *((token, ATOKEN, "scaledBalanceOf", (account,)) for token in tokens),
                )
            ])  # fmt: skip
        return [
            int.from_bytes(answer, "big") for data in self._of_accounts[tokens] for answer in self._answers(data, block)
        ]

    def _ask(self, questions: list[Question], block: int) -> list[Any]:
        answers = [answer for data in _encoded(questions) for answer in self._answers(data, block)]
        return [
            contract(name).decode(function, answer)
            for (_, name, function, _), answer in zip(questions, answers, strict=True)
        ]

    def _answers(self, data: str, block: int) -> list[bytes]:
        """The answers of one `aggregate3`, which are not decoded: eth_abi takes most of the time otherwise."""
        call = {"to": self._market.batch, "data": data}
        raw = bytes.fromhex(self._chain.rpc("eth_call", call, hex(block))[2:])
        word = lambda at: int.from_bytes(raw[at : at + 32], "big")  # noqa: E731
        found = []
        for n in range(word(32)):
            at = 64 + word(64 + 32 * n)  # (success, offset of the answer, its length, the answer)
            assert word(at) == 1, f"block {block}: call {n} failed"
            found.append(raw[at + 96 : at + 96 + word(at + 64)])
        self.asked += len(found)
        return found


def _encoded(questions: list[Question]) -> list[str]:
    calls = [(to, True, bytes.fromhex(contract(name).encode(fn, *args)[2:])) for to, name, fn, args in questions]
    parts = [calls[start : start + TOGETHER] for start in range(0, len(calls), TOGETHER)]
    return [contract("Batch").encode("aggregate3", part) for part in parts]
