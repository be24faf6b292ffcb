"""`protocol-scores`: a score by hand, what must hold for every book, the letter, and what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from data import load_market, marts
from data.store.store import Store
from flows.errors import WrongOption
from flows.scores import inputs, losses, measuring, parts, principal
from flows.scores.protocol_scores import weights
from flows.scores.stored import Stored, read
from risk_core import GBM, Positions, Scenario, simulate
from risk_core.analytics import scores
from risk_core.analytics.slippage import SlippageCurve, slippage_limit
from tests.flows.conftest import LIVE
from tests.flows.running import ran


def run(*words: str) -> str:
    return ran("protocol-scores", "--paths", "1000", *words)


def rows(sql: str) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql)


def change(sql: str) -> None:
    with Store.open() as store, store.transaction() as connection:
        connection.execute(sql)


def stored_now(market) -> Stored:
    with Store.open() as store:
        return read(store, market, None)


def stored() -> Stored:
    market = load_market()
    with Store.open() as store:
        return read(store, market, None)


@pytest.fixture
def computed(sample):
    ran("risk-scenarios", "--paths", "500")


def test_the_score_of_the_sample_by_hand(sample):
    """Every part is computed again here from the rows, and the score is their mean under the shared weights."""
    said = run()
    found = {part: row for part, *row in rows("SELECT part, value, points, used_weight FROM mart_protocol_score_part")}
    with Store.open() as store:
        marts.refresh(store, ["stg_positions"])
    debts = rows(
        "SELECT sum(p.debt * r.price_raw / 1e8) FROM stg_positions AS p JOIN raw_aave_reserves AS r "
        "ON r.market = p.market AND r.block = p.block AND r.asset = p.asset GROUP BY p.account ORDER BY 1 DESC"
    )
    top = sum(usd for (usd,) in debts[:10]) / sum(usd for (usd,) in debts)
    assert found["concentration_debt"][0] == pytest.approx(top)
    assert found["concentration_debt"][1] == pytest.approx(100 * top)
    [(now,), (before,)] = rows(
        "SELECT tvl_usd FROM fact_protocol_snapshot WHERE snapshot_ts IN (1751328000, 1751328000 - 30 * 86400) "
        "ORDER BY snapshot_ts DESC"
    )
    assert found["tvl_trend"][0] == pytest.approx(now / before - 1)
    # Without a risk run and feeds 0.25 of the weight is not known: the others carry 1 / 0.75 of theirs.
    known = {"utilisation": 0.2, "concentration_debt": 0.1, "concentration_collateral": 0.05, "tvl_trend": 0.05,
             "concentration_supply": 0.05, "oracle_model": 0.1, "deficits": 0.05, "depth": 0.15}  # fmt: skip
    for part, weight in known.items():
        assert found[part][2] == pytest.approx(weight / 0.75)
    for part in ("oracle_staleness", "parameters", "cover"):
        assert found[part] == [None, None, 0.0]
    [(score, weight_known)] = rows("SELECT score, weight_known FROM mart_protocol_score")
    assert weight_known == pytest.approx(0.75)
    assert score == pytest.approx(sum(found[part][1] * weight / 0.75 for part, weight in known.items()))
    assert "no letter" in said
    assert "Late prices, Losses without cover, Tight settings" in said
    assert rows("SELECT count(*) FROM mart_principal_loss") == [(0,)]


def test_what_is_missing_names_its_command(sample):
    run()
    assert rows("SELECT part, command FROM mart_protocol_score_part WHERE missing <> '' ORDER BY place") == [
        ("oracle_staleness", "python -m flows oracle-prices"),
        ("cover", "python -m flows risk-scenarios"),
        ("parameters", "python -m flows risk-scenarios"),
    ]
    change("DELETE FROM dim_quote_ladder")
    change("DELETE FROM dim_deficit_cover")
    run()
    found = dict(rows("SELECT part, missing FROM mart_protocol_score_part WHERE part IN ('cover', 'depth')"))
    assert "no cover is stored" in found["cover"]
    assert "no quote of selling a collateral" in found["depth"]
    # Not told is no 0: its weight went to the others.
    assert rows("SELECT sum(used_weight) FROM mart_protocol_score_part WHERE part IN ('cover', 'depth')") == [(0.0,)]
    [(total,)] = rows("SELECT sum(used_weight) FROM mart_protocol_score_part")
    assert total == pytest.approx(1)


def test_on_a_live_market_the_commands_that_fetch_are_named(live):
    run()
    found = dict(rows("SELECT part, command FROM mart_protocol_score_part WHERE missing <> ''"))
    assert found["cover"] == "python -m flows umbrella-cover"
    assert found["depth"] == "python -m flows sale-quotes --file FILE"


def test_depth_is_that_of_the_quotes_before_the_snapshot(sample):
    """WETH: 1 % is lost at 100,000 USD and 3 % at 1,000,000; the limit of its own bonus lies in between or beyond."""
    market = load_market()
    r = market.reserves.index("WETH")
    change(f"DELETE FROM dim_quote_ladder WHERE sold <> '{market.reserves.asset[r]}'")
    change(f"DELETE FROM dim_quote_ladder WHERE quoted_at < {market.snapshot.block_time}")
    change("DELETE FROM dim_quote_ladder WHERE size_usd NOT IN (100000, 1000000)")
    change("UPDATE dim_quote_ladder SET received_usd = size_usd * CASE size_usd WHEN 100000 THEN 0.99 ELSE 0.97 END")
    curve = SlippageCurve([1e5, 1e6], [0.01, 0.03])
    bonus, fee = market.reserves.liquidation_bonus[r], market.reserves.protocol_fee[r]
    inside = curve.size_within(slippage_limit(bonus=bonus, protocol_fee=fee))
    held = market.collateral.amount[market.collateral.reserve == r].max() * market.price[r]
    with Store.open() as store:
        found = inputs.depths(store, market, {})
        assert found == {"WETH": inputs.Depth(min(inside, 1e6), "assumed", market.snapshot.block_time, inside > 1e6)}
        # What is stated wins over quotes.
        assert inputs.depths(store, market, {"WETH": 5.0})["WETH"] == inputs.Depth(5.0, "stated")
    run()
    sql = "SELECT value, figures FROM mart_protocol_score_part WHERE part = 'depth'"
    [(value, figures)] = rows(sql)
    assert value == pytest.approx(held / min(inside, 1e6))
    assert json.loads(figures)["origin"] == "assumed"
    # A quote of later, or of more than a week before, says nothing of this block.
    for when in (market.snapshot.block_time + 1, market.snapshot.block_time - 7 * 86_400 - 1):
        change(f"UPDATE dim_quote_ladder SET quoted_at = {when}")
        run()
        assert rows(sql)[0][0] is None


def test_cover_is_what_umbrella_says_less_its_fee_reserve_by_reserve(computed):
    """WETH: 10 of offset, 5 pending and 300 staked at half its price with a fee of 25 %: 15 + 300 / 2 / 1.25."""
    market = load_market()
    weth = market.price[market.reserves.index("WETH")]
    change("DELETE FROM dim_deficit_cover WHERE symbol <> 'WETH'")
    change(
        f"UPDATE dim_deficit_cover SET offset_raw = '{10 * 10**18}', pending_raw = '{5 * 10**18}', stake_raw = "
        f"'{300 * 10**18}', stake_price_raw = '{round(weth / 2 * 1e8)}', fee_bps = 2500"
    )
    change("UPDATE raw_aave_reserves SET deficit = '1000000000' WHERE symbol = 'USDC'")  # 1,000
    with Store.open() as store:
        found = inputs.covering(store, market, {})
        assert found.tokens == {"WETH": pytest.approx(15 + 120)}
        assert found.offsets == {"WETH": pytest.approx(15)}
        assert found.origin == "assumed for the sample"
    # A block after the market's is not looked at.
    change(f"UPDATE dim_deficit_cover SET block = {market.snapshot.block + 1}")
    with Store.open() as store:
        assert inputs.covering(store, market, {}) is None
        assert inputs.covering(store, market, {"WETH": 2.0}).tokens == {"WETH": 2.0}

    run_of = SimpleNamespace(
        figures={("es_deficit", 0.99): SimpleNamespace(value=1e6)},
        series={"deficit_by_reserve": {"WETH": 3.0, "USDC": 1.0}},
    )
    of = replace(stored_now(market), run=run_of)
    usdc = market.price[market.reserves.index("USDC")]
    measured = losses.covered(of, inputs.Covering({"WETH": 135.0}, {"WETH": 15.0}, "test"))
    # Needed: 750,000 in WETH, 250,000 and the booked 1,000 in USDC. Cover of WETH does not serve USDC.
    covered = min(135 * weth, 750_000)
    assert measured.value == pytest.approx((1e6 + 1_000 * usdc - covered) / of.supplied_usd)
    assert measured.figures["uncovered_usd"] == pytest.approx(1e6 + 1_000 * usdc - covered)
    assert measured.figures["worst_reserve"] == ("WETH" if 750_000 - covered > 251_000 else "USDC")
    assert losses.covered(of, None).missing
    assert "no risk run" in losses.covered(replace(of, run=None), inputs.Covering({}, {}, "test")).missing
    nothing = losses.covered(of, inputs.Covering({}, {}, "test"))
    assert nothing.value == pytest.approx((1e6 + 1_000 * usdc) / of.supplied_usd)
    # Next to no loss without cover is next to no risk, though all of it is without.
    small = SimpleNamespace(
        figures={("es_deficit", 0.99): SimpleNamespace(value=3.0)}, series={"deficit_by_reserve": {"WETH": 1.0}}
    )
    unbooked = replace(of, run=small, deficit_usd=np.zeros(market.n_reserves))
    assert losses.covered(unbooked, inputs.Covering({}, {}, "test")).value == pytest.approx(3 / of.supplied_usd)


def test_a_letter_comes_with_its_interval_and_its_assumptions(computed):
    said = run()
    first, *others = rows(
        "SELECT assumption, n_paths, n_hits, few_draws, probability_year, high_year, letter_low, letter_high, "
        "high_horizon, threshold_usd FROM mart_principal_loss ORDER BY place"
    )
    assert first[:5] == ("as_it_stands", 1000, 0, 1, 0.0)
    assert first[8] == pytest.approx(1 - 0.025 ** (1 / 1000))
    assert first[5] == pytest.approx(1 - (1 - first[8]) ** 365)
    assert first[6:8] == ("A+", scores.letter(first[5]))
    [(supplied,)] = rows("SELECT supplied_usd FROM mart_protocol_score")
    assert first[9] == pytest.approx(0.01 * supplied)
    assert [row[0] for row in others] == ["cover", "thin", "slower", "rougher", "bad_days", "tails"]
    assert "0 of 1,000 paths: few draws" in said
    assert rows("SELECT value > 0 FROM mart_protocol_score_part WHERE part = 'parameters'") == [(1,)]


def test_again_changes_nothing_and_the_question_is_known(computed):
    run()
    tables = ("mart_protocol_score", "mart_protocol_score_part", "mart_principal_loss")
    before = [rows(f"SELECT * FROM {table}") for table in tables]
    run()
    assert [rows(f"SELECT * FROM {table}") for table in tables] == before
    assert "nothing to do" in run("--skip-if-stored")
    assert "nothing to do" not in run("--skip-if-stored", "--seed", "8")


def test_a_score_is_computed_again_when_more_of_its_inputs_are_stored(computed):
    change("DELETE FROM fact_protocol_snapshot")
    run()
    assert rows("SELECT value FROM mart_protocol_score_part WHERE part = 'tvl_trend'") == [(None,)]
    with Store.open() as store:
        marts.refresh(store, ["fact_protocol_snapshot"], full=True)

    assert "nothing to do" not in run("--skip-if-stored")

    assert rows("SELECT value IS NULL FROM mart_protocol_score_part WHERE part = 'tvl_trend'") == [(0,)]


def test_depth_cover_and_weights_are_what_is_stated(computed):
    change("UPDATE raw_aave_reserves SET deficit = '50000000000000' WHERE symbol = 'USDC'")  # 50 million
    market = load_market(verify=False)
    usdc = market.price[market.reserves.index("USDC")]
    held = market.collateral.amount[market.collateral.reserve == market.reserves.index("WETH")].max()
    weth = market.price[market.reserves.index("WETH")]
    run("--depth", "WETH=1e6", "--cover", "USDC=20e6", "WETH=1e6", "--weights", "depth=0.25", "utilisation=0.1")
    [(worst,)] = rows("SELECT value FROM mart_protocol_score_part WHERE part = 'depth'")
    assert worst == pytest.approx(held * weth / 1e6)
    [(figures,)] = rows("SELECT figures FROM mart_protocol_score_part WHERE part = 'cover'")
    # Cover in WETH does not serve a deficit of USDC.
    assert json.loads(figures)["uncovered_usd"] >= 30e6 * usdc * (1 - 1e-6)
    assert json.loads(figures)["origin"] == "stated (--cover)"
    # The past deficit has used up the cover of USDC: only that of WETH is left for the next one.
    assert json.loads(figures)["cover_left_usd"] == pytest.approx(1e6 * weth, rel=1e-9)
    [(share, supplied)] = rows(
        "SELECT value, supplied_usd FROM mart_protocol_score_part JOIN mart_protocol_score USING (market, block) "
        "WHERE part = 'deficits'"
    )
    assert share * supplied == pytest.approx(50e6 * usdc, rel=1e-6)
    assert rows("SELECT weight FROM mart_protocol_score_part WHERE part IN ('depth', 'utilisation') ORDER BY 1") == [
        (0.1,),
        (0.25,),
    ]
    assert rows("SELECT count(*) FROM mart_principal_loss WHERE assumption = 'cover'") == [(1,)]


def test_a_changed_row_changes_its_part_alone(sample):
    run()
    sql = "SELECT part, value FROM mart_protocol_score_part ORDER BY place"
    before = dict(rows(sql))
    change("UPDATE raw_aave_reserves SET virtual_balance = '0' WHERE symbol = 'WETH'")
    run()
    after = dict(rows(sql))
    assert after["utilisation"] > before["utilisation"] + 1
    assert {part for part in before if before[part] != after[part]} == {"utilisation"}


def test_only_accounts_with_debt_say_nothing_of_suppliers(sample):
    change("UPDATE fact_snapshot SET read_mode = 'borrowers'")
    run()
    [(why,)] = rows("SELECT missing FROM mart_protocol_score_part WHERE part = 'concentration_supply'")
    assert "only accounts with debt were read" in why


def test_late_feeds_are_counted_among_those_that_are_known(live):
    """WETH's feed is stale, USDC's is fresh, the others are not known: a share of the two."""
    [(chain, block, time)] = rows("SELECT chain_id, block, block_time FROM fact_snapshot")
    for symbol, word in (("WETH", "stale"), ("USDC", "fresh")):
        change(
            "INSERT INTO mart_feed_staleness SELECT "
            f"{chain}, price_source, {block}, {time}, symbol, 1.0, 1, 1, 1, 'reported', '{word}', 1, 0, NULL, NULL, "
            f"NULL, 0, 0, 0, 0, 0, 0 FROM raw_aave_reserves WHERE symbol = '{symbol}'"
        )
    found = stored()
    size = measuring._size_usd(found)
    weth, usdc = (size[found.market.reserves.index(symbol)] for symbol in ("WETH", "USDC"))
    with Store.open() as store:
        measured = measuring.staleness(store, found)
    sources = found.price_source
    shared = [
        s for i, s in enumerate(sources) if sources.count(s) > 1 and found.market.reserves.symbol[i] in "WETH USDC"
    ]
    if not shared:
        assert measured.value == pytest.approx(weth / (weth + usdc))
    assert "WETH" in measured.figures["late"]
    assert found.market.snapshot.market == LIVE

    change(f"UPDATE mart_feed_staleness SET block_time = {time - 30 * 86_400}")  # read long before the snapshot
    with Store.open() as store:
        assert measuring.staleness(store, found).missing


def test_the_order_of_accounts_does_not_matter(sample):
    found = stored()
    market = found.market
    order = np.random.default_rng(1).permutation(market.n_accounts)

    def moved(side: Positions) -> Positions:
        who = np.repeat(np.argsort(order), np.diff(side.indptr))
        return Positions.from_entries(who, side.reserve, side.amount, market.n_accounts)

    other = replace(
        market, accounts=market.accounts[order], emode=market.emode[order], collateral=moved(market.collateral),
        debt=moved(market.debt),
    )  # fmt: skip
    shuffled = replace(found, market=other, supply=np.random.default_rng(2).permutation(found.supply))
    with Store.open() as store:
        asked = {"depths": {"WETH": inputs.Depth(1e6, "stated")}, "cover": None}
        one, two = (measuring.measure(store, of, **asked) for of in (found, shuffled))
    for part in parts.PARTS:
        assert two[part.key].value == pytest.approx(one[part.key].value, nan_ok=True)
    stated = {part.key: part.weight for part in parts.PARTS}
    assert parts.scored(two, stated)[0].score == pytest.approx(parts.scored(one, stated)[0].score)


def test_more_of_a_risk_is_more_points():
    for part in parts.PARTS:
        ends = np.linspace(part.none_at, part.full_at, 5)
        each = [parts.points(part, parts.Measured(value=float(v), tables="")) for v in ends]
        assert each == sorted(each)
        assert (each[0], each[-1]) == (0, 100)
    assert sum(part.weight for part in parts.PARTS) == pytest.approx(1)


def test_the_chance_of_a_loss_that_is_certain_and_of_one_that_is_rare(sample):
    """Collateral that is worth a tenth at once: every path loses; what 5 of 400 lose is few draws."""
    market = load_market()
    crash = Scenario(
        name="crash", horizon=timedelta(hours=24), n_steps=4,
        factors=("all",), volatility=(0.5,), correlation=[[1.0]], shock=(-0.9,),
        factor=np.where(market.reserves.fixed_price | np.array(["USD" in s for s in market.reserves.symbol]), -1, 0),
        law=GBM(),
    )  # fmt: skip
    asked = principal.Assumption(key="x", says="x", scenario=crash)
    found = principal.chance(market, asked, 1e6, paths=400, seed=1, policy="largest_legs")
    assert found["n_hits"] == 400
    assert not found["few_draws"]
    assert found["letter"] == "D"
    none = principal.chance(market, asked, 1e15, paths=400, seed=1, policy="largest_legs")
    assert (none["n_hits"], none["few_draws"], none["letter"]) == (0, 1, "A+")
    assert none["letter_high"] == "C-"  # 400 days say next to nothing of a year
    assert none["small_losses_year"] > 0
    losses = np.sort(simulate(market, crash, n_paths=400, seed=1).deficit_usd)
    rare = principal.chance(market, asked, float(losses[-6:-4].mean()), paths=400, seed=1, policy="largest_legs")
    assert rare["few_draws"] == (rare["method"] == "plain")
    assert rare["low_horizon"] < 5 / 400 < rare["high_horizon"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--weights", "depth=0.5"], "expected a sum of 1 over all parts, found 1.35"),
        (["--weights", "size=0.5"], "no part is called 'size'; known: utilisation"),
        (["--depth", "NOPE=1"], "--depth: no reserve 'NOPE' in this market"),
        (["--cover", "WETH=1", "WETH=2"], "--cover: WETH is given twice"),
    ],
)
def test_wrong_options_are_named(sample, words: list[str], says: str):
    with pytest.raises(WrongOption, match=says):
        run(*words)


@pytest.mark.parametrize("words", [["--depth", "WETH"], ["--depth", "WETH=-1"], ["--depth", "=3"], ["--paths", "10"]])
def test_what_is_no_pair_is_refused(sample, words: list[str], capsys):
    with pytest.raises((WrongOption, SystemExit)):
        ran("protocol-scores", *words)


def test_weights_that_are_stated_replace_their_own():
    every = weights(["depth=0.0", "utilisation=0.35"])
    assert every["depth"] == 0
    assert every["oracle_model"] == 0.1
