"""One definition of a flow's options: the command line, Prefect's parameters, their bounds, and the deployments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from flows import arguments, registry, server, settings
from flows.__main__ import main
from flows.aave.options import AaveHistoryOptions
from flows.aave.past import choosing
from flows.aave.past.saving import SOURCES
from flows.aave.place import node_url
from flows.errors import ConfigurationError, WrongOption
from flows.options import Whole, choices_of, names
from flows.prices.binance import INTERVAL_SECONDS
from flows.protocols.protocol_snapshot import LISTS
from risk_core.analytics import pegs
from risk_core.analytics.garch import LEAST_RETURNS

REPOSITORY = Path(__file__).parents[2]


def parsed(name: str, *words: str) -> Any:
    return registry.parser(registry.load(name)).parse_args(words)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("daily --paths 0", "--paths: expected a whole number from 1 to 100,000,000, found '0'"),
        ("daily --seed -1", "--seed: expected a whole number from 0 to 18,446,744,073,709,551,615, found '-1'"),
        ("daily --seed 18446744073709551616", "--seed: expected a whole number from 0 to"),
        ("risk-scenarios --block -5", "--block: expected a whole number of at least 0, found '-5'"),
        ("risk-scenarios --seed x", "--seed: expected a whole number"),
        ("risk-scenarios --horizon-hours 0", "--horizon-hours: expected hours above 0 and up to 8,760, found '0'"),
        ("risk-scenarios --policy greedy", "--policy: expected 'largest_legs' or 'most_profitable', found 'greedy'"),
        ("risk-scenarios --force --skip-if-stored", "--force cannot be given together with --skip-if-stored"),
        ("parameter-change --set A.ltv=0.5 --calls []", "--set cannot be given together with --calls"),
        ("oracle-prices --attempts 0", "--attempts: expected a whole number from 1 to 100, found '0'"),
        ("oracle-prices --rounds some", "--rounds: expected a whole number or all, found 'some'"),
        ("aave-market --spot-check -1", "--spot-check: expected a whole number from 0 to 100,000, found '-1'"),
        ("aave-market --borrowers --full", "--borrowers cannot be given together with --full"),
        ("aave-market --borrowers --candidates x", "--borrowers cannot be given together with --candidates"),
        ("aave-market --borrowers --spot-check 3", "--borrowers cannot be given together with --spot-check"),
        ("aave-market --max-lag nan", "--max-lag: expected a whole number of at least 0, found 'nan'"),
        ("aave-market --max-missing 1.5", "--max-missing: expected a share from 0 to 1, found '1.5'"),
        ("aave-market --block ²", "--block: expected latest, safe, finalized or a block number, found '²'"),
        ("lending-events --from-block ²", "--from-block: expected a whole number of at least 0, found '²'"),
        ("market-prices --from 2021-13-01", "--from: expected a date such as 2026-03-01 or UTC seconds"),
        ("market-prices --from 2021-01-01 --days 3", "--days cannot be given together with --from"),
        ("market-prices --interval 2h", "--interval: expected '1m'"),
        ("chain-activity --threads 0", "--threads: expected a whole number from 1 to 256, found '0'"),
        ("chain-activity --poll 1e9", "--poll: expected seconds from 0 to 86,400, found '1e9'"),
        ("daily --path", "--paths: expected one argument"),
        ("daily --pahts 3", "there is no option --pahts (did you mean --paths? known: --help, --paths, --seed)"),
        ("daily 3", "expected an option such as --paths, found '3'"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it_and_says_what_was_expected_and_found(command, said, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(command.split())

    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"python -m flows {command.split()[0]}: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("port", ["0", "65536", "-1", "²", "http"])
def test_a_server_listens_on_a_port_that_exists(port, capsys):
    with pytest.raises(SystemExit) as exit_:
        server.main(["--port", port])
    assert exit_.value.code == 2
    assert f"--port: expected a whole number from 1 to 65,535, found {port!r}" in capsys.readouterr().err


def test_a_setting_with_digits_of_another_script_is_refused_in_our_words(monkeypatch):
    monkeypatch.setenv("RPC_CONCURRENCY", "²")
    with pytest.raises(ConfigurationError, match="RPC_CONCURRENCY: expected a whole number from 1 to 64"):
        settings.whole_number("RPC_CONCURRENCY", 4, 1, 64)
    monkeypatch.setenv("RPC_URLS", "²=https://127.0.0.1")
    with pytest.raises(ConfigurationError, match="RPC_URLS: expected entries like 8453="):
        node_url("AaveV3Base")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("chain-activity", "--start-block is missing"),
        ("chain-activity --live --reread", "leave out --parquet and --reread"),
    ],
)
def test_what_is_missing_or_does_not_go_together_is_one_line_and_code_2_too(command, said, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(command.split())
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@given(st.text(max_size=30))
@example("²")
@example("٣")  # int() takes it for a three
@example("9" * 5_000)
def test_any_text_is_a_block_number_or_refused_in_our_words(text):
    digits = text.replace("_", "").replace(",", "")
    if digits and set(digits) <= set("0123456789") and len(digits) < 4_300:
        assert arguments.number(text) == int(digits)
    else:
        with pytest.raises(arguments.Unreadable, match="expected a whole number, found "):
            arguments.number(text)


@given(st.integers(0, 10**40), st.sampled_from(["{}", "{:_}", "{:,}"]))
def test_a_number_is_read_as_it_may_be_written(number, pattern):
    assert arguments.number(pattern.format(number)) == number == arguments.number(number)


def test_dates_mean_utc_and_seconds_stay():
    assert parsed("market-prices", "--from", "2021-01-01", "--until", "1609545600").since == 1_609_459_200
    assert parsed("market-prices", "--until", "1609545600").until == 1_609_545_600
    assert parsed("market-prices", "--from", "2021-01-01T02:00:00+02:00").since == 1_609_459_200


def test_the_flags_of_before_are_still_there():
    asked = parsed(
        "aave-market", *["--block", "finalized", "--full", "--incremental", "--dry-run", "--candidates", "subgraph"]
    )
    assert (asked.block, asked.full, asked.estimate, asked.candidates) == ("finalized", False, True, "subgraph")
    assert parsed("protocol-snapshot", "--lists").lists == []
    assert parsed("market-prices", "--symbols", "ethusdt", "--coins", "ETHUSDT=coingecko:ethereum").coins == [
        ("ETHUSDT", "coingecko:ethereum")
    ]
    assert parsed("oracle-prices", "--rounds", "all").rounds is None
    assert parsed("chain-activity", "--end-block", "21_400_000").end_block == "21400000"


@pytest.mark.parametrize("name", registry.available())
def test_what_was_chosen_gives_the_same_options_again(name):
    options = registry.load(name).options
    words = {
        "market-prices": "--from 2021-01-01 --coins ETHUSDT=coingecko:ethereum --symbols ethusdt --interval 1h 1d",
        "oracle-prices": "--rounds all --feeds ETH/USD",
        "protocol-snapshot": "--lists",
        "daily": "--paths 64",
        "chain-activity": "--end-block 12 --parquet out --live",
        "aave-market": "--block 7 --full",
    }.get(name, "")
    asked = parsed(name, *words.split())
    assert options.of(name, asked.chosen()) == asked
    assert bool(words) == bool(asked.chosen())


def test_a_mapping_is_held_to_the_same_bounds_and_may_call_an_option_as_its_flag():
    options = registry.load("market-prices").options
    assert options.of("market-prices", {"from": "2021-01-01", "interval": "1d"}).since == 1_609_459_200
    with pytest.raises(WrongOption, match=r"^market-prices: days: expected a whole number from 1 to 36,500, found 0$"):
        options.of("market-prices", {"days": 0})
    with pytest.raises(WrongOption, match=r"^market-prices has no parameter speed; known: days, since"):
        options.of("market-prices", {"speed": 1})
    with pytest.raises(WrongOption, match="found True"):
        options.of("market-prices", {"days": True})


def test_what_options_repeat_of_the_engine_and_of_a_source_is_as_it_is_there():
    """Their import would make the command line wait; the names of laws: tests/flows/risk/test_scenario_calibration."""
    of = {name: registry.options(name).model_fields for name in registry.available()}
    peg = of["peg-health"]
    assert (peg["warning_bps"].default, peg["critical_bps"].default, peg["least_updates"].default) == (
        pegs.WARNING_BPS,
        pegs.CRITICAL_BPS,
        pegs.LEAST_UPDATES,
    )
    assert of["volatility-fits"]["least_days"].default == LEAST_RETURNS
    assert Whole(LEAST_RETURNS, 5_000) in of["volatility-fits"]["least_days"].metadata
    assert set(choices_of(of["market-prices"]["interval"].annotation)) <= set(INTERVAL_SECONDS)
    assert of["protocol-snapshot"]["lists"].default == list(LISTS)
    assert choices_of(of["aave-history"]["prices"].annotation) == list(SOURCES)
    assert all(AaveHistoryOptions(every=period, store=True).every == period for period in choosing.SECONDS)


# Prefect


@pytest.fixture(scope="module")
def orchestration(prefect_backend):
    from flows import orchestration

    return orchestration


@pytest.mark.prefect
@pytest.mark.parametrize("name", registry.available())
def test_prefects_form_has_a_typed_field_for_each_option(orchestration, name):
    from prefect.utilities.callables import parameter_schema

    deployed = getattr(orchestration, name.replace("-", "_"))
    schema = parameter_schema(deployed).model_dump_for_openapi()["properties"]

    options = registry.load(name).options
    assert deployed.name == name
    assert set(schema) == {*options.model_fields, "parameters"}
    for field in options.model_fields:
        assert schema[field]["description"]
        assert {"type", "anyOf", "enum", "$ref"} & schema[field].keys(), field
    flags = [flag for field in options.model_fields for flag in names(options, field)]
    assert len(set(flags)) == len(flags)


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("flow", "given"),
    [
        ("risk_scenarios", {"paths": 0}),
        ("risk_scenarios", {"seed": -1}),
        ("daily", {"paths": "many"}),
        ("risk_scenarios", {"parameters": {"paths": 0}}),
        ("risk_scenarios", {"speed": 1}),
        ("risk_scenarios", {"force": True, "skip_if_stored": True}),
        ("market_prices", {"until": "soon"}),
    ],
)
def test_a_wrong_parameter_fails_under_prefect_before_anything_runs(orchestration, monkeypatch, flow, given):
    calls: list[Any] = []
    monkeypatch.setattr(orchestration, "execute", lambda *words: calls.append(words))
    monkeypatch.setattr(orchestration, "stages", lambda *words: calls.append(words))

    with pytest.raises(Exception, match=r"paths|seed|speed|force|until") as raised:
        asyncio.run(getattr(orchestration, flow)(**given))

    assert type(raised.value).__name__ in ("ParameterTypeError", "ParameterBindError", "WrongOption")
    assert calls == []


@pytest.mark.prefect
def test_fields_and_the_older_form_reach_the_flow(orchestration, monkeypatch):
    calls: list[Any] = []

    def execute(name: str, parameters: dict[str, Any]) -> str:
        calls.append((name, parameters))
        return "done"

    monkeypatch.setattr(orchestration, "execute", execute)
    asyncio.run(orchestration.risk_scenarios(paths=64, parameters={"seed": 3}))
    asyncio.run(orchestration.market_prices(parameters={"from": "2021-01-01", "days": None}))
    asyncio.run(orchestration.lending_events(parameters=None))
    assert calls == [
        ("risk-scenarios", {"paths": 64, "seed": 3}),
        ("market-prices", {"since": 1_609_459_200}),
        ("lending-events", {}),
    ]


def test_every_registered_flow_has_a_deployment_and_no_deployment_is_of_anything_else():
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    entrypoints = [deployment["entrypoint"] for deployment in deployments]
    wanted = {f"flows/orchestration.py:{name.replace('-', '_')}" for name in registry.available()}
    assert sorted(entrypoints) == sorted(wanted)
    by_name = {deployment["name"]: deployment for deployment in deployments}
    assert len(by_name) == len(deployments)
    assert {by_name[name]["entrypoint"].partition(":")[2] for name in ("daily", "hourly", "events")} == {
        "daily",
        "oracle_prices",
        "lending_events",
    }
    for deployment in deployments:
        running = [schedule for schedule in deployment.get("schedules", []) if schedule.get("active", True)]
        # Others need a setting: their schedule waits until somebody switches it on.
        assert bool(running) == (deployment["name"] == "daily")
        name = deployment["entrypoint"].partition(":")[2].replace("_", "-")
        registry.load(name).options.of(name, deployment["parameters"])
