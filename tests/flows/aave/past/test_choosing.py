"""Which blocks are chosen, by numbers and by time, and virtual balances that an upgrade set without a log."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from flows.aave.history import decode
from flows.aave.past import choosing
from flows.aave.past.choosing import chosen, roughly, supported
from flows.aave.past.market import NotStorable, Past, market_of, virtual_at_first
from flows.clients.block_reader import Block
from tests.history.compare import load, replay_of
from tests.history.test_lives import COMMITTED


@pytest.mark.parametrize(
    ("upgrades", "expected"),
    [
        ([(5, 7), (50, 9)], None),
        ([(5, 10)], (5, 99)),
        ([(5, 9), (50, 10), (60, 11)], (50, 99)),
        ([(5, 9), (50, 10), (60, 12)], (50, 59)),
        ([(5, 9), (99, 10)], (99, 99)),
        ([(5, 9), (50, 10), (50, 11)], (50, 99)),
        ([(2, 10)], (3, 99)),
    ],
)
def test_blocks_whose_rules_are_known(upgrades, expected):
    assert supported(upgrades, 3, 99) == expected


def test_multiples_of_a_number():
    assert chosen(None, 10, 7, 40) == [10, 20, 30, 40]
    assert chosen(None, 10, 40, 40) == [40]
    assert chosen(None, 10, 41, 49) == []
    assert roughly(10, Block(7, "", 0), Block(40, "", 0)) == 4


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("every", ["day", "hour"])
def test_the_first_block_of_each_day_or_hour(monkeypatch, seed, every):
    draw = random.Random(seed)
    # Blocks in one second, twelve seconds apart, and with gaps of days.
    steps, now, times = draw.choice([(0, 1, 12), (12,), (12, 600, 200_000), (5_000, 90_000)]), 1_700_000_000, {}
    for number in range(40, 40 + draw.randint(1, 400)):
        times[number] = now
        now += draw.choice(steps)
    asked: Counter[int] = Counter()

    def header(rpc, number):
        asked[number] += 1
        return Block(number, "", times[number])

    monkeypatch.setattr(choosing, "get_block", header)
    period = choosing.SECONDS[every]
    expected = [
        number
        for number, time in times.items()
        if (time // period > times[number - 1] // period if number > 40 else time % period == 0)
    ]
    found = chosen(None, every, 40, max(times))
    assert found == expected
    assert len(found) <= roughly(every, header(None, 40), header(None, max(times)))


def test_blocks_at_an_even_pace_are_found_with_few_headers(monkeypatch):
    asked: Counter[int] = Counter()

    def header(rpc, number):
        asked[number] += 1
        return Block(number, "", 1_700_000_000 + 12 * number)

    monkeypatch.setattr(choosing, "get_block", header)
    assert len(chosen(None, "day", 0, 7_200 * 100)) == 100
    assert asked.total() < 500


def test_a_virtual_balance_that_an_upgrade_set_is_counted_back_from_the_tip():
    told = load(COMMITTED / "history_small.json.xz")
    happenings = decode(told["logs"], dict(told["blocks"]))
    replay = replay_of(told)
    early = [here for here in happenings if here.block <= 191]
    replay.feed(early)
    past, truth = replay.book(191, dict(told["blocks"])[191]), told["truth"][-3]
    assert truth["block"] == 191
    replay.feed(happenings[len(early) :])
    tip = replay.book()
    # As after an upgrade: the logs tell what was added since, not what was there.
    first = 10**20 + 7
    unknown = [
        replace(book, reserves=tuple(
            replace(r, virtual_balance=None, virtual_change=r.virtual_change - first) for r in book.reserves
        ))
        for book in (past, tip)
    ]  # fmt: skip
    now = [int(r["virtualUnderlyingBalance"]) for r in sorted(told["truth"][-1]["reserves"], key=lambda r: r["id"])]
    reader = SimpleNamespace(read=lambda calls: now)
    virtual = virtual_at_first(reader, unknown[1], told["meta"]["pool"])
    constants = SimpleNamespace(
        read=lambda book: None, symbol=lambda asset: asset, description=lambda source: "", data_provider="0x" + "0" * 40
    )
    place = SimpleNamespace(market="m", chain_id=1, provider=told["meta"]["provider"])
    common = Past(place=place, pool=told["meta"]["pool"], constants=constants, virtual=virtual, concurrency=1)
    state = market_of(unknown[0], Block(191, "0x", past.time), common)
    assert {r.asset: r.virtual_balance for r in state.reserves} == {
        r["asset"]: int(r["virtualUnderlyingBalance"]) for r in truth["reserves"]
    }
    with pytest.raises(NotStorable, match=r"block 191: the virtual balance of 0x.* is listed no more"):
        market_of(unknown[0], Block(191, "0x", past.time), replace(common, virtual={}))
