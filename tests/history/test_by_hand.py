"""A life with figures that can be computed by hand, and what is refused of it."""

from __future__ import annotations

import pytest

from flows.aave.history import HistoryError, Replay, decode
from tests.history.by_hand import (
    ALICE,
    ASSET,
    ATOKEN,
    CAROL,
    CODE,
    CONFIGURATOR,
    DEBT,
    DEBT_INDEX,
    POOL,
    SUPPLY_INDEX,
    life,
    log,
)
from tests.history.compare import replay_of


def replayed(told, block=5, revision=11):
    told["meta"]["pool_revision_of_implementation"] = {CODE: revision}
    replay = replay_of(told)
    happenings = decode(told["logs"], {number: time for number, time in told["blocks"]})
    replay.feed(h for h in happenings if h.block <= block)
    return replay.book()


def at(told, block, name, emitter=None):
    """The log of a kind in a block."""
    from flows.aave.history.decoding import TOPICS

    return next(
        row
        for row in told["logs"]
        if row["blockNumber"] == block and row["topics"][0] == TOPICS[name] and emitter in (None, row["address"])
    )


def test_supply_and_loan_stand_as_scaled_amounts():
    book = replayed(life(), block=3)
    assert book.holdings == {ALICE: {0: (1_000, 500)}}
    assert book.flags == {ALICE: 0b11}
    assert book.reserves[0].virtual_balance == 500
    assert (book.reserves[0].scaled_supply, book.reserves[0].scaled_debt) == (1_000, 500)


def test_a_mint_smaller_than_the_interest_lowers_the_debt_and_the_treasury_gets_its_share():
    reserve = replayed(life(), block=4).reserves[0]
    # 511 remain: 511 / 1.22133 = 418.4, and 418 at the index are 510.5, which is 511 rounded up.
    assert (reserve.scaled_debt, reserve.debt_index, reserve.liquidity_index) == (418, DEBT_INDEX, SUPPLY_INDEX)
    # Interest 500 * 0.22133 = 110.67, down 110; a tenth is 11; 11 / 1.1 = 10 scaled.
    assert reserve.accrued_to_treasury == 10
    assert reserve.virtual_balance == 600


def test_a_transfer_moves_the_scaled_amount_and_nothing_else():
    book = replayed(life())
    assert book.holdings == {ALICE: {0: (700, 418)}, CAROL: {0: (300, 0)}}
    assert book.flags == {ALICE: 0b11}
    assert (book.revision, book.reserves[0].configuration >> 48 & 255) == (11, 6)


def altered(told, block, name, **values):
    """Replace values of one log by others."""
    from flows.aave.history.decoding import EVENTS, TOPICS

    row = at(told, block, name)
    _, event, _ = EVENTS[TOPICS[name]]
    words = dict(zip([i.name for i in event.indexed], row["topics"][1:], strict=True))
    words |= {item.name: "0x" + row["data"][2 + 64 * n : 66 + 64 * n] for n, item in enumerate(event.plain)}
    row |= log(block, row["logIndex"], row["address"], name, **{**words, **values})
    return told


@pytest.mark.parametrize(
    ("block", "name", "values", "said"),
    [
        (4, "Mint", {"increase": 110}, f"block 4, log 1 .Mint of {DEBT}.: interest of account {ALICE}"),
        (4, "Mint", {"index": 10**27 - 1}, "below one ray"),
        (4, "ReserveDataUpdated", {"debt_index": DEBT_INDEX + 1}, f"debt index of {ASSET}"),
        (4, "ReserveDataUpdated", {"liquidity_index": SUPPLY_INDEX - 1}, f"supply index of {ASSET}"),
        (5, "BalanceTransfer", {"value": 1_001}, f"account {ALICE} would hold -1 after sending 1001"),
        (5, "BalanceTransfer", {"index": 10**27}, "fell from"),
        (2, "Supply", {"reserve": CAROL}, f"asset {CAROL} is not listed"),
    ],
)
def test_a_log_that_cannot_be_is_named(block, name, values, said):
    with pytest.raises(HistoryError, match=said):
        replayed(altered(life(), block, name, **values))


@pytest.mark.parametrize(
    ("block", "name", "emitter", "said"),
    [
        (1, "ProxyCreated", None, "revision is unknown"),
        (1, "Initialized", None, "no Initialized"),
        (1, "ReserveInitialized", None, "not listed"),
        (2, "Mint", ATOKEN, f"block 2, log 4 .*: an earlier Transfer of 1000 of token {ATOKEN} from 0x0+ to {ALICE}"),
        (5, "Transfer", ATOKEN, f"block 5, log 1 .*expected a Transfer of {ATOKEN} from 0x0+ to {ALICE}"),
        (3, "ReserveDataUpdated", POOL, f"no ReserveDataUpdated of {ASSET}"),
    ],
)
def test_a_log_that_is_missing_is_noticed(block, name, emitter, said):
    told = life()
    told["logs"].remove(at(told, block, name, emitter))
    with pytest.raises(HistoryError, match=said):
        replayed(told)


@pytest.mark.parametrize(("block", "token"), [(2, ATOKEN), (3, DEBT), (4, DEBT), (5, ATOKEN)])
def test_a_move_of_which_both_logs_are_missing_is_noticed_by_the_interest(block, token):
    told = life()
    for name in ("Transfer", "Mint"):
        told["logs"].remove(at(told, block, name, token))
    if block < 4:  # the account's next log shows it
        with pytest.raises(HistoryError, match=f"interest of account {ALICE}"):
            replayed(told)
    elif block == 4:  # nothing of this account follows: the books are wrong, and only a fresh read shows it
        assert replayed(told).reserves[0].scaled_debt == 500
    else:  # a booking of interest moves nothing
        assert replayed(told) == replayed(life())


def test_an_unknown_revision_and_unknown_code_are_refused():
    with pytest.raises(HistoryError, match="has revision 12; rules are known for 1 to 11"):
        replayed(life(), revision=12)
    with pytest.raises(HistoryError, match=f"implementation {CODE} is not given"):
        Replay(POOL, CONFIGURATOR, {}).feed(decode(life()["logs"], dict(life()["blocks"])))


def test_logs_out_of_order_twice_or_without_a_time_are_refused():
    told = life()
    with pytest.raises(HistoryError, match="expected rising blocks and log indices"):
        decode([*told["logs"], told["logs"][-1]], dict(told["blocks"]))
    with pytest.raises(HistoryError, match="block 5: no time"):
        decode(told["logs"], dict(told["blocks"][:-1]))
    replay = replay_of(told)
    happenings = decode(told["logs"], dict(told["blocks"]))
    replay.feed(happenings)
    with pytest.raises(HistoryError, match="must be in order"):
        replay.feed(happenings[-1:])


def test_a_log_of_another_shape_and_stable_debt_are_refused():
    told = life()
    at(told, 4, "Mint")["data"] = "0x"
    with pytest.raises(HistoryError, match=r"block 4, log 1 of .*bytes of data"):
        decode(told["logs"], dict(told["blocks"]))
    told = life()
    at(told, 3, "Mint")["topics"][0] = "0xc16f4e4ca34d790de4c656c72fd015c667d688f20be64eea360618545c4c530f"
    with pytest.raises(HistoryError, match="stable debt"):
        decode(told["logs"], dict(told["blocks"]))


def test_a_log_of_another_market_is_refused():
    told = life()
    at(told, 2, "Supply")["address"] = CAROL
    with pytest.raises(HistoryError, match=f"expected of {POOL}"):
        replayed(told)
