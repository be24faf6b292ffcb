"""Known days on which many loans were liquidated: dates alone. What prices did then is read from the stored prices."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Episode(NamedTuple):
    """First and last day, UTC, and what happened."""

    first: str
    last: str
    words: str


EPISODES = MappingProxyType({
    "black-thursday": Episode("2020-03-12", "2020-03-13", "Black Thursday"),
    "may-2021": Episode("2021-05-19", "2021-05-19", "the crash of May 2021"),
    "steth-2022": Episode("2022-06-10", "2022-06-18", "the discount of stETH"),
    "ftx": Episode("2022-11-08", "2022-11-10", "the week of FTX"),
    "usdc-2023": Episode("2023-03-11", "2023-03-11", "USDC off its peg"),
    "april-2024": Episode("2024-04-12", "2024-04-14", "the sell-off of April 2024"),
    "august-2024": Episode("2024-08-05", "2024-08-05", "carry trades unwound"),
    "february-2025": Episode("2025-02-02", "2025-02-03", "the tariff shock"),
    "october-2025": Episode("2025-10-10", "2025-10-11", "the largest day of liquidations on exchanges"),
    "january-2026": Episode("2026-01-27", "2026-02-02", "seven days of falling prices"),
})  # fmt: skip
"""By name. Days with UTC dates; other windows by `--from` and `--until`."""
