"""`protocol-snapshot` from a loopback DefiLlama: sums to check by hand, and nothing written of what drifted."""

from __future__ import annotations

import time

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from data import marts
from data.store.store import Store
from flows.errors import MalformedAnswer, SourceRefused, SourceUnavailable
from tests.flows.protocols.defillama_server import DAY, LAST, DefiLlamaServer, aave, history
from tests.flows.running import ran

FACTS = "SELECT * FROM fact_protocol_snapshot ORDER BY slug, snapshot_ts"


@pytest.fixture
def llama(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> DefiLlamaServer:
    server = DefiLlamaServer(httpserver)
    monkeypatch.setenv("DEFILLAMA_URL", server.url)
    monkeypatch.setattr("flows.clients.http_retry.FIRST_PAUSE", 0.0)
    return server


def run(*words: str) -> str:
    return ran("protocol-snapshot", *words)


def rows(sql: str, *params: object) -> list[tuple]:
    with Store.open() as store:
        return store.rows(sql, params)


def at(ts: int) -> tuple:
    return rows(
        "SELECT tvl_usd, borrowed_usd, utilisation, change_1d, change_7d FROM fact_protocol_snapshot "
        "WHERE slug = 'aave' AND snapshot_ts = ?",
        ts,
    )[0]


def test_chains_are_summed_and_what_is_no_deposit_is_not(llama):
    """Ethereum 20,000m + Base 1,000m; borrowed 14,000m; staking, treasury, pool2 and the keys with a dash left out."""
    said = run("--lists")

    tvl, borrowed, utilisation, day, week = at(LAST)
    assert (tvl, borrowed) == (21e9, 14e9)
    assert utilisation == pytest.approx(14 / 35)
    assert day == pytest.approx(21e9 / (21e9 - 2e6) - 1)  # both chains grow by a million a day
    assert week == pytest.approx(21e9 / (21e9 - 14e6) - 1)
    assert "aave: 21,000,000,000 USD locked, 14,000,000,000 USD lent (40.0% of deposits) at 2026-11-21 00:00" in said
    assert rows("SELECT count(*) FROM fact_protocol_snapshot") == [(30,)]


def test_before_a_chain_began_and_before_the_history_began_there_is_less_to_say(llama):
    run("--lists")
    assert at(LAST - 10 * DAY)[0] == 20e9 - 10e6  # Base has ten points, so it begins a day later
    assert at(LAST - 29 * DAY)[3:] == (None, None)
    assert at(LAST - 28 * DAY)[3] is not None
    assert at(LAST - 28 * DAY)[4] is None


def test_without_a_total_of_what_was_lent_the_chains_of_it_are_summed_and_without_either_it_is_unknown(llama):
    body = aave()
    del body["chainTvls"]["borrowed"]
    llama.bodies["/protocol/aave"] = body
    run("--lists")
    assert at(LAST)[1] == 13e9 + 1e9

    for key in ("Ethereum-borrowed", "Base-borrowed"):
        del body["chainTvls"][key]
    llama.bodies["/protocol/other"] = body
    run("--lists", "--slugs", "other")
    assert rows("SELECT DISTINCT borrowed_usd, utilisation FROM fact_protocol_snapshot WHERE slug = 'other'") == [
        (None, None)
    ]


def test_chains_whose_newest_points_are_seconds_apart_do_not_drop_out_of_each_others_sum(llama):
    body = aave()
    body["chainTvls"]["Ethereum"]["tvl"].append({"date": LAST + 3600, "totalLiquidityUSD": 22e9})
    body["chainTvls"]["Base"]["tvl"].append({"date": LAST + 3607, "totalLiquidityUSD": 2e9})
    llama.bodies["/protocol/aave"] = body
    run("--lists")
    assert at(LAST + 3600)[0] == 22e9 + 1e9
    assert at(LAST + 3607)[0] == 22e9 + 2e9


def test_running_again_changes_nothing_and_leaves_no_trace_but_its_run(llama):
    run("--lists")
    before = rows(FACTS), rows("SELECT * FROM raw_defillama_protocol"), rows("SELECT * FROM fact_batch")
    run("--lists")
    assert (rows(FACTS), rows("SELECT * FROM raw_defillama_protocol"), rows("SELECT * FROM fact_batch")) == before
    assert rows("SELECT count(*) FROM fact_run") == [(2,)]


def test_a_new_day_and_a_corrected_point_update_to_what_building_anew_gives(llama):
    run("--lists")
    body = aave()
    body["chainTvls"]["Ethereum"]["tvl"].append({"date": LAST + DAY, "totalLiquidityUSD": 20.5e9})
    body["chainTvls"]["Base"]["tvl"][-5]["totalLiquidityUSD"] = 3e9
    llama.bodies["/protocol/aave"] = body
    run("--lists")

    updated = rows(FACTS)
    assert at(LAST - 4 * DAY)[0] == 20e9 - 4e6 + 3e9
    assert rows("SELECT count(*) FROM raw_defillama_protocol WHERE series = 'Base'") == [(11,)]  # the old one stays
    with Store.open() as store:
        assert marts.refresh(store, ["fact_protocol_snapshot"], full=True)["fact_protocol_snapshot"].rebuilt
    assert rows(FACTS) == updated


def test_a_row_says_which_write_and_which_answer_it_came_from(llama):
    run("--lists")
    found = rows(
        "SELECT DISTINCT r.payload_sha256, b.source, b.run_id = r.run_id FROM fact_protocol_snapshot f "
        "JOIN fact_batch b USING (batch) JOIN raw_defillama_protocol r USING (batch)"
    )
    assert len(found) == 1
    assert found[0][1:] == ("defillama", 1)


def test_the_lists_are_kept_as_received(llama):
    said = run()
    assert "not read" not in said
    assert rows("SELECT protocol_id, slug, category, change_1d FROM raw_defillama_protocols ORDER BY 1") == [
        ("1599", "aave-v3", "Lending", -0.4),
        ("2", None, None, None),
    ]
    assert rows("SELECT chain, date, tvl_usd FROM raw_defillama_chain_tvl ORDER BY date")[1] == (
        "(all)",
        1_700_086_400,
        51e9,
    )
    assert rows("SELECT symbol, circulating, price_usd FROM raw_defillama_stablecoins ORDER BY 1") == [
        ("FRS", None, None),
        ("USDT", 1.5e11, 1.0),
    ]
    assert rows("SELECT project, apy, apy_reward FROM raw_defillama_yields") == [("aave-v3", 1.9, None)]


def test_a_total_that_our_sum_does_not_meet_is_noted_and_said(llama):
    """A key of a new kind, which we would take for a chain: the stated total does not have it."""
    run("--lists")
    assert rows("SELECT count(*) FROM fact_validation") == [(0,)]

    body = aave()
    body["chainTvls"]["offers"] = {"tvl": history(3e9)}
    llama.bodies["/protocol/aave"] = body
    said = run("--lists")
    assert "CHAINS SUM to 24,000,000,000 USD, DefiLlama's own total is 21,000,000,000" in said
    assert rows("SELECT table_name, check_name, n_failed FROM fact_validation") == [
        ("fact_protocol_snapshot", "sum over chains within 1% of the stated total", 1)
    ]


def test_a_list_that_is_away_or_refused_is_named_and_the_snapshot_stands(llama):
    llama.replace |= {"/pools": Response("busy", 503), "/stablecoins": Response("{}", 404)}
    said = run()
    assert "stablecoins not read (" in said
    assert "yields not read (" in said
    assert at(LAST)[0] == 21e9
    assert rows("SELECT state FROM fact_run") == [("completed",)]


def test_a_protocol_that_is_away_or_unknown_ends_the_run_with_nothing_of_it_written(llama):
    llama.replace["/protocol/aave"] = Response("busy", 503)
    with pytest.raises(SourceUnavailable):
        run()
    with pytest.raises(SourceRefused, match="does not know the protocol 'aave-v9'"):
        run("--slugs", "aave-v9")
    assert rows("SELECT count(*) FROM raw_defillama_protocol") == [(0,)]
    assert rows("SELECT DISTINCT state FROM fact_run") == [("failed",)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/protocol/aave", aave(chainTvls={"Ethereum": {"tvl": [{"date": LAST, "total": 1.0}]}})),
        ("/protocol/aave", aave(chainTvls={"Ethereum": {"tvl": [{"date": str(LAST * 1000), "totalLiquidityUSD": 1}]}})),
        ("/pools", {"status": "success", "data": [{"pool": "1"}]}),
    ],
    ids=["renamed", "milliseconds", "a list"],
)
def test_an_answer_that_changed_its_shape_ends_the_run(llama, path, body):
    llama.bodies[path] = body
    with pytest.raises(MalformedAnswer, match=r"expected .*, found .*changed its shape"):
        run()
    assert rows("SELECT count(*) FROM raw_defillama_yields") == [(0,)]


def test_a_point_that_comes_twice_counts_once_and_one_that_says_two_things_is_refused(llama):
    points = history(20e9)
    llama.bodies["/protocol/aave"] = aave(chainTvls={"Ethereum": {"tvl": points[::-1] + points[5:7]}})
    run("--lists")
    assert at(LAST)[0] == 20e9

    other = points[5] | {"totalLiquidityUSD": 1.0}
    llama.bodies["/protocol/aave"] = aave(chainTvls={"Ethereum": {"tvl": [*points, other]}})
    with pytest.raises(MalformedAnswer, match="series Ethereum has two values"):
        run("--lists")


def test_years_of_many_chains_are_summed_the_same_as_by_hand(llama):
    """Against a brute-force twin over 200 days of 12 chains that begin and pause at their own times."""
    chains = {
        f"Chain{number}": {
            "tvl": [
                point
                for place, point in enumerate(history(1e9 + number, days=200 - 9 * number, grows=number * 1e5))
                if (place * 7 + number) % 23
            ]
        }
        for number in range(12)
    }
    llama.bodies["/protocol/aave"] = aave(chainTvls=chains)
    run("--lists")

    series = [{point["date"]: point["totalLiquidityUSD"] for point in chain["tvl"]} for chain in chains.values()]
    for ts in sorted({date for each in series for date in each}):
        expected = sum(
            each[max(near)] for each in series if (near := [date for date in each if ts - 90_000 < date <= ts])
        )
        assert at(ts)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("words", [["--slugs", "Aave V3"], ["--slugs", "../etc"], ["--lists", "coins"]])
def test_a_senseless_parameter_is_a_usage_error(words):
    with pytest.raises(SystemExit):
        ran("protocol-snapshot", *words)


def test_every_round_is_a_run_of_its_own(llama, monkeypatch):
    from flows import continuous

    rounds = []

    def repeat(once, every, stop):
        rounds.extend([once(), once()])
        return f"{len(rounds)} rounds"

    monkeypatch.setattr(continuous, "repeat", repeat)
    assert run("--lists", "--every", "3600") == "2 rounds"
    assert rows("SELECT flow, state FROM fact_run") == [("protocol-snapshot", "completed")] * 2
    assert rows("SELECT max(started_at) FROM fact_run")[0][0] <= time.time()
