"""The Risk page: what is stored is what is shown, shares add up to 100 %, and few draws are said and not drawn."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import risk_core as rc
from dashboard import ids
from dashboard.app import create_app
from dashboard.look import formatting as fmt
from dashboard.market.checks import Damaged
from dashboard.market.forecasts import LawRecord, Ledger
from dashboard.market.loaded import LoadedMarket, ShownFigure, ShownRun
from dashboard.market.page_data import Unavailable
from dashboard.market.tail import Part, tail_of
from dashboard.market.warehouse import Warehouse
from dashboard.pages.risk import answers, charts, page, parts, tables
from data import results
from tests.dashboard.conftest import MemorySource, words
from tests.dashboard.test_server import ids_of
from tests.flows.running import ran

PATHS = 4_000


@pytest.fixture(scope="session")
def simulated(sample_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with a run of the flow."""
    own = tmp_path_factory.mktemp("simulated") / "risk.sqlite"
    shutil.copy(sample_warehouse, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(own))
        ran("risk-scenarios", "--paths", str(PATHS))
    return own


@pytest.fixture(scope="session")
def source_of_run(simulated: Path) -> Warehouse:
    return Warehouse(simulated)


@pytest.fixture
def found(source_of_run: Warehouse) -> answers.Answer:
    return answers.answer(source_of_run)


def test_the_page_in_words(simulated: Path, source_of_run: Warehouse, found: answers.Answer):
    said = words(page.build(source_of_run, ""))
    stored = results.latest(simulated)
    for part in (
        fmt.money(stored.figure("lar_repaid", 0.99).value), fmt.money(stored.figure("es_repaid", 0.95).value),
        "Does the model matter?", "Who makes the tail?", "When and where is collateral sold?", "The tail in figures",
        "Which moves would do it?", "If Aave loses, how much?", "Have enough paths been run?", "When does it begin?",
        "no price law has passed its tests yet", "two-speed-t5, the default in blue",
    ):  # fmt: skip
        assert part in said, part
    low, high = (
        fmt.money(end) for end in (page.models(source_of_run, found).low, page.models(source_of_run, found).high)
    )
    assert f"between {low} and {high}" in said


def test_the_outline_holds_every_part_that_a_callback_fills(source_of_run: Warehouse):
    built = set(ids_of(page.build(source_of_run, ""))) & {name for name in vars(ids).values() if isinstance(name, str)}
    assert built == set(ids_of(page.outline()))


@pytest.mark.parametrize("measure", ["lar_repaid", "es_repaid"])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_bars_add_up_to_the_whole(found: answers.Answer, measure: str, level: float):
    shares = answers.shares_of(found, measure, level)
    if shares.reason:
        assert shares.n_draws < 30
        return
    for rows in (shares.reserves, shares.sold, shares.accounts, shares.drivers):
        shown = answers.bars(rows)
        assert sum(one.share for one in shown) == pytest.approx(1.0)
        assert len(shown) <= answers.ROWS
    said = words(parts.cuts(found, measure, level))
    assert fmt.money(shares.value) in said
    assert f"from {fmt.count(shares.n_draws)} paths" in said


def test_bars_by_hand():
    """Seven parts and an eighth: six are told, the others are one bar, without an error of its own."""
    rows = tuple(Part(name=f"R{k}", share=0.3 if k == 0 else 0.1, se=0.01) for k in range(8))
    shown = answers.bars(rows)
    assert [one.label for one in shown] == ["R0", "R1", "R2", "R3", "R4", "R5", "2 others"]
    assert shown[-1].share == pytest.approx(0.2)
    assert np.isnan(shown[-1].se)
    accounts = (Part(name="0xa", share=0.6, se=0.0), Part(name="", share=0.4, se=0.02))
    assert [(one.label, one.se) for one in answers.bars(accounts, behind=90)] == [("0xa", 0.0), ("90 others", 0.02)]
    drivers = tuple(
        Part(name=name, share=share, se=0.0, kind=kind)
        for name, share, kind in (("ETH", 0.5, "factor"), ("others", 0.2, "others"), ("no move", 0.3, "stayed"))
    )
    assert [one.label for one in answers.bars(drivers, rest="other prices")] == [
        "ETH",
        "other prices",
        "before any move",
    ]


def test_fewer_than_thirty_draws_are_said_and_nothing_is_drawn(found: answers.Answer):
    """4,000 paths have 4 beyond 99.9 %: no share, no figure of that tail."""
    said = words(parts.cuts(found, "es_repaid", 0.999))
    assert "4 draws" in said
    assert "4 paths with a loss lie beyond the level, 30 are needed" in said
    assert "$" not in said
    rare = found.run.estimate("es_repaid", 0.999)
    assert rare.value > 0
    assert words(tables.figure(rare, PATHS)) == f"{fmt.MISSING}◆ 4 draws only"
    assert fmt.money(rare.value) not in words(tables.tail_card(found))


def test_a_loss_that_never_came_has_no_size(found: answers.Answer):
    """Its chance is bounded; the mean when it happens is not 0 but not known."""
    none = {("p_deficit", 0.0): ShownFigure(0.0, 0.0, 0.00096, 0.0, 0, True)}
    none |= {
        (name, 0.0): ShownFigure(0.0, n_positive=0, few_draws=True) for name in ("severity_deficit", "mean_deficit")
    }
    rare = replace(found, run=replace(found.run, estimates=dict(found.run.estimates) | none))
    said = words(tables.loss_card(rare))
    assert "P(any deficit)< 0.10" in said
    assert f"Mean when it happens{fmt.MISSING} no path has a loss" in said
    assert "Expected loss$0 no path has a loss" in said
    assert "no severity is stated" in said


def test_a_run_of_few_paths_has_no_headline_and_no_models(found: answers.Answer):
    """Two paths beyond 99 %: said, and no figure of that tail anywhere; the nearest moves are for other targets."""
    few = replace(found.lar, few_draws=True, n_positive=2)
    estimates = dict(found.run.estimates)
    estimates |= {("lar_repaid", 0.99): few, ("es_repaid", 0.99): few}
    models = tuple(replace(one, figure=replace(one.figure, few_draws=True)) for one in found.tail.envelope)
    rare = replace(found, run=replace(found.run, estimates=estimates), tail=replace(found.tail, envelope=models))
    assert answers.envelope(rare, None) is None
    verdict = words(parts.verdict(rare, None))
    assert "2 of 4,000 paths lie beyond 99" in verdict
    assert "$" not in verdict
    assert "Fewer than 30 paths of each model" in words(parts.models_card(rare, None))
    assert fmt.money(found.lar.value) not in words(parts.distribution_card(rare)) + words(parts.convergence_card(rare))
    drawn = page.distribution(rare, "dark")
    assert not any("LaR 99\u202f%" in note["text"] for note in drawn["layout"]["annotations"])
    assert [trace["type"] for trace in drawn["data"]] == ["bar"]
    assert answers.targets(rare)[0][0] == "a hundredth of all debt liquidated"


def test_a_figure_of_a_tail_in_words():
    assert words(tables.figure(ShownFigure(5e6, 4e6, 6e6, 5e5, 100), 10_000)) == "$5.00M±\u00a01.0M"
    assert words(tables.figure(ShownFigure(89e6, 79.5e6, 142.1e6, 9e6, 100), 10_000)) == "$89.0M79.5 to 142"
    assert words(tables.figure(ShownFigure(0.0, 0, 0, 0, 0, True), 10_000)) == "$0no path has a loss"
    assert words(tables.figure(ShownFigure(0.0, 0, 0, 0, 3, True), 10_000)) == "$0loss on 3 paths"
    assert words(tables.figure(None, 10_000)) == f"{fmt.MISSING}not stored"


def test_models_are_judged_by_the_record_of_their_forecasts(found: answers.Answer):
    """A law that fails does not widen the envelope; without a record it is untested."""
    plain = answers.envelope(found, None)
    assert {one.standing for one in plain.laws} == {"untested"}
    assert plain.none_passed
    worst = max(plain.laws, key=lambda one: one.model.figure.value).model.name
    used = next(one.model for one in plain.models if one.model.in_use)
    assert used.name == "two-speed-t5"
    assert used.name != worst
    ledger = Ledger(market="m", told=(), records=(*record(worst, fails=True), *record(used.name, fails=False)))
    judged = answers.envelope(found, ledger)
    assert judged.high < plain.high
    assert not judged.none_passed
    assert {one.model.name for one in judged.models if one.fails} == {worst}
    assert "1 of 10 price laws fail a test" in words(parts.verdict(found, judged))
    drawn = charts.envelope(judged, "dark")["data"]
    assert [trace["marker"]["symbol"] for trace in drawn].count("x-thin") == 1
    assert len(drawn) == len(judged.models)


def record(law: str, fails: bool) -> tuple[LawRecord, ...]:
    return tuple(
        LawRecord(
            law=law, horizon_seconds=86_400, level=level, n=500, needed=100, enough=1, exceptions=40, expected=5.0,
            kupiec_p=0.001 if fails else 0.6, independence_p=0.5, conditional_p=0.5, cumulative=0.5, zone="green",
            pinball_usd=1.0, crps_usd=1.0, pit_p=0.5, es_level=0.975, evidence=1.0, evidence_most=1.0, is_synthetic=1,
        )
        for level in (0.9, 0.95, 0.99)
    )  # fmt: skip


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts_show_what_is_stored(source_of_run: Warehouse, found: answers.Answer, theme: str):
    drawn = page.drawn(source_of_run, theme, None)
    assert all(figure["data"] for figure in drawn)
    distribution, _, heat, convergence, begun = drawn
    shown = answers.heat(found)
    grid = heat["data"][1]
    assert (len(grid["z"]), len(grid["z"][0])) == (len(shown.rows), 24)
    assert np.nansum(np.array(grid["z"], float)) == pytest.approx(shown.by_step.sum())
    assert heat["data"][0]["y"] == pytest.approx(shown.by_step.tolist())
    weak, firm = convergence["data"][1:]
    assert (firm["x"][-1], firm["y"][-1]) == (PATHS, found.lar.value)
    assert weak["x"][-1] == firm["x"][0] >= 3_000 > weak["x"][-2]  # 1 % of 3,000 are 30 paths
    assert begun["data"][0]["y"][0] == 0
    assert begun["data"][0]["y"][-1] == pytest.approx(100 * (1 - found.tail.steps.first[-1]))
    part = np.array(distribution["data"][0]["y"])
    beyond = found.tail.histogram.beyond / PATHS
    assert part.sum() + beyond == pytest.approx(1.0)


def test_the_heatmap_adds_fine_steps_up(found: answers.Answer):
    steps = found.tail.steps
    many = 240
    rows = tuple(replace(row, usd=tuple([1.0] * many)) for row in steps.seized)
    fine = replace(steps, hours=tuple(k / 10 for k in range(1, many + 1)), tail_first=(), seized=rows)
    shown = answers.heat(replace(found, tail=replace(found.tail, steps=fine)))
    assert len(shown.hours) == answers.COLUMNS
    assert shown.rows[0].usd == (5.0,) * 48
    assert shown.hours[0] == 0.5
    assert not shown.tail
    assert shown.hours[-1] == 24.0


def test_the_nearest_moves_come_nearest_first_and_lead_to_what_if(found: answers.Answer):
    rows = answers.nearest(found)
    distances = [one.stress.distance for *_, one in rows if not isinstance(one, str)]
    assert distances == sorted(distances)
    assert distances
    links = [row.href for row in tables.nearest(found) if hasattr(row, "href")]
    assert all(link.startswith("/what-if?") for link in links)


def test_likely_accounts_have_their_chance_and_its_interval(found: answers.Answer):
    rows = answers.likely(found)
    assert rows
    first = rows[0]
    assert first.low < first.probability < first.high or first.probability in (0.0, 1.0)
    assert first.address in found.loaded.market.accounts.tolist()
    assert [one.probability for one in rows] == sorted((one.probability for one in rows), reverse=True)


def test_json_holds_what_the_page_shows(simulated: Path, found: answers.Answer):
    client = create_app(Warehouse(simulated)).server.test_client()
    told = client.get("/api/v1/risk/shares?measure=es_repaid&level=0.95").get_json()
    assert sum(row["share"] for row in told["drivers"]) == pytest.approx(1.0)
    assert (told["unit"], told["is_synthetic"], told["n_paths"]) == ("USD", True, PATHS)
    tail = client.get("/api/v1/risk/tail").get_json()
    assert tail["convergence"][-1]["value"] == found.lar.value
    assert {one["forecasts"] for one in tail["models"] if one["group"] == "Price law"} == {"untested"}
    assert client.get("/api/v1/risk/nearest").get_json()["nearest"]
    for query in ("measure=var", "level=0.5", "level=x"):
        assert client.get(f"/api/v1/risk/shares?{query}").status_code == 400


def test_a_run_of_an_older_version_says_what_to_do(source: MemorySource):
    """The figures that it has stay; each card that it cannot fill names the command."""
    said = words(page.build(source, ""))
    assert "$118.6M" in said
    assert said.count("python -m flows risk-scenarios") >= 5
    assert page.drawn(source, "dark", None)[0]["data"]
    assert page.drawn(source, "dark", None)[1:] == (page.NOTHING,) * 4
    assert create_app(source).server.test_client().get("/api/v1/risk/shares").status_code == 503


def test_without_a_run_the_command_is_named(loaded: LoadedMarket, empty_source: MemorySource):
    with pytest.raises(Unavailable, match="No run yet") as nothing:
        page.build(MemorySource(loaded), "")
    assert nothing.value.command == "python -m flows risk-scenarios"
    with pytest.raises(Unavailable, match="No snapshot yet"):
        page.build(empty_source, "")


DAMAGE = {
    "shares that do not add up": ("shares", lambda curve: curve[0]["accounts"].pop()),
    "a share that is text": ("shares", lambda curve: curve[0]["accounts"][0].update(share="x")),
    "a level above 1": ("shares", lambda curve: curve[0].update(level=2.0)),
    "hours that fall": ("steps", lambda curve: curve["hours"].reverse()),
    "fewer amounts than steps": ("steps", lambda curve: curve["all"]["seized"][0]["usd"].pop()),
    "paths that do not add up": ("steps", lambda curve: curve["first_liquidation"].append(0.5)),
    "an estimate outside its interval": ("convergence", lambda curve: curve[3].update(low=1e12)),
    "a model without a figure": ("envelope", lambda curve: curve[0].pop("figure")),
    "a model below 0": ("envelope", lambda curve: curve[0]["figure"].update(value=-1.0)),
    "a chance above 1": ("accounts", lambda curve: curve["probability"].__setitem__(0, 1.5)),
    "edges that fall": ("histogram_of_most", lambda curve: curve["edges"].reverse()),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_curve_is_words(found: answers.Answer, kind: str):
    name, spoil = DAMAGE[kind]
    curves = json.loads(json.dumps(dict(found.run.curves)))
    spoil(curves[name])
    broken: ShownRun = replace(found.run, curves=curves)
    with pytest.raises(Damaged, match=name.split("_")[0]):
        tail_of(broken)
    source = MemorySource(found.loaded, broken)
    with pytest.raises(Unavailable, match="The tail of the run cannot be shown"):
        page.build(source, "")


def test_a_changed_curve_is_refused_by_its_seal(simulated: Path, tmp_path: Path):
    own = tmp_path / "own.sqlite"
    shutil.copy(simulated, own)
    with sqlite3.connect(own) as connection:
        connection.execute("UPDATE fact_risk_series SET value = replace(value, '0.', '1.') WHERE series = 'shares'")
    connection.close()
    with pytest.raises(Unavailable, match="The risk run cannot be shown"):
        page.build(Warehouse(own), "")


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(rc.InputError, match="measure: expected one of"):
        answers.chosen({"measure": "x"})
    assert answers.chosen({}) == ("lar_repaid", 0.99)
