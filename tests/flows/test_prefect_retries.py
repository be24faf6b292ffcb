"""Under Prefect a source that was away is asked again; a refusal is not, and neither is a computation."""

from __future__ import annotations

import asyncio

import pytest

from flows.errors import MalformedAnswer, SourceUnavailable

pytestmark = pytest.mark.prefect


class Flow:
    """Stands in for a flow: raises `errors` one after another, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, name: str, parameters: dict) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return f"{name} done"


@pytest.fixture
def orchestration(prefect_backend):
    from flows import orchestration

    return orchestration


def run(orchestration, monkeypatch, task: str, stand_in: Flow) -> str:
    from prefect import flow

    monkeypatch.setattr(orchestration, "execute", stand_in)
    at_once = getattr(orchestration, task).with_options(retry_delay_seconds=0)

    @flow(name="test")
    async def one_task() -> str:
        return await at_once("market-prices", {})

    return asyncio.run(one_task())


def test_a_source_that_was_away_is_read_again(orchestration, monkeypatch):
    stand_in = Flow(SourceUnavailable("away"), SourceUnavailable("away"))
    assert run(orchestration, monkeypatch, "read_source", stand_in) == "market-prices done"
    assert stand_in.calls == 3


def test_a_refusal_is_final(orchestration, monkeypatch):
    stand_in = Flow(MalformedAnswer("a gap"))
    with pytest.raises(MalformedAnswer, match="a gap"):
        run(orchestration, monkeypatch, "read_source", stand_in)
    assert stand_in.calls == 1


def test_a_computation_is_never_repeated(orchestration, monkeypatch):
    stand_in = Flow(SourceUnavailable("away"))
    with pytest.raises(SourceUnavailable):
        run(orchestration, monkeypatch, "compute", stand_in)
    assert stand_in.calls == 1


def test_the_day_under_prefect_is_the_day_of_the_command_line(orchestration, monkeypatch, sample):
    stand_in = Flow()
    monkeypatch.setattr(orchestration, "execute", stand_in)
    lines = asyncio.run(orchestration.daily(paths=64)).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "aave-market",
        "market-prices",
        "risk-scenarios",
        "forecast-ledger",
        "health-factor-bands",
        "volatility-fits",
        "oracle-prices",
        "protocol-snapshot",
        "brief",
    ]
    assert lines[2] == "risk-scenarios: risk-scenarios done"
    assert stand_in.calls == 5  # the others are skipped without a node
