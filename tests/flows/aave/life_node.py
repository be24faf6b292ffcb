"""A node on loopback that has lived a recorded life: all its logs, and the state of its newest block alone."""

from __future__ import annotations

import json
import lzma
from typing import Any

from eth_abi import encode

from flows.aave.history.decoding import TOPICS
from tests.flows.aave.fake_node import CHAIN_ID, FIXTURES, NOBODY, RESERVE_DATA, FakeNode, call_data, word

EMODE = call_data("getEModeCategoryCollateralConfig(uint8)", 1)[:10]


class LifeNode(FakeNode):
    """Logs with numbers in hexadecimal; getters answer what the contracts answered at the last block of the life.

    `lives_until` makes an earlier block of the truth the newest one.
    """

    def __init__(self, name: str = "history_small") -> None:
        self.life = json.loads(lzma.decompress((FIXTURES / f"{name}.json.xz").read_bytes()))
        meta = self.life["meta"]
        self.provider, self.pool, self.configurator = meta["provider"], meta["pool"], meta["configurator"]
        self.times = dict(self.life["blocks"])
        self.now = self.life["truth"][-1]
        super().__init__()
        self.tip, self.chain_id, self.max_log_range = meta["tip"], CHAIN_ID, 50
        for number in self.life["blocks"]:
            self.times[number[0]] = number[1]

    def lives_until(self, block: int) -> None:
        self.now = next(truth for truth in self.life["truth"] if truth["block"] == block)
        self.tip = block
        self._answers()

    def _logs(self) -> list[dict[str, Any]]:
        self.provider, self.pool = self.life["meta"]["provider"], self.life["meta"]["pool"]
        numbers = ("blockNumber", "transactionIndex", "logIndex")
        return [{**log, **{name: hex(log[name]) for name in numbers}} for log in self.life["logs"]]

    def _answers(self) -> dict[tuple[str, str], bytes]:
        self.answers = {}
        truth = self.now
        address = lambda value: encode(["address"], [value])  # noqa: E731
        self.say(self.provider, "getPool()", answer=address(self.pool))
        self.say(self.provider, "getPoolConfigurator()", answer=address(self.configurator))
        oracle = self.life["meta"]["oracle"]
        self.say(self.provider, "getPriceOracle()", answer=address(oracle))
        self.say(self.provider, "getPoolDataProvider()", answer=address(NOBODY))
        self.say(oracle, "BASE_CURRENCY_UNIT()", answer=word(10**8))
        self.say(self.pool, "POOL_REVISION()", answer=word(truth["poolRevision"]))
        for code, revision in self.life["meta"]["pool_revision_of_implementation"].items():
            self.say(code, "POOL_REVISION()", answer=word(revision))
        reserves = truth["reserves"]
        self.say(self.pool, "getReservesList()", answer=encode(["address[]"], [[r["asset"] for r in reserves]]))
        for r in reserves:
            values = (
                int(r["configuration"]), *(int(r[k]) for k in ("liquidityIndex", "currentLiquidityRate",
                "variableBorrowIndex", "currentVariableBorrowRate")), 0, r["lastUpdateTimestamp"], r["id"],
                r["atoken"], NOBODY, r["vtoken"], self.life["meta"]["rate_strategy"], int(r["accruedToTreasury"]),
                self._unbacked(r["asset"]),
                int(r["isolationModeTotalDebt"]),
            )  # fmt: skip
            self.say(self.pool, "getReserveData(address)", r["asset"], answer=encode([RESERVE_DATA], [values]))
            for getter, name in (
                ("getLiquidationGracePeriod", "liquidationGracePeriodUntil"),
                ("getReserveDeficit", "deficit"),
                ("getVirtualUnderlyingBalance", "virtualUnderlyingBalance"),
            ):
                self.say(self.pool, f"{getter}(address)", r["asset"], answer=word(int(r[name])))
            if "rateData" in r:
                curve = [int(share) * 10**23 for share in r["rateData"]]
                strategy = self.life["meta"]["rate_strategy"]
                self.say(strategy, "getInterestRateData(address)", r["asset"], answer=encode(["uint256"] * 4, curve))
            self.say(oracle, "getAssetPrice(address)", r["asset"], answer=word(int(r["price"])))
            self.say(r["asset"], "symbol()", answer=encode(["string"], [f"T{r['id']}"]))
            self.say(r["atoken"], "scaledTotalSupply()", answer=word(int(r["aTokenScaledTotalSupply"])))
            self.say(r["vtoken"], "scaledTotalSupply()", answer=word(int(r["vTokenScaledTotalSupply"])))
        for e in truth["emodes"]:
            if "collateralBitmap" in e:  # from v3.2 on
                self.say_emode(e["id"], e)
                isolated = word(int(e.get("isolated", False)))
                self.say(self.pool, "getIsEModeCategoryIsolated(uint8)", e["id"], answer=isolated)
        return self.answers

    def _unbacked(self, asset: str) -> int:
        """Bridged supply of an asset without backing, from its events: the truth does not have it."""
        total = 0
        for log in self.life["logs"]:
            if log["blockNumber"] <= self.now["block"] and log["topics"][1:2] == ["0x" + asset[2:].zfill(64)]:
                words = [int(log["data"][at : at + 64] or "0", 16) for at in range(2, len(log["data"]), 64)]
                if log["topics"][0] == TOPICS["MintUnbacked"]:
                    total += words[1]
                elif log["topics"][0] == TOPICS["BackUnbacked"]:
                    total -= words[0]
        return total

    def _block(self, which: str) -> dict[str, Any] | None:
        block = super()._block(which)
        return block and {**block, "timestamp": hex(self.times[int(block["number"], 16)])}

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_call":
            self._account(params[0]["to"].lower(), params[0]["data"])
        return super().answer(method, params)

    def _account(self, to: str, data: str) -> None:
        """Answers about accounts and categories, made when they are asked for: what is not in the truth is nothing."""
        if (to, data) in self.answers or len(data) != 74:
            return
        if data.startswith(EMODE):
            self.answers[to, data] = encode(["uint16"] * 3, [0, 0, 0])
            return
        truth, account = self.now, "0x" + data[-40:]
        bits, category, held = truth["users"].get(account, ("0x0", 0, {}))
        sides = {
            r[name]: held.get(str(r["id"]), ("0", "0"))[n]
            for r in truth["reserves"]
            for n, name in enumerate(("atoken", "vtoken"))
        }
        if to == self.pool and account not in {r["asset"] for r in truth["reserves"]}:
            self.say(to, "getUserConfiguration(address)", account, answer=word(int(bits, 16)))
            self.say(to, "getUserEMode(address)", account, answer=word(category))
        elif to != self.pool:
            self.say(to, "scaledBalanceOf(address)", account, answer=word(int(sides.get(to, "0"))))
