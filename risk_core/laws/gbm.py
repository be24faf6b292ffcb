"""Normal log moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from risk_core.kernels.laws import dispatch
from risk_core.laws.law import Law


@dataclass(frozen=True, slots=True)
class GBM(Law):
    """Normal log moves: geometric Brownian motion. Expected prices stay where they start."""

    code: ClassVar[int] = dispatch.GBM
