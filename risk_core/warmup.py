"""`python -m risk_core.warmup`: compile every kernel once, so that no later call waits for the compiler.

numba keeps what it compiled in NUMBA_CACHE_DIR (or beside the sources), by machine and version: run this on the machine
that will serve, for instance while an image is built. It prints each part and its seconds. Parts can be named.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pkgutil import walk_packages

import numpy as np
from numba.core.dispatcher import Dispatcher

import risk_core as rc
from risk_core import kernels


def market() -> rc.Market:
    """Five reserves, and accounts of one pair, of a few legs, of many legs, and with a debt that nothing backs."""
    n = 5
    reserves = rc.Reserves(
        id=range(n), symbol=[f"R{i}" for i in range(n)], asset=[f"0x{i + 1:040x}" for i in range(n)],
        decimals=[18] * n, ltv=[0.7] * n, liquidation_threshold=[0.8] * n, liquidation_bonus=[0.05] * n,
        protocol_fee=[0.1] * n, active=[True] * n, paused=[False] * n, grace_until=[0] * n,
    )  # fmt: skip
    held = [{0: 10.0}, {1: 10.0}, {0: 5.0, 1: 3.0, 2: 2.0}, {0: 2.0, 1: 2.0, 2: 2.0, 3: 2.0, 4: 2.0}, {}]
    owed = [{4: 7.5}, {4: 7.9}, {3: 4.0, 4: 3.5}, {1: 2.5, 2: 2.5, 3: 2.5}, {4: 1.0}]

    def side(rows: list[dict[int, float]]) -> rc.Positions:
        entries = [(i, r, 1_000.0 * amount) for i, row in enumerate(rows) for r, amount in row.items()]
        return rc.Positions.from_entries(*zip(*entries, strict=True), n_accounts=len(rows))

    return rc.Market(
        reserves=reserves,
        emodes=rc.EModes.none(),
        accounts=[f"0x{i + 1:040x}" for i in range(len(held))],
        emode=[-1] * len(held),
        collateral=side(held),
        debt=side(owed),
        price=[1.0] * n,
        snapshot=rc.Snapshot(market="warm-up", chain_id=1, block=0, block_time=0, revision=11, synthetic=True),
    )


def scenario() -> rc.Scenario:
    """Two hours of one factor with a high volatility."""
    return rc.Scenario(
        name="warm-up",
        horizon=timedelta(hours=2),
        n_steps=2,
        factors=("X",),
        volatility=[9.0],
        correlation=[[1.0]],
        factor=[0, 0, 0, -1, -1],
    )


def health() -> None:
    """Compile health factors."""
    book = market()
    rc.health_factor(book)
    rc.health_factor(book, np.ones(book.n_reserves))


def what_if() -> None:
    """Compile a what-if under every policy."""
    for policy in rc.liquidation.POLICIES:
        rc.what_if(market(), {"R0": -0.2}, policy)


def sweep() -> None:
    """Compile a sweep of shocks."""
    rc.sweep(market(), {"R0": -1.0, "R1": -1.0, "R2": -1.0})


def simulate() -> None:
    """Compile a simulation by law, and one on given paths."""
    book, path = market(), scenario()
    rc.simulate(book, path, 16, threads=1)
    rc.simulate(book, rc.PricePaths.one_step(book, 0.9 * book.price), threads=1)


def quasi() -> None:
    """Compile the quasi-random draws."""
    rc.simulate(market(), replace(scenario(), sampling="quasi"), 16, threads=1)


def cascade() -> None:
    """Compile a simulation in which sales move prices."""
    rc.simulate(market(), scenario(), 16, threads=1, impact=rc.Impact.exponential(np.full(5, 1e5)))


def queue() -> None:
    """Compile a simulation whose liquidators are limited."""
    rc.simulate(market(), scenario(), 16, threads=1, liquidators=rc.Liquidators(), borrowers=rc.Borrowers())


def audit() -> None:
    """Compile the two engines that check the fast one."""
    rc.simulate(market(), scenario(), 16, threads=1, brute_force=True)
    rc.simulate(market(), scenario(), 16, threads=1, brute_force="simd")


def tails() -> None:
    """Compile the search for rare losses."""
    rc.tails.probability_of_deficit(market(), scenario(), n_paths=16, threads=1)


def two_phase() -> None:
    """Compile the choice of the paths that are followed in full."""
    plan = replace(scenario(), law=rc.StudentT(4.0))
    rc.two_phase.sample(market(), plan, rc.two_phase.find_screen(market(), plan, n_paths=16), 16, threads=1)


def contributions() -> None:
    """Compile the shares of a tail: its paths followed again, account by account."""
    book, path = market(), scenario()
    rc.contributions(book, rc.simulate(book, path, 4_000, threads=1))


PARTS: dict[str, Callable[[], None]] = {
    "health": health,
    "what-if": what_if,
    "sweep": sweep,
    "simulate": simulate,
    "contributions": contributions,
    "quasi": quasi,
    "tails": tails,
    "two-phase": two_phase,
    "cascade": cascade,
    "queue": queue,
    "audit": audit,
}


def dispatchers() -> Iterator[Dispatcher]:
    """Every kernel."""
    for module in walk_packages(kernels.__path__, f"{kernels.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Dispatcher) and value.__module__ == module.name:
                yield value


def compiled() -> int:
    """Kernels that this process compiled, rather than read from the cache."""
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in dispatchers())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: compile the named parts, or all. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m risk_core.warmup", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them if none is named")
    asked = parser.parse_args(arguments).parts or list(PARTS)
    unknown = [part for part in asked if part not in PARTS]
    if unknown:
        parser.error(f"expected parts of {', '.join(PARTS)}, found {', '.join(unknown)}")

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    say("Compiling the engine, once.")
    began = time.perf_counter()
    for part in asked:
        before, start = compiled(), time.perf_counter()
        PARTS[part]()
        new = compiled() - before
        say(f"  {part:<10}{time.perf_counter() - start:6.1f} s  {f'{new} kernels' if new else 'was compiled'}")
    say(f"Ready after {time.perf_counter() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
