"""`risk-scenarios` on a Dask cluster: the bits of the local run whoever computes them, else nothing is written."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import risk_core as rc
from data import load_market
from data.store.store import Store
from flows import __main__ as command
from flows.errors import ConfigurationError, SourceUnavailable
from flows.risk import workers
from flows.risk.options import RiskScenariosOptions
from tests.flows.running import ran

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install -r requirements-dask.txt")

PATHS = 9_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs="CRITICAL",
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as two:  # fmt: skip
        yield two.scheduler_address


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-m", *words], stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def scheduler() -> Iterator[tuple[str, subprocess.Popen]]:
    """A scheduler in a process of its own, without a worker."""
    port = free_port()
    words = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")
    with process("distributed.cli.dask_scheduler", *words) as started:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end, "the scheduler did not start"
                time.sleep(0.05)
        yield f"tcp://127.0.0.1:{port}", started


def run(*words: str) -> str:
    return ran("risk-scenarios", "--paths", "1000", *words)


def stored() -> dict[str, list[str]]:
    """What a run stores, without who computed it and when."""
    left_out = {"run_id", "created_at", "flow_run_id", "ingested_at", "seal_sha256"}
    found = {}
    with Store.open() as store:
        for table in ("fact_risk_run", "fact_risk_scenarios", "fact_risk_series", "fact_calibration"):
            columns = [name for _, name, *_ in store.rows(f"PRAGMA table_info({table})") if name not in left_out]
            found[table] = sorted(map(repr, store.rows(f"SELECT {', '.join(columns)} FROM {table}")))
    return found


def same(one: rc.Result, other: rc.Result) -> None:
    for name in ("path", "by_step", "fan", "hits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.first_path, one.seed, one.policy, one.code_version) == (
        other.first_path, other.seed, other.policy, other.code_version,
    )  # fmt: skip


@pytest.fixture(scope="module")
def market(sample_of, tmp_path_factory) -> rc.Market:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DB", str(sample_of(300, 7, tmp_path_factory.mktemp("workers") / "risk.sqlite")))
        return load_market()


@pytest.fixture(scope="module")
def scenario(market) -> rc.Scenario:
    return rc.Scenario(
        name="ether", horizon=timedelta(hours=24), n_steps=24, factors=("ETH",), volatility=[1.2], correlation=[[1.0]],
        factor=[0 if "ETH" in symbol else -1 for symbol in market.reserves.symbol], law=rc.StudentT(5.0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def local(market, scenario) -> rc.Result:
    result = rc.simulate(market, scenario, PATHS, seed=5)
    assert result.repaid_usd.std() > 0
    return result


@pytest.mark.slow
def test_the_stored_figures_are_those_of_a_run_in_this_process(sample_file, tmp_path, monkeypatch, cluster, capfd):
    found = {}
    for name, words in {"here": [], "two": ["--dask", cluster], "three": ["--dask", "local:3"]}.items():
        monkeypatch.setenv("RISK_DB", str(tmp_path / f"{name}.sqlite"))
        Path(tmp_path / f"{name}.sqlite").write_bytes(sample_file.read_bytes())
        before = stored()
        assert "Stored in fact_risk_scenarios." in run(*words)
        assert "1.00k/1.00k" in capfd.readouterr().err  # the progress bar came to its end
        found[name] = stored()
        assert all(
            len(found[name][table]) > len(before[table]) for table in ("fact_risk_scenarios", "fact_risk_series")
        )
    assert found["two"] == found["here"]
    assert found["three"] == found["here"]


@pytest.mark.slow
def test_the_setting_names_the_cluster_and_the_option_wins(sample, monkeypatch, cluster):
    monkeypatch.setenv(workers.SETTING, cluster)
    with workers.simulator(None) as simulate:
        assert simulate.__self__.where == cluster
    with workers.simulator("local:1") as simulate:
        assert simulate.__self__.where == "local:1"
    monkeypatch.setenv(workers.SETTING, "")
    with workers.simulator(None) as simulate:
        assert simulate is rc.simulate


def kill_once(pids: list[int], at: list[int]) -> Any:
    """A function for `progress` that kills a worker of `pids` at its first call and notes what it is told in `at`."""

    def progress(done: int, total: int) -> None:
        at.append(done)
        if pids:
            os.kill(pids.pop(), signal.SIGKILL)

    return progress


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [2, 1])
def test_a_worker_killed_in_the_middle_changes_no_bit(market, scenario, local, n_workers):
    """With one worker all that was sent to the cluster dies with it, and is sent again."""
    with workers.simulator(f"local:{n_workers}") as simulate:
        client, done = simulate.__self__.client, []
        before = set(client.run(os.getpid).values())
        result = simulate(market, scenario, PATHS, 5, policy="largest_legs", progress=kill_once([min(before)], done))
        client.wait_for_workers(n_workers, timeout=60)
        after = set(client.run(os.getpid).values())
    same(result, local)
    assert done == sorted(done)
    assert done[0] < PATHS / 2
    assert done[-1] == PATHS
    assert min(before) not in after


def test_ranges_are_all_paths_once_and_their_results_add_up_in_any_number(market, scenario):
    for n_paths, threads in ((1, 1), (256, 3), (257, 3), (5_000, 2), (100_000, 64)):
        cuts = workers.ranges(n_paths, threads)
        assert [number for cut in cuts for number in range(*cut)] == list(range(n_paths))
        assert len(cuts) <= workers.RANGES * threads
    for n in (1, 2, 3, 5, 8):
        parts = [rc.simulate(market, scenario, paths=(10 * i, 10 * i + 10), seed=5) for i in range(n)]
        same(workers.summed(parts), rc.simulate(market, scenario, 10 * n, seed=5))


@pytest.mark.slow
def test_the_market_is_sent_once_and_never_with_a_range(market, scenario, cluster, monkeypatch):
    sent, given = [], []
    with workers.simulator(cluster) as simulate:
        client = simulate.__self__.client
        scatter, submit = client.scatter, client.submit
        monkeypatch.setattr(client, "scatter", lambda data, **how: sent.append(data) or scatter(data, **how))
        monkeypatch.setattr(client, "submit", lambda *words, **how: given.extend(words) or submit(*words, **how))
        for seed in (1, 2):
            simulate(market, scenario, 2_000, seed, policy="largest_legs")
    assert [type(data) for data in sent] == [rc.Market, rc.Scenario, rc.Scenario]
    assert not any(isinstance(word, rc.Market | rc.Scenario) for word in given)
    assert len({word.key for word in given if isinstance(word, distributed.Future)}) == 3


def test_a_dead_scheduler_is_one_line_and_nothing_is_written(sample, monkeypatch, capsys):
    monkeypatch.setattr(workers, "CONNECT_S", 1.0)
    before = sample.read_bytes()
    address = f"tcp://127.0.0.1:{free_port()}"
    assert command.main(["risk-scenarios", "--dask", address]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"SourceUnavailable: no Dask scheduler answers at {address} within 1 s")
    assert said.count("\n") == 1
    assert sample.read_bytes() == before


def test_of_many_days_none_is_tried_without_a_scheduler(sample, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_S", 1.0)
    before = sample.read_bytes()
    with pytest.raises(SourceUnavailable, match="no Dask scheduler"):
        run("--every", "day", "--dask", f"127.0.0.1:{free_port()}", "--force")
    assert sample.read_bytes() == before


@pytest.mark.slow
def test_a_scheduler_without_workers_and_one_that_dies_are_told(market, scenario, monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "CONNECT_S", 2.0)
    with scheduler() as (address, started):
        monkeypatch.setattr(workers, "WORKERS_S", 0.5)
        with (
            pytest.raises(SourceUnavailable, match=r"has no worker \(0.5 s waited\); start some: `dask worker tcp:"),
            workers.simulator(address),
        ):
            pass
        monkeypatch.setattr(workers, "WORKERS_S", 60.0)
        words = (address, "--no-dashboard", "--nworkers", "1", "--nthreads", "1", "--local-directory", str(tmp_path))
        kill = kill_once([started.pid], [])
        with (
            process("distributed.cli.dask_worker", *words),
            workers.simulator(address) as simulate,
            pytest.raises(SourceUnavailable, match=r"went away\. No figure of this run was written"),
        ):
            simulate(market, scenario, 200_000, 5, policy="largest_legs", progress=kill)


@pytest.mark.slow
def test_workers_with_another_engine_are_refused_before_anything_is_written(sample, monkeypatch, cluster):
    before = sample.read_bytes()
    monkeypatch.setattr(workers, "code_version", lambda: "0.0.9+engine.0")
    with pytest.raises(ConfigurationError) as refused:
        run("--dask", cluster)
    assert "expected engine 0.0.9+engine.0 on every Dask worker, found " + rc.code_version() in str(refused.value)
    assert "(2 of 2 differ)" in str(refused.value)
    assert sample.read_bytes() == before


def test_a_worker_that_came_later_with_another_engine_is_refused(market, scenario):
    with pytest.raises(ConfigurationError, match=r"expected engine 9 .*that came later"):
        workers.of_range(market, scenario, 5, "largest_legs", (0, 10), "9")


@pytest.mark.slow
def test_what_the_engine_refuses_is_refused_as_in_this_process(market, scenario, cluster):
    with workers.simulator(cluster) as simulate, pytest.raises(rc.InputError, match="policy"):
        simulate(market, scenario, 1_000, 5, policy="greedy")


def test_without_the_package_it_says_what_to_install(sample, monkeypatch):
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    before = sample.read_bytes()
    with pytest.raises(ConfigurationError, match=r"pip install -r requirements-dask\.txt"):
        run("--dask", "local:2")
    assert sample.read_bytes() == before


def test_what_is_stored_needs_no_cluster(sample, monkeypatch):
    run()
    monkeypatch.setenv(workers.SETTING, f"tcp://127.0.0.1:{free_port()}")
    assert "These figures were stored before" in run()


@pytest.mark.parametrize("text", ["local:0", "local:257", "local:", "local:x", "local", "host", "http://a:1", "a b:1"])
def test_an_address_that_cannot_be_one_is_refused(text, monkeypatch):
    with pytest.raises(SystemExit) as exit_:
        run("--dask", text)
    assert exit_.value.code == 2
    monkeypatch.setenv(workers.SETTING, text)
    with (
        pytest.raises(ConfigurationError, match=f"{workers.SETTING}: expected the address of a Dask scheduler"),
        workers.simulator(None),
    ):
        pass


@pytest.mark.parametrize("text", ["local:1", "tcp://10.0.0.1:8786", "dask-scheduler:8786", "tls://h.example:8786"])
def test_addresses_are_taken_as_they_are(text):
    assert RiskScenariosOptions.of("risk-scenarios", {"dask": text}).dask == text
