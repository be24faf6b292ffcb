"""One risk run: its figures, curves and scenario, saved and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.handed_on import handed_on
from data.results.figures import Figure
from data.results.runs import RiskRun, find, latest

if TYPE_CHECKING:
    from data.results.saving import save_result

__all__ = ["Figure", "RiskRun", "find", "latest", "save_result"]

__getattr__ = handed_on(__name__, {"save_result": "data.results.saving"})
