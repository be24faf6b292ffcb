"""How often the intervals of expected shortfalls hold the truth: the study of `tests/statistical/es_coverage.py`."""

from __future__ import annotations

from tests.benchmarks.table import Table
from tests.statistical.es_coverage import HEAD, SHORTFALLS, study, worst

SAMPLES = 1_500
"""A coverage of 95 % is then counted with an error of 0.6 %, and the lowest of sixty lies some two errors below."""
POPULATION = 250_000
CASES = [case for case in SHORTFALLS if (case.level, case.n_paths) in ((0.9, 1_024), (0.95, 10_000), (0.99, 10_000))]


def run(table: Table) -> None:
    """The lowest coverage of 95 % intervals over books, samplings, levels and numbers of paths."""
    table.title(f"coverage of 95 % intervals of expected shortfalls, {SAMPLES:,} samples a row")
    table.note(HEAD)
    rows = []
    for row in study(CASES, SAMPLES, POPULATION):
        rows.append(row)
        table.note(str(row))
    table.add("es_coverage_worst", worst(rows), "share", "lowest coverage of a 95 % interval", 0.93)
