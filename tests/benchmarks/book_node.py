"""A node on loopback that answers Multicall3 from a generated book, in a process of its own, fast enough to be ignored.

`python -m tests.benchmarks.book_node --holders 30000` prints its address. Every answer waits `--latency` seconds first,
as if the node were far away; answers to requests that are open at once wait together. Ranges of the log are refused
above 10,000 blocks, as public nodes do; there are 8 million blocks (`--blocks`), about as many as Ethereum has had
since the market began. With `--borrowed` each holder has borrowed once, and the log says so.

The book is made from a seed: 20 reserves, no interest (so that indices stand still), half the holders in debt, 2 % of
them between health factor 1 and 1.05. `getUserAccountData` is answered by the integer rules that the flow itself checks
with: this server measures the client, it is no witness of anything.

`bench_touch(share)` lets time pass: 100 blocks in which that share of the holders sends aTokens to another holder.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_utils import keccak

from flows.aave.accounts import Account
from flows.aave.checks import Rules
from flows.aave.contracts import Reserve
from flows.clients import abis
from flows.clients.abis import Function

REPOSITORY = Path(__file__).resolve().parents[2]
CHAIN_ID = 31_337
FIRST_BLOCK, BLOCKS, LONGEST_RANGE = 16_000_000, 8_000_000, 10_000
RESERVES, RAY, USD = 20, 10**27, 10**8
INDEX = 1_050_000_000 * 10**18
GENESIS = 1_700_000_000
ABSENT = b""


def address(name: str) -> str:
    return "0x" + keccak(text=name)[-20:].hex()


PROVIDER, POOL, ORACLE, DATA, STRATEGY = (address(n) for n in ("provider", "pool", "oracle", "data", "strategy"))
MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"


def reserves() -> list[Reserve]:
    """Stable and volatile reserves of 6, 8 and 18 decimals."""
    made = []
    for i in range(RESERVES):
        decimals, price = ((6, USD), (18, 2_000 * USD), (8, 60_000 * USD), (18, 15 * USD))[i % 4]
        word = 7500 | 8000 << 16 | 10500 << 32 | decimals << 48 | 1 << 56 | 1 << 58 | 1000 << 64 | 1000 << 152
        made.append(Reserve(
            asset=address(f"asset {i}"), id=i, symbol=f"T{i}", configuration=word, liquidity_index=INDEX,
            liquidity_rate=0, variable_borrow_index=INDEX, variable_borrow_rate=0, last_update=GENESIS,
            atoken=address(f"atoken {i}"), vtoken=address(f"vtoken {i}"), grace_until=0, deficit=0,
            virtual_balance=10**30, normalized_income=INDEX, normalized_debt=INDEX, scaled_atoken_supply=0,
            scaled_debt_supply=0, price=price, price_source=address(f"feed {i}"), price_description=f"T{i} / USD",
            rate_curve=(9 * 10**26, 0, 4 * 10**25, 6 * 10**26), payload_sha256="",
        ))  # fmt: skip
    return made


class Book:
    """State and log of the market; `answers` maps target and call data to the answer."""

    def __init__(self, holders: int, blocks: int = BLOCKS, *, borrowed: bool = False) -> None:
        self.draw = random.Random(holders)
        self.reserves = reserves()
        self.rules = Rules(self.reserves, [])
        self.head = FIRST_BLOCK + blocks
        self.answers: dict[bytes, bytes] = {}
        self.accounts = {f"{i:040x}": self._account(i) for i in range(0xA0000000, 0xA0000000 + holders)}
        self.log: list[tuple[int, str]] = []
        self._say_market()
        if borrowed:
            for account in self.accounts.values():
                self._borrow(self.draw.randrange(FIRST_BLOCK, self.head), account.address)
        totals: dict[str, int] = {}
        for account in self.accounts.values():
            self._say_account(account)
            for token, scaled in self._balances(account):
                totals[token] = totals.get(token, 0) + scaled
                self._transfer(token, self.draw.randrange(FIRST_BLOCK, self.head), "0x" + "00" * 20, account.address)
        for r in self.reserves:
            for token in (r.atoken, r.vtoken):
                self._say(token, abis.SCALED_TOTAL_SUPPLY, answer=word(totals.get(token, 0)))
        self.log.sort()

    def touch(self, share: float) -> int:
        """A share of the holders sends a hundredth of one supply to the next holder; returns how many did."""
        first, self.head = self.head + 1, self.head + 100
        moved = 0
        for name in self.draw.sample([*self.accounts], int(share * len(self.accounts) / 2)):
            giver = self.accounts[name]
            taker = self.accounts[self.draw.choice([*self.accounts])]
            supplied = dict(giver.supply)
            reserve_id = self.draw.choice([*supplied])
            part = supplied[reserve_id] // 100
            if giver.address == taker.address or not part:
                continue
            supplied[reserve_id] -= part
            received = dict(taker.supply) | {reserve_id: taker.supply.get(reserve_id, 0) + part}
            for account, supply in ((giver, supplied), (taker, received)):
                changed = Account(account.address, account.flags, 0, supply, account.debt)
                self.accounts[account.address[2:]] = changed
                self._say_account(changed)
            token = self.reserves[reserve_id].atoken
            self._transfer(token, self.draw.randrange(first, self.head), giver.address, taker.address)
            moved += 2
        self.log.sort()
        return moved

    def _account(self, number: int) -> Account:
        draw = self.draw
        supply: dict[int, int] = {}
        worth, flags = 0, 0
        for i in draw.sample(range(RESERVES), draw.choice([1, 1, 2, 2, 3])):
            r = self.reserves[i]
            usd = int(10 ** draw.uniform(2, 6))
            supply[i] = usd * USD * 10**r.decimals // r.price
            flags |= 2 << 2 * i
            worth += usd
        debt: dict[int, int] = {}
        if draw.random() < 0.5:
            health = draw.uniform(1.001, 1.05) if draw.random() < 0.02 else draw.uniform(1.05, 4)
            owed = draw.sample(range(RESERVES), draw.choice([1, 1, 2]))
            for i in owed:
                r = self.reserves[i]
                debt[i] = int(worth * 0.8 / health / len(owed) * 10**6) * USD * 10**r.decimals // r.price // 10**6
                flags |= 1 << 2 * i
            debt = {i: scaled for i, scaled in debt.items() if scaled}
        return Account(f"0x{number:040x}", flags, 0, supply, debt)

    def _balances(self, account: Account) -> Iterator[tuple[str, int]]:
        yield from ((self.reserves[i].atoken, scaled) for i, scaled in account.supply.items())
        yield from ((self.reserves[i].vtoken, scaled) for i, scaled in account.debt.items())

    def _say(self, to: str, function: Function, *args: str | int, answer: bytes) -> None:
        self.answers[bytes.fromhex(to[2:] + function.encode(*args)[2:])] = answer

    def _say_market(self) -> None:
        for getter, value in (
            (abis.GET_POOL, POOL),
            (abis.GET_PRICE_ORACLE, ORACLE),
            (abis.GET_POOL_DATA_PROVIDER, DATA),
        ):
            self._say(PROVIDER, getter, answer=word(int(value, 16)))
        self._say(POOL, abis.POOL_REVISION, answer=word(11))
        self._say(POOL, abis.GET_RATE_STRATEGY, answer=word(int(STRATEGY, 16)))
        self._say(POOL, abis.GET_RESERVES_LIST, answer=encode(["address[]"], [[r.asset for r in self.reserves]]))
        self._say(ORACLE, abis.BASE_CURRENCY_UNIT, answer=word(USD))
        for i in range(1, 256):
            self._say(POOL, abis.GET_EMODE_CONFIG, i, answer=bytes(96))
        for r in self.reserves:
            row = (r.configuration, INDEX, 0, INDEX, 0, 0, r.last_update, r.id, r.atoken, "0x" + "00" * 20, r.vtoken,
                   STRATEGY, 0, 0, 0)  # fmt: skip
            kinds = abis.GET_RESERVE_DATA.outputs
            self._say(POOL, abis.GET_RESERVE_DATA, r.asset, answer=encode(kinds, row))
            for function, value in (
                (abis.GET_GRACE_PERIOD, 0),
                (abis.GET_DEFICIT, 0),
                (abis.GET_VIRTUAL_BALANCE, r.virtual_balance),
                (abis.GET_NORMALIZED_INCOME, INDEX),
                (abis.GET_NORMALIZED_DEBT, INDEX),
            ):
                self._say(POOL, function, r.asset, answer=word(value))
            self._say(ORACLE, abis.GET_ASSET_PRICE, r.asset, answer=word(r.price))
            self._say(ORACLE, abis.GET_SOURCE_OF_ASSET, r.asset, answer=word(int(r.price_source, 16)))
            self._say(r.price_source, abis.DESCRIPTION, answer=encode(["string"], [r.price_description]))
            self._say(STRATEGY, abis.GET_RATE_DATA, r.asset, answer=b"".join(word(v) for v in r.rate_curve or ()))
            self._say(r.asset, abis.SYMBOL, answer=encode(["string"], [r.symbol]))

    def _say_account(self, account: Account) -> None:
        self._say(POOL, abis.GET_USER_CONFIGURATION, account.address, answer=word(account.flags))
        self._say(POOL, abis.GET_USER_EMODE, account.address, answer=word(0))
        said = self.rules.account_data(account)
        values = (said.collateral, said.debt, 0, 0, 0, said.health_factor)
        self._say(POOL, abis.GET_USER_ACCOUNT_DATA, account.address, answer=b"".join(map(word, values)))
        for token, scaled in self._balances(account):
            self._say(token, abis.SCALED_BALANCE_OF, account.address, answer=word(scaled))

    def _transfer(self, token: str, block: int, giver: str, taker: str) -> None:
        topics = [abis.TRANSFER, "0x" + giver[2:].zfill(64), "0x" + taker[2:].zfill(64)]
        row = {"address": token, "blockNumber": hex(block), "topics": topics, "data": "0x", "logIndex": "0x0",
               "transactionHash": abis.TRANSFER, "blockHash": abis.TRANSFER, "removed": False}  # fmt: skip
        self.log.append((block, json.dumps(row, separators=(",", ":"))))

    def _borrow(self, block: int, owner: str) -> None:
        topics = [abis.BORROW, *("0x" + "0" * 64, "0x" + owner[2:].zfill(64), "0x" + "0" * 64)]
        row = {"address": POOL, "blockNumber": hex(block), "topics": topics, "data": "0x", "logIndex": "0x0",
               "transactionHash": abis.BORROW, "blockHash": abis.BORROW, "removed": False}  # fmt: skip
        self.log.append((block, json.dumps(row, separators=(",", ":"))))

    # JSON-RPC: results as JSON text

    def result(self, method: str, params: list[Any]) -> str:
        match method:
            case "eth_call":
                return f'"0x{self._call(bytes.fromhex(params[0]["to"][2:]), params[0]["data"]).hex()}"'
            case "eth_getLogs":
                return self._logs(
                    int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16), params[0]["topics"][0]
                )
            case "eth_getBlockByNumber":
                number = self.head if params[0] in ("latest", "finalized", "safe") else int(params[0], 16)
                stamp = GENESIS + 12 * (number - FIRST_BLOCK)
                return json.dumps({"number": hex(number), "hash": f"0x{number:064x}", "timestamp": hex(stamp)})
            case "eth_getCode":
                return '"0x60"'
            case "eth_chainId":
                return f'"{CHAIN_ID:#x}"'
            case "bench_touch":
                return str(self.touch(params[0]))
        raise ValueError(method)

    def _call(self, to: bytes, data: str) -> bytes:
        if to.hex() != MULTICALL3[2:]:
            return self.answers.get(to + bytes.fromhex(data[2:]), ABSENT)
        raw = bytes.fromhex(data[10:])
        count = int.from_bytes(raw[32:64], "big")
        offsets, rows, at = [], [], 32 * count
        for i in range(count):
            row = 64 + int.from_bytes(raw[64 + 32 * i : 96 + 32 * i], "big")
            size = int.from_bytes(raw[row + 96 : row + 128], "big")
            call = raw[row + 12 : row + 32] + raw[row + 128 : row + 128 + size]
            # A balance of nobody is zero; anything else that is not in the book fails.
            answer = self.answers.get(call, bytes(32) if size == 36 else ABSENT)
            rows += [word(int(bool(answer))), word(64), word(len(answer)), answer, bytes(-len(answer) % 32)]
            offsets.append(word(at))
            at += 96 + len(answer) + -len(answer) % 32
        return b"".join([word(32), word(count), *offsets, *rows])

    def _logs(self, first: int, last: int, events: list[str]) -> str:
        if last - first + 1 > LONGEST_RANGE:
            raise ValueError(f"query exceeds max block range {LONGEST_RANGE}")
        begin, end = bisect.bisect_left(self.log, (first, "")), bisect.bisect_left(self.log, (last + 1, ""))
        wanted = tuple(f'"topics":["{event}"' for event in events)
        return "[" + ",".join(t for _, t in self.log[begin:end] if any(topic in t for topic in wanted)) + "]"


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


async def serve(book: Book, latency: float) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                at = head.lower().index(b"content-length:") + 15
                body = json.loads(await reader.readexactly(int(head[at : head.index(b"\r\n", at)])))
                await asyncio.sleep(latency)
                batch = body if isinstance(body, list) else [body]
                rows = ",".join(_row(book, request) for request in batch)
                content = (f"[{rows}]" if isinstance(body, list) else rows).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                    + str(len(content)).encode()
                    + b"\r\n\r\n"
                    + content
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0, limit=2**26)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def _row(book: Book, request: dict[str, Any]) -> str:
    head = f'{{"jsonrpc":"2.0","id":{request["id"]},'
    try:
        return f'{head}"result":{book.result(request["method"], request["params"])}}}'
    except ValueError as refusal:
        return f'{head}"error":{{"code":-32005,"message":"{refusal}"}}}}'


@contextmanager
def running(holders: int, latency: float, *more: str) -> Iterator[str]:
    """The node's address; its process is ended with the block of code."""
    command = [sys.executable, "-m", "tests.benchmarks.book_node", "--holders", str(holders), "--latency", str(latency),
               *more]  # fmt: skip
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.book_node", description=__doc__)
    parser.add_argument("--holders", type=int, default=30_000)
    parser.add_argument("--latency", type=float, default=0.020, help="seconds before each answer")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--borrowed", action="store_true", help="every holder has borrowed once")
    args = parser.parse_args()
    asyncio.run(serve(Book(args.holders, args.blocks, borrowed=args.borrowed), args.latency))


if __name__ == "__main__":
    main()
