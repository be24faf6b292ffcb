"""One risk run: its figures, curves and scenario, saved and read."""

from data.results.figures import Figure
from data.results.runs import RiskRun, find, latest, save_result

__all__ = ["Figure", "RiskRun", "find", "latest", "save_result"]
