"""The recipe "A source" of CONTRIBUTING.md, followed with a toy in a copy of the repository: it takes what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from data.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]

NEW_FILES = {
    "flows/weather/__init__.py": '"""The weather, as a toy."""\n',
    "flows/weather/station.py": '''"""A weather station: the temperature of a place."""

from __future__ import annotations

import hashlib

from flows import settings
from flows.clients.http_retry import JsonSource
from flows.clients.shape import Shape


def temperature(place: str) -> tuple[float, str]:
    """Degrees Celsius at a place now, and the digest of the answer."""
    url = settings.require("WEATHER_URL", "give the address of the station")
    source = JsonSource("the station", url, variable="WEATHER_URL")
    answer = source.get("/now", {"place": place})
    degrees = Shape(str(source), "/now", answer.body).field("celsius").number()
    return degrees, hashlib.sha256(answer.content).hexdigest()
''',
    "flows/weather/options.py": '''"""Options of the flow `weather-now`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Options, Whole


class WeatherNowOptions(Options):
    """Options of `weather-now`."""

    places: list[str] = Field(["Bern"], description="where")
    rounds: Annotated[int, Whole(1, 9)] = Field(1, description="how often each is asked")
''',
    "flows/weather/weather_now.py": '''"""Flow `weather-now`: the temperature of places."""

from __future__ import annotations

import time

import pandas as pd

from data.store import Store
from flows.pipeline import Mark, recorded
from flows.weather.options import WeatherNowOptions
from flows.weather.station import temperature


def run(arguments: WeatherNowOptions) -> str:
    """Store the temperature of each place."""
    with Store.open() as store, recorded(store, "weather-now", dict(arguments)) as run:
        for place in arguments.places * arguments.rounds:
            now, (degrees, digest) = int(time.time()), temperature(place)
            row = {"place": place, "ts": now, "celsius": degrees, "source": "station", "payload_sha256": digest}
            come_to = Mark("station", place, {"ts": now})
            run.write("station", place, {"raw_weather": pd.DataFrame([row])}, marks=[come_to])
    return f"{len(arguments.places)} places"
''',
    "data/schemas/weather.py": '''"""The weather, as a toy."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import name, real, seconds
from data.schemas.model import ReceivedFrom


class Weather(ReceivedFrom, key=["place", "ts"]):
    """`raw_weather`: temperatures as received."""

    place: Series[str] = name("where")
    ts: Series[np.int64] = seconds("when")
    celsius: Series[np.float64] = real("temperature", "degrees Celsius", ge=-273.15)
''',
}
NEW_LINES = {
    "flows/registry.py": (
        "NAMES = {\n",
        '    "weather-now": Registered(\n'
        '        "flows.weather.weather_now", "flows.weather.options.WeatherNowOptions", "The temperature of places"\n'
        "    ),\n",
    ),
    "prefect.yaml": (
        "deployments:\n",
        "  - name: weather\n    entrypoint: flows/orchestration.py:weather_now\n    parameters: {}\n"
        "    work_pool: {name: local}\n",
    ),
    "data/schemas/__init__.py": ("SCHEMAS: dict[str, type[TableModel]] = {\n", '    "raw_weather": weather.Weather,\n'),
    "CONTRIBUTING.md": ("  risk/    ", "  weather/              the weather, as a toy\n"),
}
"""By file: what the line stands after (before, where it is the beginning of a line), and the line."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("flows", "data", "dashboard", "risk_core", "tests"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=unwanted)
    for name in ("pyproject.toml", "prefect.yaml", "prefect.toml", "CONTRIBUTING.md", ".env.example"):
        shutil.copy(REPOSITORY / name, copy / name)
    (copy / "notebooks").mkdir()  # has no part in this
    for name, text in NEW_FILES.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    for name, (place, line) in NEW_LINES.items():
        known = (copy / name).read_text(encoding="utf-8")
        assert known.count(place) == 1, f"{name}: {place!r}"
        at = known.index(place) + (len(place) if place.endswith("\n") else 0)
        (copy / name).write_text(known[:at] + line + known[at:], encoding="utf-8")
    replaced(copy / "data/schemas/__init__.py", "    wallets,\n)", "    wallets,\n    weather,\n)")
    replaced(copy / "pyproject.toml", 'risk | scores | wallets"', 'risk | scores | wallets | weather"')
    return copy


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name}: {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def python(house: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Suites that this run must not skip are not all in the part that is run there, which needs no plugin of others.
    inherited = {name: value for name, value in os.environ.items() if name != "RISK_REQUIRE"}
    inherited["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, *words],
        cwd=house,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_new_flow_is_listed_runs_and_stores_what_it_read(house: Path, httpserver: HTTPServer, tmp_path: Path):
    httpserver.expect_request("/now", query_string={"place": "Oslo"}).respond_with_json({"celsius": "-3.5"})
    url, db = httpserver.url_for(""), tmp_path / "risk.sqlite"

    assert re.search(r"weather-now +The temperature of places", python(house, "-m", "flows").stdout)
    ran = python(house, "-m", "flows", "weather-now", "--places", "Oslo", WEATHER_URL=url, RISK_DB=str(db))
    assert (ran.returncode, ran.stdout) == (0, "1 places\n"), ran.stderr

    # This process does not know the table, so the file is read as what it is.
    with Store.open(db, readonly=True) as store:
        assert store.rows("SELECT place, celsius, source FROM raw_weather") == [("Oslo", -3.5, "station")]
        assert store.rows("SELECT w.run_id = r.run_id, r.flow, r.state FROM raw_weather AS w, fact_run AS r") == [
            (1, "weather-now", "completed")
        ]
        assert set(store.checkpoint("station", "Oslo")) == {"ts"}


def test_its_options_are_checked_like_those_of_every_flow(house: Path):
    refused = python(house, "-m", "flows", "weather-now", "--rounds", "10")
    assert refused.returncode == 2
    assert "--rounds: expected a whole number from 1 to 9, found '10'" in refused.stderr


@pytest.mark.prefect
@pytest.mark.slow
def test_the_rules_of_the_house_hold_with_it(house: Path):
    held = python(
        house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/docs/test_house.py",
        "tests/unit/test_architecture.py::test_the_import_contracts_hold", "tests/flows/test_options.py",
        "-k", "house or contracts or deployment or typed_field or chosen",
    )  # fmt: skip
    assert held.returncode == 0, held.stdout[-3000:]
    assert "weather" not in held.stdout


@pytest.mark.parametrize("forgotten", ["prefect.yaml", "pyproject.toml"])
def test_what_was_forgotten_is_noticed(house: Path, forgotten: str, tmp_path: Path):
    copy = shutil.copytree(house, tmp_path / "copy", dirs_exist_ok=True)
    shutil.copy(REPOSITORY / forgotten, copy / forgotten)
    test = {
        "prefect.yaml": "tests/flows/test_options.py::"
        "test_every_registered_flow_has_a_deployment_and_no_deployment_is_of_anything_else",
        "pyproject.toml": "tests/unit/test_architecture.py::test_the_import_contracts_hold",
    }[forgotten]
    assert python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", test).returncode == 1
