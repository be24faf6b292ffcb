"""Tail figures from few paths that are followed in full: a cheap look at all paths chooses them.

An engine that looks at every account spends its time on paths that only say that LaR 99 % lies above them. Here a path
is followed in full with a known probability, which depends on what two cheap looks say of it:

- how wide the law makes its moves. A Student-t path has one factor on all its moves, and the tail of the loss is mostly
  made of wide paths, up and down. The law of the factor is known, so the strata have exact probabilities.
- its loss on a few accounts, those with much debt close to liquidation (the screen). The loss of the whole book hardly
  differs in rank: on a book of 100,000 accounts the largest 1,000 tell nearly all of the worst 1 % of paths.

The share of paths with a loss above y is then a sum over strata of known or counted weights, so that what the screen
misses costs accuracy and never the truth of the figure. This is stratified sampling (Glasserman, Monte Carlo Methods in
Financial Engineering, 2003, section 4.3) with a second phase (Neyman 1938; Cochran 1977, chapter 12). Whether a path is
followed depends on (seed, path number) and the screen alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from risk_core.accounts import health_factor
from risk_core.checks import (
    FloatArray,
    IntArray,
    checked_choice,
    checked_int,
    checked_kind,
    frozen,
    require,
    require_rising,
)
from risk_core.engine import checked_seed, path_range, simulate
from risk_core.errors import InputError
from risk_core.first_strata import FirstStrata, told
from risk_core.kernels.draw import Draw
from risk_core.measures import LOSSES, losses
from risk_core.price_models import Scenario
from risk_core.tails import TailEstimate
from risk_core.tilt_search import check_request
from risk_core.tilts import Redrawn
from risk_core.two_phase_sample import TwoPhaseSample, checked_level
from risk_core.types import Market, Positions
from risk_core.version import code_version

NEAREST = np.array([20.0, 5.0, 2.0, 1.25, 0.8, 0.4])
"""The second strata begin at the losses that these multiples of the tail's probability exceed on the screen."""
FOLLOWED = np.array([0.003, 0.01, 0.05, 0.2, 0.4, 0.25, 0.1])
"""Share of each second stratum's paths that is followed in full, at least."""
TAIL_STRATA = 3
"""The last second strata, which begin somewhat below the level."""
EXPECTED = 30
"""Followed paths of each second stratum that are expected, at least, or all of its paths."""
LEAST_ACCOUNTS, PART_OF_ACCOUNTS = 200, 150
"""The screen has one account in 150, at least 200 of them."""
CLOSE = 0.05
"""Accounts count in the screen's order as debt over the square of this and the distance of health to 1."""
PILOT_PATHS = 10_000
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Screened(Redrawn):
    """A scenario of which only the paths `chosen` (n,) are drawn: path i of a run is path chosen[i].

    direction: (F,) unit vector along which each path's move has a number of its own, or empty.
    """

    direction: FloatArray
    chosen: IntArray

    def draw(self) -> Draw:
        """What the kernels draw with."""
        # Copies: a read-only array would be another type and compile everything again.
        return self.scenario.draw()._replace(direction=np.array(self.direction), chosen=np.array(self.chosen))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Screen:
    """What decides which paths are followed in full.

    account: (K,) rows of the market. direction: (F,) unit vector of what moves most, or empty. threshold_usd: (G - 1,)
    rising losses on these accounts, between the second strata. followed: (G,) share of each that is followed, in
    (0, 1]. level, of: what it is made for.
    """

    account: IntArray
    direction: FloatArray
    threshold_usd: FloatArray
    followed: FloatArray
    level: float
    of: str

    def __post_init__(self) -> None:
        frozen(self, "account", self.account, np.int64, (None,))
        direction = frozen(self, "direction", self.direction, np.float64, (None,))
        if len(direction) and not abs(float(np.linalg.norm(direction)) - 1) < 1e-9:
            raise InputError("Screen.direction: expected a vector of length 1, or none")
        threshold = frozen(self, "threshold_usd", self.threshold_usd, np.float64, (None,))
        require("Screen.threshold_usd", threshold, np.isfinite(threshold), "must be finite")
        require_rising("Screen.threshold_usd", threshold, strictly=True)
        followed = frozen(self, "followed", self.followed, np.float64, (len(threshold) + 1,))
        require("Screen.followed", followed, (followed > 0) & (followed <= 1), "must be a share in (0, 1]")
        object.__setattr__(self, "level", checked_level(self.level))
        checked_choice("of", self.of, LOSSES)

    @property
    def id(self) -> str:
        """Digest of all that the choice of paths depends on."""
        parts = (self.account, self.direction, self.threshold_usd, self.followed)
        return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def lar(
    market: Market, scenario: Scenario, level: float = 0.99, n_paths: int = 100_000, seed: int = 7,
    of: str = "repaid", **how: Any,
) -> TailEstimate:  # fmt: skip
    """Liquidations at risk: the `level` quantile of `of` (repaid, seized, fee or deficit), USD, with its error.

    n_paths: paths drawn, of which about one in a hundred is followed in full. how: `threads`, `policy`, `impact` and
    the like as in `simulate`. Raises `InputError`.
    """
    screen = find_screen(market, scenario, level, n_paths, seed, of, **how)
    return sample(market, scenario, screen, n_paths, seed, **how).quantile()


def find_screen(
    market: Market, scenario: Scenario, level: float = 0.99, n_paths: int = 100_000, seed: int = 7,
    of: str = "repaid", whole_tail: bool = False, **how: Any,
) -> Screen:  # fmt: skip
    """The accounts that tell most of a tail, and strata of their loss, for samples of `n_paths` paths.

    whole_tail: every path is followed that is looked at and lies beyond the level on the screen. A quantile needs no
    more than some of them; a mean beyond it does, because the worst losses differ most. The screen comes from 10,000
    paths with another seed than those of a sample, so that its figures stay unbiased. Raises `InputError`.
    """
    check_request(scenario, of)
    checked_kind("market", market, Market)
    level, n_paths = checked_level(level), checked_int("n_paths", n_paths, 1)
    own = int(np.random.default_rng([checked_seed(seed), 2]).integers(2**63))
    rows, plain = _telling(market), replace(scenario, sampling="plain")
    quiet = {name: value for name, value in how.items() if name != "progress"}
    strata, direction = FirstStrata.of(level, plain.law), _direction(market, plain, rows)
    looked, wide, _ = strata.look(plain.draw(), own, 0, PILOT_PATHS)
    loss = _losses(_part(market, rows), Screened(plain, direction, looked), own, of, quiet)
    order = np.argsort(loss, kind="stable")
    count = np.maximum(np.bincount(wide, minlength=len(strata.probability)), 1)
    below = np.cumsum((strata.probability / count)[wide][order])
    wanted = 1 - NEAREST * (1 - level)
    at = np.minimum(np.searchsorted(below, wanted[wanted > 0]), len(loss) - 1)
    threshold, kept = np.unique(loss[order][at], return_index=True)
    shares = FOLLOWED[len(NEAREST) - len(at) :]
    seen = np.bincount(np.searchsorted(threshold, loss), minlength=len(threshold) + 1) * (n_paths / PILOT_PATHS)
    followed = np.clip(EXPECTED / np.maximum(seen, 1), np.append(shares[kept], shares[-1]), 1.0)
    if whole_tail:
        followed[-TAIL_STRATA:] = 1.0
    return Screen(
        account=rows,
        direction=direction,
        threshold_usd=threshold,
        followed=followed,
        level=level,
        of=of,
    )


def sample(
    market: Market,
    scenario: Scenario,
    screen: Screen,
    n_paths: int = 100_000,
    seed: int = 7,
    paths: tuple[int, int] | None = None,
    **how: Any,
) -> TwoPhaseSample:
    """`n_paths` paths looked at, and the losses of those followed in full.

    The scenario's own `sampling` is not used. paths: only those in [start, stop), for sharding. Raises `InputError`.
    """
    check_request(scenario, screen.of if isinstance(screen, Screen) else "repaid")
    checked_kind("market", market, Market)
    checked_kind("screen", screen, Screen)
    if len(screen.account) and not 0 <= screen.account.min() <= screen.account.max() < market.n_accounts:
        raise InputError(f"Screen.account: expected rows of the {market.n_accounts} accounts of the market")
    seed, plain = checked_seed(seed), replace(scenario, sampling="plain")
    first, stop = path_range(plain, n_paths, paths)
    strata = FirstStrata.of(screen.level, plain.law)
    looked, wide, number = strata.look(plain.draw(), seed, first, stop)
    part = Screened(plain, screen.direction, looked)
    near = np.searchsorted(screen.threshold_usd, _losses(_part(market, screen.account), part, seed, screen.of, how))
    chosen = number < screen.followed[near]
    count = np.zeros((len(strata.probability), len(screen.followed)), dtype=np.int64)
    np.add.at(count, (wide, near), 1)
    followed = Screened(plain, screen.direction, looked[chosen])
    return TwoPhaseSample(
        loss_usd=_losses(market, followed, seed, screen.of, how),
        wide=wide[chosen],
        near=near[chosen],
        probability=strata.probability,
        count=count,
        level=screen.level,
        of=screen.of,
        seed=seed,
        first_path=first,
        n_paths=stop - first,
        screen_id=screen.id,
        code_version=code_version(),
    )


def _losses(market: Market, drawn: Screened, seed: int, of: str, how: dict[str, Any]) -> FloatArray:
    """(n,) USD of the chosen paths."""
    if len(drawn.chosen) == 0:
        return np.zeros(0)
    return losses(simulate(market, drawn, len(drawn.chosen), seed, **how), of)  # type: ignore[arg-type]


def _direction(market: Market, scenario: Scenario, rows: IntArray) -> FloatArray:
    """(F,) unit vector on the normals behind the factors: what moves the collateral of these accounts most.

    Empty for a law whose paths are all looked at.
    """
    if not told(scenario.law):
        return np.zeros(0)
    held = np.diff(market.collateral.indptr)
    mine = np.isin(np.repeat(np.arange(market.n_accounts), held), rows)
    reserve = market.collateral.reserve[mine]
    worth = market.collateral.amount[mine] * market.price[reserve]
    factor = scenario.factor[reserve]
    n_factors = len(scenario.factors)
    exposure = np.bincount(factor[factor >= 0], worth[factor >= 0], n_factors) @ scenario.draw().cholesky
    length = float(np.linalg.norm(exposure))
    return exposure / length if length > 0 else np.eye(n_factors)[0]


def _telling(market: Market) -> IntArray:
    """(K,) rows of the accounts whose debt is large and close to liquidation, in the market's order."""
    owner = np.repeat(np.arange(market.n_accounts), np.diff(market.debt.indptr))
    debt = np.bincount(owner, market.debt.amount * market.price[market.debt.reserve], market.n_accounts)
    distance = np.maximum(health_factor(market) - 1, 0.0) + CLOSE
    most = max(LEAST_ACCOUNTS, market.n_accounts // PART_OF_ACCOUNTS)
    return np.sort(np.argsort(-debt / distance**2, kind="stable")[:most])


def _part(market: Market, rows: IntArray) -> Market:
    """The market with these accounts alone."""
    place = np.full(market.n_accounts, -1)
    place[rows] = np.arange(len(rows))

    def cut(side: Positions) -> Positions:
        owner = place[np.repeat(np.arange(market.n_accounts), np.diff(side.indptr))]
        kept = owner >= 0
        return Positions.from_entries(owner[kept], side.reserve[kept], side.amount[kept], len(rows))

    return replace(
        market,
        accounts=[market.accounts[row] for row in rows.tolist()],
        emode=market.emode[rows],
        collateral=cut(market.collateral),
        debt=cut(market.debt),
    )
