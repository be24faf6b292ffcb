"""Synthetic blocks of a chain that does not exist: token transfers by the hour, and a stretch of blocks with swaps.

No real block, account or pool is among them; the tokens are the sample's reserves, and one made-up collectible. One
block an hour holds that hour's transfers; in the last hour a block every twelve seconds holds trades as well. One token
moves far more than usual in one hour, one block carries a sandwich, a back-run and a liquidation, and another one
liquidity that is put in and taken out around two swaps, beside liquidity that stays.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from data.sample import configuration
from data.settings import SAMPLE_CHAIN

DAYS = 14
HOUR, SLOT = 3_600, 12
BLOCKS = 24
"""Blocks with trades, every `SLOT` seconds shortly before the sample's block time."""
TOKENS = (("USDC", 8.0, 6_000.0), ("USDT", 6.0, 5_000.0), ("WETH", 6.0, 4_000.0), ("USDe", 3.0, 20_000.0))
"""Symbol, transfers in a mean hour, median USD of one."""
COLLECTIBLE = 2.0
"""Transfers of the collectible in a mean hour."""
LOUD_HOUR, LOUD_TOKEN, LOUDER = 3, "USDe", 6
"""Hours before the end, and how many times as many transfers as usual."""
PLANTED = 15
"""Which of the blocks with trades carries the sandwich."""
JUST_IN_TIME = 9
"""Which of them carries the liquidity for two swaps alone."""
BASE_FEE = 2_000_000_000
ETH_USD = 2_500.0

Row = dict[str, object]


def frames(seed: int = 7) -> dict[str, pd.DataFrame]:
    """Rows by table, all on the chain `SAMPLE_CHAIN`, from block 1 on.

    The tables: `stg_chain_blocks`, `raw_chain_transactions`, `raw_chain_receipts`, `stg_token_transfers`,
    `stg_dex_swaps` and `stg_primitives`.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 4]))
    made = _Made(rng)
    start = configuration.BLOCK_TIME - DAYS * 24 * HOUR
    for hour in range(DAYS * 24):
        made.block(start + hour * HOUR)
        _hour(made, hour)
    for place in range(BLOCKS):
        made.block(configuration.BLOCK_TIME - (BLOCKS + 1 - place) * SLOT)
        _trades(made, planted=place == PLANTED)
        if place == JUST_IN_TIME:
            _provided(made)
    # A block without transactions. Like a live chain's, the newest hour is not over.
    made.block(configuration.BLOCK_TIME - SLOT)
    return made.tables()


class _Made:
    """Rows so far, by table, and the block that is being filled."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        reserves = {row["symbol"]: row for row in configuration.reserve_rows()}
        prices = dict(zip((row["symbol"] for row in configuration.reserve_rows()), configuration.prices(), strict=True))
        self.token = {name: reserves[name]["asset"] for name, *_ in TOKENS}
        self.units = {name: 10 ** int(reserves[name]["decimals"]) / prices[name] for name, *_ in TOKENS}
        """Smallest units for one USD."""
        self.people = [_digest("account", i)[:42] for i in range(200)]
        self.rows: dict[str, list[Row]] = {
            name: []
            for name in (
                "stg_chain_blocks",
                "raw_chain_transactions",
                "raw_chain_receipts",
                "stg_token_transfers",
                "stg_dex_swaps",
                "stg_primitives",
            )
        }
        self.number, self.log, self.index, self.time = 0, 0, 0, 0
        self.hash = self.parent = _digest("block", 0)
        self.tx = ""

    def block(self, time: int) -> None:
        """Begin the next block."""
        self.number += 1
        self.parent, self.hash = self.hash, _digest("block", self.number)
        self.log, self.index, self.time = 0, 0, time
        self.rows["stg_chain_blocks"].append(
            {**self._place(), "parent_hash": self.parent, "timestamp": time, "transaction_count": 0, "log_count": 0,
             "gas_used": 0, "base_fee_per_gas": str(BASE_FEE), "orphaned": 0}
        )  # fmt: skip

    def transaction(self, sender: str, to: str, tip: float = 1.0) -> None:
        """The next transaction of the block; `tip`: priority fee in gwei."""
        self.tx = _digest("transaction", self.number, self.index)
        head = self.rows["stg_chain_blocks"][-1]
        place = {**self._place(), "transaction_index": self.index, "transaction_hash": self.tx, "source": "sample"}
        price = str(BASE_FEE + int(tip * 1e9))
        self.rows["raw_chain_transactions"].append(
            {**place, "nonce": self.index, "from_address": sender, "to_address": to, "value": "0", "gas": 300_000,
             "gas_price": price, "input": "0x"}
        )  # fmt: skip
        self.rows["raw_chain_receipts"].append(
            {
                **place,
                "cumulative_gas_used": 150_000 * (self.index + 1),
                "gas_used": 150_000,
                "status": 1,
                "effective_gas_price": price,
                "log_count": 0,
            }
        )
        self.index += 1
        head["transaction_count"], head["gas_used"] = self.index, 150_000 * self.index

    def transfer(self, token: str, sender: str, to: str, amount: int, standard: str = "ERC20") -> None:
        self._written(
            "stg_token_transfers",
            item=0,
            standard=standard,
            token=token,
            from_address=sender,
            to_address=to,
            amount=str(amount),
            token_id=str(amount) if standard == "ERC721" else None,
            indexed_arguments=3 if standard == "ERC721" else 2,
        )
        if standard == "ERC721":
            self.rows["stg_token_transfers"][-1]["amount"] = "1"

    def swap(self, who: str, pool: str, eth: float, price: float) -> None:
        """A swap in a pool of WETH (token 0) and USDC (token 1): the trader buys `eth` at `price`, sells if below 0.

        Its two transfers come before it, as at a pair of Uniswap v2.
        """
        amount0, amount1 = self._exchanged(who, pool, -eth, eth * price)
        self._written(
            "stg_dex_swaps",
            protocol="uniswap_v2",
            pool=pool,
            sender=who,
            recipient=who,
            amount0=str(amount0),
            amount1=str(amount1),
        )

    def liquidity(self, who: str, pool: str, eth: float, usd: float) -> None:
        """Both tokens put into such a pool by `who`, or taken out where they are below 0."""
        amount0, amount1 = self._exchanged(who, pool, eth, usd)
        self._written(
            "stg_primitives",
            primitive="mint" if amount0 > 0 else "burn",
            protocol="uniswap_v2",
            contract=pool,
            account=who,
            amount=str(abs(amount0)),
            amount_2=str(abs(amount1)),
        )

    def _exchanged(self, who: str, pool: str, eth: float, usd: float) -> tuple[int, int]:
        """The transfers of both tokens to the pool (from it where below 0), and their amounts in smallest units."""
        amount0, amount1 = round(eth * 1e18), round(usd * 1e6)
        for token, amount in ((self.token["WETH"], amount0), (self.token["USDC"], amount1)):
            self.transfer(token, *((who, pool) if amount > 0 else (pool, who)), abs(amount))
        return amount0, amount1

    def liquidation(self, liquidator: str, account: str, eth: float) -> None:
        self._written(
            "stg_primitives", primitive="liquidation", protocol="aave_v3", contract=_digest("market")[:42],
            account=account, counterparty=liquidator, asset=self.token["USDC"], amount=str(round(eth * ETH_USD * 1e6)),
            asset_2=self.token["WETH"], amount_2=str(round(eth * 1.05 * 1e18)),
        )  # fmt: skip

    def someone(self) -> str:
        return self.people[int(self.rng.integers(len(self.people)))]

    def tables(self) -> dict[str, pd.DataFrame]:
        return {name: pd.DataFrame(rows) for name, rows in self.rows.items()}

    def _place(self) -> Row:
        return {"chain_id": SAMPLE_CHAIN, "block_number": self.number, "block_hash": self.hash}

    def _written(self, table: str, **columns: object) -> None:
        self.rows[table].append(
            {
                **self._place(),
                "log_index": self.log,
                "transaction_hash": self.tx,
                "timestamp": self.time,
                **columns,
                "orphaned": 0,
            }
        )
        self.log += 1
        self.rows["stg_chain_blocks"][-1]["log_count"] = self.log


def _hour(made: _Made, hour: int) -> None:
    """The transfers of an hour: more by day than by night, a little noise, and the hour with unusually many."""
    busy = 1 + 0.35 * np.sin((hour % 24 - 9) / 24 * 2 * np.pi)
    loud = hour == DAYS * 24 - 1 - LOUD_HOUR
    made.transaction(made.someone(), made.someone())

    def count(mean: float) -> int:
        return max(round(mean * busy + float(made.rng.normal()) * 0.35), 0)

    for symbol, mean, usd in TOKENS:
        for _ in range(count(mean) * (LOUDER if loud and symbol == LOUD_TOKEN else 1)):
            amount = usd * float(np.exp(made.rng.normal())) * made.units[symbol]
            made.transfer(made.token[symbol], made.someone(), made.someone(), round(amount))
    for _ in range(count(COLLECTIBLE)):
        token_id = int(made.rng.integers(1, 10_000))
        made.transfer(_digest("collectible")[:42], made.someone(), made.someone(), token_id, "ERC721")


def _trades(made: _Made, planted: bool) -> None:
    """Ordinary trades through a router; in the `planted` block also the sandwich, the back-run and the liquidation."""
    pools = [_digest("pool", i)[:42] for i in range(3)]
    router, bot, other = (_digest(name)[:42] for name in ("router", "bot", "other bot"))

    def tip() -> float:
        return float(np.exp(0.15 * made.rng.normal()))

    if planted:
        attacker, rival = _digest("attacker")[:42], _digest("rival")[:42]
        first, second = made.someone(), made.someone()
        for who, contract, eth, price, paid in (
            (attacker, bot, 62.0, 2_500.0, 40.0),
            (first, router, 20.0, 2_521.0, tip()),
            (second, router, 11.0, 2_513.0, tip()),
            (attacker, bot, -62.0, 2_512.0, 12.0),
        ):
            made.transaction(who, contract, paid)
            made.swap(who, pools[0], eth, price)
        made.transaction(made.someone(), router, tip())
        made.swap(made.someone(), pools[1], -40.0, 2_490.0)
        made.transaction(rival, other, 15.0)
        made.swap(other, pools[1], 15.0, 2_485.0)
        made.swap(other, pools[2], -15.0, 2_496.0)
        made.transaction(rival, _digest("market")[:42], 30.0)
        made.liquidation(rival, made.someone(), 8.0)
    for _ in range(int(made.rng.integers(6, 13))):
        made.transaction(who := made.someone(), router, tip() * (12.0 if made.rng.random() < 0.04 else 1.0))
        if made.rng.random() < 0.5:
            eth = float(np.exp(made.rng.normal())) * (1 if made.rng.random() < 0.5 else -1)
            made.swap(who, pools[int(made.rng.integers(3))], round(eth, 4), ETH_USD * (1 + 1e-3 * made.rng.normal()))


def _provided(made: _Made) -> None:
    """Liquidity for two swaps alone, and liquidity of somebody else that stays. No draw: all else is as without it."""
    pool, router, manager = _digest("pool", 1)[:42], _digest("router")[:42], _digest("manager")[:42]
    provider, keeper = _digest("provider")[:42], _digest("keeper")[:42]
    made.transaction(provider, manager, 25.0)
    made.liquidity(provider, pool, 400.0, 1_000_000.0)
    made.transaction(keeper, manager)
    made.liquidity(keeper, pool, 4.0, 10_000.0)
    for who, eth, price in ((made.people[3], 90.0, 2_502.0), (made.people[4], -20.0, 2_498.0)):
        made.transaction(who, router)
        made.swap(who, pool, eth, price)
    made.transaction(provider, manager, 20.0)
    made.liquidity(provider, pool, -340.0, -1_150_000.0)


def _digest(*parts: object) -> str:
    return "0x" + hashlib.sha256(f"sample:chain:{parts}".encode()).hexdigest()
