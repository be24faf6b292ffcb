"""`risk-scenarios --dask`: the simulation on the workers of a Dask cluster, with the bits of a run in this process.

A path depends on its number alone and totals are integers, so ranges of paths add up to the same result whoever runs
them, in any order. The market and the scenario are sent to the workers once; a range that died with its worker runs
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import risk_core
from flows import settings
from flows.errors import ConfigurationError, SourceUnavailable
from flows.risk.options import cluster_address
from risk_core import code_version
from risk_core.engine import CHUNK, Progress

if TYPE_CHECKING:
    from risk_core import Market, Result, Scenario

SETTING = "DASK_SCHEDULER"
CONNECT_S = 10.0
"""Seconds that a scheduler has to answer."""
WORKERS_S = 30.0
"""Seconds without any worker after which a run is given up."""
LOOK_S = 1.0
"""Seconds between two looks at the workers while nothing ends."""
ATTEMPTS = 5
"""Times that a range is sent again because everything that its workers held was lost."""
RANGES = 8
"""Ranges of paths for each thread: few, as each brings back 32 bytes an account; enough to keep all threads busy."""


class Simulate(Protocol):
    """`risk_core.simulate`, or the same on a cluster."""

    def __call__(
        self, market: Market, scenario: Scenario, n_paths: int, seed: int, *,
        policy: str, progress: Progress | None = None,
    ) -> Result:  # fmt: skip
        """See `risk_core.simulate`."""


@contextmanager
def simulator(asked: str | None) -> Iterator[Simulate]:
    """What simulates: the cluster of `asked` (`--dask`), else of DASK_SCHEDULER, else this process.

    Raises, before it is used: `ConfigurationError` where the address cannot be used, the package is missing or a worker
    has another engine; `SourceUnavailable` where no scheduler or no worker answers.
    """
    where = asked or _setting()
    if where is None:
        yield risk_core.simulate
        return
    if find_spec("distributed") is None:
        raise ConfigurationError(
            f"simulating on {where} needs Dask, which is not installed: `pip install -r requirements-dask.txt`; "
            f"without --dask and {SETTING} the paths run in this process"
        )
    with _client(where) as client:
        yield Cluster(client, where).simulate


def _setting() -> str | None:
    value = settings.get("DASK_SCHEDULER")
    try:
        return value and cluster_address(value)
    except ValueError as error:
        raise ConfigurationError(f"{SETTING}: {error}") from None


@contextmanager
def _client(where: str) -> Iterator[Any]:
    """A client of the scheduler at `where`, or of a cluster of N processes here (`local:N`)."""
    from distributed import Client, LocalCluster

    kind, _, count = where.partition(":")
    if kind == "local":
        # One thread each: a range runs on one, and the compiled loops of several would share a process for nothing.
        with (
            TemporaryDirectory() as folder,
            LocalCluster(
                n_workers=int(count),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs="ERROR",
                local_directory=folder,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(where, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise SourceUnavailable(
            f"no Dask scheduler answers at {where} within {CONNECT_S:g} s ({reason:.200}); start one with "
            f"`dask scheduler`, or leave out --dask and {SETTING} to run in this process. Nothing was written"
        ) from error
    with client:
        yield client


class Cluster:
    """The workers of a scheduler, all of them with this engine.

    Raises `SourceUnavailable` where no worker is there within `WORKERS_S`, `ConfigurationError` where one cannot import
    the engine or has another version of it.
    """

    def __init__(self, client: Any, where: str) -> None:
        self.client, self.where = client, where
        self._sent: tuple[Market | None, Any] = None, None
        self._threads()
        self._require_this_engine()

    def simulate(
        self, market: Market, scenario: Scenario, n_paths: int, seed: int, *,
        policy: str, progress: Progress | None = None,
    ) -> Result:  # fmt: skip
        """`risk_core.simulate` on the workers, with its result bit for bit. Also raises `SourceUnavailable`."""
        cuts = ranges(n_paths, self._threads())
        parts: dict[tuple[int, int], Result] = {}
        for _ in range(ATTEMPTS):
            for cut, result in self._run([cut for cut in cuts if cut not in parts], market, scenario, seed, policy):
                parts[cut] = result
                if progress is not None:
                    progress(sum(stop - start for start, stop in parts), n_paths)
            if len(parts) == len(cuts):
                return summed([parts[cut] for cut in cuts])
            self._sent = None, None
        raise self._lost(f"lost what it was sent {ATTEMPTS} times")

    def _run(
        self, cuts: list[tuple[int, int]], market: Market, scenario: Scenario, seed: int, policy: str
    ) -> Iterator[tuple[tuple[int, int], Result]]:
        """(range, result) as they end, in any order.

        The scheduler gives a range whose worker died to another one. Left out is what was lost together with the market
        or the scenario, because no worker was left that had them.
        """
        from distributed import CancelledError

        waiting: dict[Any, tuple[int, int]] = {}
        try:
            self._threads()
            given = self._market(market), self.client.scatter(scenario, broadcast=True, hash=False)
            for cut in cuts:
                waiting[self.client.submit(of_range, *given, seed, policy, cut, code_version(), pure=False)] = cut
            while waiting:
                for future in self._ended(waiting):
                    cut = waiting.pop(future)
                    if future.status in ("finished", "error"):
                        yield cut, self._result(future, cut)
        except (CancelledError, OSError) as error:
            if self.client.status == "running":
                return  # what went is computed again
            raise self._lost("went away") from error
        finally:
            with suppress(Exception):
                self.client.cancel(list(waiting))
        if self.client.status != "running":
            raise self._lost("went away")

    def _ended(self, waiting: Iterable[Any]) -> list[Any]:
        """Those that ended, well or not; none where none did within `LOOK_S`, and then there are workers."""
        from distributed import CancelledError, wait

        with suppress(CancelledError, TimeoutError), self.client.as_current():
            wait(list(waiting), timeout=LOOK_S, return_when="FIRST_COMPLETED")
        ended = [future for future in waiting if future.status != "pending"]
        if not ended:
            self._threads()
        return ended

    def _result(self, future: Any, cut: tuple[int, int]) -> Result:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise self._lost(
                f"lost a worker each time it simulated paths {cut[0]:,} to {cut[1]:,} (is their memory enough?)"
            ) from error

    def _market(self, market: Market) -> Any:
        """The market on every worker, sent once; each prepares its plan at the first range and keeps it."""
        if self._sent[0] is not market:
            self._sent = market, self.client.scatter(market, broadcast=True, hash=False)
        return self._sent[1]

    def _threads(self) -> int:
        """Threads of all workers. Raises `SourceUnavailable` where there is none for `WORKERS_S`."""
        try:
            self.client.wait_for_workers(1, timeout=WORKERS_S)
            return sum(self.client.nthreads().values())
        except TimeoutError as error:
            raise self._lost(
                f"has no worker ({WORKERS_S:g} s waited); start some: `dask worker {self.where}`"
            ) from error

    def _require_this_engine(self) -> None:
        def version() -> str:  # a function inside one is sent as it is: nothing but Dask need be there
            try:
                from risk_core import code_version

                return code_version()
            except Exception as error:
                return f"no engine ({type(error).__name__}: {error})"

        found = self.client.run(version)
        wrong = {worker: said for worker, said in found.items() if said != code_version()}
        if wrong:
            worker, said = min(wrong.items())
            raise ConfigurationError(another_engine(worker, said, len(wrong), len(found)))

    def _lost(self, what: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"the Dask cluster at {self.where} {what}. No figure of this run was written; without --dask and {SETTING} "
            "the paths run in this process"
        )


def ranges(n_paths: int, threads: int) -> list[tuple[int, int]]:
    """Ranges [start, stop) of paths that together are all of them, in their order; about `RANGES` for each thread."""
    size = max(CHUNK, -(-n_paths // (RANGES * threads)))
    return [(start, min(start + size, n_paths)) for start in range(0, n_paths, size)]


def of_range(market: Market, scenario: Scenario, seed: int, policy: str, cut: tuple[int, int], version: str) -> Result:
    """What a worker does: paths [start, stop). Raises `ConfigurationError` where its engine is of another version."""
    if code_version() != version:  # it came after the others had been asked
        raise ConfigurationError(another_engine("that came later", code_version(), 1, 1, version))
    return risk_core.simulate(market, scenario, seed=seed, policy=policy, paths=cut, threads=1)


def another_engine(worker: str, found: str, wrong: int, among: int, expected: str = "") -> str:
    """The message for workers with another engine."""
    return (
        f"expected engine {expected or code_version()} on every Dask worker, found {found:.200} on worker {worker} "
        f"({wrong} of {among} differ); install this version there. No figure was written"
    )


def summed(parts: Sequence[Result]) -> Result:
    """Results of adjacent ranges as one; in pairs, so that paths are copied log(n) times and not n times."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [one + other for one, other in pairs] + list(parts[len(parts) // 2 * 2 :])
    return parts[0]
