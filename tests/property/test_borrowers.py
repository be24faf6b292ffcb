"""Borrowers who respond: brute force bit for bit, plain Python within rounding, by hand, and laws."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_core as rc
from risk_core.draws import opening_steps
from tests.markets import KINDS, one_account, random_market, scenario
from tests.property.drawn import CASCADE, QUEUE, amounts, random_impact, random_limits, random_paths, same
from tests.reference import naive

HOUR = timedelta(hours=1)


def random_borrowers(seed: int, share: float | None = None) -> rc.Borrowers:
    rng = np.random.default_rng([seed, 77])
    zone = float(rng.uniform(1.0, 1.6))
    return rc.Borrowers(
        share=float(rng.uniform(0, 1)) if share is None else share,
        delay=timedelta(hours=float(rng.uniform(0.1, 8))),
        zone=zone,
        target=zone + float(rng.uniform(0, 0.5)),
        seed=int(rng.integers(0, 2**62)),
    )


def path(*prices: float) -> rc.PricePaths:
    """The price of ETH by the hour, the first of them the snapshot's; USDC stands still."""
    price = np.ones((1, 2, len(prices)))
    price[0, 0] = prices
    return rc.PricePaths(name="by hand", price=price, step=HOUR)


def test_a_warned_borrower_repays_to_his_target_and_the_fall_finds_nothing():
    """10 ETH at 1,900 and threshold 0.83 carry 15,770; 15,000 of debt is health 1.051. To 1.25: 12,616 of debt."""
    book = one_account(debt=15_000.0)
    falls = path(1_900, 1_900, 1_600)
    alone = rc.simulate(book, falls, threads=1)
    assert alone.repaid_usd > 0

    run = rc.simulate(book, falls, threads=1, borrowers=rc.Borrowers(share=1.0, delay=HOUR))
    # At 1,600, 13,280 carry 12,616: no call, but health 1.053 is a warning again, and 13,280 / 1.25 of debt remain.
    assert run.responded_usd == pytest.approx([15_000 - 13_280 / 1.25])
    assert run.repaid_usd == pytest.approx([0])
    assert alone.responded_usd == pytest.approx([0])


def test_who_is_warned_too_short_is_liquidated():
    """Two hours of warning, and the third brings the fall: with a delay of three hours nobody has repaid."""
    book = one_account(debt=15_000.0)
    falls = path(1_900, 1_900, 1_900, 1_600)
    late = rc.simulate(book, falls, threads=1, borrowers=rc.Borrowers(share=1.0, delay=timedelta(hours=3)))
    in_time = rc.simulate(book, falls, threads=1, borrowers=rc.Borrowers(share=1.0, delay=timedelta(hours=2)))
    assert late.repaid_usd == pytest.approx(rc.simulate(book, falls, threads=1).repaid_usd)
    assert in_time.repaid_usd == pytest.approx([0])


def test_warnings_are_counted_in_all_and_begin_anew_after_a_response():
    """In the zone at the ends of steps 1, 3 and 4; between them the price is high. The delay of two hours ends at 3."""
    book = one_account(debt=15_000.0)
    # Health 1.051, 1.383, 1.051: the second warning makes the borrower repay to 1.25; then 1.05 warns him anew.
    run = rc.simulate(
        book, path(1_900, 1_900, 2_500, 1_900, 1_600), threads=1,
        borrowers=rc.Borrowers(share=1.0, delay=timedelta(hours=2)),
    )  # fmt: skip
    assert run.responded_usd == pytest.approx([15_000 - 15_770 / 1.25])
    again = rc.simulate(
        book, path(1_900, 1_900, 2_500, 1_900, 1_600, 1_600), threads=1,
        borrowers=rc.Borrowers(share=1.0, delay=timedelta(hours=2)),
    )  # fmt: skip
    # 13,280 over 12,616 is 1.053, twice: the second response brings 12,616 to 13,280 / 1.25.
    assert again.responded_usd == pytest.approx([15_000 - 13_280 / 1.25])


@pytest.mark.property
@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), n_steps=st.sampled_from([1, 2, 6, 24, 48]),
    depth=st.none() | st.sampled_from([0.01, 0.1, 1.0]), limited=st.booleans(), n_paths=st.sampled_from([1, 9]),
)  # fmt: skip
def test_pruned_equals_brute_force_bit_for_bit(seed, kind, n_steps, depth, limited, n_paths):
    book = random_market(seed, kind)
    plan = scenario(book.n_reserves, n_steps, seed, 1.5)
    how = dict(
        seed=seed, threads=1, borrowers=random_borrowers(seed),
        impact=None if depth is None else random_impact(book, seed, depth),
        liquidators=random_limits(book, seed) if limited else None,
    )  # fmt: skip
    pruned = rc.simulate(book, plan, n_paths, **how)
    brute = rc.simulate(book, plan, n_paths, brute_force=True, **how)
    same(pruned, brute, (*(QUEUE if limited else CASCADE), "responded"))


@pytest.mark.property
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), n_steps=st.integers(1, 12))
def test_plain_python_gives_the_same_amounts(seed, kind, n_steps):
    book, who = random_market(seed, kind, 20), random_borrowers(seed)
    paths = random_paths(book, seed, 3, n_steps, HOUR)
    run = rc.simulate(book, paths, threads=1, borrowers=who)
    twin = naive.simulate(
        book, paths.price[:, :, 1:] / book.price[:, None], np.arange(book.n_reserves), opening_steps(book, paths),
        borrowers=who, delay=who.steps(HOUR),
    )  # fmt: skip
    assert amounts(run) == pytest.approx(twin[:, :4], rel=1e-6, abs=0.01)


@pytest.mark.property
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
def test_where_nobody_responds_nothing_changes(seed, kind):
    book, plan = random_market(seed, kind), scenario(5 if kind != "many_legs" else 12, 12, seed, 1.5)
    silent = rc.simulate(book, plan, 8, seed=seed, threads=1, borrowers=random_borrowers(seed, share=0.0))
    same(silent, rc.simulate(book, plan, 8, seed=seed, threads=1))
    assert not silent.responded_usd.any()


def test_shards_and_threads_have_the_bits_of_one_run():
    book, plan, who = random_market(5), scenario(5, 24, 5, 1.5), rc.Borrowers()
    whole = rc.simulate(book, plan, 100, threads=2, borrowers=who)
    parts = [rc.simulate(book, plan, 100, threads=1, borrowers=who, paths=cut) for cut in ((0, 30), (30, 100))]
    same(parts[0] + parts[1], whole, (*CASCADE, "responded"))
    other = rc.simulate(book, plan, 100, threads=1, borrowers=rc.Borrowers(share=0.1), paths=(30, 100))
    with pytest.raises(rc.InputError, match="borrowers"):
        parts[0] + other


def test_more_borrowers_respond_where_more_would():
    """The same hash decides: who responds at 30 % responds at 60 %, about so many do, and a seed chooses others."""
    place = np.arange(20_000)
    few, many = (rc.Borrowers(share=share).responsive(place) for share in (0.3, 0.6))
    assert not (few & ~many).any()
    for share, found in ((0.3, few), (0.6, many)):
        assert abs(found.mean() - share) < 4 * np.sqrt(share * (1 - share) / len(place))
    other = rc.Borrowers(share=0.3, seed=1).responsive(place)
    assert abs((few & other).mean() - 0.09) < 4 * np.sqrt(0.09 * 0.91 / len(place))
    assert (rc.Borrowers(share=0.3).responsive(place[500:]) == few[500:]).all()
    assert rc.Borrowers(share=1.0).responsive(place).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"share": 1.5}, "share"), ({"share": float("nan")}, "share"), ({"zone": 0.9}, "zone"),
        ({"target": 1.05}, "at least the zone"), ({"delay": timedelta(0)}, "delay"), ({"seed": -1}, "seed"),
        ({"delay": 3}, "delay"),
    ],
)  # fmt: skip
def test_bad_borrowers_are_refused_by_name(change, words):
    with pytest.raises(rc.InputError, match=words):
        rc.Borrowers(**change)


def test_what_does_not_go_together_is_refused():
    book, plan = one_account(), scenario(2, 3, 1, 1.0)
    with pytest.raises(rc.InputError, match="borrowers"):
        rc.simulate(book, plan, 4, borrowers="all")
    with pytest.raises(rc.InputError, match="with borrowers take True"):
        rc.simulate(book, plan, 4, borrowers=rc.Borrowers(), brute_force="simd")
    with pytest.raises(rc.InputError, match="borrowers do not respond"):
        rc.contributions(book, rc.simulate(book, plan, 4, borrowers=rc.Borrowers()))
