"""A life of a market that can be followed with pencil and paper: one reserve, two accounts, one year, v3.7.

block 1   the pool is created; a token with 6 decimals is listed; the treasury gets 10 % of the interest
block 2   Alice supplies 1000
block 3   Alice borrows 500; from here supply earns 10 % a year, debt costs 20 %
block 4   a year later she repays 100
block 5   in the same second she sends 300 scaled aTokens to Carol
"""

from __future__ import annotations

from typing import Any

from flows.aave.history.decoding import EVENTS, TOPICS
from risk_core.units import RAY

POOL, CONFIGURATOR, PROVIDER = ("0x" + f"{n:040x}" for n in (0xA1, 0xA2, 0xA3))
ASSET, ATOKEN, DEBT, CODE = ("0x" + f"{n:040x}" for n in (0xB1, 0xB2, 0xB3, 0xC0DE))
ALICE, CAROL, ZERO = ("0x" + f"{n:040x}" for n in (0xD1, 0xD2, 0))
START, YEAR = 1_760_000_000, 31_536_000
DEBT_INDEX = 1_221_333_333_333_333_333_333_333_333
"""After a year at 20 %: 1 + 0.2 + 0.2**2 / 2 + 0.2**3 / 6, each product rounded half-up in rays."""
SUPPLY_INDEX = 11 * RAY // 10


def log(block: int, number: int, emitter: str, name: str, /, **values: Any) -> dict[str, Any]:
    """One log as a node sends it, from the values of its event by our names; what is not given is 0."""
    _, event, _ = EVENTS[TOPICS[name]]
    words = {item.name: _word(values.pop(item.name, 0)) for item in event.inputs}
    assert not values, f"{name} has no {sorted(values)}"
    return {
        "address": emitter,
        "blockNumber": block,
        "transactionIndex": 0,
        "logIndex": number,
        "topics": [TOPICS[name], *("0x" + words[item.name] for item in event.indexed)],
        "data": "0x" + "".join(words[item.name] for item in event.plain),
    }


def _word(value: int | str) -> str:
    return f"{int(value, 16) if isinstance(value, str) else int(value):064x}"


def life() -> dict[str, Any]:
    """The logs above in the form of a recorded life, without answers."""
    rows: list[dict[str, Any]] = []

    def say(block: int, emitter: str, name: str, /, **values: Any) -> None:
        rows.append(log(block, sum(row["blockNumber"] == block for row in rows), emitter, name, **values))

    say(1, PROVIDER, "ProxyCreated", id=1, proxy=POOL, implementation=CODE)
    say(1, ATOKEN, "Initialized", asset=ASSET, pool=POOL, decimals=6)
    say(1, CONFIGURATOR, "ReserveInitialized", asset=ASSET, atoken=ATOKEN, debt_token=DEBT)
    say(1, CONFIGURATOR, "ReserveFactorChanged", asset=ASSET, new=1_000)
    ray = {"liquidity_index": RAY, "debt_index": RAY}
    say(1, POOL, "ReserveDataUpdated", reserve=ASSET, **ray)

    say(2, POOL, "ReserveDataUpdated", reserve=ASSET, **ray)
    say(2, ATOKEN, "Transfer", to=ALICE, value=1_000)
    say(2, ATOKEN, "Mint", caller=ALICE, account=ALICE, value=1_000, index=RAY)
    say(2, POOL, "ReserveUsedAsCollateralEnabled", reserve=ASSET, account=ALICE)
    say(2, POOL, "Supply", reserve=ASSET, user=ALICE, account=ALICE, amount=1_000)

    say(3, DEBT, "Transfer", to=ALICE, value=500)
    say(3, DEBT, "Mint", caller=ALICE, account=ALICE, value=500, index=RAY)
    say(3, POOL, "ReserveDataUpdated", reserve=ASSET, supply_rate=RAY // 10, debt_rate=RAY // 5, **ray)
    say(3, POOL, "Borrow", reserve=ASSET, user=ALICE, account=ALICE, amount=500, mode=2, rate=RAY // 5)

    # 500 at the index are 610.67, rounded up 611: 111 of interest. Of it 100 is paid, so 11 is minted.
    say(4, DEBT, "Transfer", to=ALICE, value=11)
    say(4, DEBT, "Mint", caller=ALICE, account=ALICE, value=11, increase=111, index=DEBT_INDEX)
    say(4, POOL, "ReserveDataUpdated", reserve=ASSET, liquidity_index=SUPPLY_INDEX, debt_index=DEBT_INDEX)
    say(4, POOL, "Repay", reserve=ASSET, account=ALICE, repayer=ALICE, amount=100)

    # 1000 at 1.1 are 1100: 100 of interest is booked, then 300 scaled move, which are 330.
    say(5, ATOKEN, "Transfer", to=ALICE, value=100)
    say(5, ATOKEN, "Mint", caller=ALICE, account=ALICE, value=100, increase=100, index=SUPPLY_INDEX)
    say(5, ATOKEN, "Transfer", **{"from": ALICE, "to": CAROL, "value": 330})
    say(5, ATOKEN, "BalanceTransfer", **{"from": ALICE, "to": CAROL, "value": 300, "index": SUPPLY_INDEX})
    times = [START, START + 12, START + 24, START + 24 + YEAR, START + 24 + YEAR]
    return {
        "meta": {"pool": POOL, "configurator": CONFIGURATOR, "pool_revision_of_implementation": {CODE: 11}},
        "blocks": [[number, time] for number, time in enumerate(times, 1)],
        "logs": rows,
        "truth": [],
    }
