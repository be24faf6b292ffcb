"""Every component id that a callback names, in one place."""

from __future__ import annotations

import json

URL = "url"
PAGE = "page"
TITLE = "title"
QUESTION = "question"
NAV = "nav"
BOTTOM_NAV = "bottom-nav"
STATUS = "status"
NAV_FOOT = "nav-foot"
BANNER = "banner"
CLOCK = "clock"
THEME = "theme"
THEME_BUTTON = "theme-button"
SHARE = "share"
COPIED = "copied"
MENU = "menu"
MENU_BUTTON = "menu-button"
MENU_NAV = "menu-nav"
MENU_FOOT = "menu-foot"
SNAPSHOT = "snapshot"
"""Store with the hash of the snapshot that the open page was built from."""

OVERVIEW_FAN = "overview-fan"
OVERVIEW_DISTRIBUTION = "overview-distribution"
OVERVIEW_SEIZED = "overview-seized"
OVERVIEW_DEBT = "overview-debt"

WHAT_IF = "what-if"
"""Store with the drivers in screen units."""
PRESET_VALUES = "preset-values"
RESET_ALL = "reset-all"
CHIPS = "chips"
COMPARE = "compare"
PINNED = "pinned"
SWEEP = "sweep"
SOLD = "sold"
ACCOUNTS = "accounts"
ACCOUNTS_COUNT = "accounts-count"
QUERY = "query"
LINK_TEXT = "link-text"
SETTLED = "settled"
"""Store with the drivers once they rest: what the simulation answers."""
SIMULATION = "simulation"
SIMULATION_FOR = "simulation-for"
"""Store with the query of the drivers that the Monte Carlo table was computed for."""
SIMULATION_PROGRESS = "simulation-progress"
SIMULATION_NOTE = "simulation-note"
SIMULATION_QUEUE = "simulation-queue"
"""How far the simulation is, and how many come before it."""
SIMULATION_CLOCK = "simulation-clock"
"""Ticks while a simulation is waited for; each tick also says that the reader is still here."""
READER = "reader"
"""Store with a name of this open page, so that its newest question replaces the one before."""

MARKET_ASSET = "market-asset"
MARKET_METHOD = "market-method"
MARKET_LEVEL = "market-level"
MARKET_LOSSES = "market-losses"
MARKET_METHODS = "market-methods"
MARKET_VERDICT = "market-verdict"
MARKET_PASSPORT = "market-passport"
MARKET_IL = "market-il"
MARKET_RANGE = "market-range"
MARKET_RANGE_SAYS = "market-range-says"
MARKET_VOLATILITY = "market-volatility"

ACCOUNTS_GRID = "accounts-grid"
ACCOUNTS_SEARCH = "accounts-search"
ACCOUNTS_FOUND = "accounts-found"

PEGS_DAYS = "pegs-days"
PEGS_TOKEN = "pegs-token"
PEGS_DEVIATION = "pegs-deviation"
PEGS_HEAT = "pegs-heat"
PEGS_BAND = "pegs-band"

CLUSTERS_DAYS = "clusters-days"
CLUSTERS_CHANCE = "clusters-chance"
CLUSTERS_INTENSITY = "clusters-intensity"
CLUSTERS_RESIDUALS = "clusters-residuals"

CHAIN_BY = "chain-by"
CHAIN_TRANSFERS = "chain-transfers"
CHAIN_MEV = "chain-mev"
CHAIN_BLOCK = "chain-block"
CHAIN_BLOCK_PARTS = "chain-block-parts"

POSTMORTEM_KEY = "postmortem-key"
"""Store with the transaction and the log index of the liquidation that the page is about."""
POSTMORTEM_PATH = "postmortem-path"
POSTMORTEM_FALL = "postmortem-fall"
POSTMORTEM_LOSS = "postmortem-loss"


def of(kind: str, key: object) -> dict[str, object]:
    """A pattern-matching id: one component of a kind for each driver or preset."""
    return {"type": kind, "key": key}


def in_page(component_id: dict[str, object]) -> str:
    """A pattern-matching id as Dash writes it into the page: what a label's `for` must name."""
    return json.dumps(component_id, sort_keys=True, separators=(",", ":"))
