"""The published figure of a risk run: its integer value, its name in the feed, and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from eth_utils import keccak

from flows.publication.errors import NotPublished

if TYPE_CHECKING:
    from data.results import RiskRun

BPS = 10_000
LONGEST = 128
"""Most bytes of a description in the feed."""
USUAL_LEVEL = 0.99
HOUR = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One figure of a stored run. `as_of`: time of the snapshot's block, UTC seconds; `inputs_hash`: the run's id."""

    market: str
    measure: str
    level: float
    horizon_seconds: int
    unit: str
    law: str
    policy: str
    value: float
    as_of: int
    inputs_hash: str
    synthetic: bool

    @property
    def level_bps(self) -> int:
        """The level in basis points: 9900 is 99 %."""
        return round(self.level * BPS)

    @property
    def metric(self) -> str:
        """The name in the feed. Another law of prices or policy is another metric: the values are not comparable.

        >>> of = dict(market="AaveV3Ethereum", measure="lar_repaid", level=0.99, horizon_seconds=86_400, unit="USD")
        >>> by = dict(law="gbm", policy="largest_legs", value=1.0, as_of=0, inputs_hash="", synthetic=False)
        >>> Published(**of, **by).metric
        'AaveV3Ethereum lar_repaid 99 % 24 h USD gbm largest_legs'
        """
        level = [f"{self.level * 100:.10g} %"] if self.level else []
        sample = ["SAMPLE"] if self.synthetic else []
        hours = f"{self.horizon_seconds / HOUR:.10g} h"
        return " ".join([*sample, self.market, self.measure, *level, hours, self.unit, self.law, self.policy])

    @property
    def metric_id(self) -> str:
        """keccak256 of the metric, as the feed computes it."""
        return "0x" + keccak(text=self.metric).hex()

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.as_of, UTC)
        return f"{self.metric} = {self.value:,.10g} {self.unit} at {at:%Y-%m-%d %H:%M:%S} UTC"

    def answer(self, decimals: int) -> int:
        """The value times 10 ** decimals, to the nearest integer, half to even."""
        return scaled(self.value, decimals)


def scaled(value: float, decimals: int) -> int:
    """A finite value times 10 ** decimals, rounded once: to the nearest integer, half to even.

    >>> scaled(0.125, 2), scaled(1234.5, 8), scaled(-0.1, 18)
    (12, 123450000000, -100000000000000006)
    """
    return round(Fraction(value) * 10**decimals)


def of_run(run: RiskRun, measure: str, level: float | None) -> Published:
    """The figure of a stored run. `level`: None is 0.99 where the run has that level, else no level.

    Raises `NotPublished` for a figure that is not stored, that rests on too few paths or on prices later than its
    block, or that cannot have a name in a feed.
    """
    if level is None:
        level = USUAL_LEVEL if (measure, USUAL_LEVEL) in run.figures else 0.0
    if (measure, level) not in run.figures:
        levels = sorted(at for name, at in run.figures if name == measure)
        known = (
            f"it has {measure} at the levels {', '.join(f'{at:g}' for at in levels)}"
            if levels
            else f"it has {', '.join(sorted({name for name, _ in run.figures}))}"
        )
        raise NotPublished(f"risk run {run.run_id[:12]} has no {measure} at level {level:g}; {known}")
    figure = run.figures[measure, level]
    if figure.few_draws:
        raise NotPublished(
            f"{measure} of risk run {run.run_id[:12]} rests on too few of its {figure.n_paths:,} paths for a figure "
            "that others rely on; run `python -m flows risk-scenarios --paths N` with more"
        )
    if run.looks_ahead:
        raise NotPublished(
            f"risk run {run.run_id[:12]} was calibrated on prices later than its block, so it is no forecast; run "
            "`python -m flows market-prices` for earlier ones, then `python -m flows risk-scenarios`"
        )
    if not run.law[0]:
        raise NotPublished(
            f"risk run {run.run_id[:12]} does not note its law of price moves; run "
            "`python -m flows risk-scenarios --force`"
        )
    made = Published(
        market=run.market,
        measure=measure,
        level=level,
        horizon_seconds=run.horizon_seconds,
        unit=figure.unit,
        law=run.law[0],
        policy=run.policy,
        value=figure.value,
        as_of=run.block_time,
        inputs_hash=run.run_id,
        synthetic=run.is_synthetic,
    )
    if abs(level * BPS - made.level_bps) > 1e-6:
        raise NotPublished(f"level {level:g} is no whole number of basis points, which the feed counts in")
    if len(made.metric.encode()) > LONGEST:
        raise NotPublished(
            f"the metric {made.metric!r:.200} is longer than the {LONGEST} bytes of a description in the feed"
        )
    return made
