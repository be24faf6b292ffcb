"""`episode-replay`: the book along stored prices, exactly; missing ones are refused by name or stood for as stated."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import get_args

import numpy as np
import pytest

import risk_core as rc
from data import load_market
from data.prices.series import load_prices
from data.store.store import Store
from flows import registry
from flows.errors import WrongOption
from flows.risk.episode_replay import NoEpisode, window_of
from flows.risk.episodes import EPISODES
from flows.risk.options import EpisodeReplayOptions
from tests.markets import one_account

WINDOW = ("--from", "2025-06-20", "--until", "2025-06-24")
FLOW = registry.load("episode-replay")
FIRST, LAST = 1_750_377_600, 1_750_723_200


def run(*words: str) -> str:
    return FLOW.run(registry.parser(FLOW).parse_args(list(words)))


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def test_a_book_repeats_the_moves_that_were_seen():
    """10 ETH against 16,000 USDC at LT 0.83: down 5 % from 2,000 is 1,900, and half is repaid: 8,000."""
    book, moves = one_account(price=2_000.0), np.log([[0.97, 0.95 / 0.97, 1 / 0.95]])
    path = rc.PricePaths.replay(book, [0, -1], moves, timedelta(hours=1))
    np.testing.assert_allclose(path.price[0, 0], [2_000, 1_940, 1_900, 2_000])
    assert path.price[0, 1].tolist() == [book.price[1]] * 4
    assert rc.simulate(book, path).repaid_by_step.sum(axis=1).tolist() == pytest.approx([0, 8_000, 0])


def test_a_scale_multiplies_every_log_move():
    """Half of a fall to 1,900 is one to 2,000 sqrt(0.95) = 1,949: health factor 1.011. Twice is 1,805, health 0.936."""
    book, moves = one_account(price=2_000.0), np.log([[0.95]])

    def repaid(scale: float) -> float:
        path = rc.PricePaths.replay(book, [0, -1], moves, timedelta(hours=1), scale)
        assert path.price[0, 0, 1] == pytest.approx(2_000 * 0.95**scale)
        return float(rc.simulate(book, path).repaid_usd[0])

    assert [repaid(scale) for scale in (0.5, 1, 2)] == pytest.approx([0, 8_000, 16_000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(log_moves=[[0.0, float("nan")]]), "log_moves: entry 0, 1 is nan; must be finite"),
        (dict(log_moves=[[-5.0, -30.0]]), "is a move in per cent"),
        (dict(factor=[1, -1]), "factor: entry 0 is 1; must be -1 or a row of the 1"),
        (dict(factor=[0]), r"factor: expected shape \(2\), found \(1,\)"),
        (dict(scale=0.0), "scale: expected a factor above 0, found 0.0"),
        (dict(log_moves=np.zeros((1, 0))), "at least one path and one step"),
    ],
)
def test_a_replay_refuses(change, message):
    given = dict(factor=[0, -1], log_moves=[[0.01]], step=timedelta(hours=1))
    with pytest.raises(rc.InputError, match=message):
        rc.PricePaths.replay(one_account(), **(given | change))


def test_the_stored_figures_are_those_of_the_engine_on_the_stored_prices(sample):
    said = run(*WINDOW, "--scale", "2")
    assert "SAMPLE" in said
    assert "2025-06-20 00:00 to 2025-06-24 00:00 UTC, hour by hour, every log move times 2: one path" in said
    [(episode, scale, moves, repaid, seized, accounts, proxies, first, last)] = rows(
        "SELECT episode, scale, log_moves, repaid_usd, seized_usd, liquidated_accounts, proxies, first_ts, last_ts "
        "FROM fact_episode_replay"
    )
    assert (scale, proxies, first, last) == (2.0, "{}", FIRST, LAST)
    assert episode == "2025-06-20 00:00 to 2025-06-24 00:00"
    market = load_market()
    eth = load_prices(["ETHUSDT"], "1h", FIRST, LAST, synthetic=True)["ETHUSDT"]
    assert json.loads(moves)["ETH"] == pytest.approx(2 * np.log(eth.iloc[-1] / eth.iloc[0]))
    from data.prices import assets
    from flows.risk.factors import factors_of

    series, factor = factors_of(market, assets.asset_map(market.snapshot.market))
    logs = np.log(load_prices(list(series.values()), "1h", FIRST, LAST, synthetic=True).to_numpy())
    price = np.repeat(market.price[:, None], len(logs), axis=1)
    price[factor >= 0] *= np.exp(2 * (logs - logs[0])).T[factor[factor >= 0]]
    found = rc.simulate(market, rc.PricePaths(name="by hand", price=price[None], step=timedelta(hours=1)))
    assert (repaid, seized) == pytest.approx((found.repaid_usd[0], found.seized_usd[0]), rel=1e-9)
    assert accounts == found.n_accounts_liquidated[0] > 0


def test_the_same_replay_is_stored_once_and_another_scale_beside_it(sample):
    run(*WINDOW)
    run(*WINDOW)
    run(*WINDOW, "--scale", "1.5")
    found = rows("SELECT scale, repaid_usd FROM fact_episode_replay ORDER BY scale")
    assert [scale for scale, _ in found] == [1.0, 1.5]
    assert found[0][1] < found[1][1]


def test_a_factor_without_prices_then_is_named_and_another_stands_for_it_as_stated(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute("DELETE FROM dim_prices WHERE symbol = 'LDOUSDT'")
        connection.execute(f"DELETE FROM dim_prices WHERE symbol = 'CRVUSDT' AND ts < {FIRST + 7200}")
        connection.execute(
            f"DELETE FROM dim_prices WHERE symbol = 'UNIUSDT' AND ts BETWEEN {FIRST + 3600} AND {FIRST + 9 * 3600}"
        )
    with pytest.raises(NoEpisode) as refused:
        run(*WINDOW)
    said = str(refused.value)
    assert "CRV (CRVUSDT: only from 2025-06-20 02:00 to 2025-06-24 00:00)" in said
    assert "LDO (LDOUSDT)" in said
    assert "UNI (UNIUSDT: a hole of 9 hours)" in said
    assert rows("SELECT count(*) FROM fact_episode_replay") == [(0,)]
    said = run(*WINDOW, "--proxy", "LDO=ETH", "CRV=still", "UNI=AAVE")
    assert "note: LDO moves as ETH, as stated" in said
    assert "note: CRV stands still, as stated" in said
    moves = json.loads(rows("SELECT log_moves FROM fact_episode_replay")[0][0])
    assert moves["LDO"] == moves["ETH"]
    assert moves["CRV"] == 0


def test_a_short_hole_is_bridged_and_said(sample):
    with Store.open() as store, store.transaction() as connection:
        connection.execute(
            f"DELETE FROM dim_prices WHERE symbol = 'UNIUSDT' AND ts BETWEEN {FIRST + 3600} AND {FIRST + 3 * 3600}"
        )
    assert "note: hours bridged: 3 of UNI" in run(*WINDOW)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), r"expected one of black-thursday, .*, or a window by --from and --until"),
        (("--from", "2025-06-20"), "expected one of black-thursday"),
        (("--from", "2025-06-20", "--until", "2025-06-19"), "expected 1 hour to 31 days after --from, found -1 days"),
        (("--from", "2025-01-20", "--until", "2025-06-19"), "found 150 days"),
        ((*WINDOW, "--proxy", "LDO"), "--proxy: expected FACTOR=FACTOR or FACTOR=still, each factor once, found 'LDO'"),
        ((*WINDOW, "--proxy", "LDO=LDO"), "--proxy: expected FACTOR=FACTOR"),
        ((*WINDOW, "--proxy", "LDO=XYZ"), "expected factors of this market, found XYZ; the factors are ETH"),
        ((*WINDOW, "--proxy", "LDO=CRV", "CRV=ETH"), "expected no chain, found LDO"),
    ],
)
def test_wrong_options_are_one_line(sample, words, message):
    with pytest.raises(WrongOption, match=message):
        run(*words)


def test_every_known_episode_is_an_option_with_days_that_are_days():
    names = get_args(get_args(EpisodeReplayOptions.model_fields["name"].annotation)[0])
    assert names == tuple(EPISODES)
    for name in names:
        window = window_of(EpisodeReplayOptions(name=name))
        assert window.first % 86_400 == window.last % 86_400 == 0
        assert 1 <= (window.last - window.first) / 86_400 <= 31


def test_a_sample_without_the_days_says_that_its_prices_are_generated(sample):
    with pytest.raises(NoEpisode, match=r"ftx: .* no whole hourly prices of ETH .* A sample has generated prices"):
        run("--name", "ftx")
